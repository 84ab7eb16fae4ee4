//! The options in `#[task(..)]` and `#[message(..)]`.

use crate::{size, time};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use std::time::Duration;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitInt, LitStr, Result, Token, Type, bracketed};

/// The options of a task.
#[derive(Default)]
pub(crate) struct TaskOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) output: Option<Type>,
    pub(crate) by_name: bool,
    queue: Option<LitStr>,
    priority: Option<u8>,
    expires: Option<Duration>,
    max_retries: Option<Retries>,
    backoff: Option<(Duration, Duration)>,
    time_limit: Option<Duration>,
    soft_limit: Option<Duration>,
    rate: Option<f64>,
    retry_on: Vec<Type>,
    give_up_on: Vec<Type>,
    ignore_result: bool,
    acknowledge_early: bool,
    skip_finished: bool,
    is_isolated: bool,
    max_memory: Option<(u64, Span)>,
    seen: Vec<String>,
}

enum Retries {
    Times(u32),
    Forever,
}

const KNOWN: &str = "name, queue, priority, expires, max_retries, backoff, time_limit, soft_time_limit, rate, \
                     retry_on, give_up_on, ignore_result, skip_finished, isolation, max_memory, ack, kwargs";

impl Parse for TaskOptions {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            options.read(&key, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        match options.max_memory {
            Some((_, span)) if !options.is_isolated => {
                let message =
                    "only a process of its own has a memory limit; add `isolation = \"process\"`";
                Err(Error::new(span, message))
            }
            _ => Ok(options),
        }
    }
}

impl TaskOptions {
    /// Reads one option, whose name was read.
    fn read(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        let name = key.to_string();
        if self.seen.contains(&name) {
            return Err(Error::new(key.span(), format!("`{name}` is given twice")));
        }
        match name.as_str() {
            "name" => self.name = Some(text(input)?),
            "queue" => self.queue = Some(text(input)?),
            "priority" => self.priority = Some(priority(input)?),
            "expires" => self.expires = Some(time::duration(&value(input)?)?),
            "output" => self.output = Some(value(input)?),
            "max_retries" | "retries" => self.max_retries = Some(value(input)?),
            "backoff" => self.backoff = Some(time::backoff(&value(input)?)?),
            "time_limit" => self.time_limit = Some(time::duration(&value(input)?)?),
            "soft_time_limit" | "soft_limit" => {
                self.soft_limit = Some(time::duration(&value(input)?)?);
            }
            "rate" => self.rate = Some(time::rate(&value(input)?)?),
            "retry_on" => self.retry_on = types(input)?,
            "give_up_on" => self.give_up_on = types(input)?,
            "ignore_result" => self.ignore_result = true,
            "skip_finished" => self.skip_finished = true,
            "isolation" => self.is_isolated = isolated(input)?,
            "max_memory" => self.max_memory = Some(memory(input)?),
            "ack" => self.acknowledge_early = early(input)?,
            "kwargs" => self.by_name = true,
            other => {
                let message = format!("a task has no option `{other}`; it has {KNOWN}");
                return Err(Error::new(key.span(), message));
            }
        }
        self.seen.push(name);
        Ok(())
    }

    /// Refuses what only the other macro knows.
    pub(crate) fn refuse(&self, names: &[&str], instead: &str) -> Result<()> {
        match self.seen.iter().find(|seen| names.contains(&seen.as_str())) {
            Some(name) => Err(Error::new(
                Span::call_site(),
                format!("`{name}` has no meaning here; {instead}"),
            )),
            None => Ok(()),
        }
    }

