//! The search for primes: the right answer, and an end that is asked for.

use super::run::{refuses, run};

#[test]
fn the_first_gap_is_found_and_the_blocks_behind_it_are_cancelled() {
    // From the tables of maximal gaps between primes.
    for (gap, answer) in [("72", "31397 and 31469: 72 apart"), ("148", "2010733 and 2010881: 148 apart")] {
        let ran = run("primes", &[gap]);
        assert_eq!(ran.code, Some(0), "{}", ran.errors);
        assert!(ran.output.starts_with(answer), "{}", ran.output);
        assert!(ran.output.contains(" blocks behind it cancelled, 0 workers still busy"), "{}", ran.output);
    }
}

#[test]
fn the_search_goes_on_behind_the_first_blocks_and_may_begin_anywhere() {
    let ran = run("primes", &["154", "--from=2010734"]);
    assert!(ran.output.starts_with("4652353 and 4652507: 154 apart"), "{}{}", ran.output, ran.errors);
}

#[test]
fn a_search_without_an_end_is_cancelled_when_its_time_has_passed() {
    let ran = run("primes", &["1999", "--seconds=1"]);
    assert_eq!(ran.code, Some(1), "{}", ran.errors);
    assert!(ran.output.starts_with("no two neighbouring primes 1999 apart from 2 to "), "{}", ran.output);
    assert!(ran.output.contains("0 workers still busy"), "{}", ran.output);
}

#[test]
fn what_it_cannot_search_is_refused() {
    refuses("primes", &[], "a distance is needed");
    refuses("primes", &["far"], "GAP is a number");
    refuses("primes", &["10", "--from=9999999999999999"], "--from is below");
    refuses("primes", &["10", "--colour"], "--help");
    assert!(run("primes", &["--help"]).output.starts_with("primes: finds"));
}
