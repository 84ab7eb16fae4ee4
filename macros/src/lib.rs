//! The macros of `celeriac`. Use them through that crate, which re-exports and documents them.

mod expand;
mod message;
mod options;
mod param;
mod signature;
mod size;
mod time;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a function a task.
///
/// See the documentation of `celeriac::task`.
#[proc_macro_attribute]
pub fn task(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(attribute as options::TaskOptions);
    signature::Function::parse(item.into())
        .map(|function| expand::expand(&options, &function))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a structure the message of a task.
///
/// See the documentation of `celeriac::task::Message`.
#[proc_macro_derive(Message, attributes(message))]
pub fn message(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::DeriveInput);
    message::expand(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}
