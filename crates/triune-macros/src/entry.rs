//! The attributes `#[triune::main]` and `#[triune::test]`.
//!
//! Owns: the options and the expansion, which only hands the async function and a configuration to
//! `::triune::__private`. Does not own: what happens then (runtime, run, signals, exit codes).
//!
//! Invariants:
//! 1. The body stays an `async fn` of its own inside, so `?`, the return type and lint attributes mean what they
//!    mean anywhere else.
//! 2. A test binary reaches the entry of its children before `main`: every test emits the constructor, once is
//!    enough and the others return at once.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, ItemFn, Lit, MetaNameValue, Token, punctuated::Punctuated};

/// Expands `#[triune::main]`.
pub(crate) fn main(args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let options = Options::parse(args, Entry::Main)?;
    let function = function(item, "main", "async fn main() -> triune::Result")?;
    let config = options.config();
    let ItemFn { attrs, vis, sig, block, .. } = &function;
    let (name, output) = (&sig.ident, &sig.output);
    Ok(quote! {
        #(#attrs)*
        #vis fn #name() -> ::std::process::ExitCode {
            async fn __body() #output #block
            ::triune::__private::main(#config, __body)
        }
    })
}

/// Expands `#[triune::test]`.
pub(crate) fn test(args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let options = Options::parse(args, Entry::Test)?;
    let function = function(item, "test", "async fn name_of_the_property()")?;
    if let Some(attr) = function.attrs.iter().find(|attr| attr.path().is_ident("test")) {
        return Err(Error::new(attr.span(), "`#[triune::test]` already marks the test: remove `#[test]`"));
    }
    let config = options.config();
    let ItemFn { attrs, vis, sig, block, .. } = &function;
    let (name, output) = (&sig.ident, &sig.output);
    let text = name.to_string();
    let cfgs: Vec<_> = attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
    Ok(quote! {
        #(#attrs)*
        #[::core::prelude::v1::test]
        #vis fn #name() #output {
            async fn __body() #output #block
            ::triune::__private::test(#config, #text, __body)
        }

        #(#cfgs)*
        #[cfg(test)]
        const _: () = {
            ::triune::__private::constructor!();
        };
    })
}

/// Parses and checks the function under the attribute.
fn function(item: TokenStream, attribute: &str, shape: &str) -> syn::Result<ItemFn> {
    let misplaced = format!("`#[triune::{attribute}]` goes on an async function: `{shape}`");
    let function: ItemFn =
        syn::parse2(item).map_err(|error| Error::new(error.span(), format!("{misplaced}: {error}")))?;
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        return Err(Error::new(sig.fn_token.span, misplaced));
    }
    if !sig.inputs.is_empty() {
        return Err(Error::new(sig.inputs.span(), format!("{misplaced}, without arguments")));
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        return Err(Error::new(sig.generics.span(), format!("{misplaced}, without generics")));
    }
    Ok(function)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavor {
    CurrentThread,
    MultiThread,
}

/// Which of the two attributes is expanded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Main,
    Test,
}

impl Entry {
    fn default_flavor(self) -> Flavor {
        match self {
            Self::Main => Flavor::MultiThread,
            Self::Test => Flavor::CurrentThread,
        }
    }

    fn unknown_option(self) -> &'static str {
        match self {
            Self::Main => {
                "unknown option: expected `flavor = \"current_thread\" | \"multi_thread\"` or `worker_threads = n`"
            }
            Self::Test => {
                "unknown option: expected `flavor = \"current_thread\" | \"multi_thread\"`, `worker_threads = n` \
                 or `start_paused = true`"
            }
        }
    }
}

/// What the attribute says about the runtime.
struct Options {
    flavor: Flavor,
    worker_threads: Option<usize>,
    start_paused: bool,
}

/// The options as they are read, each with its place.
#[derive(Default)]
struct Given {
    flavor: Option<Flavor>,
    worker_threads: Option<(usize, Span)>,
    start_paused: Option<(bool, Span)>,
}

