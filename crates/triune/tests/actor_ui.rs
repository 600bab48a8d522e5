//! The messages of `#[triune::endpoint]`, as users see them.

#[test]
fn what_cannot_be_an_endpoint_is_refused_with_the_remedy() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/endpoint_*.rs");
}
