//! A connection that is silent gives its encoder back.

use super::*;

const AFTER: Duration = Duration::from_secs(60);

fn releasing(role: Role) -> Peer {
    let deflate = Deflate { release_after: Some(AFTER), ..full() };
    Peer::with_deflate(role, config(deflate), DeflateParams::default())
}

#[test]
fn there_is_no_deadline_before_something_is_compressed() {
    let mut peer = releasing(Role::Server);
    assert_eq!(peer.connection().poll_timeout(), None);
    assert!(cost(&mut peer, &log(20)) > 0);
    assert_eq!(peer.connection().poll_timeout(), Some(peer.now() + AFTER));
}

#[test]
fn after_the_silence_the_next_message_does_not_look_back_and_the_peer_can_read_it() {
    for role in ROLES {
        let mut peer = releasing(role);
        let mut inflater = Inflater::new(15, true);
        let mut costs = Vec::new();
        // The deadline finds that the encoder was used, and gives it as much time again.
        for wait in [0, 1, 118, 120, 0] {
            peer.waits(Duration::from_secs(wait));
            peer.calls(|us, _| us.send(log(20))).unwrap();
            let received = read(&mut peer).unwrap();
            costs.push(received.payload.len());
            assert_eq!(inflater.message(&received.payload).unwrap(), log(20).as_bytes());
        }
        let fresh = costs[0];
        let short: Vec<bool> = costs.iter().map(|&cost| cost < fresh / 4).collect();
        assert_eq!(short, [false, true, true, false, true], "{role:?}: {costs:?}");
    }
}

#[test]
fn once_given_back_there_is_no_deadline_again() {
    let mut peer = releasing(Role::Server);
    assert!(cost(&mut peer, &log(20)) > 0);
    assert_eq!(peer.waits_for_timeout(), AFTER);
    assert_eq!(peer.waits_for_timeout(), AFTER);
    assert_eq!(peer.connection().poll_timeout(), None);
}

#[test]
fn without_takeover_there_is_nothing_to_give_back() {
    let deflate = Deflate { release_after: Some(AFTER), ..full() };
    let mut peer = Peer::with_deflate(Role::Server, config(deflate), params(15, false));
    assert!(cost(&mut peer, &log(50)) > 0);
    assert_eq!(peer.connection().poll_timeout(), None);
}

#[test]
fn a_message_under_way_keeps_its_encoder() {
    let mut peer = releasing(Role::Server);
    peer.stops_reading();
    peer.calls(|us, _| us.send(log(5000))).unwrap();
    peer.waits(Duration::from_secs(20)).reads(1);
    peer.reads_again();
    assert_eq!(read_compressed(&mut peer, &mut Inflater::new(15, true)), log(5000).as_bytes());
}

#[test]
fn what_was_received_is_remembered_through_any_silence() {
    let mut peer = releasing(Role::Server);
    // RFC 7692 §7.2.3.2: the peer's next message may refer to the one before.
    let hello = stentor_testkit::frame::text(b"\xf2\x48\xcd\xc9\xc9\x07\x00").rsv(0b100);
    peer.sends(hello).expect_message("Hello").waits(Duration::from_secs(100_000));
    let again = stentor_testkit::frame::text(b"\xf2\x00\x11\x00\x00").rsv(0b100);
    peer.sends(again).expect_message("Hello");
}
