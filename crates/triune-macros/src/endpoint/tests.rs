//! What may be an endpoint, and what is said of the rest.

use quote::quote;

use super::*;

fn read(item: TokenStream) -> Result<Endpoint, String> {
    let function: ItemFn = syn::parse2(item).expect("the test's function parses");
    Endpoint::read(&function).map_err(|error| error.to_string())
}

fn refusal(item: TokenStream) -> String {
    read(item).err().expect("the function is refused")
}

#[test]
fn a_plain_async_function_is_a_call() {
    let endpoint = read(quote! { async fn add(a: i64, b: i64) -> i64 { a + b } }).unwrap();
    assert!(endpoint.context.is_none());
    assert_eq!(endpoint.arguments.iter().map(|a| a.name.to_string()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(matches!(endpoint.output, Output::Plain(_)));
}

#[test]
fn a_first_parameter_context_makes_a_dialog() {
    let endpoint = read(quote! {
        async fn ticker(mut cx: triune::Context<Started<u32>, Out<Tick>, In<Control>>, period: u64) -> Result<u64> {}
    })
    .unwrap();
    assert!(endpoint.context.is_some());
    assert_eq!(endpoint.arguments.len(), 1);
    assert!(matches!(endpoint.output, Output::Alias(_)));
}

#[test]
fn both_parts_of_a_written_out_result_are_kept() {
    let endpoint = read(quote! { async fn f() -> std::result::Result<u8, E> {} }).unwrap();
    assert!(matches!(endpoint.output, Output::Split(_)));
    let endpoint = read(quote! { async fn f() -> std::io::Result<u8> {} }).unwrap();
    assert!(matches!(endpoint.output, Output::Alias(_)));
    let endpoint = read(quote! { async fn f() {} }).unwrap();
    assert!(matches!(endpoint.output, Output::Plain(_)));
}

#[test]
fn patterns_and_mutable_arguments_get_a_plain_name() {
    let endpoint = read(quote! { async fn f(mut a: u8, (b, c): (u8, u8), _: u8) {} }).unwrap();
    let names: Vec<_> = endpoint.arguments.iter().map(|a| a.name.to_string()).collect();
    assert_eq!(names, ["a", "argument_1", "argument_2"]);
}

#[test]
fn what_cannot_be_an_endpoint_is_refused_with_the_remedy() {
    for (item, remedy) in [
        (quote! { fn f() {} }, "use #[triune::job]"),
        (quote! { async fn f(&self) {} }, "write a free function"),
        (quote! { async fn f<T>(t: T) {} }, "one endpoint for each type"),
        (quote! { async fn f() where u8: Copy {} }, "one endpoint for each type"),
        (quote! { async fn f(t: impl Copy) {} }, "name the type"),
        (quote! { async fn f(t: &str) {} }, "`String` for `&str`"),
        (quote! { async fn f(t: Vec<Option<&'static str>>) {} }, "`String` for `&str`"),
        (quote! { async fn f() -> &'static str {} }, "`String` for `&str`"),
        (quote! { async fn f(t: *const u8) {} }, "a pointer means nothing"),
        (quote! { async unsafe fn f() {} }, "cannot be unsafe"),
        (quote! { async extern "C" fn f() {} }, "without `extern`"),
        (quote! { async fn f(a: u8, cx: Context<A, B, C>) {} }, "first parameter"),
    ] {
        let text = refusal(item);
        assert!(text.contains(remedy), "{text}");
    }
}

#[test]
fn seventeen_arguments_are_too_many() {
    let arguments = (0..17).map(|at| format_ident!("a{at}")).map(|name| quote!(#name: u8));
    assert!(refusal(quote! { async fn f(#(#arguments),*) {} }).contains("at most 16"));
}

#[test]
fn a_refused_function_is_still_emitted() {
    let tokens = expand(TokenStream::new(), quote! { fn f() {} }).unwrap().to_string();
    assert!(tokens.contains("fn f ()") && tokens.contains("compile_error"), "{tokens}");
}

#[test]
fn the_attribute_takes_no_arguments() {
    let error = expand(quote!(fast), quote! { async fn f() {} }).unwrap_err();
    assert_eq!(error.to_string(), "#[triune::endpoint] takes no arguments");
}

#[test]
fn the_expansion_names_only_the_private_path() {
    let tokens =
        expand(TokenStream::new(), quote! { pub(crate) async fn add(a: i64) -> Result<i64, E> { Ok(a) } });
    let text = tokens.unwrap().to_string();
    syn::parse_str::<syn::File>(&text).expect("the expansion is Rust");
    assert!(text.contains(":: triune :: __private :: actor :: Call < i64 , E >"), "{text}");
}
