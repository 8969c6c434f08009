//! One message for many, compressed once for each window.

use super::*;

fn send(peer: &mut Peer, prepared: &Prepared) -> Received {
    peer.calls(|us, _| us.send_prepared(prepared)).unwrap();
    read(peer).unwrap()
}

#[test]
fn connections_of_one_window_share_the_bytes_and_each_can_read_them() {
    let news = Prepared::new(log(50));
    for role in ROLES {
        for bits in 8..=15 {
            let mut shared = None;
            for takeover in [true, false, true] {
                let mut peer = Peer::with_deflate(role, config(full()), params(bits, takeover));
                let mut inflater = Inflater::new(bits, takeover);
                for _ in 0..2 {
                    let received = send(&mut peer, &news);
                    assert!(received.compressed);
                    assert_eq!(inflater.message(&received.payload).unwrap(), log(50).as_bytes());
                    assert_eq!(shared.get_or_insert(received.payload.clone()), &received.payload);
                }
            }
        }
    }
}

#[test]
fn own_messages_between_shared_ones_refer_only_to_what_the_peer_has() {
    for takeover in [true, false] {
        for bits in [8, 9, 12, 15] {
            let mut peer = Peer::with_deflate(Role::Server, config(full()), params(bits, takeover));
            let mut inflater = Inflater::new(bits, takeover);
            let news = Prepared::new(log(40));
            for round in 0..20 {
                peer.calls(|us, _| us.send_with(log(1 + round % 7), Compress::Always)).unwrap();
                assert_eq!(read_compressed(&mut peer, &mut inflater), log(1 + round % 7).as_bytes());
                if round % 3 > 0 {
                    let received = send(&mut peer, &news);
                    assert_eq!(inflater.message(&received.payload).unwrap(), log(40).as_bytes());
                }
            }
        }
    }
}

#[test]
fn a_connection_that_was_sent_no_shared_message_keeps_its_history() {
    let mut peer = peer(Role::Server);
    let first = cost(&mut peer, &log(20));
    assert!(cost(&mut peer, &log(20)) < first / 4);
    // One that is sent plain is none either: the peer's decoder does not see it.
    send(&mut peer, &Prepared::new("short".into()));
    send(&mut peer, &Prepared::with(log(20), Compress::Never));
    assert!(cost(&mut peer, &log(20)) < first / 4);
    // One that is shared costs the history.
    send(&mut peer, &Prepared::new(log(20)));
    assert!(cost(&mut peer, &log(20)) > first / 2);
}

#[test]
fn each_connection_has_its_own_threshold() {
    let news = Prepared::new(log(5));
    let low = Deflate { threshold: Some(10), ..full() };
    let high = Deflate { threshold: Some(10_000), ..full() };
    for (deflate, compressed) in [(low.clone(), true), (high, false), (low, true)] {
        let mut peer = Peer::with_deflate(Role::Server, config(deflate), DeflateParams::default());
        assert_eq!(send(&mut peer, &news).compressed, compressed);
    }
}

#[test]
fn the_choice_goes_with_the_message() {
    let mut peer = peer(Role::Server);
    assert!(!send(&mut peer, &Prepared::with(log(50), Compress::Never)).compressed);
    assert!(send(&mut peer, &Prepared::with("x".into(), Compress::Always)).compressed);
    assert!(!send(&mut peer, &Prepared::with("x".into(), Compress::ByThreshold)).compressed);
    let empty = send(&mut peer, &Prepared::with("".into(), Compress::Always));
    assert_eq!((empty.compressed, empty.payload.as_slice()), (true, [0x00].as_slice()));
}

#[test]
fn what_does_not_get_smaller_is_sent_plain() {
    for takeover in [true, false] {
        let mut peer = Peer::with_deflate(Role::Server, config(full()), params(15, takeover));
        let received = send(&mut peer, &Prepared::new(noise(2000)));
        assert!(!received.compressed);
        assert_eq!(received.payload, noise(2000).as_bytes());
    }
}

#[test]
fn in_fragments_it_is_a_message_like_any_other() {
    let config = Config { fragment_size: Some(100), ..config(full()) };
    let mut peer = Peer::with_deflate(Role::Server, config, DeflateParams::default());
    let mut inflater = Inflater::new(15, true);
    for _ in 0..3 {
        let received = send(&mut peer, &Prepared::new(log(50)));
        assert!(received.compressed && received.fragments.iter().all(|len| *len <= 100));
        assert_eq!(inflater.message(&received.payload).unwrap(), log(50).as_bytes());
    }
}

#[test]
fn threads_share_it() {
    let news = Prepared::new(log(200));
    let payloads = std::thread::scope(|scope| {
        let sending = || send(&mut peer(Role::Server), &news).payload;
        let threads = [0; 8].map(|_| scope.spawn(sending));
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(payloads.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(Inflater::new(15, false).message(&payloads[0]).unwrap(), log(200).as_bytes());
}
