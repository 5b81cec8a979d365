//! The attribute `route`.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{FnArg, Item, ItemFn, ItemImpl};

use crate::arguments::Arguments;
use crate::description::describe_and_export;

pub(crate) fn expand(arguments: &Arguments, item: TokenStream) -> syn::Result<TokenStream> {
    match syn::parse2(item)? {
        Item::Fn(function) => from_function(arguments, &function),
        Item::Impl(block) => Ok(from_block(arguments, &block)),
        other => Err(syn::Error::new_spanned(
            other,
            "a route is a function or an `impl Route for T` block",
        )),
    }
}

fn from_block(arguments: &Arguments, block: &ItemImpl) -> TokenStream {
    let exports = describe_and_export(arguments, block.self_ty.to_token_stream());
    quote! { #block #exports }
}

/// A type of the function's name keeps the bindings and calls the function with them. Types
/// and functions do not share names, as the type is no tuple.
fn from_function(arguments: &Arguments, function: &ItemFn) -> syn::Result<TokenStream> {
    let signature = &function.sig;
    let Some(FnArg::Typed(header)) = signature.inputs.first() else {
        return Err(syn::Error::new_spanned(
            &signature.inputs,
            "a route is a function of a header, the bindings and the destinations",
        ));
    };
    let name = &signature.ident;
    let visibility = &function.vis;
    let documentation = format!("The route [`{name}`](fn@{name}).");
    let header = with_lifetime(header.ty.to_token_stream());
    let exports = describe_and_export(arguments, name.to_token_stream());
    Ok(quote! {
        #function

        #[doc = #documentation]
        // No `expect`: a route may be named in camel case too.
        #[allow(non_camel_case_types)]
        #visibility struct #name {
            bindings: ::shunt_route::generated::KeptBindings,
        }

        impl ::shunt_route::Route for #name {
            type Header<'message> = #header;

            fn configure(
                _: &::shunt_route::Exchange<'_>,
            ) -> ::core::result::Result<Self, ::shunt_route::Refusal> {
                let bindings = ::core::default::Default::default();
                ::core::result::Result::Ok(Self { bindings })
            }

            fn bindings(
                &mut self,
                bindings: &::shunt_route::Bindings<'_>,
            ) -> ::core::result::Result<(), ::shunt_route::Refusal> {
                self.bindings.replace(bindings);
                ::core::result::Result::Ok(())
            }

            fn route(
                &self,
                header: Self::Header<'_>,
                destinations: &mut ::shunt_route::Destinations,
            ) -> ::core::result::Result<(), ::shunt_route::Refusal> {
                #name(header, &self.bindings.get(), destinations)
            }
        }

        #exports
    })
}

/// `Header<'_>` as it has to be written where the lifetime has the name `'message`.
fn with_lifetime(header: TokenStream) -> TokenStream {
    let mut after_quote = false;
    header
        .into_iter()
        .map(|token| match token {
            TokenTree::Ident(ident) if after_quote && ident == "_" => {
                after_quote = false;
                TokenTree::Ident(format_ident!("message", span = ident.span()))
            }
            TokenTree::Punct(punct) => {
                after_quote = punct.as_char() == '\'';
                TokenTree::Punct(punct)
            }
            other => other,
        })
        .collect()
}
