//! The parameters of a task function: what the caller passes, what the worker supplies.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, FnArg, Ident, LitStr, Pat, PatType, Result, Token, Type};

/// One parameter.
pub(crate) struct Param {
    /// The parameter as the body declares it, without our attributes.
    pub(crate) declared: PatType,
    pub(crate) role: Role,
}

/// Where a parameter comes from.
pub(crate) enum Role {
    /// The caller passes it.
    Argument(Argument),
    /// The worker supplies it.
    Supplied,
}

/// A parameter that travels.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    pub(crate) wire_name: String,
    aliases: Vec<LitStr>,
    pub(crate) default: Option<Fallback>,
    is_secret: bool,
}

/// What stands in for an argument that a call leaves out.
pub(crate) enum Fallback {
    /// The type's own default.
    OfType,
    /// This expression.
    Value(Box<Expr>),
}

/// Types that the worker supplies, by the last part of their path.
const SUPPLIED: &[&str] =
    &["Ctx", "TaskContext", "State", "Progress", "CancelToken", "CancellationToken"];

impl Param {
    /// Reads one parameter.
    pub(crate) fn parse(input: FnArg) -> Result<Self> {
        let mut declared = match input {
            FnArg::Typed(declared) => declared,
            FnArg::Receiver(receiver) => {
                let message = "a method cannot be a task, because its `self` cannot travel; \
                               make it a function and take what it needs as `State<T>`";
                return Err(Error::new(receiver.span(), message));
            }
        };
        let (ours, others) =
            std::mem::take(&mut declared.attrs).into_iter().partition::<Vec<_>, _>(is_ours);
        declared.attrs = others;
        let role = role(&declared, &ours)?;
        Ok(Self { declared, role })
    }

    /// Its type.
    pub(crate) fn kind(&self) -> &Type {
        &self.declared.ty
    }
}

impl Argument {
    /// The `Param` that describes it at run time.
    pub(crate) fn description(&self, kind: &Type) -> TokenStream {
        let (name, kind) = (&self.wire_name, shown(kind));
        let mut description = quote!(::celeriac::task::Param::new(#name, #kind));
        if self.default.is_some() {
            description.extend(quote!(.optional()));
        }
        if !self.aliases.is_empty() {
            let aliases = &self.aliases;
            description.extend(quote!(.aliased(&[#(#aliases),*])));
        }
        if self.is_secret {
            description.extend(quote!(.secret()));
        }
        description
    }
}

fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().is_ident("arg") || attribute.path().is_ident("extract")
}

fn role(declared: &PatType, attributes: &[Attribute]) -> Result<Role> {
    let extract = attributes.iter().find(|attribute| attribute.path().is_ident("extract"));
    let arg = attributes.iter().find(|attribute| attribute.path().is_ident("arg"));
    let ident = match &*declared.pat {
        Pat::Ident(pattern) if pattern.subpat.is_none() && pattern.by_ref.is_none() => {
            Some(pattern.ident.clone())
        }
        _ => None,
    };
    let is_supplied = extract.is_some() || ident.is_none() || is_supplied(&declared.ty);
    match (ident, is_supplied) {
        (_, true) => match arg {
            Some(arg) => Err(Error::new(
                arg.span(),
                "the worker supplies this parameter; no caller passes it",
            )),
            None => Ok(Role::Supplied),
        },
        (Some(ident), false) => argument(ident, &declared.ty, arg).map(Role::Argument),
        (None, false) => Ok(Role::Supplied),
    }
}

fn is_supplied(kind: &Type) -> bool {
    let Type::Path(path) = kind else { return false };
    let last = path.path.segments.last();
    last.is_some_and(|last| SUPPLIED.contains(&last.ident.to_string().as_str()))
}

fn argument(ident: Ident, kind: &Type, attribute: Option<&Attribute>) -> Result<Argument> {
    let owned = match kind {
        Type::Reference(reference) => Some(owned(&reference.elem)),
        Type::ImplTrait(_) => Some("a type that is written out".to_owned()),
        _ => None,
    };
    if let Some(owned) = owned {
        let message = format!("`{}` cannot travel as a task argument; use {owned}", shown(kind));
        return Err(Error::new_spanned(kind, message));
    }
    let wire_name = ident.unraw().to_string();
    let mut argument =
        Argument { ident, wire_name, aliases: Vec::new(), default: None, is_secret: false };
    if let Some(attribute) = attribute {
        attribute.parse_args_with(|input: ParseStream<'_>| argument.read(input))?;
    }
    Ok(argument)
}

impl Argument {
    /// Reads what stands in `#[arg(..)]`.
    fn read(&mut self, input: ParseStream<'_>) -> Result<()> {
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            match key.to_string().as_str() {
                "default" if input.peek(Token![=]) => {
                    self.default = Some(Fallback::Value(Box::new(value(input)?)));
                }
                "default" => self.default = Some(Fallback::OfType),
                "rename" => self.wire_name = value::<LitStr>(input)?.value(),
                "alias" => self.aliases.push(value(input)?),
                "secret" => self.is_secret = true,
                other => return Err(unknown(key.span(), other)),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }
}

fn unknown(span: Span, option: &str) -> Error {
    let known = "default, default = expr, rename = \"..\", alias = \"..\", secret";
    Error::new(span, format!("an argument has no option `{option}`; it has {known}"))
}

fn value<T: syn::parse::Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// What to use instead of a reference to `kind`.
fn owned(kind: &Type) -> String {
    match (kind, shown(kind).as_str()) {
        (_, "str") => "`String`".to_owned(),
        (_, "Path") => "`PathBuf`".to_owned(),
        (Type::Slice(slice), _) => format!("`Vec<{}>`", shown(&slice.elem)),
        (_, other) => format!("`{other}`"),
    }
}

/// A type as a person writes it.
fn shown(kind: &Type) -> String {
    let spaced = kind.to_token_stream().to_string();
    let mut text = String::with_capacity(spaced.len());
    for part in spaced.split(' ') {
        let joins = |c: char| c.is_alphanumeric() || c == '_';
        if text.ends_with(',') || (text.ends_with(joins) && part.starts_with(joins)) {
            text.push(' ');
        }
        text.push_str(part);
    }
    text
}
