//! Two connections, one of each role, that talk to each other.

use super::*;
use stentor_proto::{CloseFrame, Event};
use stentor_testkit::pair::Pair;

fn conversation() -> Vec<Message> {
    let lengths = [0, 1, 125, 126, 127, 1000, 65_535, 65_536];
    let binary = lengths.map(|len| Message::from((0..=255).cycle().take(len).collect::<Vec<u8>>()));
    let text = lengths.map(|len| Message::from("κόσμε 😀 ".repeat(len / 15)));
    [binary, text].concat()
}

#[test]
fn every_message_arrives_as_it_was_sent_whatever_the_pieces() {
    for piece in [1, 3, 7, 1460, usize::MAX] {
        for fragment_size in [None, Some(1000)] {
            let config = Config { fragment_size, ..Config::default() };
            let mut pair = Pair::new(config.clone(), config).in_pieces_of(piece);
            for message in conversation() {
                pair.client.connection.send(message.clone()).unwrap();
                pair.server.connection.send(message.clone()).unwrap();
                pair.settle();
                let message = [message];
                assert_eq!(pair.server.take_messages(), message);
                assert_eq!(pair.client.take_messages(), message);
            }
        }
    }
}

#[test]
fn a_pair_left_alone_keeps_itself_alive() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.pass(seconds(3600));
    assert_eq!(pair.client.connection.state(), State::Open);
    assert_eq!(pair.server.connection.state(), State::Open);
    let pings = pair.server.events.iter().filter(|event| matches!(event, Event::Ping(_))).count();
    assert!((90..=180).contains(&pings), "{pings} pings in an hour");
    assert_eq!(pair.client.connection.round_trip(), Some(Duration::ZERO));
}

#[test]
fn a_pair_whose_wire_is_cut_gives_up_at_both_ends() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.pass(seconds(100));
    pair.cut();
    while pair.pass_to_next_timeout() {}
    for end in [&pair.client, &pair.server] {
        assert_eq!(end.connection.state(), State::Closed);
        assert_eq!(end.connection.failure(), Some(Failure::Timeout(Phase::Keepalive)));
    }
    assert!(pair.elapsed() <= seconds(100 + 20 + 20));
}

#[test]
fn a_close_from_either_end_tells_both_the_same_story() {
    for piece in [1, usize::MAX] {
        for role in ROLES {
            let mut pair = Pair::new(Config::default(), Config::default()).in_pieces_of(piece);
            let now = pair.now();
            let (first, second) = match role {
                Role::Client => (&mut pair.client, &mut pair.server),
                Role::Server => (&mut pair.server, &mut pair.client),
            };
            second.connection.send(Message::from("crossing")).unwrap();
            first.connection.close(CloseCode::from(4001), "κόσμε", now).unwrap();
            pair.settle();
            let (first, second) = match role {
                Role::Client => (&mut pair.client, &mut pair.server),
                Role::Server => (&mut pair.server, &mut pair.client),
            };
            let close = CloseFrame { code: 4001.into(), reason: "κόσμε".into() };
            assert_eq!(second.events, [Event::Close(close.clone())]);
            assert_eq!(first.events[0], Event::Message(Message::from("crossing")));
            assert_eq!(first.events[1], Event::Close(close));
            let (first, second) = (first.connection.closed().unwrap(), second.connection.closed().unwrap());
            assert_eq!((first.by, second.by), (ClosedBy::Us, ClosedBy::Peer));
            assert_eq!((first.code, &first.reason), (second.code, &second.reason));

            assert_eq!(pair.server.connection.state(), State::Closed);
            assert_eq!(pair.client.connection.state(), State::Closing, "it waits for the server");
            pair.end();
            assert_eq!(pair.client.connection.state(), State::Closed);
            assert_eq!(pair.client.connection.failure(), None);
        }
    }
}

#[test]
fn both_ends_close_at_once() {
    let mut pair = Pair::new(Config::default(), Config::default());
    let now = pair.now();
    pair.client.connection.close(CloseCode::NORMAL, "client", now).unwrap();
    pair.server.connection.close(CloseCode::GOING_AWAY, "server", now).unwrap();
    pair.settle();
    let reason = |closed: &stentor_proto::Closed| (closed.by, closed.reason.to_string());
    assert_eq!(reason(pair.client.connection.closed().unwrap()), (ClosedBy::Us, "client".to_owned()));
    assert_eq!(reason(pair.server.connection.closed().unwrap()), (ClosedBy::Us, "server".to_owned()));
    assert_eq!((pair.client.events.len(), pair.server.events.len()), (1, 1), "one Close each");
}
