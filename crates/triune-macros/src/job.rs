//! The attribute `#[triune::job]`: keeps the function and adds a handle type of the same name with `with(args..)`.
//!
//! Owns: the checks that make a function callable in another process, each refused with a message that names the
//! remedy, and the expansion. Does not own: encoding, the registry and the pool (`triune-worker`).
//!
//! Invariants:
//! 1. The function itself is emitted unchanged, with all of its attributes.
//! 2. The handle lives in the type namespace only (a braced struct), so `name(..)` still calls the function and
//!    `name::with(..)` describes a job.
//! 3. The expansion names only `::triune::__private` paths.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, ItemFn, Pat, ReturnType, Signature, Type};

/// The arguments travel as one tuple, and serde stops at sixteen.
const MAX_ARGUMENTS: usize = 16;

/// Expands the attribute.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    if let Some(token) = args.into_iter().next() {
        return Err(Error::new(token.span(), "`#[triune::job]` takes no options"));
    }
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        let text = format!("`#[triune::job]` goes on a function, `fn name(x: T, ..) -> R`: {error}");
        Error::new(error.span(), text)
    })?;
    check_signature(&function.sig)?;
    let arguments = arguments(&function.sig)?;
    Ok(handle(&function, &arguments))
}

/// One argument of a job: the name that `with` shows, and its type.
struct Argument<'a> {
    name: Ident,
    ty: &'a Type,
}

fn check_signature(sig: &Signature) -> syn::Result<()> {
    if let Some(token) = &sig.asyncness {
        return Err(Error::new(
            token.span(),
            "sync function expected: a job computes in a worker process; \
             for async code use `#[triune::endpoint]` and an actor",
        ));
    }
    if let syn::Safety::Unsafe(token) = &sig.safety {
        return Err(Error::new(
            token.span(),
            "a job cannot be an unsafe function: wrap the unsafe call in a safe function",
        ));
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        return Err(Error::new(
            sig.generics.span(),
            "a job cannot be generic, because it is looked up by its address in another process: \
             write a function for the concrete types, or use `job!(path::<Type>(args))`",
        ));
    }
    if let ReturnType::Type(_, ty) = &sig.output {
        check_owned(ty, "the result of a job crosses into another process: return an owned value")?;
    }
    Ok(())
}

/// Refuses references and `impl Trait`, which cannot be decoded on the other side.
fn check_owned(ty: &Type, message: &str) -> syn::Result<()> {
    match ty {
        Type::Reference(_) => Err(Error::new(ty.span(), format!("{message}, not a reference"))),
        Type::ImplTrait(_) => {
            Err(Error::new(ty.span(), format!("{message} of a concrete type, not `impl Trait`")))
        }
        _ => Ok(()),
    }
}

fn arguments(sig: &Signature) -> syn::Result<Vec<Argument<'_>>> {
    let mut arguments = Vec::with_capacity(sig.inputs.len());
    for (position, input) in sig.inputs.iter().enumerate() {
        let typed = match input {
            FnArg::Typed(typed) => typed,
            FnArg::Receiver(receiver) => {
                return Err(Error::new(
                    receiver.span(),
                    "a job is a free function: take the value as an ordinary argument instead of `self`",
                ));
            }
        };
        if let Some(attr) = typed.attrs.iter().find(|attr| attr.path().is_ident("cfg")) {
            return Err(Error::new(
                attr.span(),
                "an argument of a job cannot be conditional: put `#[cfg(..)]` on two functions",
            ));
        }
        let message = "the arguments of a job cross into another process: take an owned value";
        check_owned(&typed.ty, message)?;
        if let Some(span) = reference_inside(typed.ty.to_token_stream()) {
            return Err(Error::new(span, format!("{message}, not a reference")));
        }
        if position == MAX_ARGUMENTS {
            return Err(Error::new(
                typed.span(),
                format!("a job takes at most {MAX_ARGUMENTS} arguments: put them into a struct"),
            ));
        }
        let name = match &*typed.pat {
            Pat::Ident(pattern) => pattern.ident.clone(),
            _ => format_ident!("argument_{}", position + 1, span = Span::mixed_site()),
        };
        arguments.push(Argument { name, ty: &typed.ty });
    }
    Ok(arguments)
}

/// Where a `&` stands in a type: `Option<&str>` is as little owned as `&str`.
fn reference_inside(tokens: TokenStream) -> Option<Span> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Punct(punct) if punct.as_char() == '&' => Some(punct.span()),
        TokenTree::Group(group) => reference_inside(group.stream()),
        _ => None,
    })
}

/// Whether the last path segment of the return type is `Result`: such a job resolves to the `Ok` type.
fn is_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else { return false };
    let mut ty = &**ty;
    while let Type::Group(group) = ty {
        ty = &group.elem;
    }
    let Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Result")
}

/// Attributes that decide whether and how the function exists apply to its handle as well.
fn shared_attributes(function: &ItemFn) -> impl Iterator<Item = &Attribute> {
    function.attrs.iter().filter(|attr| {
        let hidden = attr.path().is_ident("doc")
            && attr.parse_args::<Ident>().is_ok_and(|argument| argument == "hidden");
        attr.path().is_ident("cfg") || attr.path().is_ident("deprecated") || hidden
    })
}

