//! What `#[task]` makes of a function: a type that is the task, a function of the same name that
//! makes a call, and the body as `run`.
//!
//! Little is made, and what is made only names what `celeriac` does: it is compiled once per task.

use crate::options::TaskOptions;
use crate::param::{Fallback, Role};
use crate::signature::Function;
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

/// Everything that replaces the function.
pub(crate) fn expand(options: &TaskOptions, function: &Function) -> TokenStream {
    if let Err(error) = options.refuse(&["output"], "a task's output is what its function returns")
    {
        return error.into_compile_error();
    }
    let (shared, _) = function.attributes();
    let (vis, task) = (&function.item.vis, &function.item.sig.ident);
    let call = call(function);
    let run = run(function);
    let partial = partial(options, function);
    let implementations = [task_impl(options, function), run_impl(options, function)];
    quote! {
        #(#shared)*
        #[allow(non_camel_case_types)]
        #[derive(Debug, Clone, Copy)]
        #vis struct #task {}

        #call

        #[allow(dead_code)]
        impl #task {
            #run
            #partial
        }

        #(#implementations)*

        ::celeriac::__private::inventory::submit! {
            ::celeriac::handler::Registration::new(
                ::celeriac::handler::Definition::of::<#task>,
                ::core::module_path!(),
            )
        }
    }
}

