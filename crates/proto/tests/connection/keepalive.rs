//! Keepalive: Pings into silence, and what becomes of a peer that stays silent (RFC 6455 §5.5.2).

use super::*;

fn keepalive() -> Config {
    Config { keepalive: Some(Keepalive { interval: seconds(20), timeout: seconds(10) }), ..Config::default() }
}

/// The Ping that must have been sent now.
fn expect_our_ping(peer: &mut Peer) -> Frame {
    let sent = peer.next_frame().expect("a Ping is due");
    assert_eq!((sent.opcode, sent.fin), (0x9, true));
    sent
}

#[test]
fn a_silent_peer_is_pinged_after_the_interval_and_not_before() {
    for role in ROLES {
        let mut peer = Peer::of(role, keepalive());
        peer.waits(just_under(20)).expect_nothing();
        peer.waits(Duration::from_nanos(1));
        expect_our_ping(&mut peer);
        peer.expect_nothing();
    }
}

#[test]
fn a_pong_tells_the_round_trip_and_starts_the_interval_again() {
    for role in ROLES {
        let mut peer = Peer::of(role, keepalive());
        for _ in 0..5 {
            assert_eq!(peer.waits_for_timeout(), seconds(20));
            let sent = expect_our_ping(&mut peer);
            peer.waits(Duration::from_millis(35)).sends(pong(&sent.payload));
            let (payload, round_trip) = peer.expect_pong();
            assert_eq!((payload, round_trip), (sent.payload, Some(Duration::from_millis(35))));
            assert_eq!(peer.connection().round_trip(), round_trip);
        }
        peer.expect_state(State::Open);
    }
}

#[test]
fn anything_that_arrives_counts_as_life() {
    let half = text("x").declaring(100);
    for frame in [text("hi"), binary([]), pong("unsolicited"), text("part").more(), half] {
        let mut peer = Peer::of_server(keepalive());
        peer.waits(seconds(19)).sends(frame);
        peer.waits(seconds(19));
        assert_eq!(peer.next_frame(), None, "the peer was heard 19 s ago");
        peer.waits(seconds(1));
        expect_our_ping(&mut peer);
        // What was delivered is not what this is about.
        peer.discards_events();
    }
}

#[test]
fn data_instead_of_a_pong_saves_the_peer() {
    let mut peer = Peer::of_server(keepalive());
    peer.waits(seconds(20));
    expect_our_ping(&mut peer);
    peer.waits(seconds(9)).sends(text("busy")).expect_message("busy");
    peer.waits(seconds(19)).expect_nothing().expect_state(State::Open);
    peer.waits(seconds(1));
    expect_our_ping(&mut peer);
}

#[test]
fn a_byte_of_a_frame_instead_of_a_pong_saves_the_peer() {
    let mut peer = Peer::of_client(keepalive());
    peer.waits(seconds(20));
    expect_our_ping(&mut peer);
    peer.waits(seconds(9)).sends_bytes(&[0x82]);
    peer.waits(seconds(19)).expect_state(State::Open).expect_nothing();
    peer.sends_bytes(&[0x00]).expect_message(&[]);
}

#[test]
fn a_peer_that_stays_silent_is_given_up_without_a_close() {
    for role in ROLES {
        let mut peer = Peer::of(role, keepalive());
        peer.waits(seconds(20));
        expect_our_ping(&mut peer);
        peer.waits(just_under(10)).expect_state(State::Open);
        peer.waits(Duration::from_nanos(1)).expect_state(State::Closed).expect_nothing();
        peer.expect_closed(1006, "", ClosedBy::Us);
        assert_eq!(peer.connection().failure(), Some(Failure::Timeout(Phase::Keepalive)));
        assert_eq!(peer.connection().teardown(), Teardown::Disconnect);
        assert_eq!(peer.connection().poll_timeout(), None);
    }
}

#[test]
fn our_own_messages_are_no_sign_of_the_peers_life() {
    let mut peer = Peer::of_server(keepalive());
    peer.waits(seconds(19));
    peer.calls(|us, _| us.send(Message::from("anybody there?"))).unwrap();
    peer.expect_frame(text("anybody there?"));
    peer.waits(seconds(1));
    expect_our_ping(&mut peer);
}

#[test]
fn a_pong_of_another_ping_has_no_round_trip() {
    let mut peer = Peer::of_server(keepalive());
    peer.sends(pong("out of the blue"));
    assert_eq!(peer.expect_pong(), (b"out of the blue".to_vec(), None));
    peer.waits(seconds(20));
    let sent = expect_our_ping(&mut peer);
    peer.sends(pong("not that one"));
    assert_eq!(peer.expect_pong().1, None);
    peer.waits(seconds(1)).sends(pong(&sent.payload));
    assert_eq!(peer.expect_pong().1, Some(seconds(1)));
    peer.sends(pong(&sent.payload));
    assert_eq!(peer.expect_pong().1, None, "a Ping is answered once");
}

#[test]
fn a_ping_asked_for_tells_the_round_trip_too() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.calls(Connection::ping).unwrap();
        let sent = expect_our_ping(&mut peer);
        peer.waits(Duration::from_micros(250)).sends(pong(&sent.payload));
        assert_eq!(peer.expect_pong().1, Some(Duration::from_micros(250)));
    }
}

#[test]
fn a_second_ping_waits_for_the_pong_of_the_first() {
    let mut peer = Peer::of_server(quiet());
    peer.calls(Connection::ping).unwrap();
    let sent = expect_our_ping(&mut peer);
    peer.calls(Connection::ping).unwrap();
    peer.expect_nothing();
    peer.sends(pong(&sent.payload));
    assert!(peer.expect_pong().1.is_some());
    peer.calls(Connection::ping).unwrap();
    assert_ne!(expect_our_ping(&mut peer).payload, sent.payload, "each Ping can be told from the others");
}

#[test]
fn without_keepalive_silence_is_no_matter() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        assert_eq!(peer.connection().poll_timeout(), None);
        peer.waits(seconds(1_000_000)).expect_nothing().expect_state(State::Open);
    }
}

#[test]
fn a_closing_connection_is_not_pinged() {
    let config = Config { close_timeout: seconds(100), ..keepalive() };
    let mut peer = Peer::of_server(config);
    peer.calls(|us, now| us.close(CloseCode::NORMAL, "", now)).unwrap();
    peer.expect_frame(close(1000, ""));
    peer.waits(seconds(99)).expect_nothing();
}
