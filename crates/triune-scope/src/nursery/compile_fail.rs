//! What the compiler must refuse, each beside a twin that it accepts.
//!
//! A child may borrow what lives outside of the nursery, not a local of the body.
//!
//! ```
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let word = String::new();
//! nursery(async |n| { n.spawn(async { println!("{word}"); Ok(()) }); Ok(()) }).await?;
//! # Ok(()) }
//! ```
//! ```compile_fail
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! nursery(async |n| { let word = String::new(); n.spawn(async { println!("{word}"); Ok(()) }); Ok(()) }).await?;
//! # Ok(()) }
//! ```
//!
//! A handle may leave the nursery, not outlive what its children borrow.
//!
//! ```
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let word = String::new();
//! let handle = nursery(async |n| { n.spawn(async { println!("{word}"); Ok(()) }); Ok(n.clone()) }).await?;
//! drop(handle);
//! # Ok(()) }
//! ```
//! ```compile_fail
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let handle;
//! {
//!     let word = String::new();
//!     handle = nursery(async |n| { n.spawn(async { println!("{word}"); Ok(()) }); Ok(n.clone()) }).await?;
//! }
//! drop(handle);
//! # Ok(()) }
//! ```
//!
//! A child is `Send`; what is not stays in the body.
//!
//! ```
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! nursery(async |n| { let local = std::rc::Rc::new(1); n.spawn(async { Ok(()) }); drop(local); Ok(()) }).await?;
//! # Ok(()) }
//! ```
//! ```compile_fail
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! nursery(async |n| { let local = std::rc::Rc::new(1); n.spawn(async move { drop(local); Ok(()) }); Ok(()) }).await?;
//! # Ok(()) }
//! ```
//!
//! Two children may borrow two halves mutably, not the same value.
//!
//! ```
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let (mut one, mut two) = (1, 2);
//! nursery(async |n| { n.spawn(async { one += 1; Ok(()) }); n.spawn(async { two += 1; Ok(()) }); Ok(()) }).await?;
//! # Ok(()) }
//! ```
//! ```compile_fail
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let mut one = 1;
//! nursery(async |n| { n.spawn(async { one += 1; Ok(()) }); n.spawn(async { one += 1; Ok(()) }); Ok(()) }).await?;
//! # Ok(()) }
//! ```
//!
//! The body may read what it shares with a child, not what the child changes.
//!
//! ```
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let one = 1;
//! nursery(async |n| { n.spawn(async { println!("{one}"); Ok(()) }); println!("{one}"); Ok(()) }).await?;
//! # Ok(()) }
//! ```
//! ```compile_fail
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let mut one = 1;
//! nursery(async |n| { n.spawn(async { one += 1; Ok(()) }); println!("{one}"); Ok(()) }).await?;
//! # Ok(()) }
//! ```
//!
//! A value that moved into the body is a local of the body.
//!
//! ```
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let words = vec![1];
//! nursery(async |n| { for word in &words { n.spawn(async move { println!("{word}"); Ok(()) }); } Ok(()) }).await?;
//! # Ok(()) }
//! ```
//! ```compile_fail
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let words = vec![1];
//! nursery(async move |n| { for word in &words { n.spawn(async move { println!("{word}"); Ok(()) }); } Ok(()) }).await?;
//! # Ok(()) }
//! ```
//!
//! Only triune makes a `Cancelled`.
//!
//! ```
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let scope = triune_scope::CancelScope::new();
//! scope.cancel("now");
//! # Ok(()) }
//! ```
//! ```compile_fail
//! # // Trio C36
//! # use triune_scope::nursery;
//! # async fn f() -> triune_scope::Result {
//! let cancelled = triune_scope::Cancelled { reason: "now".into() };
//! # Ok(()) }
//! ```
//!
//! A child says only once that it has started.
//!
//! ```
//! # use triune_scope::{Started, nursery};
//! # async fn f() -> triune_scope::Result {
//! nursery(async |n| n.start(async |s: Started<u8>| { s.started(1)?; Ok(()) }).await).await?;
//! # Ok(()) }
//! ```
//! ```compile_fail
//! # // Trio T03
//! # use triune_scope::{Started, nursery};
//! # async fn f() -> triune_scope::Result {
//! nursery(async |n| n.start(async |s: Started<u8>| { s.started(1)?; s.started(2)?; Ok(()) }).await).await?;
//! # Ok(()) }
//! ```
