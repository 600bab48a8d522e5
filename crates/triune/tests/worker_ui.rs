//! The messages of `#[triune::job]` and `job!`, as users see them.

#[test]
fn what_cannot_be_a_job_is_refused_with_the_remedy() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/job_*.rs");
}