/// The handle: a type with `with`, which also registers the function.
fn handle(function: &ItemFn, arguments: &[Argument<'_>]) -> TokenStream {
    let worker = quote!(::triune::__private::worker);
    let vis = &function.vis;
    let name = &function.sig.ident;
    let shared: Vec<_> = shared_attributes(function).collect();
    let cfgs = shared.iter().filter(|attr| attr.path().is_ident("cfg"));
    let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
    let types: Vec<_> = arguments.iter().map(|argument| argument.ty).collect();
    let output = output_type(&function.sig.output, &worker);
    let registration = registration(function, arguments, &output, &worker);
    let type_doc =
        format!(" The job of the function [`{name}`](fn@{name}): `{name}::with(..)` describes one run.");
    let with_doc = format!(
        " Describes one run of [`{name}`](fn@{name}) in a worker process; nothing happens until it is handed to \
         `worker::run` or `run_in_worker`."
    );
    quote! {
        #function

        #(#shared)*
        #[doc = #type_doc]
        #[allow(non_camel_case_types, dead_code, reason = "the handle is named after its function")]
        #[derive(::core::fmt::Debug)]
        #vis struct #name {}

        #(#cfgs)*
        #[allow(dead_code, deprecated, clippy::too_many_arguments, reason = "the handle mirrors its function")]
        impl #name {
            #[doc = #with_doc]
            #[must_use = "a job does nothing until it is run: pass it to `worker::run` or `run_in_worker`"]
            #vis fn with(#(#names: #types),*) -> #worker::Job<#output> {
                #worker::Job::new(Self::__entry(), (#(#names,)*))
            }

            // Not inside of `with`, whose arguments may have the name of the function.
            fn __entry() -> &'static #worker::JobEntry {
                #registration
                &ENTRY
            }
        }
    }
}

/// What `Job<..>` resolves to: the return type, or the `Ok` type of a `Result`.
fn output_type(returned: &ReturnType, worker: &TokenStream) -> TokenStream {
    match returned {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) if is_result(returned) => {
            quote_spanned!(ty.span()=> <#ty as #worker::Fallible>::Ok)
        }
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    }
}

/// The types of a function in words: what two programs must agree on. The names of its arguments do not matter.
fn signature(sig: &Signature, arguments: &[Argument<'_>]) -> String {
    let types: Vec<String> =
        arguments.iter().map(|argument| spelled(argument.ty.to_token_stream())).collect();
    let returned = match &sig.output {
        ReturnType::Default => "()".to_owned(),
        ReturnType::Type(_, ty) => spelled(ty.to_token_stream()),
    };
    format!("({}) -> {returned}", types.join(", "))
}

/// Tokens as one writes them. How a compiler prints them may change from one to the next.
fn spelled(tokens: TokenStream) -> String {
    let mut text = String::new();
    for token in tokens {
        let (open, inner, close) = match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                (open, spelled(group.stream()), close)
            }
            token => ("", token.to_string(), ""),
        };
        let next = format!("{open}{inner}{close}");
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let between = |last: char, first: char| last == ',' || last == ';' || is_word(last) && is_word(first);
        if text.chars().last().zip(next.chars().next()).is_some_and(|(last, first)| between(last, first)) {
            text.push(' ');
        }
        text.push_str(&next);
    }
    text
}

/// The entry of the registry, and the function behind it that decodes, calls and encodes.
fn registration(
    function: &ItemFn,
    arguments: &[Argument<'_>],
    output: &TokenStream,
    worker: &TokenStream,
) -> TokenStream {
    let name = &function.sig.ident;
    let signature = signature(&function.sig, arguments);
    let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
    let types: Vec<_> = arguments.iter().map(|argument| argument.ty).collect();
    // A binding of its own, because an argument may have the name of the function.
    let call = Ident::new("__call", Span::mixed_site());
    let run = if is_result(&function.sig.output) {
        quote! {
            #worker::run_fallible(arguments, output, |(#(#names,)*): (#(#types,)*)| {
                #call(#(#names),*).map_err(|error| {
                    use #worker::report::prelude::*;
                    (&&&&&Probe(&error)).report()
                })
            })
        }
    } else {
        quote!(#worker::run(arguments, output, |(#(#names,)*): (#(#types,)*)| #call(#(#names),*)))
    };
    // Asserted where the type is written, so that a missing `Serialize` is reported there and not at the attribute.
    let argument_checks =
        types.iter().map(|ty| quote_spanned!(ty.span()=> #worker::assert_argument::<#ty>();));
    let output_check = quote_spanned!(output.span()=> #worker::assert_output::<#output>(););
    quote! {
        #[::triune::__private::linkme::distributed_slice(#worker::JOBS)]
        #[linkme(crate = ::triune::__private::linkme)]
        static ENTRY: #worker::JobEntry = #worker::JobEntry::new(
            ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
            || #worker::Function::defined(
                &#name,
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                #signature,
            ),
            __run,
        );
        fn __run(
            arguments: &#worker::Arguments,
            output: &mut #worker::Answer,
        ) -> ::core::result::Result<(), ::std::boxed::Box<#worker::Report>> {
            #(#argument_checks)*
            #output_check
            let #call = #name;
            #run
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_spelled_as_one_writes_them() {
        for text in ["u64", "std::ops::Range<u64>", "Result<Vec<(u8, [u8; 4])>, Box<dyn Error + Send>>", "()"]
        {
            let tokens: TokenStream = text.parse().expect("it is one");
            assert_eq!(spelled(tokens), text.replace(" + ", "+"));
        }
        let function: ItemFn =
            syn::parse_str("fn f(mut a: Option<u8>, (b, c): (i8, i8)) -> io::Result<u8> { x }")
                .expect("it is one");
        let arguments = arguments(&function.sig).expect("they are owned");
        assert_eq!(signature(&function.sig, &arguments), "(Option<u8>, (i8, i8)) -> io::Result<u8>");
    }
}
