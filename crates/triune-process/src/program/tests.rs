//! What a program is given, without starting it.

use super::*;

fn env(program: &Program) -> Vec<OsString> {
    let mut env = ["A=1", "AB=2", "C=3"].map(OsString::from).to_vec();
    program.change(&mut env);
    env
}

#[test]
fn the_environment_is_changed_in_the_order_in_which_it_was_said() {
    let program = Program::new("x").env("A", "7").env_remove("A").env("B", "8").envs([("C", "9")]);
    assert_eq!(env(&program), ["AB=2", "B=8", "C=9"]);
    assert_eq!(env(&Program::new("x").env("A", "7").env_clear().env("B", "8")), ["B=8"]);
}

#[test]
fn a_path_is_that_of_this_process_and_a_name_stays_a_name() {
    assert_eq!(
        Program::new("python3").arg("").args(["-c", "a b"]).command_line(),
        ["python3", "", "-c", "a b"]
    );
    let here = std::env::current_dir().expect("there is one");
    let program = Program::new("./worker").current_dir("/");
    assert_eq!(program.command_line(), [here.join("worker")]);
    assert_eq!(Program::new("/bin/true").command_line(), ["/bin/true"]);
}

#[test]
fn a_zero_byte_is_found_wherever_it_is() {
    let plain = Program::new("x").arg("y").env("K", "v");
    assert!(!plain.holds_zero());
    for program in [
        Program::new("x\0"),
        plain.clone().arg("\0"),
        plain.clone().env("K\0", "v"),
        plain.clone().env("K", "\0"),
        plain.env_remove("\0"),
    ] {
        assert!(program.holds_zero(), "{program:?}");
    }
}