    /// The body of `fn options()`.
    pub(crate) fn tokens(&self) -> TokenStream {
        let some = |value: TokenStream| quote!(::core::option::Option::Some(#value));
        let limit = |limit: &Duration| some(time::tokens(*limit));
        let mut set = Vec::new();
        if let Some(queue) = &self.queue {
            let queue = some(quote!(::std::string::String::from(#queue)));
            set.push(quote!(options.queue = #queue;));
        }
        if let Some(priority) = self.priority {
            let priority = some(quote!(#priority));
            set.push(quote!(options.priority = #priority;));
        }
        if let Some(expires) = self.expires.as_ref().map(limit) {
            set.push(quote!(options.expires = #expires;));
        }
        match self.max_retries {
            Some(Retries::Times(times)) => {
                let times = some(quote!(#times));
                set.push(quote!(options.retry.max_retries = #times;));
            }
            Some(Retries::Forever) => {
                set.push(quote!(options.retry.max_retries = ::core::option::Option::None;));
            }
            None => {}
        }
        if let Some((first, max)) = self.backoff {
            let factor = if first == max { 1.0 } else { 2.0 };
            let (first, max) = (time::tokens(first), time::tokens(max));
            set.push(quote! {
                options.retry.backoff.first = #first;
                options.retry.backoff.max = #max;
                options.retry.backoff.factor = #factor;
            });
        }
        if let Some(time_limit) = self.time_limit.as_ref().map(limit) {
            set.push(quote!(options.time_limit = #time_limit;));
        }
        if let Some(soft_limit) = self.soft_limit.as_ref().map(limit) {
            set.push(quote!(options.soft_limit = #soft_limit;));
        }
        if let Some(rate) = self.rate {
            let rate = some(quote!(#rate));
            set.push(quote!(options.rate = #rate;));
        }
        for (field, types) in
            [(quote!(retry_on), &self.retry_on), (quote!(give_up_on), &self.give_up_on)]
        {
            for kind in types {
                set.push(quote! {
                    options.retry.#field.push(::std::string::String::from(
                        ::celeriac::task::ErrorKind::of::<#kind>().name(),
                    ));
                });
            }
        }
        if self.ignore_result {
            set.push(quote!(options.ignore_result = true;));
        }
        if self.skip_finished {
            set.push(quote!(options.skip_finished = true;));
        }
        if self.is_isolated {
            set.push(quote!(options.isolation = ::celeriac::task::Isolation::Process;));
        }
        if let Some((bytes, _)) = self.max_memory {
            let bytes = some(quote!(#bytes));
            set.push(quote!(options.max_memory = #bytes;));
        }
        if self.acknowledge_early {
            set.push(quote!(options.acknowledge_early = true;));
        }
        if set.is_empty() {
            return quote!(::core::default::Default::default());
        }
        quote! {
            let mut options = ::celeriac::task::TaskOptions::default();
            #(#set)*
            options
        }
    }

    /// The error types that the policy names, as a list of `ErrorKind`.
    pub(crate) fn kinds(&self) -> TokenStream {
        let kinds = self.give_up_on.iter().chain(&self.retry_on);
        quote!(const { &[#(::celeriac::task::ErrorKind::of::<#kinds>()),*] })
    }
}

impl Parse for Retries {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            let word: LitStr = input.parse()?;
            return match word.value().as_str() {
                "forever" => Ok(Self::Forever),
                _ => Err(Error::new(word.span(), r#"write a number from 0, or "forever""#)),
            };
        }
        let wrong =
            |error: Error| Error::new(error.span(), r#"write a number from 0, or "forever""#);
        let number: LitInt = input.parse().map_err(wrong)?;
        number.base10_parse().map(Self::Times).map_err(wrong)
    }
}

fn isolated(input: ParseStream<'_>) -> Result<bool> {
    let word: LitStr = value(input)?;
    match word.value().as_str() {
        "process" => Ok(true),
        "none" => Ok(false),
        _ => Err(Error::new(word.span(), r#"write "process" or "none""#)),
    }
}

fn memory(input: ParseStream<'_>) -> Result<(u64, Span)> {
    let text: LitStr = value(input)?;
    Ok((size::bytes(&text)?, text.span()))
}

fn priority(input: ParseStream<'_>) -> Result<u8> {
    let number: LitInt = value(input)?;
    let wrong = |error: Error| Error::new(error.span(), "write a priority from 0 to 255");
    number.base10_parse().map_err(wrong)
}

fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// Text that is not empty and fits a name in AMQP.
fn text(input: ParseStream<'_>) -> Result<LitStr> {
    let text: LitStr = value(input)?;
    match text.value().len() {
        1..=255 => Ok(text),
        length => {
            let message = format!("a name has 1 to 255 bytes, this one has {length}");
            Err(Error::new(text.span(), message))
        }
    }
}

fn types(input: ParseStream<'_>) -> Result<Vec<Type>> {
    input.parse::<Token![=]>()?;
    let list;
    bracketed!(list in input);
    Ok(Punctuated::<Type, Token![,]>::parse_terminated(&list)?.into_iter().collect())
}

fn early(input: ParseStream<'_>) -> Result<bool> {
    let word: LitStr = value(input)?;
    match word.value().as_str() {
        "early" => Ok(true),
        "late" => Ok(false),
        _ => Err(Error::new(word.span(), r#"write "early" or "late""#)),
    }
}
