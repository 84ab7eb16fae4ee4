//! What `#[derive(Message)]` makes of a structure.

use crate::options::TaskOptions;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Result};

/// The implementation of `Message`, and the methods that make and send a call.
pub(crate) fn expand(item: &DeriveInput) -> Result<TokenStream> {
    if !matches!(item.data, Data::Struct(_)) || !item.generics.params.is_empty() {
        let message = "a message is a structure without type parameters: its fields are the \
                       arguments by name";
        return Err(Error::new_spanned(&item.ident, message));
    }
    let attribute = item.attrs.iter().find(|attribute| attribute.path().is_ident("message"));
    let options: TaskOptions = match attribute {
        Some(attribute) => attribute.parse_args()?,
        None => TaskOptions::default(),
    };
    options.refuse(&["kwargs"], "the fields of a message always travel by name")?;
    let (message, vis, text) = (&item.ident, &item.vis, item.ident.to_string());
    let name = match &options.name {
        Some(name) => quote!(#name),
        None => quote!(::celeriac::__private::task_name!(#text)),
    };
    let output = options.output.as_ref().map_or_else(|| quote!(()), |output| quote!(#output));
    let (declared, kinds) = (options.tokens(), options.kinds());
    Ok(quote! {
        impl ::celeriac::task::Message for #message {
            const NAME: &'static str = #name;
            const ERRORS: &'static [::celeriac::task::ErrorKind] = #kinds;
            type Output = #output;

            fn options() -> ::celeriac::task::TaskOptions {
                #declared
            }
        }

        #[allow(dead_code)]
        impl #message {
            /// The call with this message, to be given options.
            #vis fn call(self) -> ::celeriac::publisher::Call<Self> {
                ::celeriac::publisher::Call::new(self)
            }

            /// Sends the message. Resolves when the broker has confirmed it.
            #vis async fn delay(
                self,
                app: &impl ::core::convert::AsRef<::celeriac::client::Client>,
            ) -> ::core::result::Result<
                ::celeriac::client::TaskHandle<#output>,
                ::celeriac::publisher::SendError,
            > {
                self.call().delay(app).await
            }
        }
    })
}