impl Given {
    fn parse(args: TokenStream, entry: Entry) -> syn::Result<Self> {
        let pairs = Punctuated::<MetaNameValue, Token![,]>::parse_terminated.parse2(args)?;
        let mut given = Self::default();
        for pair in &pairs {
            let key = pair.path.get_ident().map(Ident::to_string).unwrap_or_default();
            let (value, span) = (&pair.value, pair.span());
            let twice = match key.as_str() {
                "flavor" => given.flavor.replace(parse_flavor(value)?).is_some(),
                "worker_threads" => given.worker_threads.replace((parse_threads(value)?, span)).is_some(),
                "start_paused" if entry == Entry::Test => {
                    given.start_paused.replace((parse_paused(value)?, span)).is_some()
                }
                "start_paused" => {
                    return Err(Error::new(
                        span,
                        "`start_paused` is for `#[triune::test]`: a program's clock runs",
                    ));
                }
                _ => return Err(Error::new(pair.path.span(), entry.unknown_option())),
            };
            if twice {
                return Err(Error::new(span, format!("`{key}` is given twice")));
            }
        }
        Ok(given)
    }
}

impl Options {
    fn parse(args: TokenStream, entry: Entry) -> syn::Result<Self> {
        let Given { flavor, worker_threads, start_paused } = Given::parse(args, entry)?;
        // Asking for threads is asking for the flavour that has them.
        let implied = if worker_threads.is_some() { Flavor::MultiThread } else { entry.default_flavor() };
        let flavor = flavor.unwrap_or(implied);
        if let (Flavor::CurrentThread, Some((_, span))) = (flavor, worker_threads) {
            return Err(Error::new(span, "`worker_threads` needs `flavor = \"multi_thread\"`"));
        }
        if let (Flavor::MultiThread, Some((true, span))) = (flavor, start_paused) {
            let why = "`start_paused` needs `flavor = \"current_thread\"`: tokio's clock can be paused on one thread only";
            return Err(Error::new(span, why));
        }
        Ok(Self {
            flavor,
            worker_threads: worker_threads.map(|(threads, _)| threads),
            start_paused: start_paused.is_some_and(|(paused, _)| paused),
        })
    }

    fn config(&self) -> TokenStream {
        let mut config = match self.flavor {
            Flavor::CurrentThread => quote!(::triune::__private::RuntimeConfig::current_thread()),
            Flavor::MultiThread => quote!(::triune::__private::RuntimeConfig::multi_thread()),
        };
        if let Some(threads) = self.worker_threads {
            config = quote!(#config.worker_threads(#threads));
        }
        if self.start_paused {
            config = quote!(#config.start_paused(::triune::__private::TestClock));
        }
        config
    }
}

fn parse_flavor(value: &Expr) -> syn::Result<Flavor> {
    let text = match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => text.value(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    match text.as_str() {
        "current_thread" => Ok(Flavor::CurrentThread),
        "multi_thread" => Ok(Flavor::MultiThread),
        _ => Err(Error::new(value.span(), "`flavor` is \"current_thread\" or \"multi_thread\"")),
    }
}

fn parse_threads(value: &Expr) -> syn::Result<usize> {
    let refused = || Error::new(value.span(), "`worker_threads` is a number of threads, at least 1");
    let Expr::Lit(literal) = value else { return Err(refused()) };
    let Lit::Int(number) = &literal.lit else { return Err(refused()) };
    match number.base10_parse::<usize>() {
        Ok(threads) if threads > 0 => Ok(threads),
        _ => Err(refused()),
    }
}

fn parse_paused(value: &Expr) -> syn::Result<bool> {
    let refused = || Error::new(value.span(), "`start_paused` is `true` or `false`");
    let Expr::Lit(literal) = value else { return Err(refused()) };
    let Lit::Bool(paused) = &literal.lit else { return Err(refused()) };
    Ok(paused.value)
}
