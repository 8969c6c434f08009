//! What leaves in which order, and how much may wait (RFC 6455 §5.4, §5.5).

use super::*;

/// Above this, a payload is queued behind its header instead of beside it.
const LARGE: usize = 100_000;

#[test]
fn a_pong_overtakes_data_that_has_not_begun_to_leave() {
    for role in ROLES {
        for len in [10, LARGE] {
            let mut peer = Peer::of(role, quiet());
            peer.stops_reading();
            peer.calls(|us, _| us.send(Message::from(vec![1; len]))).unwrap();
            peer.sends(ping("urgent")).expect_ping("urgent");
            peer.reads_again().expect_frame(pong("urgent")).expect_frame(binary(vec![1; len]));
        }
    }
}

#[test]
fn a_pong_never_cuts_into_a_frame_wherever_that_stopped() {
    for role in ROLES {
        let whole = binary(vec![1; LARGE]).encode(role).len();
        for stop in [1, 2, 5, 10, 14, 15, 5000, whole - 1] {
            let mut peer = Peer::of(role, quiet());
            peer.stops_reading();
            peer.calls(|us, _| us.send(Message::from(vec![1; LARGE]))).unwrap();
            peer.calls(|us, _| us.send(Message::from("behind it"))).unwrap();
            peer.reads(stop).sends(ping("urgent")).expect_ping("urgent");
            peer.reads_again().expect_frame(binary(vec![1; LARGE]));
            peer.expect_frame(pong("urgent")).expect_frame(text("behind it"));
        }
    }
}

#[test]
fn every_stop_in_a_row_of_frames_leaves_every_frame_whole() {
    let messages = || [Message::from("one"), Message::from(vec![2; 9000]), Message::from("three")];
    for role in ROLES {
        let total: usize = 9000 + 8 + 3 * 14;
        for stop in (0..60).chain(8990..total) {
            let mut peer = Peer::of(role, quiet());
            peer.stops_reading();
            for message in messages() {
                peer.calls(|us, _| us.send(message)).unwrap();
            }
            peer.reads(stop).sends(ping("x")).expect_ping("x").reads(7);
            peer.sends(ping("y")).expect_ping("y").reads_again();
            let mut frames = Vec::new();
            while let Some(frame) = peer.next_frame() {
                frames.push(frame);
            }
            let (pongs, data): (Vec<_>, Vec<_>) = frames.into_iter().partition(|frame| frame.opcode == 0xa);
            assert_eq!(data, [text("one"), binary(vec![2; 9000]), text("three")], "stopped after {stop}");
            assert_eq!(pongs.last(), Some(&pong("y")), "stopped after {stop}");
            assert!(pongs.len() <= 2);
        }
    }
}

#[test]
fn a_lent_buffer_changes_nothing_of_what_leaves() {
    // With a buffer that has room, the first is copied; without one it is queued as it is.
    let messages =
        || [(1, 9000), (2, 10), (3, 40_000), (4, 10), (5, 9000), (6, 10)].map(|(byte, len)| vec![byte; len]);
    for role in ROLES {
        for lent in [0, 4096, 32 << 10] {
            for stop in (0..30).chain(8990..9060).chain(49_000..49_080).step_by(3) {
                let mut peer = Peer::of(role, quiet());
                peer.stops_reading();
                for message in messages() {
                    peer.calls(|us, _| us.lend_buffer(Vec::with_capacity(lent)));
                    peer.calls(|us, _| us.send(Message::from(message))).unwrap();
                }
                peer.reads(stop).sends(ping("x")).expect_ping("x").reads_again();
                let mut data = Vec::new();
                while let Some(frame) = peer.next_frame() {
                    if frame.opcode != 0xa {
                        data.push(frame);
                    }
                }
                assert!(data == messages().map(binary), "{lent} bytes lent, stopped after {stop}");
            }
        }
    }
}

#[test]
fn only_the_latest_pong_waits() {
    // §5.5.3: "MAY elect to send a Pong frame for only the most recently processed Ping frame."
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.stops_reading();
        for payload in ["first", "second", "third"] {
            peer.sends(ping(payload)).expect_ping(payload);
        }
        peer.reads_again().expect_frame(pong("third")).expect_nothing();
    }
}

#[test]
fn a_pong_that_has_begun_to_leave_is_finished_before_the_next() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.stops_reading();
        peer.sends(ping("first")).expect_ping("first").reads(3);
        peer.sends(ping("second")).expect_ping("second");
        peer.sends(ping("third")).expect_ping("third");
        peer.reads_again().expect_frame(pong("first")).expect_frame(pong("third")).expect_nothing();
    }
}

#[test]
fn a_close_stays_behind_the_data_sent_before_it() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.stops_reading();
        peer.calls(|us, _| us.send(Message::from("last words"))).unwrap();
        peer.calls(|us, _| us.send(Message::from(vec![0; LARGE]))).unwrap();
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "", now)).unwrap();
        peer.reads_again().expect_frame(text("last words"));
        peer.expect_frame(binary(vec![0; LARGE])).expect_frame(close(1000, ""));
    }
}

#[test]
fn the_outbox_takes_messages_up_to_its_bound_and_again_when_some_have_left() {
    for role in ROLES {
        let config = Config { max_outbox_size: 1000, ..quiet() };
        let mut peer = Peer::of(role, config);
        peer.stops_reading();
        let mut taken = 0;
        while peer.calls(|us, _| us.send(Message::from(vec![0; 100]))).is_ok() {
            taken += 1;
        }
        assert!((9..=10).contains(&taken), "{taken} messages of 100 bytes under a bound of 1000");
        assert!(!peer.connection().has_room());
        assert!(peer.connection().queued() < 1000 + 100 + 14);
        assert_eq!(peer.calls(|us, _| us.send(Message::from(""))), Err(Misuse::OutboxFull));

        peer.sends(ping("x")).expect_ping("x");
        peer.calls(Connection::ping).expect("control frames need no room");

        peer.reads_again();
        assert_eq!((peer.connection().queued(), peer.connection().has_room()), (0, true));
        peer.calls(|us, _| us.send(Message::from("again"))).unwrap();
        peer.discards_frames();
    }
}

#[test]
fn a_full_outbox_takes_a_close() {
    let mut peer = Peer::of_server(Config { max_outbox_size: 1, ..quiet() });
    peer.stops_reading();
    peer.calls(|us, _| us.send(Message::from("fills it"))).unwrap();
    peer.calls(|us, now| us.close(CloseCode::NORMAL, "", now)).unwrap();
    peer.reads_again().expect_frame(text("fills it")).expect_frame(close(1000, ""));
}

#[test]
fn one_large_message_is_always_taken_whatever_the_bound() {
    let mut peer = Peer::of_server(Config { max_outbox_size: 1000, ..quiet() });
    peer.stops_reading();
    peer.calls(|us, _| us.send(Message::from(vec![3; LARGE]))).unwrap();
    assert_eq!(peer.calls(|us, _| us.send(Message::from("x"))), Err(Misuse::OutboxFull));
    peer.reads_again().expect_frame(binary(vec![3; LARGE]));
}

#[test]
fn each_frame_of_a_client_has_its_own_masking_key() {
    // §5.3: "The masking key needs to be unpredictable … the client MUST pick a fresh masking key".
    let mut server = Peer::of_client(quiet());
    server.stops_reading();
    for _ in 0..3 {
        server.calls(|us, _| us.send(Message::from("0000"))).unwrap();
    }
    let bytes = server.reads_raw();
    let keys: Vec<&[u8]> = bytes.chunks(10).map(|frame| &frame[2..6]).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2], "{keys:x?}");
}
