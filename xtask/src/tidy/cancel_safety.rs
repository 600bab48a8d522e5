//! Whoever awaits must know what a cancel loses: `# Cancel safety` stands in the docs of each `pub async fn`, of each
//! public function that returns `impl Future`, and of each public type that is a future or turns into one.
//!
//! Syntactic: `pub` counts as public (rustc's `unreachable_pub` keeps that true), `#[doc(hidden)]` items are exempt.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{
    Attribute, ImplItemFn, Item, ItemFn, ItemImpl, ItemMod, ItemTrait, ReturnType, Signature, TraitItemFn,
};
use syn::{Type, TypeParamBound, Visibility};

use super::rust::{has_heading, is_public, is_undocumented, line};
use super::{Finding, tree::Tree};

const HEADING: &str = "# Cancel safety";
const REMEDY: &str =
    "add `# Cancel safety`: what is lost, what keeps running, when a child dies if the future is dropped";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<(&str, syn::File)>> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in &tree.files {
        let Some(krate) = file.crate_of() else { continue };
        match syn::parse_file(&file.text) {
            Ok(parsed) => crates.entry(krate).or_default().push((&file.path, parsed)),
            Err(error) => {
                let what = format!("the file cannot be parsed: {error}");
                findings.push(Finding::new(&file.path, line(error.span()), what, "make it compile"));
            }
        }
    }
    findings.extend(crates.values().flat_map(|files| check_crate(files)));
    findings
}

fn check_crate(files: &[(&str, syn::File)]) -> Vec<Finding> {
    let mut futures = Futures::default();
    files.iter().for_each(|(_, file)| futures.visit_file(file));
    let mut findings = Vec::new();
    for (path, file) in files {
        let mut visitor = Visitor { path, futures: &futures.names, findings: Vec::new() };
        visitor.visit_file(file);
        findings.append(&mut visitor.findings);
    }
    findings
}

/// The types of a crate that implement `Future` or `IntoFuture`.
#[derive(Default)]
struct Futures {
    names: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Futures {
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let of = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
        if of.is_some_and(|last| last.ident == "Future" || last.ident == "IntoFuture")
            && let Type::Path(ty) = &*item.self_ty
            && let Some(last) = ty.path.segments.last()
        {
            self.names.insert(last.ident.to_string());
        }
        visit::visit_item_impl(self, item);
    }
}

struct Visitor<'a> {
    path: &'a str,
    futures: &'a BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Visitor<'_> {
    fn function(&mut self, attrs: &[Attribute], public: bool, signature: &Signature) {
        let waits = signature.asyncness.is_some() || returns_future(&signature.output);
        if public && waits && !is_undocumented(attrs) && !has_heading(attrs, HEADING) {
            let what = format!("the public async function `{}` has no `{HEADING}`", signature.ident);
            self.findings.push(Finding::new(self.path, line(signature.ident.span()), what, REMEDY));
        }
    }

    fn ty(&mut self, attrs: &[Attribute], visibility: &Visibility, ident: &syn::Ident) {
        let is_future = self.futures.contains(&ident.to_string());
        if is_public(visibility) && is_future && !is_undocumented(attrs) && !has_heading(attrs, HEADING) {
            let what = format!("the public future `{ident}` has no `{HEADING}`");
            self.findings.push(Finding::new(self.path, line(ident.span()), what, REMEDY));
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Struct(item) => self.ty(&item.attrs, &item.vis, &item.ident),
            Item::Enum(item) => self.ty(&item.attrs, &item.vis, &item.ident),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_undocumented(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.attrs, is_public(&item.vis), &item.sig);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        // The docs of a trait's method stand at the trait.
        if item.trait_.is_none() && !is_undocumented(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.attrs, is_public(&item.vis), &item.sig);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        if is_public(&item.vis) && !is_undocumented(&item.attrs) {
            visit::visit_item_trait(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.function(&item.attrs, true, &item.sig);
    }
}

fn returns_future(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else { return false };
    let Type::ImplTrait(bounds) = &**ty else { return false };
    bounds.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|last| last.ident == "Future"),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(source: &str) -> Vec<String> {
        let file = syn::parse_file(source).unwrap();
        check_crate(&[("lib.rs", file)]).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_public_async_function_needs_the_heading() {
        assert_eq!(findings("/// Waits.\npub async fn wait() {}").len(), 1);
        assert_eq!(findings("struct A; impl A { pub async fn wait(&self) {} }").len(), 1);
        assert_eq!(findings("pub trait A { fn wait(&self) -> impl Future<Output = ()> + Send; }").len(), 1);
        assert_eq!(
            findings("/// Waits.\n///\n/// # Cancel safety\n/// Loses nothing.\npub async fn wait() {}")
                .len(),
            0
        );
    }

    #[test]
    fn a_public_future_type_needs_the_heading_wherever_it_is_implemented() {
        let implementation = "impl<T> std::future::Future for Child<T> {}";
        assert_eq!(findings(&format!("pub struct Child<T>(T); mod inner {{ {implementation} }}")).len(), 1);
        assert_eq!(findings(&format!("struct Child<T>(T); {implementation}")).len(), 0);
        assert_eq!(
            findings(&format!("/// # Cancel safety\npub struct Child<T>(T); {implementation}")).len(),
            0
        );
    }

    #[test]
    fn what_is_not_public_or_hidden_is_exempt() {
        let quiet = [
            "async fn wait() {}",
            "pub(crate) async fn wait() {}",
            "#[doc(hidden)] pub async fn wait() {}",
            "#[doc(hidden)] pub mod private { pub async fn wait() {} }",
            "#[cfg(test)] mod tests { pub async fn wait() {} }",
            "impl Service for A { async fn wait(&self) {} }",
            "trait Private { async fn wait(&self); }",
        ];
        for source in quiet {
            assert!(findings(source).is_empty(), "{source}");
        }
    }
}
