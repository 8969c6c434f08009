//! The closing handshake: who, with what, and what becomes of the transport (RFC 6455 §7).

use super::*;

#[test]
fn the_peer_closes_a_server_and_the_server_ends_the_transport() {
    let mut client = Peer::of_server(quiet());
    client.sends(close(1000, "bye")).expect_close(1000, "bye").expect_close_frame(1000);
    client.expect_closed(1000, "bye", ClosedBy::Peer).expect_state(State::Closed);
    assert_eq!(client.connection().teardown(), Teardown::Disconnect);
    assert_eq!(client.connection().failure(), None);
    assert_eq!(client.connection().poll_timeout(), None);
}

#[test]
fn the_peer_closes_a_client_and_the_client_leaves_the_transport_to_it() {
    // §7.1.1: "the server MUST close the underlying TCP connection immediately", a client waits.
    let mut server = Peer::of_client(quiet());
    server.sends(close(1001, "going")).expect_close(1001, "going").expect_close_frame(1001);
    server.expect_closed(1001, "going", ClosedBy::Peer).expect_state(State::Closing);
    assert_eq!(server.connection().teardown(), Teardown::Keep);
    server.ends().expect_state(State::Closed);
    assert_eq!(server.connection().teardown(), Teardown::Disconnect);
    assert_eq!(server.connection().failure(), None);
}

#[test]
fn a_server_closes_and_ends_the_transport_when_the_peer_has_closed_too() {
    let mut client = Peer::of_server(quiet());
    client.calls(|server, now| server.close(CloseCode::GOING_AWAY, "restart", now)).unwrap();
    client.expect_frame(close(1001, "restart")).expect_state(State::Closing);
    assert_eq!(client.connection().teardown(), Teardown::Keep);
    client.sends(close(1001, "restart")).expect_close(1001, "restart");
    client.expect_closed(1001, "restart", ClosedBy::Us).expect_state(State::Closed);
}

#[test]
fn a_client_closes_and_waits_for_the_server_to_end_the_transport() {
    let mut server = Peer::of_client(quiet());
    server.calls(|client, now| client.close(CloseCode::NORMAL, "done", now)).unwrap();
    server.expect_frame(close(1000, "done"));
    server.sends(close(1000, "")).expect_close(1000, "").expect_state(State::Closing);
    server.expect_closed(1000, "done", ClosedBy::Us);
    server.ends().expect_state(State::Closed);
    assert_eq!(server.connection().failure(), None);
}

#[test]
fn a_server_keeps_the_transport_until_its_answer_is_written() {
    let mut client = Peer::of_server(quiet());
    client.stops_reading();
    client.sends(close(1000, "")).expect_close(1000, "").expect_state(State::Closing);
    assert_eq!(client.connection().teardown(), Teardown::Keep);
    client.reads(3).expect_state(State::Closing);
    client.reads_again().expect_close_frame(1000).expect_state(State::Closed);
}

#[test]
fn both_close_at_once_and_each_sends_one_close() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.stops_reading();
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "ours", now)).unwrap();
        peer.sends(close(1001, "theirs")).expect_close(1001, "theirs");
        peer.reads_again().expect_frame(close(1000, "ours")).expect_nothing();
        peer.expect_closed(1000, "ours", ClosedBy::Us);
        let received = peer.connection().close_received().map(|close| close.code);
        let sent = peer.connection().close_sent().map(|close| close.code);
        assert_eq!((received, sent), (Some(CloseCode::GOING_AWAY), Some(CloseCode::NORMAL)));
    }
}

#[test]
fn a_close_without_a_code_is_answered_without_one() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.sends(close_without_code()).expect_close(1005, "").expect_frame(close_without_code());
        peer.expect_closed(1005, "", ClosedBy::Peer);
    }
}

#[test]
fn nothing_is_sent_after_a_close() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "", now)).unwrap();
        peer.expect_frame(close(1000, ""));
        assert_eq!(peer.calls(|us, _| us.send(Message::from("late"))), Err(Misuse::NotOpen));
        assert_eq!(peer.calls(Connection::ping), Err(Misuse::NotOpen));
        assert_eq!(peer.calls(|us, now| us.close(CloseCode::NORMAL, "", now)), Err(Misuse::NotOpen));
        peer.expect_nothing();

        let mut peer = Peer::of(role, quiet());
        peer.sends(close(1000, "")).expect_close(1000, "").expect_close_frame(1000);
        assert_eq!(peer.calls(|us, _| us.send(Message::from("late"))), Err(Misuse::NotOpen));
        assert_eq!(peer.calls(|us, now| us.close(CloseCode::NORMAL, "", now)), Err(Misuse::NotOpen));
        peer.expect_nothing();
    }
}

