//! How much a peer may send, how long nothing may happen, and what becomes of messages for a peer
//! that does not read (RFC 6455 §10.4).

use stentor_proto::{DeflateParams, Event, Prepared, SlowReader};

use super::*;

#[test]
fn so_many_messages_may_come_in_a_second_and_no_more() {
    let config = Config { max_messages_per_second: Some(3), ..quiet() };
    for role in ROLES {
        let mut peer = Peer::of(role, config.clone());
        for _ in 0..2 {
            // Fragments are one message, and control frames none.
            peer.sends(text("one")).expect_message("one");
            peer.sends(text("t").more()).sends(ping("x")).expect_ping("x").expect_frame(pong("x"));
            peer.sends(continuation("wo")).expect_message("two");
            peer.sends(binary([3])).expect_message(vec![3]);
            peer.waits(seconds(1));
        }
        for _ in 0..3 {
            peer.sends(text("again")).expect_message("again");
        }
        peer.waits(just_under(1)).sends(text("one too many"));
        peer.expect_violation(ProtocolError::TooManyMessages);
    }
}

#[test]
fn so_many_bytes_may_come_in_a_second_and_no_more() {
    let config = Config { max_bytes_per_second: Some(100), ..quiet() };
    for role in ROLES {
        let mut peer = Peer::of(role, config.clone());
        peer.sends(binary([1; 100])).expect_message(vec![1; 100]).waits(seconds(1));
        peer.sends(binary([1; 60])).expect_message(vec![1; 60]);
        peer.sends(binary([1; 20]).more()).sends(continuation([1; 20])).expect_message(vec![1; 40]);
        peer.sends(binary([])).expect_message(vec![]);
        peer.sends(binary([1]));
        peer.expect_violation(ProtocolError::TooManyBytes);
    }
}

#[test]
fn messages_that_come_together_are_counted_one_by_one() {
    let config = Config { max_messages_per_second: Some(3), ..quiet() };
    let mut peer = Peer::of_server(config);
    let bytes: Vec<u8> = (0..5).flat_map(|_| text("x").encode(Role::Client)).collect();
    peer.sends_bytes(&bytes);
    peer.expect_message("x").expect_message("x").expect_message("x");
    peer.expect_violation(ProtocolError::TooManyMessages);

    // In batches too.
    let now = peer.now();
    let config = Config { max_messages_per_second: Some(3), ..quiet() };
    let mut server = Connection::server(std::sync::Arc::new(config), now);
    let mut bytes = stentor_proto::bytes::BytesMut::from(&bytes[..]);
    assert_eq!(server.receive_messages(&mut bytes, now).next(), None, "none gets past the count");
}

#[test]
fn a_connection_without_messages_is_closed_after_its_idle_time() {
    let config = Config { idle_timeout: Some(seconds(60)), ..Config::default() };
    for role in ROLES {
        let mut peer = Peer::of(role, config.clone());
        peer.waits(seconds(30)).sends(text("still here")).expect_message("still here");
        let began = peer.now();
        // Pings and their Pongs are signs of life, and no messages.
        for _ in 0..60 {
            peer.waits(seconds(1));
            match peer.next_frame() {
                Some(sent) if sent.opcode == 9 => {
                    peer.sends(pong(&sent.payload)).expect_pong();
                }
                None => {}
                Some(sent) => {
                    assert_eq!(sent.close_code_and_reason(), (3008, "idle for too long".to_owned()));
                    break;
                }
            }
        }
        assert_eq!(peer.now() - began, seconds(60));
        peer.expect_closed(3008, "idle for too long", ClosedBy::Us);
    }
}

#[test]
fn what_is_sent_keeps_a_connection_from_being_idle() {
    let config = Config { idle_timeout: Some(seconds(60)), ..quiet() };
    for role in ROLES {
        let mut peer = Peer::of(role, config.clone());
        for _ in 0..5 {
            peer.waits(seconds(50));
            peer.calls(|us, _| us.send(Message::from("news"))).unwrap();
            peer.expect_frame(text("news"));
        }
        // The last was sent 50 s after time was looked at, which is not known exactly.
        peer.waits(seconds(60)).expect_nothing();
        peer.waits(seconds(60)).expect_close_frame(3008);
    }
}

