//! One connection does not hold up the others of its thread: a piece of work, then a pause.

use super::*;
use std::sync::Arc;
use std::time::Instant;
use stentor_proto::bytes::{Buf, BytesMut};
use stentor_proto::{State, Teardown};
use stentor_testkit::frame::{Frame, text};
use stentor_testkit::script::connection;

const INFLATED_AT_ONCE: usize = 256 << 10;
const COMPRESSED_AT_ONCE: usize = 64 << 10;

fn open(role: Role, config: Config) -> Connection {
    connection(role, config, Instant::now()).with_deflate(DeflateParams::default())
}

/// Takes all there is until the next pause.
fn write(connection: &mut Connection) -> Vec<u8> {
    let mut written = Vec::new();
    while let Some(mut out) = connection.poll_transmit() {
        written.extend_from_slice(&out.copy_to_bytes(out.remaining()));
    }
    written
}

/// A message, compressed by a connection of ours.
fn compressed(message: &Message) -> Vec<u8> {
    let mut peer = peer(Role::Server);
    peer.calls(|us, _| us.send_with(message.clone(), Compress::Always)).unwrap();
    read(&mut peer).unwrap().payload
}

#[test]
fn a_message_that_inflates_to_much_comes_after_pauses_and_needs_no_more_bytes() {
    for role in ROLES {
        let zeros = vec![0; 4 << 20];
        let config = Config { max_message_size: 4 << 20, ..config(full()) };
        let mut us = open(role, config);
        let now = Instant::now();
        let frame = binary(compressed(&zeros.clone().into())).rsv(0b100);
        let mut inbox = BytesMut::from(&frame.encode(role.peer())[..]);
        let mut pauses = 0;
        let message = loop {
            match us.receive(&mut inbox, now) {
                Some(event) => break event,
                None => assert!(us.has_work(), "after {pauses} pauses"),
            }
            assert!(us.poll_transmit().is_none());
            pauses += 1;
        };
        assert_eq!(message, Event::Message(zeros.into()));
        assert_eq!(pauses, (4 << 20) / INFLATED_AT_ONCE, "{role:?}");
        assert!(!us.has_work() && inbox.is_empty() && us.receive(&mut inbox, now).is_none());
    }
}

#[test]
fn many_messages_in_one_read_pause_together() {
    let each = 100 << 10;
    let zeros: Message = vec![0; each].into();
    let frame = binary(compressed(&zeros)).rsv(0b100).encode(Role::Client);
    let mut us = open(Role::Server, config(full()));
    let (mut inbox, now) = (BytesMut::from(&frame.repeat(50)[..]), Instant::now());
    let (mut messages, mut since_pause) = (0, 0);
    loop {
        match us.receive(&mut inbox, now) {
            Some(event) => {
                assert_eq!(event, Event::Message(zeros.clone()));
                messages += 1;
                since_pause += each;
                assert!(since_pause <= INFLATED_AT_ONCE + each, "no pause after {since_pause} bytes");
            }
            None if us.has_work() => since_pause = 0,
            None => break,
        }
    }
    assert_eq!(messages, 50);
}

#[test]
fn bytes_that_arrive_in_a_pause_wait_their_turn() {
    let zeros: Message = vec![0; 1 << 20].into();
    for role in ROLES {
        let mut us = open(role, config(full()));
        let now = Instant::now();
        let first = binary(compressed(&zeros)).rsv(0b100).encode(role.peer());
        let later: Vec<u8> =
            [text("later"), ping("?")].iter().flat_map(|frame| frame.encode(role.peer())).collect();
        // The later ones come in the first pause, byte by byte.
        let mut inbox = BytesMut::from(&first[..]);
        assert!(us.receive(&mut inbox, now).is_none() && us.has_work());
        let mut events = Vec::new();
        for byte in later {
            inbox.extend_from_slice(&[byte]);
            events.extend(us.receive(&mut inbox, now));
        }
        while us.has_work() {
            events.extend(us.receive(&mut inbox, now));
        }
        while let Some(event) = us.receive(&mut inbox, now) {
            events.push(event);
        }
        let expected =
            [Event::Message(zeros.clone()), Event::Message("later".into()), Event::Ping("?".into())];
        assert_eq!(events, expected);
    }
}

