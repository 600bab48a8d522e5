//! The attribute `#[triune::endpoint]`: parse and check; the expansion is in `expand`.
//!
//! Owns the rules for what may be an endpoint and the messages that say so. The function itself stays as it was written. Beside it
//! comes a type of the same name, which lives in the type namespace only, so that `name::with(args)` describes a call and
//! `name(args)` still calls the function here.
//!
//! 1. Everything the expansion names is reached through `::triune::__private::actor`.
//! 2. A refused function is still emitted, so that the one message is not buried under "cannot find function".

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{Error, FnArg, GenericArgument, Ident, ItemFn, Pat, PathArguments, ReturnType, Safety, Type};

mod expand;
#[cfg(test)]
mod tests;

/// serde implements its traits for tuples up to this length, and the arguments travel as a tuple.
const MAX_ARGUMENTS: usize = 16;

/// Expands the attribute.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    if !args.is_empty() {
        return Err(Error::new_spanned(args, "#[triune::endpoint] takes no arguments"));
    }
    let function: ItemFn = syn::parse2(item.clone())
        .map_err(|error| Error::new(error.span(), format!("an endpoint is an async function: {error}")))?;
    Ok(match Endpoint::read(&function) {
        Ok(endpoint) => expand::expand(&function, &endpoint),
        Err(error) => {
            let message = error.into_compile_error();
            quote! { #function #message }
        }
    })
}

/// What the signature says.
struct Endpoint {
    /// The first parameter's type, if the endpoint holds a dialog.
    context: Option<Type>,
    arguments: Vec<Argument>,
    output: Output,
}

/// One argument that travels with the call.
struct Argument {
    name: Ident,
    ty: Type,
}

/// The return type, split into value and error.
enum Output {
    /// No `Result`: the endpoint cannot fail.
    Plain(Box<Type>),
    /// `Result<T, E>`, with both written out.
    Split(Box<(Type, Type)>),
    /// A `Result` alias: only the compiler knows its parts.
    Alias(Box<Type>),
}

impl Endpoint {
    fn read(function: &ItemFn) -> syn::Result<Self> {
        check_signature(function)?;
        let mut inputs = function.sig.inputs.iter().peekable();
        let context = match inputs.peek() {
            Some(FnArg::Typed(first)) if last_segment_is(&first.ty, "Context") => {
                let ty = (*first.ty).clone();
                inputs.next();
                Some(ty)
            }
            _ => None,
        };
        let arguments =
            inputs.enumerate().map(|(at, input)| argument(at, input)).collect::<syn::Result<Vec<_>>>()?;
        if let Some(extra) = arguments.get(MAX_ARGUMENTS) {
            return Err(Error::new_spanned(
                &extra.ty,
                "an endpoint takes at most 16 arguments; put them into a struct that derives Serialize and Deserialize",
            ));
        }
        Ok(Self { context, arguments, output: output(&function.sig.output)? })
    }
}

fn check_signature(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        return Err(Error::new_spanned(
            receiver,
            "an endpoint runs in another process and cannot take `self`; write a free function and pass what it needs as arguments",
        ));
    }
    if signature.asyncness.is_none() {
        return Err(Error::new_spanned(
            signature.fn_token,
            "an endpoint is async; write `async fn`, or use #[triune::job] for a synchronous, CPU-bound function",
        ));
    }
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        let at: &dyn ToTokens = match &signature.generics.where_clause {
            Some(clause) if signature.generics.params.is_empty() => clause,
            _ => &signature.generics,
        };
        return Err(Error::new_spanned(
            at.to_token_stream(),
            "an endpoint cannot be generic: the other process must find exactly one function; write one endpoint for each type",
        ));
    }
    if let Safety::Unsafe(token) = &signature.safety {
        return Err(Error::new_spanned(token, "an endpoint cannot be unsafe: its caller is another process"));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new_spanned(abi, "an endpoint is a plain Rust function, without `extern`"));
    }
    if let Some(variadic) = &signature.variadic {
        return Err(Error::new_spanned(variadic, "an endpoint cannot be variadic"));
    }
    Ok(())
}

fn argument(at: usize, input: &FnArg) -> syn::Result<Argument> {
    let FnArg::Typed(input) = input else {
        return Err(Error::new_spanned(input, "an endpoint is a free function"));
    };
    if last_segment_is(&input.ty, "Context") {
        return Err(Error::new_spanned(
            &input.ty,
            "the `Context` of a dialog is the first parameter, and there is one",
        ));
    }
    check_travels(&input.ty)?;
    let name = match &*input.pat {
        Pat::Ident(pattern) if pattern.subpat.is_none() => pattern.ident.clone(),
        _ => format_ident!("argument_{at}"),
    };
    Ok(Argument { name, ty: (*input.ty).clone() })
}

/// Refuses what cannot be encoded, in words that serde's trait errors would not find.
fn check_travels(ty: &Type) -> syn::Result<()> {
    match ty {
        Type::Reference(reference) => Err(Error::new_spanned(
            reference,
            "an endpoint runs in another process and cannot borrow; take an owned value (`String` for `&str`, `Vec<T>` for `&[T]`)",
        )),
        Type::ImplTrait(_) => Err(Error::new_spanned(
            ty,
            "an endpoint cannot be generic: the other process must find exactly one function; name the type",
        )),
        Type::Ptr(_) => {
            Err(Error::new_spanned(ty, "an endpoint runs in another process, where a pointer means nothing"))
        }
        Type::Group(group) => check_travels(&group.elem),
        Type::Paren(paren) => check_travels(&paren.elem),
        Type::Array(array) => check_travels(&array.elem),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(check_travels),
        Type::Path(path) => path.path.segments.iter().try_for_each(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => {
                arguments.args.iter().try_for_each(|argument| match argument {
                    GenericArgument::Type(ty) => check_travels(ty),
                    _ => Ok(()),
                })
            }
            _ => Ok(()),
        }),
        _ => Ok(()),
    }
}

fn output(output: &ReturnType) -> syn::Result<Output> {
    let ReturnType::Type(_, ty) = output else {
        return Ok(Output::Plain(Box::new(syn::parse_quote!(()))));
    };
    check_travels(ty)?;
    if !last_segment_is(ty, "Result") {
        return Ok(Output::Plain(ty.clone()));
    }
    Ok(match type_arguments(ty).as_slice() {
        [value, error] => Output::Split(Box::new(((*value).clone(), (*error).clone()))),
        _ => Output::Alias(ty.clone()),
    })
}

fn last_segment_is(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|segment| segment.ident == name),
        Type::Group(group) => last_segment_is(&group.elem, name),
        Type::Paren(paren) => last_segment_is(&paren.elem, name),
        _ => false,
    }
}

fn type_arguments(ty: &Type) -> Vec<&Type> {
    match ty {
        Type::Group(group) => type_arguments(&group.elem),
        Type::Paren(paren) => type_arguments(&paren.elem),
        Type::Path(path) => match path.path.segments.last().map(|segment| &segment.arguments) {
            Some(PathArguments::AngleBracketed(arguments)) => arguments
                .args
                .iter()
                .filter_map(|argument| match argument {
                    GenericArgument::Type(ty) => Some(ty),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