/// A peer that does not read, with an outbox for some ten messages of 1,000 bytes.
fn slow(role: Role, slow_reader: SlowReader) -> Peer {
    let mut peer = Peer::of(role, Config { slow_reader, max_outbox_size: 40_000, ..quiet() });
    peer.stops_reading();
    peer
}

fn message(index: u8) -> Vec<u8> {
    vec![index; 1000]
}

fn send(peer: &mut Peer, index: u8) -> Result<(), Misuse> {
    peer.calls(|us, _| us.send(Message::from(message(index))))
}

/// Which messages the peer gets to see.
fn seen(peer: &mut Peer) -> Vec<u8> {
    peer.reads_again();
    let mut seen = Vec::new();
    while let Some(frame) = peer.next_frame() {
        assert_eq!(frame.payload, message(frame.payload[0]));
        seen.push(frame.payload[0]);
    }
    seen
}

#[test]
fn whoever_waits_is_told_that_there_is_no_room() {
    for role in ROLES {
        let mut peer = slow(role, SlowReader::Wait);
        let taken = (0..100).take_while(|index| send(&mut peer, *index).is_ok()).count();
        assert_eq!(send(&mut peer, 0), Err(Misuse::OutboxFull));
        assert!(!peer.connection().has_room());
        assert_eq!(seen(&mut peer).len(), taken);
        assert_eq!(peer.connection().dropped(), 0);
    }
}

#[test]
fn the_newest_are_dropped() {
    for role in ROLES {
        let mut peer = slow(role, SlowReader::DropNewest);
        for index in 0..100 {
            assert!(peer.connection().has_room());
            send(&mut peer, index).unwrap();
            assert!(peer.connection().queued() < 40_000 + 1010);
        }
        let kept = seen(&mut peer);
        assert_eq!(kept, (0..u8::try_from(kept.len()).unwrap()).collect::<Vec<_>>());
        assert_eq!(kept.len() + usize::try_from(peer.connection().dropped()).unwrap(), 100);
        assert!((39..=41).contains(&kept.len()), "{}", kept.len());
        send(&mut peer, 100).unwrap();
        assert_eq!(seen(&mut peer), [100], "there is room again");
    }
}

#[test]
fn the_oldest_are_dropped() {
    for role in ROLES {
        let mut peer = slow(role, SlowReader::DropOldest);
        for index in 0..100 {
            assert!(peer.connection().has_room());
            send(&mut peer, index).unwrap();
            assert!(peer.connection().queued() <= 40_000, "{}", peer.connection().queued());
        }
        let kept = seen(&mut peer);
        assert_eq!(kept.len() + usize::try_from(peer.connection().dropped()).unwrap(), 100);
        // The first were on their way, the last are the newest, and between them is one gap.
        let gap = kept.windows(2).position(|pair| pair[1] != pair[0] + 1).unwrap() + 1;
        assert!((16..=18).contains(&gap), "{gap}");
        assert_eq!(kept[..gap], (0..u8::try_from(gap).unwrap()).collect::<Vec<_>>()[..]);
        assert_eq!(kept[gap..], (100 - u8::try_from(kept.len() - gap).unwrap()..100).collect::<Vec<_>>()[..]);
        assert!((36..=40).contains(&kept.len()), "{}", kept.len());
        assert!(!peer.connection().has_transmit());
    }
}

#[test]
fn the_newest_stays_however_large_it_is() {
    let mut peer = slow(Role::Server, SlowReader::DropOldest);
    for index in 0..30 {
        send(&mut peer, index).unwrap();
    }
    peer.calls(|us, _| us.send(Message::from(vec![7; 100_000]))).unwrap();
    peer.reads_again();
    let mut last = None;
    while let Some(frame) = peer.next_frame() {
        last = Some(frame);
    }
    assert_eq!(last.unwrap().payload, vec![7; 100_000]);
}