#[test]
fn after_a_violation_nothing_is_left_to_do() {
    let mut us = open(Role::Server, Config { max_message_size: 300 << 10, ..config(full()) });
    let now = Instant::now();
    let frame = binary(compressed(&vec![0; 1 << 20].into())).rsv(0b100);
    let mut inbox = BytesMut::from(&frame.encode(Role::Client)[..]);
    assert!(us.receive(&mut inbox, now).is_none() && us.has_work());
    let violation = Event::Violation(ProtocolError::MessageTooLarge);
    assert_eq!(us.receive(&mut inbox, now), Some(violation));
    assert!(!us.has_work() && inbox.is_empty());
    // And none either when the transport ends in a pause.
    let mut us = open(Role::Server, config(full()));
    let mut inbox = BytesMut::from(&frame.encode(Role::Client)[..]);
    assert!(us.receive(&mut inbox, now).is_none() && us.has_work());
    us.receive_eof(now);
    assert!(!us.has_work());
}

#[test]
fn a_pause_counts_as_unfinished() {
    let mut us = open(Role::Server, config(full()));
    let now = Instant::now();
    let frame = binary(compressed(&vec![0; 1 << 20].into())).rsv(0b100);
    let mut inbox = BytesMut::from(&frame.encode(Role::Client)[..]);
    assert!(us.receive(&mut inbox, now).is_none() && us.has_work());
    assert_eq!(us.poll_timeout(), Some(now + us.config().assembly_timeout));
}

#[test]
fn a_long_message_is_compressed_in_pieces_with_pauses() {
    for role in ROLES {
        for fragment_size in [None, Some(500)] {
            let mut us = open(role, Config { fragment_size, ..config(full()) });
            let message = log(20_000);
            us.send(message.clone()).unwrap();
            assert!(us.queued() >= message.len(), "what waits is counted");
            let (mut pauses, mut wire) = (0, Vec::new());
            while us.has_transmit() {
                let written = write(&mut us);
                if fragment_size.is_some() && pauses > 0 && us.has_transmit() {
                    assert!(!written.is_empty(), "fragments leave as they are compressed");
                }
                wire.extend(written);
                if us.has_transmit() {
                    assert!(us.has_work());
                    pauses += 1;
                }
            }
            assert!(pauses >= message.len() / COMPRESSED_AT_ONCE, "{pauses} pauses");
            let mut payload = Vec::new();
            while let Some(frame) = Frame::decode_with(&mut wire, role, true) {
                assert_eq!(frame.rsv == 0b100, payload.is_empty());
                payload.extend(frame.payload);
            }
            assert_eq!(Inflater::new(15, true).message(&payload).unwrap(), message.as_bytes());
        }
    }
}

#[test]
fn many_messages_sent_in_a_row_are_compressed_with_pauses() {
    let mut us = open(Role::Server, config(full()));
    for _ in 0..200 {
        us.send(log(20)).unwrap();
    }
    let (mut pauses, mut wire) = (0, Vec::new());
    while us.has_transmit() {
        wire.extend(write(&mut us));
        pauses += 1;
    }
    assert!(pauses >= 200 * log(20).len() / COMPRESSED_AT_ONCE, "{pauses} pauses");
    let mut inflater = Inflater::new(15, true);
    for _ in 0..200 {
        let frame = Frame::decode_with(&mut wire, Role::Server, true).unwrap();
        assert_eq!(inflater.message(&frame.payload).unwrap(), log(20).as_bytes());
    }
    assert!(wire.is_empty());
}