/// The function that makes a call.
fn call(function: &Function) -> TokenStream {
    let (shared, _) = function.attributes();
    let (vis, task) = (&function.item.vis, &function.item.sig.ident);
    let names: Vec<_> = function.arguments().map(|(argument, _)| &argument.ident).collect();
    let kinds: Vec<_> = function.arguments().map(|(_, kind)| kind).collect();
    quote! {
        #(#shared)*
        #[allow(dead_code, clippy::too_many_arguments)]
        #vis fn #task(#(#names: #kinds),*) -> ::celeriac::publisher::Call<#task> {
            ::celeriac::publisher::Call::new((#(#names,)*))
        }
    }
}

/// The body, as an associated function.
fn run(function: &Function) -> TokenStream {
    let (_, own) = function.attributes();
    let signature = &function.item.sig;
    let (vis, block) = (&function.item.vis, &function.item.block);
    let (asyncness, output) = (&signature.asyncness, &signature.output);
    let params = function.params.iter().map(|param| &param.declared);
    quote! {
        /// The body of the task, to be called directly.
        #(#own)*
        #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
        #vis #asyncness fn run(#(#params),*) #output #block
    }
}

/// The function that makes a step of a workflow, if the task takes an argument.
fn partial(options: &TaskOptions, function: &Function) -> TokenStream {
    let mut arguments = function.arguments();
    let Some((_, first)) = arguments.next() else { return TokenStream::new() };
    let vis = &function.item.vis;
    let rest: Vec<_> = arguments.collect();
    let names: Vec<_> = rest.iter().map(|(argument, _)| &argument.ident).collect();
    let kinds: Vec<_> = rest.iter().map(|(_, kind)| kind).collect();
    let wire: Vec<_> = rest.iter().map(|(argument, _)| argument.wire_name.as_str()).collect();
    let values = quote!(#(<#kinds as ::celeriac::task::Argument>::erased(&#names)),*);
    let written = match options.by_name {
        true => quote!(Named(
            ::std::vec![#((#wire, <#kinds as ::celeriac::task::Argument>::erased(&#names))),*]
        )),
        false => quote!(Positional(::std::vec![#values])),
    };
    quote! {
        /// A step of a workflow, whose first argument is the value of the step before.
        #[allow(clippy::too_many_arguments)]
        #vis fn partial(#(#names: #kinds),*) -> ::celeriac::publisher::Partial<Self, #first> {
            ::celeriac::publisher::Partial::new(&::celeriac::task::Written::#written)
        }
    }
}

fn task_impl(options: &TaskOptions, function: &Function) -> TokenStream {
    let task = &function.item.sig.ident;
    let text = task.unraw().to_string();
    let name = match &options.name {
        Some(name) => quote!(#name),
        None => quote!(::celeriac::__private::task_name!(#text)),
    };
    let arguments: Vec<_> = function.arguments().collect();
    let params = arguments.iter().map(|(argument, kind)| argument.description(kind));
    let kinds: Vec<_> = arguments.iter().map(|(_, kind)| kind).collect();
    let reads = arguments.iter().enumerate().map(|(index, (argument, kind))| {
        match &argument.default {
            None => quote_spanned!(kind.span()=> from.required::<#kind>(#index)?),
            Some(Fallback::OfType) => {
                quote_spanned!(kind.span()=> from.or::<#kind>(#index, ::core::default::Default::default)?)
            }
            Some(Fallback::Value(value)) => {
                quote_spanned!(kind.span()=> from.or::<#kind>(#index, || #value)?)
            }
        }
    });
    let fields: Vec<_> = (0..arguments.len()).map(|index| format_ident!("a{index}")).collect();
    let values = kinds.iter().zip(&fields).map(|(kind, field)| {
        quote_spanned!(kind.span()=> <#kind as ::celeriac::task::Argument>::erased(#field))
    });
    let written = match options.by_name {
        true => {
            let wire = arguments.iter().map(|(argument, _)| argument.wire_name.as_str());
            quote!(Named(::std::vec![#((#wire, #values)),*]))
        }
        false => quote!(Positional(::std::vec![#(#values),*])),
    };
    let returned = function.output();
    let output =
        quote_spanned!(returned.span()=> <#returned as ::celeriac::handler::Return>::Value);
    let options = options.tokens();
    quote! {
        impl ::celeriac::task::Task for #task {
            const NAME: &'static str = #name;
            const PARAMS: &'static [::celeriac::task::Param] = &[#(#params),*];
            type Args = (#(#kinds,)*);
            type Output = #output;

            fn options() -> ::celeriac::task::TaskOptions {
                #options
            }

            fn write((#(#fields,)*): &Self::Args) -> ::celeriac::task::Written<'_> {
                ::celeriac::task::Written::#written
            }

            #[allow(unused_variables)]
            fn read<R: ::celeriac::task::ReadArguments>(
                from: &mut R,
            ) -> ::core::result::Result<Self::Args, R::Error> {
                ::core::result::Result::Ok((#(#reads,)*))
            }
        }
    }
}

fn run_impl(options: &TaskOptions, function: &Function) -> TokenStream {
    let task = &function.item.sig.ident;
    let supplied: Vec<_> = function.supplied().collect();
    let needs = supplied.iter().map(|kind| {
        quote_spanned!(kind.span()=> needs.extend(<#kind as ::celeriac::handler::Extract>::needs());)
    });
    let needs = match supplied.is_empty() {
        true => TokenStream::new(),
        false => quote! {
            fn needs() -> ::std::vec::Vec<::celeriac::handler::Need> {
                let mut needs = ::std::vec::Vec::new();
                #(#needs)*
                needs
            }
        },
    };
    let count = function.arguments().count();
    let given: Vec<_> = (0..count).map(|index| format_ident!("a{index}")).collect();
    let mut rest = given.iter();
    let passed = function.params.iter().map(|param| match param.role {
        Role::Argument(_) => rest.next().map(|given| quote!(#given)),
        Role::Supplied => {
            let kind = param.kind();
            Some(quote_spanned!(kind.span()=> invocation.extract::<#kind>()?))
        }
    });
    let passed: Vec<_> = passed.collect();
    let kinds = options.kinds();
    let attempt = match function.item.sig.asyncness {
        Some(_) => quote! {
            let body = Self::run(#(#passed),*);
            ::core::result::Result::Ok(invocation.run(#kinds, body))
        },
        None => {
            let names: Vec<_> = (0..passed.len()).map(|at| format_ident!("p{at}")).collect();
            quote! {
                let (#(#names,)*) = (#(#passed,)*);
                ::core::result::Result::Ok(
                    invocation.run_blocking(#kinds, move || Self::run(#(#names),*)),
                )
            }
        }
    };
    quote! {
        impl ::celeriac::handler::Run for #task {
            #needs

            fn start(
                invocation: ::celeriac::handler::Invocation,
            ) -> ::core::result::Result<
                ::celeriac::handler::Attempt,
                ::celeriac::handler::Failure,
            > {
                let (#(#given,)*) = invocation.arguments::<Self>()?;
                #attempt
            }
        }
    }
}