#[test]
fn a_close_and_pings_are_never_dropped_and_keep_their_places() {
    for (policy, role) in [SlowReader::DropOldest, SlowReader::DropNewest].into_iter().zip(ROLES) {
        let mut peer = slow(role, policy);
        for index in 0..60 {
            send(&mut peer, index).unwrap();
        }
        peer.sends(ping("urgent")).expect_ping("urgent");
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "bye", now)).unwrap();
        assert_eq!(send(&mut peer, 60), Err(Misuse::NotOpen));
        peer.reads_again();
        let mut frames = Vec::new();
        while let Some(frame) = peer.next_frame() {
            frames.push(frame);
        }
        assert_eq!(frames.first(), Some(&pong("urgent")), "it overtakes");
        assert_eq!(frames.last().unwrap().close_code_and_reason(), (1000, "bye".to_owned()));
        assert!(frames.len() > 30);
    }
}

#[test]
fn a_reader_that_is_too_slow_is_closed() {
    for role in ROLES {
        let mut peer = slow(role, SlowReader::Close);
        // The first has begun to leave.
        send(&mut peer, 0).unwrap();
        peer.reads(10);
        let refused = (1..100).find(|index| send(&mut peer, *index).is_err()).unwrap();
        assert!(refused > 35);
        peer.expect_state(State::Open);
        // It is closed as soon as somebody tells the time.
        assert_eq!(peer.waits_for_timeout(), Duration::ZERO);
        peer.expect_state(State::Closing);
        peer.expect_closed(1013, "too slow a reader", ClosedBy::Us);
        assert_eq!(send(&mut peer, 0), Err(Misuse::NotOpen));
        // A frame that has begun is finished; what waited behind it is gone.
        assert!(peer.connection().queued() < 40_100, "{}", peer.connection().queued());
        peer.reads_again();
        let mut last = None;
        while let Some(frame) = peer.next_frame() {
            last = Some(frame);
        }
        assert_eq!(last.unwrap().close_code_and_reason(), (1013, "too slow a reader".to_owned()));
    }
}

#[test]
fn what_was_dropped_does_not_confuse_the_compression() {
    // Text that refers to what came before it: a gap would show.
    let line = |index: u32| {
        format!("{{\"price\":{},\"name\":\"a long name that repeats\"}}", index * 7919).repeat(20)
    };
    for policy in [SlowReader::DropOldest, SlowReader::DropNewest] {
        let config = Config { slow_reader: policy, max_outbox_size: 20_000, ..quiet() };
        let mut server = Peer::with_deflate(Role::Server, config, DeflateParams::default());
        server.stops_reading();
        for index in 0..3000 {
            server.calls(|us, _| us.send(Message::from(line(index)))).unwrap();
            if index % 1000 == 500 {
                let news = Prepared::new(Message::from(line(index)));
                server.calls(|us, _| us.send_prepared(&news)).unwrap();
            }
        }
        assert!(server.connection().dropped() > 1000);
        server.reads_again();
        let mut bytes = stentor_proto::bytes::BytesMut::from(&server.reads_raw()[..]);
        let now = server.now();
        let mut client = stentor_testkit::script::connection(Role::Client, quiet(), now)
            .with_deflate(DeflateParams::default());
        let mut messages = 0;
        while !bytes.is_empty() || client.has_work() {
            match client.receive(&mut bytes, now) {
                Some(Event::Message(message)) => {
                    let index = message.as_text().unwrap()[9..].split(',').next().unwrap();
                    let index = index.parse::<u32>().unwrap() / 7919;
                    assert_eq!(message.as_text().unwrap(), line(index));
                    messages += 1;
                }
                None => {}
                other => panic!("{other:?} after {messages}"),
            }
        }
        assert!(messages > 5, "{messages}");
    }
}

#[test]
fn prepared_messages_are_dropped_like_others() {
    for policy in [SlowReader::DropOldest, SlowReader::DropNewest] {
        let mut peer = slow(Role::Server, policy);
        for index in 0..100 {
            let prepared = Prepared::new(Message::from(message(index)));
            peer.calls(|us, _| us.send_prepared(&prepared)).unwrap();
        }
        let kept = seen(&mut peer);
        assert_eq!(kept.len() + usize::try_from(peer.connection().dropped()).unwrap(), 100);
        assert_eq!(kept.contains(&99), policy == SlowReader::DropOldest);
        assert!(kept.contains(&0));
    }
}
