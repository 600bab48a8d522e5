//! Where the two attributes do not belong.

#[triune::test]
fn without_async() {}

#[triune::test]
async fn with_an_argument(_number: u32) {}

#[triune::test]
async fn with_a_type<T>() {}

#[triune::test]
#[test]
async fn marked_twice() {}

#[triune::test]
struct NoFunction;

mod program {
    #[triune::main]
    async fn main() -> u32 {
        3
    }
}

fn main() {}
