//! The attribute and the derive of `shunt-route`; use them through that crate.

mod arguments;
mod description;
mod fields;
mod route;

use proc_macro::TokenStream;

/// Derives `Fields` for a struct: each of its fields is one that the route reads, under its own
/// name or under that in `#[field("headers.region")]`.
#[proc_macro_derive(Fields, attributes(field))]
pub fn derive_fields(item: TokenStream) -> TokenStream {
    answer(syn::parse(item).and_then(fields::derive))
}

/// Makes a route of a function, or of an `impl Route for T` block, and exports it. A guest has
/// exactly one.
///
/// `#[route(name = "by-region", version = "1.0.0", wants = ["clock"])]`: the name and the
/// version are those of the Cargo package where they are not given; `wants` lists the
/// capabilities.
///
/// The function is `fn(Header<'_>, &Bindings<'_>, &mut Destinations) -> Result<(), Refusal>`,
/// where the type of its first parameter derives `Fields`. It stays a function, and its name
/// becomes that of a type too, for tests.
#[proc_macro_attribute]
pub fn route(arguments: TokenStream, item: TokenStream) -> TokenStream {
    answer(syn::parse(arguments).and_then(|arguments| route::expand(&arguments, item.into())))
}

fn answer(code: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    code.unwrap_or_else(|error| error.to_compile_error()).into()
}
