//! The tokens of `#[triune::endpoint]`.
//!
//! Owns the shape of the expansion: the function, the type of its name with `with`, and the registry entry. What the
//! entry does at run time is code of `triune_actor::__private`, so that it is compiled, checked and tested once.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, ItemFn, Type};

use super::{Endpoint, Output};

/// Expands a function that passed the checks.
pub(super) fn expand(function: &ItemFn, endpoint: &Endpoint) -> TokenStream {
    let name = &function.sig.ident;
    let visibility = &function.vis;
    let text = name.to_string();
    let text = text.trim_start_matches("r#");
    let private = private();
    let names: Vec<_> = endpoint.arguments.iter().map(|argument| &argument.name).collect();
    let types: Vec<_> = endpoint.arguments.iter().map(|argument| &argument.ty).collect();
    let result = ResultTypes::of(&endpoint.output);
    let Side { description, describe, handler, summary } = match &endpoint.context {
        None => call(name, &types, &result),
        Some(context) => dialog(name, context, &types, &result),
    };
    let error = &result.error;
    let type_doc = format!("The endpoint [`{text}`](fn@{text}): `{text}::with(..)` describes a call of it.");

    quote! {
        #function

        #[doc = #type_doc]
        #[allow(non_camel_case_types, dead_code, reason = "the type shares the name of its function")]
        #visibility struct #name {}

        const _: () = {
            #[allow(unused_imports, reason = "which of them applies depends on the error type")]
            use #private::{
                DescribeAny as _, DescribeDisplay as _, DescribeStd as _, DescribeTriune as _,
                CodecNone as _, CodecSerde as _,
            };

            fn __triune_via() -> #private::ErrorVia<#error> {
                #private::ErrorVia::<#error>::new(
                    (&#private::Probe::<#error>::new()).codec(),
                    (&&&&#private::Probe::<#error>::new()).describe(),
                )
            }

            #[#private::linkme::distributed_slice(#private::ENDPOINTS)]
            #[linkme(crate = #private::linkme)]
            static __TRIUNE_ENTRY: #private::Entry =
                #private::Entry::new(#text, ::core::module_path!(), ::core::file!(), ::core::line!(), #handler);

            impl #name {
                #[doc = #summary]
                #[allow(clippy::too_many_arguments, dead_code, reason = "the function decides how many it takes")]
                #[must_use = "this only describes the call; hand it to a portal"]
                #visibility fn with(#(#names: #types),*) -> #description {
                    #describe(&__TRIUNE_ENTRY, (#(#names,)*), __triune_via())
                }
            }
        };
    }
}

fn private() -> TokenStream {
    quote! { ::triune::__private::actor }
}

/// The types of the endpoint's result, and how its body's value becomes a `Result`.
struct ResultTypes {
    value: TokenStream,
    error: TokenStream,
    into_result: TokenStream,
}

impl ResultTypes {
    fn of(output: &Output) -> Self {
        let private = private();
        let (value, error, into_result) = match output {
            Output::Plain(value) => {
                (quote!(#value), quote!(::core::convert::Infallible), quote!(::core::result::Result::Ok))
            }
            Output::Split(parts) => {
                let (value, error) = &**parts;
                (quote!(#value), quote!(#error), quote!(::core::convert::identity))
            }
            Output::Alias(alias) => (
                quote!(<#alias as #private::ResultParts>::Value),
                quote!(<#alias as #private::ResultParts>::Error),
                quote!(::core::convert::identity),
            ),
        };
        Self { value, error, into_result }
    }
}

/// What differs between the kinds of endpoint.
struct Side {
    /// The type that `with` returns.
    description: TokenStream,
    /// The function that makes it.
    describe: TokenStream,
    /// How the entry runs the body.
    handler: TokenStream,
    summary: &'static str,
}

fn call(name: &Ident, types: &[&Type], result: &ResultTypes) -> Side {
    let private = private();
    let ResultTypes { value, error, into_result } = result;
    let locals = locals(types.len());
    Side {
        description: quote!(#private::Call<#value, #error>),
        describe: quote!(#private::call),
        handler: quote! {
            #private::Handler::Call(|__arguments| ::std::boxed::Box::pin(async move {
                let (#(#locals,)*): (#(#types,)*) = #private::decode_arguments(&__arguments)?;
                #private::finish::<#value, #error>(#into_result(#name(#(#locals),*).await), __triune_via())
            }))
        },
        summary: "Describes a call of this endpoint, for `Portal::call`.",
    }
}

fn dialog(name: &Ident, context: &Type, types: &[&Type], result: &ResultTypes) -> Side {
    let private = private();
    let ResultTypes { value, error, into_result } = result;
    let locals = locals(types.len());
    let parts = quote!(<#context as #private::ContextParts>);
    Side {
        description: quote!(#private::DialogCall<#parts::Started, #parts::Out, #parts::In, #value, #error>),
        describe: quote!(#private::dialog_call),
        handler: quote! {
            #private::Handler::Dialog(|__arguments, __dialog| ::std::boxed::Box::pin(async move {
                let (#(#locals,)*): (#(#types,)*) = #private::decode_arguments(&__arguments)?;
                let __context = #parts::new(__dialog);
                #private::finish::<#value, #error>(#into_result(#name(__context, #(#locals),*).await), __triune_via())
            }))
        },
        summary: "Describes a dialog with this endpoint, for `Portal::context`.",
    }
}

/// The locals of the handler must not meet a pattern of the user's, so they get names of their own.
fn locals(count: usize) -> Vec<Ident> {
    (0..count).map(|at| format_ident!("__argument_{at}")).collect()
}
