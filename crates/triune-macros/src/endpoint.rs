//! The attribute `#[triune::endpoint]`.

use proc_macro2::TokenStream;

/// Expands the attribute.
pub(crate) fn expand(_args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    Ok(item)
}