#[test]
fn what_is_sent_behind_a_long_message_keeps_its_place_and_a_ping_overtakes() {
    for role in ROLES {
        let mut peer = peer(role);
        let mut inflater = Inflater::new(15, true);
        peer.stops_reading();
        peer.calls(|us, now| {
            us.send(log(5000)).unwrap();
            us.send(Message::from("short")).unwrap();
            us.send_prepared(&Prepared::new(log(30))).unwrap();
            us.send_with(log(10), Compress::Never).unwrap();
            us.send(log(10)).unwrap();
            us.ping(now).unwrap();
            us.close(CloseCode::NORMAL, "bye", now).unwrap();
            assert_eq!(us.teardown(), Teardown::Keep);
        });
        peer.sends(ping("overtakes")).expect_ping("overtakes").reads_again();
        peer.expect_frame(pong("overtakes"));
        assert_eq!(peer.next_frame().unwrap().opcode, 0x9);
        assert_eq!(read_compressed(&mut peer, &mut inflater), log(5000).as_bytes());
        assert_eq!(read_plain(&mut peer), b"short");
        assert_eq!(read_compressed(&mut peer, &mut inflater), log(30).as_bytes());
        assert_eq!(read_plain(&mut peer), log(10).as_bytes());
        assert_eq!(read_compressed(&mut peer, &mut inflater), log(10).as_bytes());
        peer.expect_frame(close(1000, "bye"));
    }
}

#[test]
fn the_answer_to_a_close_waits_for_the_message_under_way() {
    let mut peer = peer(Role::Server);
    peer.stops_reading();
    peer.calls(|us, _| us.send(log(5000))).unwrap();
    peer.sends(close(1000, "")).expect_close(1000, "");
    peer.expect_state(State::Closing).reads_again();
    assert_eq!(read_compressed(&mut peer, &mut Inflater::new(15, true)), log(5000).as_bytes());
    peer.expect_frame(close(1000, "")).expect_state(State::Closed);
}

#[test]
fn what_waits_to_be_compressed_fills_the_outbox() {
    let message = log(3000);
    let config = Config { max_outbox_size: message.len(), ..config(full()) };
    let mut us = open(Role::Server, config);
    us.send(message.clone()).unwrap();
    assert!(!us.has_room());
    assert_eq!(us.send(Message::from("x")), Err(Misuse::OutboxFull));
    while us.has_transmit() {
        write(&mut us);
    }
    assert!(us.has_room() && us.queued() == 0);
}

#[test]
fn a_connection_that_is_given_up_compresses_nothing_more() {
    let mut us = open(Role::Server, config(full()));
    us.send(log(20_000)).unwrap();
    write(&mut us);
    assert!(us.has_work());
    us.transport_failed(Instant::now());
    assert!(!us.has_work() && !us.has_transmit() && us.poll_transmit().is_none());
    assert_eq!(us.state(), State::Closed);
}

#[test]
fn a_blocked_transport_is_not_work() {
    let mut us = open(Role::Server, config(full()));
    us.send(log(50)).unwrap();
    us.send(log(20_000)).unwrap();
    assert!(us.poll_transmit().is_some());
    // The first message waits for the transport, and the second for that.
    assert!(!us.has_work());
    write(&mut us);
    assert!(us.has_work());
}

#[test]
fn the_two_directions_do_not_disturb_each_other() {
    let mut server = open(Role::Server, config(full()));
    let mut client = Connection::client(
        Arc::new(config(full())),
        Box::new(stentor_testkit::script::Counting::default()),
        Instant::now(),
    )
    .with_deflate(DeflateParams::default());
    let now = Instant::now();
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    let (mut at_server, mut at_client) = (0, 0);
    for _ in 0..5 {
        server.send(log(4000)).unwrap();
        client.send(log(3000)).unwrap();
    }
    while at_server < 5 || at_client < 5 {
        to_client.extend_from_slice(&write(&mut server));
        to_server.extend_from_slice(&write(&mut client));
        while let Some(event) = server.receive(&mut to_server, now) {
            assert_eq!(event, Event::Message(log(3000)));
            at_server += 1;
        }
        while let Some(event) = client.receive(&mut to_client, now) {
            assert_eq!(event, Event::Message(log(4000)));
            at_client += 1;
        }
    }
    assert!(!server.has_work() && !client.has_work());
}
