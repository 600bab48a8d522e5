//! Options that `#[triune::test]` and `#[triune::main]` refuse.

#[triune::test(flavor = "threads")]
async fn a_flavor_that_does_not_exist() {}

#[triune::test(flavor = current_thread)]
async fn a_flavor_without_quotes() {}

#[triune::test(worker_threads = 0)]
async fn no_thread() {}

#[triune::test(worker_threads = "2")]
async fn threads_as_a_text() {}

#[triune::test(flavor = "current_thread", worker_threads = 2)]
async fn two_threads_of_one() {}

#[triune::test(start_paused = "yes")]
async fn paused_as_a_text() {}

#[triune::test(start_paused = true, flavor = "multi_thread")]
async fn paused_on_many_threads() {}

#[triune::test(worker_threads = 2, start_paused = true)]
async fn paused_on_two_threads() {}

#[triune::test(flavor = "multi_thread", flavor = "multi_thread")]
async fn twice() {}

#[triune::test(timeout = 3)]
async fn an_option_that_does_not_exist() {}

mod program {
    #[triune::main(start_paused = true)]
    async fn main() {}
}

mod other_program {
    #[triune::main(threads = 3)]
    async fn main() {}
}

fn main() {}
