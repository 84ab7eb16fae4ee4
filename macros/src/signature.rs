//! The function that becomes a task, taken apart.

use crate::param::{Argument, Param, Role};
use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::{Attribute, Error, ItemFn, Result, ReturnType, Safety, Type, parse_quote};

/// A function that can be a task.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) params: Vec<Param>,
}

impl Function {
    /// Takes a function apart.
    pub(crate) fn parse(item: TokenStream) -> Result<Self> {
        let mut item: ItemFn = syn::parse2(item).map_err(|error| {
            Error::new(error.span(), format!("#[task] goes on a function with a body: {error}"))
        })?;
        refuse(&item)?;
        let inputs = std::mem::take(&mut item.sig.inputs);
        let params = inputs.into_iter().map(Param::parse).collect::<Result<_>>()?;
        Ok(Self { item, params })
    }

    /// What the caller passes, each with its type.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = (&Argument, &Type)> {
        self.params.iter().filter_map(|param| match &param.role {
            Role::Argument(argument) => Some((argument, param.kind())),
            Role::Supplied => None,
        })
    }

    /// The types of what the worker supplies.
    pub(crate) fn supplied(&self) -> impl Iterator<Item = &Type> {
        self.params.iter().filter(|param| matches!(param.role, Role::Supplied)).map(Param::kind)
    }

    /// The type it returns.
    pub(crate) fn output(&self) -> Type {
        match &self.item.sig.output {
            ReturnType::Default => parse_quote!(()),
            ReturnType::Type(_, kind) => Type::clone(kind),
        }
    }

    /// Its attributes that every item made from it takes over, and those of its body alone.
    pub(crate) fn attributes(&self) -> (Vec<&Attribute>, Vec<&Attribute>) {
        let shared = |attribute: &&Attribute| {
            ["doc", "cfg"].iter().any(|name| attribute.path().is_ident(name))
        };
        self.item.attrs.iter().partition(shared)
    }
}

fn refuse(item: &ItemFn) -> Result<()> {
    if !matches!(item.sig.safety, Safety::Default) {
        return Err(Error::new(item.sig.span(), "an unsafe function cannot be a task"));
    }
    let generics = &item.sig.generics;
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        let message = "a generic function cannot be a task: its name must mean one signature";
        return Err(Error::new(generics.span(), message));
    }
    if let Some(variadic) = &item.sig.variadic {
        return Err(Error::new(variadic.span(), "a task takes a fixed list of arguments"));
    }
    Ok(())
}
