//! What is said is understood, and what is cut or made up is refused.

use super::*;

fn order() -> Order {
    Order {
        owner: 7,
        parent: 4711,
        grace: Duration::from_millis(1500),
        forks: true,
        role: "actor".to_owned(),
        name: "/a/b".to_owned(),
        args: vec![OsString::from("program"), OsString::new()],
        env: vec![OsString::from("A=1"), OsString::from_vec(b"B=\xff\xfe".to_vec()), OsString::new()],
    }
}

fn answers() -> Vec<Answer> {
    let exits = [
        Exit::Code(-1),
        Exit::Signal { signal: 9, core_dumped: false },
        Exit::Signal { signal: 11, core_dumped: true },
        Exit::Unknown,
    ];
    let ended = exits.into_iter().flat_map(|exit| [true, false].map(|swept| Answer::Ended { exit, swept }));
    let failed = Answer::Failed { errno: 11, text: "no".to_owned() };
    [Answer::Started { pid: u32::MAX }, failed, Answer::Swept, Answer::NoNews]
        .into_iter()
        .chain(ended)
        .collect()
}

#[test]
fn what_is_encoded_is_decoded() {
    let admission = Admission { owner: 7, pid: 4711, grace: Duration::from_millis(1500) };
    let others = [Request::SpawnFromFile, Request::KillAll, Request::Admit(admission)];
    for request in others.into_iter().chain([Request::Spawn(order())]) {
        assert_eq!(Request::decode(&request.encode()), Some(request));
    }
    for answer in answers() {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
    }
    for command in [Command::Kill, Command::Signal(-1), Command::Signal(15), Command::Ask] {
        assert_eq!(Command::decode(&command.encode()), Some(command));
    }
}

#[test]
fn an_order_without_environment_is_one() {
    let order = Order { env: Vec::new(), ..order() };
    assert_eq!(
        Request::decode(&Request::Spawn(order).encode()),
        Some(Request::Spawn(Order { env: Vec::new(), ..self::order() }))
    );
}

#[test]
fn an_order_that_promises_more_arguments_than_it_has_is_none() {
    let mut request = Request::Spawn(Order { env: Vec::new(), ..order() }).encode();
    let count = 1 + 8 + 4 + 8 + 1;
    request[count..count + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(Request::decode(&request), None);
}

#[test]
fn what_is_cut_is_refused_or_shorter_and_never_panics() {
    let request = Request::Spawn(order()).encode();
    for end in 0..request.len() {
        // A cut behind a whole variable leaves a shorter environment: packets go whole, so that is not ours to see.
        let decoded = Request::decode(&request[..end]);
        assert_ne!(decoded, Some(Request::Spawn(order())), "{end}");
    }
    for answer in answers() {
        let bytes = answer.encode();
        for end in 0..bytes.len() {
            assert_ne!(Answer::decode(&bytes[..end]), Some(Answer::Swept), "{end}");
        }
    }
}

#[test]
fn what_is_made_up_is_refused() {
    for bytes in [&b""[..], &[0], &[9, 1, 2], &[2, 0], &[3, 0], &[4, 0], &[4; 20], &[4; 22]] {
        assert_eq!(Request::decode(bytes), None, "{bytes:?}");
    }
    for bytes in [&b""[..], &[0], &[1, 0], &[3, 4, 0, 0, 0, 0, 0], &[4, 0], &[5, 0]] {
        assert_eq!(Answer::decode(bytes), None, "{bytes:?}");
    }
    for bytes in [&b""[..], &[1, 0], &[2, 0, 0, 0], &[3, 0], &[4]] {
        assert_eq!(Command::decode(bytes), None, "{bytes:?}");
    }
}
