//! The messages of `#[triune::main]` and `#[triune::test]`, as users see them.

#[test]
fn wrong_options_and_places_are_refused_with_the_remedy() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/entry_*.rs");
    #[cfg(not(feature = "test-util"))]
    cases.compile_fail("tests/ui/without_test_util.rs");
}
