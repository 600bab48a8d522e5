//! What several checks need from syn: docs as text, attributes, the line of a span.

use proc_macro2::Span;
use syn::{Attribute, Expr, Lit, Meta, Visibility};

/// The doc comment of an item.
pub(super) fn docs(attrs: &[Attribute]) -> String {
    let mut text = String::new();
    for attr in attrs {
        if let Meta::NameValue(meta) = &attr.meta
            && meta.path.is_ident("doc")
            && let Expr::Lit(value) = &meta.value
            && let Lit::Str(line) = &value.lit
        {
            text.push_str(&line.value());
            text.push('\n');
        }
    }
    text
}

/// Whether one line of the docs is this heading.
pub(super) fn has_heading(attrs: &[Attribute], heading: &str) -> bool {
    docs(attrs).lines().any(|line| line.trim() == heading)
}

/// `#[doc(hidden)]` or `#[cfg(test)]`: no part of the public documentation.
pub(super) fn is_undocumented(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let inner = |name: &str, word: &str| {
            attr.path().is_ident(name) && attr.parse_args::<syn::Ident>().is_ok_and(|ident| ident == word)
        };
        inner("doc", "hidden") || inner("cfg", "test")
    })
}

/// `pub` without restriction.
pub(super) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Counted from 1.
pub(super) fn line(span: Span) -> usize {
    span.start().line
}
