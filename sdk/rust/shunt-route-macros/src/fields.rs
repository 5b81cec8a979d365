//! The derive `Fields`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DataStruct, DeriveInput, Field, Fields, GenericParam, Lifetime, LitStr, Type};

/// Every field of the contract but the headers, which are `headers` and `headers.NAME`.
const NAMES: [&str; 18] = [
    "exchange",
    "routing_key",
    "routing_keys",
    "body_size",
    "user",
    "vhost",
    "content_type",
    "content_encoding",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
];

pub(crate) fn derive(item: DeriveInput) -> syn::Result<TokenStream> {
    let Data::Struct(DataStruct { fields: Fields::Named(fields), .. }) = &item.data else {
        let message = "only a struct with named fields can say what a route reads";
        return Err(syn::Error::new(item.ident.span(), message));
    };
    let lifetime = lifetime(&item)?;
    let message = lifetime.clone().unwrap_or_else(fresh_lifetime);
    let generics = &item.generics;
    let ident = &item.ident;

    let names = fields.named.iter().map(name).collect::<syn::Result<Vec<_>>>()?;
    let members = fields.named.iter().map(|field| &field.ident);
    let types = fields.named.iter().map(|field: &Field| -> &Type { &field.ty });
    Ok(quote! {
        impl<#message> ::shunt_route::Fields<#message> for #ident #generics {
            const READS: &'static [&'static str] = &[#(#names),*];

            fn read(
                reader: &mut ::shunt_route::FieldReader<#message>,
            ) -> ::core::result::Result<Self, ::shunt_route::Refusal> {
                ::core::result::Result::Ok(Self {
                    #(#members: reader.next::<#types>(#names)?,)*
                })
            }
        }
    })
}

/// The lifetime of the message, where the struct borrows from it.
fn lifetime(item: &DeriveInput) -> syn::Result<Option<Lifetime>> {
    let mut params = item.generics.params.iter();
    let (first, second) = (params.next(), params.next());
    match (first, second) {
        (None, _) => Ok(None),
        (Some(GenericParam::Lifetime(param)), None) => Ok(Some(param.lifetime.clone())),
        _ => Err(syn::Error::new(
            item.generics.span(),
            "one lifetime, the message's, is all that such a struct can have",
        )),
    }
}

fn fresh_lifetime() -> Lifetime {
    Lifetime::new("'message", Span::mixed_site())
}

/// The contract's name for a field of the struct.
fn name(field: &Field) -> syn::Result<LitStr> {
    let attribute = field.attrs.iter().find(|attr| attr.path().is_ident("field"));
    let name = match (attribute, &field.ident) {
        (Some(attribute), _) => attribute.parse_args::<LitStr>()?,
        (None, Some(ident)) => {
            let name = ident.to_string();
            LitStr::new(name.trim_start_matches("r#"), ident.span())
        }
        (None, None) => LitStr::new("", field.span()),
    };
    let text = name.value();
    let header = text.strip_prefix("headers.").is_some_and(|name| !name.is_empty());
    if header || text == "headers" || NAMES.contains(&text.as_str()) {
        return Ok(name);
    }
    let message = format!(
        "a message has no field `{text}`; there are `headers`, `headers.NAME`, {}",
        NAMES.join(", ")
    );
    Err(syn::Error::new(name.span(), message))
}
