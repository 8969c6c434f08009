//! Which messages leave compressed, and how (RFC 7692 §6.1, §7.2.1).

use super::*;

#[test]
fn whatever_the_settings_the_peer_can_read_it() {
    let messages = [log(1), log(30), noise(500), "".into(), log(2), noise(5000), log(60), "a".into()];
    for level in [1, 2, 6, 9] {
        for mem_level in [1, 5, 9] {
            for window_bits in 8..=15 {
                for takeover in [true, false] {
                    let deflate = Deflate { level, mem_level, threshold: Some(0), ..full() };
                    let params = params(window_bits, takeover);
                    let mut peer = Peer::with_deflate(Role::Server, config(deflate), params);
                    let mut inflater = Inflater::new(window_bits, takeover);
                    for message in messages.iter().chain(&messages) {
                        peer.calls(|us, _| us.send(message.clone())).unwrap();
                        let received = read(&mut peer).unwrap();
                        let payload = if received.compressed {
                            inflater.message(&received.payload).unwrap_or_else(|error| {
                                panic!("{error}: level {level}, mem {mem_level}, {params:?}")
                            })
                        } else {
                            received.payload
                        };
                        assert_eq!(payload, message.as_bytes());
                    }
                }
            }
        }
    }
}

#[test]
fn both_roles_compress_and_a_client_masks_what_came_out() {
    for role in ROLES {
        let mut peer = peer(role);
        peer.calls(|us, _| us.send(log(10))).unwrap();
        let received = read(&mut peer).unwrap();
        assert!(received.compressed && received.payload.len() < log(10).len() / 3);
        assert_eq!(Inflater::new(15, true).message(&received.payload).unwrap(), log(10).as_bytes());
    }
}

#[test]
fn each_direction_follows_its_own_parameters() {
    let agreed = DeflateParams {
        server_context_takeover: false,
        server_max_window_bits: 9,
        client_max_window_bits: 13,
        ..DeflateParams::default()
    };
    for (role, takeover, bits) in [(Role::Server, false, 9), (Role::Client, true, 13)] {
        let mut peer = Peer::with_deflate(role, config(full()), agreed);
        let mut inflater = Inflater::new(bits, takeover);
        let first = cost(&mut peer, &noise(2000));
        assert!(first >= 2000);
        let mut costs = Vec::new();
        for _ in 0..2 {
            peer.calls(|us, _| us.send(log(20))).unwrap();
            let received = read(&mut peer).unwrap();
            costs.push(received.payload.len());
            if takeover {
                // The noise was sent compressed as well, so that the history stays.
                inflater = Inflater::new(bits, takeover);
                inflater.message(&stored(noise(2000).as_bytes())).unwrap();
                inflater.message(&stored(log(20).as_bytes())).unwrap();
            }
            assert_eq!(inflater.message(&received.payload).unwrap(), log(20).as_bytes());
        }
        assert_eq!(costs[1] < costs[0] / 4, takeover, "{costs:?}");
    }
}

/// A message compressed to what it is.
fn stored(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let header = [&[0x00], len.to_le_bytes().as_slice(), (!len).to_le_bytes().as_slice()].concat();
    [header.as_slice(), payload, &[0x00]].concat()
}

#[test]
fn our_own_settings_may_ask_for_less_than_was_agreed_on() {
    let lean = Deflate { server_context_takeover: false, server_max_window_bits: 9, ..full() };
    let mut peer = Peer::with_deflate(Role::Server, config(lean), DeflateParams::default());
    let mut inflater = Inflater::new(9, false);
    for _ in 0..2 {
        peer.calls(|us, _| us.send(log(50))).unwrap();
        assert_eq!(read_compressed(&mut peer, &mut inflater), log(50).as_bytes());
    }
}

#[test]
fn short_messages_are_not_compressed() {
    let cases = [(true, None, 64), (false, None, 1024), (true, Some(10), 10), (false, Some(2000), 2000)];
    for (takeover, threshold, expected) in cases {
        let deflate = Deflate { threshold, ..full() };
        let mut peer = Peer::with_deflate(Role::Server, config(deflate), params(15, takeover));
        for (len, compressed) in [(expected - 1, false), (expected, true), (expected + 1, true)] {
            peer.calls(|us, _| us.send(Message::from("z".repeat(len)))).unwrap();
            assert_eq!(read(&mut peer).unwrap().compressed, compressed, "{len} bytes");
        }
    }
}

#[test]
fn a_message_can_be_compressed_or_not_whatever_the_threshold() {
    let mut peer = peer(Role::Server);
    let mut inflater = Inflater::new(15, true);
    peer.calls(|us, _| us.send_with(log(10), Compress::Never)).unwrap();
    assert_eq!(read_plain(&mut peer), log(10).as_bytes());
    for text in ["x", "", "y", ""] {
        peer.calls(|us, _| us.send_with(Message::from(text), Compress::Always)).unwrap();
        assert_eq!(read_compressed(&mut peer, &mut inflater), text.as_bytes());
    }
    peer.calls(|us, _| us.send_with(noise(100_000), Compress::Always)).unwrap();
    assert_eq!(read_compressed(&mut peer, &mut inflater), noise(100_000).as_bytes());
}

