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
    let options = Options::parse(args, Flavor::MultiThread)?;
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
    let options = Options::parse(args, Flavor::CurrentThread)?;
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

/// What the attribute says about the runtime.
struct Options {
    flavor: Flavor,
    worker_threads: Option<usize>,
}

impl Options {
    fn parse(args: TokenStream, default: Flavor) -> syn::Result<Self> {
        let pairs = Punctuated::<MetaNameValue, Token![,]>::parse_terminated.parse2(args)?;
        let mut flavor = None;
        let mut worker_threads: Option<(usize, Span)> = None;
        for pair in &pairs {
            let key = pair.path.get_ident().map(Ident::to_string).unwrap_or_default();
            match key.as_str() {
                "flavor" if flavor.is_none() => flavor = Some(parse_flavor(&pair.value)?),
                "worker_threads" if worker_threads.is_none() => {
                    worker_threads = Some((parse_threads(&pair.value)?, pair.span()));
                }
                "flavor" | "worker_threads" => {
                    return Err(Error::new(pair.span(), format!("`{key}` is given twice")));
                }
                _ => {
                    return Err(Error::new(
                        pair.path.span(),
                        "unknown option: expected `flavor = \"current_thread\" | \"multi_thread\"` or \
                         `worker_threads = n`",
                    ));
                }
            }
        }
        // Asking for threads is asking for the flavour that has them.
        let implied = if worker_threads.is_some() { Flavor::MultiThread } else { default };
        let flavor = flavor.unwrap_or(implied);
        if let (Flavor::CurrentThread, Some((_, span))) = (flavor, worker_threads) {
            return Err(Error::new(span, "`worker_threads` needs `flavor = \"multi_thread\"`"));
        }
        Ok(Self { flavor, worker_threads: worker_threads.map(|(threads, _)| threads) })
    }

    fn config(&self) -> TokenStream {
        let config = match self.flavor {
            Flavor::CurrentThread => quote!(::triune::__private::RuntimeConfig::current_thread()),
            Flavor::MultiThread => quote!(::triune::__private::RuntimeConfig::multi_thread()),
        };
        match self.worker_threads {
            Some(threads) => quote!(#config.worker_threads(#threads)),
            None => config,
        }
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