#[test]
fn codes_and_reasons_that_may_not_be_sent_are_refused_and_nothing_happens() {
    let mut peer = Peer::of_server(quiet());
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map(CloseCode::from) {
        let refused = peer.calls(|us, now| us.close(code, "", now));
        assert_eq!(refused, Err(Misuse::UnsendableCloseCode(code)));
    }
    let too_long = "r".repeat(124);
    let refused = peer.calls(|us, now| us.close(CloseCode::NORMAL, &too_long, now));
    assert_eq!(refused, Err(Misuse::ReasonTooLong));
    peer.expect_nothing().expect_state(State::Open);

    let reason = "r".repeat(123);
    peer.calls(|us, now| us.close(CloseCode::from(4999), &reason, now)).unwrap();
    peer.expect_frame(close(4999, &reason));
}

#[test]
fn a_violation_writes_its_close_then_ends_the_writing_and_waits_for_the_peer() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.stops_reading().sends(text([0xff]));
        assert_eq!(peer.connection().teardown(), Teardown::Keep, "the Close has to leave first");
        peer.reads_again().expect_violation(ProtocolError::InvalidUtf8).expect_state(State::Closing);
        peer.expect_closed(1007, ProtocolError::InvalidUtf8.reason(), ClosedBy::Us);
        assert_eq!(peer.connection().teardown(), Teardown::FinishWriting);
        peer.sends(close(1007, "")).sends(ping("ignored")).expect_nothing();
        peer.ends().expect_state(State::Closed);
        assert_eq!(peer.connection().failure(), Some(Failure::Protocol(ProtocolError::InvalidUtf8)));
    }
}

#[test]
fn a_violation_while_closing_sends_no_second_close() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "ours", now)).unwrap();
        peer.expect_frame(close(1000, "ours"));
        peer.sends(text("x").rsv(0b100));
        peer.expect_event(&stentor_proto::Event::Violation(ProtocolError::ReservedBits(0b100)))
            .expect_nothing();
        peer.expect_closed(1000, "ours", ClosedBy::Us);
        let failure = Failure::Protocol(ProtocolError::ReservedBits(0b100));
        assert_eq!(peer.connection().failure(), Some(failure));
    }
}

#[test]
fn a_transport_that_ends_without_a_close_is_1006() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.sends(text("half").declaring(10)).ends();
        peer.expect_closed(1006, "", ClosedBy::Peer).expect_state(State::Closed).expect_nothing();
        assert_eq!(peer.connection().failure(), Some(Failure::Disconnected));
        assert_eq!(peer.connection().poll_timeout(), None);
    }
}

#[test]
fn a_transport_that_ends_while_bytes_wait_is_over_and_has_no_deadlines_left() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.stops_reading();
        peer.calls(|us, _| us.send(Message::from("never arrives"))).unwrap();
        peer.ends().expect_state(State::Closed);
        assert_eq!(peer.connection().poll_timeout(), None);
    }
}

#[test]
fn a_transport_that_ends_before_the_peers_close_is_no_clean_end() {
    // §7.1.4: "cleanly" is only what "the closing handshake was completed" for.
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "bye", now)).unwrap();
        peer.expect_frame(close(1000, "bye"));
        peer.ends().expect_state(State::Closed);
        peer.expect_closed(1000, "bye", ClosedBy::Us);
        assert_eq!(peer.connection().failure(), Some(Failure::Disconnected));
    }
}

#[test]
fn messages_arrive_until_the_peers_close_does() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.sends(text("Hel").more());
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "", now)).unwrap();
        peer.expect_frame(close(1000, ""));
        peer.sends(continuation("lo")).expect_message("Hello");
        peer.sends(binary([1, 2])).expect_message(&[1, 2]);
        peer.sends(close(1000, "")).expect_close(1000, "");
        peer.sends(text("too late")).expect_nothing();
    }
}

#[test]
fn a_ping_that_crosses_our_close_is_still_answered() {
    // §5.5.2: a Pong is due "unless it already received a Close frame"; §5.5.1 only forbids data.
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "", now)).unwrap();
        peer.expect_frame(close(1000, ""));
        peer.sends(ping("crossed")).expect_ping("crossed").expect_frame(pong("crossed"));
    }
}