#[test]
fn an_empty_message_is_one_byte() {
    let mut peer = peer(Role::Server);
    for _ in 0..3 {
        peer.calls(|us, _| us.send_with(Message::from(""), Compress::Always)).unwrap();
        // RFC 7692 §7.2.3.6.
        assert_eq!(read(&mut peer).unwrap().payload, [0x00]);
    }
}

#[test]
fn nothing_is_compressed_where_nothing_was_agreed_on() {
    let mut peer = Peer::of(Role::Server, config(full()));
    peer.calls(|us, _| us.send_with(log(10), Compress::Always)).unwrap();
    assert_eq!(read_plain(&mut peer), log(10).as_bytes());
    peer.sends(binary([0x00]).rsv(0b100)).expect_violation(ProtocolError::ReservedBits(0b100));
}

#[test]
fn without_takeover_what_does_not_get_smaller_is_sent_plain() {
    let mut peer = Peer::with_deflate(Role::Server, config(full()), params(15, false));
    for _ in 0..3 {
        peer.calls(|us, _| us.send(noise(5000))).unwrap();
        assert_eq!(read_plain(&mut peer), noise(5000).as_bytes());
        peer.calls(|us, _| us.send(log(20))).unwrap();
        assert_eq!(read_compressed(&mut peer, &mut Inflater::new(15, false)), log(20).as_bytes());
    }
}

#[test]
fn with_takeover_a_short_message_that_does_not_get_smaller_keeps_the_history() {
    let mut peer = peer(Role::Server);
    let mut inflater = Inflater::new(15, true);
    let mut costs = Vec::new();
    for _ in 0..3 {
        peer.calls(|us, _| us.send(log(20))).unwrap();
        let received = read(&mut peer).unwrap();
        costs.push(received.payload.len());
        assert_eq!(inflater.message(&received.payload).unwrap(), log(20).as_bytes());
        let short = Message::from(noise(500).as_bytes()[costs.len() * 100..][..100].to_vec());
        peer.calls(|us, _| us.send(short.clone())).unwrap();
        assert_eq!(read_compressed(&mut peer, &mut inflater), short.as_bytes());
    }
    assert!(costs[1] < costs[0] / 4 && costs[2] < costs[0] / 4, "{costs:?}");
}

#[test]
fn with_takeover_one_that_fills_the_window_is_sent_plain_and_the_next_does_not_refer_to_it() {
    for bits in [9, 12, 15] {
        let mut peer = Peer::with_deflate(Role::Server, config(full()), params(bits, true));
        let mut inflater = Inflater::new(bits, true);
        let large = noise(1 << bits);
        for _ in 0..3 {
            peer.calls(|us, _| us.send(large.clone())).unwrap();
            assert_eq!(read_plain(&mut peer), large.as_bytes());
            // It would be a single reference, if the peer's decoder had seen it.
            let part = Message::from(large.as_bytes()[300..].to_vec());
            peer.calls(|us, _| us.send_with(part.clone(), Compress::Always)).unwrap();
            assert_eq!(read_compressed(&mut peer, &mut inflater), part.as_bytes());
        }
    }
}

#[test]
fn a_compressed_message_is_fragmented_by_what_it_comes_to() {
    for role in ROLES {
        for size in [1, 2, 100, 1000, 100_000] {
            let config = Config { fragment_size: Some(size), ..config(full()) };
            let mut peer = Peer::with_deflate(role, config, DeflateParams::default());
            let mut inflater = Inflater::new(15, true);
            for message in [log(100), log(2), log(100)] {
                peer.calls(|us, _| us.send(message.clone())).unwrap();
                let received = read(&mut peer).unwrap();
                let (last, others) = received.fragments.split_last().unwrap();
                assert!(others.iter().all(|len| *len == size) && *last <= size, "{:?}", received.fragments);
                assert_eq!(inflater.message(&received.payload).unwrap(), message.as_bytes());
            }
        }
    }
}

#[test]
fn a_fragmented_message_that_does_not_get_smaller_is_sent_plain() {
    let config = Config { fragment_size: Some(1000), ..config(full()) };
    let mut peer = Peer::with_deflate(Role::Server, config, params(9, true));
    peer.calls(|us, _| us.send(noise(5500))).unwrap();
    let received = read(&mut peer).unwrap();
    assert!(!received.compressed);
    assert_eq!(received.fragments, [1000, 1000, 1000, 1000, 1000, 500]);
}

#[test]
fn a_fragment_size_of_zero_does_not_loop() {
    let config = Config { fragment_size: Some(0), ..config(full()) };
    let mut peer = Peer::with_deflate(Role::Server, config, DeflateParams::default());
    peer.calls(|us, _| us.send(log(2))).unwrap();
    assert_eq!(read_compressed(&mut peer, &mut Inflater::new(15, true)), log(2).as_bytes());
}
