//! What stands in the brackets of the attribute `route`.

use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprArray, Ident, LitStr, Token, parse_quote};

pub(crate) struct Arguments {
    pub(crate) name: Expr,
    pub(crate) version: Expr,
    pub(crate) wants: Vec<LitStr>,
}

const CAPABILITIES: [&str; 4] = ["clock", "random", "load", "state"];

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self {
            name: parse_quote!(::core::env!("CARGO_PKG_NAME")),
            version: parse_quote!(::core::env!("CARGO_PKG_VERSION")),
            wants: Vec::new(),
        };
        for setting in Punctuated::<Setting, Token![,]>::parse_terminated(input)? {
            match setting.key.to_string().as_str() {
                "name" => arguments.name = setting.value,
                "version" => arguments.version = setting.value,
                "wants" => arguments.wants = capabilities(&setting.value)?,
                _ => {
                    return Err(syn::Error::new(
                        setting.key.span(),
                        "a route has a `name`, a `version` and `wants`; \
                         what it reads is what its header type derives",
                    ));
                }
            }
        }
        Ok(arguments)
    }
}

struct Setting {
    key: Ident,
    value: Expr,
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.parse()?;
        input.parse::<Token![=]>()?;
        let value = input.parse()?;
        Ok(Self { key, value })
    }
}

fn capabilities(value: &Expr) -> syn::Result<Vec<LitStr>> {
    let ExprArray { elems, .. } = syn::parse2(value.to_token_stream())?;
    elems.iter().map(capability).collect()
}

fn capability(value: &Expr) -> syn::Result<LitStr> {
    let name: LitStr = syn::parse2(value.to_token_stream())?;
    if CAPABILITIES.contains(&name.value().as_str()) {
        return Ok(name);
    }
    let known = CAPABILITIES.join(", ");
    let message = format!("no such capability; there are: {known}");
    Err(syn::Error::new(name.span(), message))
}
