//! What a route says about itself, and its exports.

use proc_macro2::TokenStream;
use quote::quote;

use crate::arguments::Arguments;

pub(crate) fn describe_and_export(arguments: &Arguments, route: TokenStream) -> TokenStream {
    let Arguments { name, version, wants } = arguments;
    quote! {
        impl ::shunt_route::Description for #route {
            const NAME: &'static str = #name;
            const VERSION: &'static str = #version;
            const WANTS: &'static [&'static str] = &[#(#wants),*];
        }

        #[cfg(target_family = "wasm")]
        const _: () = {
            static GUEST: ::shunt_route::generated::Guest<#route> =
                ::shunt_route::generated::Guest::new();

            #[unsafe(no_mangle)]
            extern "C" fn shunt_abi() -> i32 {
                ::shunt_route::generated::ABI_VERSION
            }

            #[unsafe(no_mangle)]
            extern "C" fn shunt_alloc(length: i32) -> i32 {
                GUEST.alloc(length)
            }

            #[unsafe(no_mangle)]
            extern "C" fn shunt_describe() -> i64 {
                GUEST.describe()
            }

            #[unsafe(no_mangle)]
            extern "C" fn shunt_configure(address: i32, length: i32) -> i64 {
                GUEST.configure(address, length)
            }

            #[unsafe(no_mangle)]
            extern "C" fn shunt_check_binding(address: i32, length: i32) -> i64 {
                GUEST.check_binding(address, length)
            }

            #[unsafe(no_mangle)]
            extern "C" fn shunt_bindings(address: i32, length: i32) -> i64 {
                GUEST.bindings(address, length)
            }

            #[unsafe(no_mangle)]
            extern "C" fn shunt_route(address: i32, length: i32) -> i64 {
                GUEST.route(address, length)
            }
        };
    }
}
