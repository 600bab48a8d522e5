//! The attributes `#[triune::main]` and `#[triune::test]`.

use proc_macro2::TokenStream;

/// Expands `#[triune::main]`.
pub(crate) fn main(_args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    Ok(item)
}

/// Expands `#[triune::test]`.
pub(crate) fn test(_args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    Ok(item)
}
