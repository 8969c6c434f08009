//! Sending in fragments (RFC 6455 §5.4).

use super::*;

fn in_fragments_of(size: usize) -> Config {
    Config { fragment_size: Some(size), ..quiet() }
}

/// Reads one message in fragments, checking the rules they follow.
fn read_message(peer: &mut Peer, opcode: u8, largest: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut expected = opcode;
    loop {
        let fragment = peer.next_frame().expect("a fragment");
        assert_eq!(fragment.opcode, expected);
        assert!(fragment.payload.len() <= largest);
        payload.extend(fragment.payload);
        expected = 0;
        if fragment.fin {
            return payload;
        }
    }
}

#[test]
fn a_message_is_split_at_the_fragment_size_and_comes_together_again() {
    for role in ROLES {
        for size in [1, 2, 3, 125, 126, 1000] {
            for len in [0, 1, size - 1, size, size + 1, 3 * size, 3 * size + 1] {
                let message: Vec<u8> = (0..=255).cycle().take(len).collect();
                let mut peer = Peer::of(role, in_fragments_of(size));
                peer.calls(|us, _| us.send(Message::from(message.clone()))).unwrap();
                assert_eq!(read_message(&mut peer, 0x2, size), message);
            }
        }
    }
}

#[test]
fn large_fragments_are_not_copied_and_still_in_order() {
    for role in ROLES {
        let message: Vec<u8> = (0..=255).cycle().take(500_001).collect();
        let mut peer = Peer::of(role, in_fragments_of(100_000));
        peer.calls(|us, _| us.send(Message::from(message.clone()))).unwrap();
        assert_eq!(read_message(&mut peer, 0x2, 100_000), message);
    }
}

#[test]
fn messages_in_fragments_do_not_interleave() {
    for role in ROLES {
        let mut peer = Peer::of(role, in_fragments_of(3));
        peer.stops_reading();
        peer.calls(|us, _| us.send(Message::from("first message"))).unwrap();
        peer.calls(|us, _| us.send(Message::from("second message"))).unwrap();
        peer.reads_again();
        assert_eq!(read_message(&mut peer, 0x1, 3), b"first message");
        assert_eq!(read_message(&mut peer, 0x1, 3), b"second message");
    }
}

#[test]
fn a_pong_may_stand_between_our_fragments_but_not_inside_one() {
    for role in ROLES {
        for stop in (0..200).step_by(7).chain([100_020, 150_000]) {
            let mut peer = Peer::of(role, in_fragments_of(50_000));
            peer.stops_reading();
            peer.calls(|us, _| us.send(Message::from(vec![9; 180_000]))).unwrap();
            peer.reads(stop).sends(ping("x")).expect_ping("x").reads_again();
            let mut frames = Vec::new();
            while let Some(frame) = peer.next_frame() {
                frames.push(frame);
            }
            frames.retain(|frame| *frame != pong("x"));
            let lengths: Vec<usize> = frames.iter().map(|frame| frame.payload.len()).collect();
            assert_eq!(lengths, [50_000, 50_000, 50_000, 30_000], "stopped after {stop}");
        }
    }
}

#[test]
fn a_fragment_size_of_zero_does_not_loop() {
    let mut peer = Peer::of_server(in_fragments_of(0));
    peer.calls(|us, _| us.send(Message::from("abc"))).unwrap();
    assert_eq!(read_message(&mut peer, 0x1, 1), b"abc");
}
