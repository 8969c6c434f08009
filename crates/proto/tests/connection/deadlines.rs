//! Deadlines that come without any input: unfinished messages, blocked writes, endless closings.

use super::*;

#[test]
fn an_unfinished_message_is_refused_at_its_deadline_without_new_input() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.sends(text("Hel").more());
        peer.waits(just_under(60)).expect_nothing();
        peer.waits(Duration::from_nanos(1)).expect_close_frame(1008).expect_state(State::Closing);
        peer.expect_closed(1008, ProtocolError::MessageTooSlow.reason(), ClosedBy::Us);
        assert_eq!(peer.connection().failure(), Some(Failure::Protocol(ProtocolError::MessageTooSlow)));
        peer.sends(continuation("lo")).expect_nothing();
    }
}

#[test]
fn an_unfinished_frame_is_refused_at_its_deadline() {
    let frame = text("Hello, world");
    for role in ROLES {
        let bytes = frame.encode(role.peer());
        for len in 1..bytes.len() {
            let mut peer = Peer::of(role, quiet());
            peer.sends_bytes(&bytes[..len]);
            assert_eq!(peer.waits_for_timeout(), seconds(60), "{len} bytes of {role:?}");
            peer.expect_close_frame(1008);
        }
    }
}

#[test]
fn a_message_that_trickles_is_refused_however_steadily_it_does() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        let bytes = binary([7; 1000]).encode(role.peer());
        for byte in &bytes[..60] {
            peer.sends_bytes(&[*byte]).waits(seconds(1));
        }
        peer.expect_close_frame(1008);
    }
}

#[test]
fn fragments_and_pings_do_not_put_the_deadline_off() {
    let mut peer = Peer::of_server(quiet());
    peer.sends(binary([0]).more());
    for _ in 0..59 {
        peer.waits(seconds(1)).sends(continuation([1]).more()).sends(ping("x"));
        peer.expect_ping("x").expect_frame(pong("x"));
    }
    peer.waits(seconds(1)).expect_close_frame(1008);
}

#[test]
fn each_message_has_its_own_deadline() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        for _ in 0..10 {
            peer.sends(text("Hel").more()).waits(seconds(50));
            peer.sends(continuation("lo")).expect_message("Hello");
            assert_eq!(peer.connection().poll_timeout(), None);
        }
    }
}

#[test]
fn a_message_in_the_piece_that_ends_another_has_its_own_deadline() {
    let mut peer = Peer::of_client(quiet());
    peer.sends(text("one").more()).waits(seconds(40));
    let both = [continuation("!").encode(Role::Server), text("two").more().encode(Role::Server)].concat();
    peer.sends_bytes(&both).expect_message("one!");
    peer.waits(seconds(59)).expect_nothing();
    peer.waits(seconds(1)).expect_close_frame(1008);
}

#[test]
fn a_ping_that_never_ends_is_refused_too() {
    let mut peer = Peer::of_server(quiet());
    peer.sends(ping("half").declaring(10));
    assert_eq!(peer.waits_for_timeout(), seconds(60));
    peer.expect_close_frame(1008);
}

#[test]
fn a_close_that_is_never_answered_ends_at_its_deadline() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "bye", now)).unwrap();
        peer.expect_frame(close(1000, "bye"));
        assert_eq!(peer.waits_for_timeout(), seconds(5));
        peer.expect_state(State::Closed).expect_closed(1000, "bye", ClosedBy::Us);
        assert_eq!(peer.connection().failure(), Some(Failure::Timeout(Phase::Close)));
        assert_eq!(peer.connection().poll_timeout(), None);
    }
}

#[test]
fn data_does_not_put_the_closing_deadline_off() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.calls(|us, now| us.close(CloseCode::NORMAL, "", now)).unwrap();
        peer.expect_frame(close(1000, ""));
        for _ in 0..4 {
            peer.waits(seconds(1)).sends(text("still talking")).expect_message("still talking");
        }
        peer.waits(seconds(1)).expect_state(State::Closed);
    }
}

#[test]
fn a_client_does_not_wait_for_ever_for_the_server_to_end_the_transport() {
    let mut server = Peer::of_client(quiet());
    server.sends(close(1000, "")).expect_close(1000, "").expect_close_frame(1000);
    assert_eq!(server.waits_for_timeout(), seconds(5));
    server.expect_state(State::Closed);
    assert_eq!(server.connection().failure(), None, "both have closed: a clean end");
}

#[test]
fn a_close_that_cannot_be_written_ends_at_the_closing_deadline() {
    let mut peer = Peer::of_server(quiet());
    peer.stops_reading().sends(text([0xff]));
    assert_eq!(peer.waits_for_timeout(), seconds(5));
    peer.expect_state(State::Closed);
    assert_eq!(peer.connection().failure(), Some(Failure::Protocol(ProtocolError::InvalidUtf8)));
    let violation = stentor_proto::Event::Violation(ProtocolError::InvalidUtf8);
    peer.reads_again().expect_event(&violation).expect_nothing();
}

#[test]
fn after_a_violation_the_peer_has_until_the_closing_deadline_to_go() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.sends(continuation("x")).expect_violation(ProtocolError::UnexpectedContinuation);
        assert_eq!(peer.waits_for_timeout(), seconds(5));
        peer.expect_state(State::Closed);
    }
}

#[test]
fn a_transport_that_takes_nothing_is_given_up() {
    for role in ROLES {
        let mut peer = Peer::of(role, quiet());
        peer.stops_reading();
        peer.calls(|us, _| us.send(Message::from("stuck"))).unwrap();
        assert_eq!(peer.waits_for_timeout(), seconds(30));
        peer.expect_state(State::Closed).expect_closed(1006, "", ClosedBy::Us);
        assert_eq!(peer.connection().failure(), Some(Failure::Timeout(Phase::Write)));
        assert!(!peer.connection().has_transmit(), "what waited is given up as well");
        assert_eq!(peer.connection().poll_timeout(), None);
    }
}

#[test]
fn a_transport_that_takes_a_byte_now_and_then_is_not() {
    let mut peer = Peer::of_server(quiet());
    peer.stops_reading();
    peer.calls(|us, _| us.send(Message::from("slow but steady"))).unwrap();
    let len = text("slow but steady").encode(Role::Server).len();
    for _ in 1..len {
        peer.waits(seconds(29)).reads(1).expect_state(State::Open);
    }
    peer.reads_again().expect_frame(text("slow but steady"));
    assert_eq!(peer.connection().poll_timeout(), None);
}

#[test]
fn a_transport_that_holds_back_what_it_took_has_the_same_deadline() {
    let mut peer = Peer::of_server(quiet());
    peer.calls(|us, _| us.send(Message::from("taken"))).unwrap();
    peer.expect_frame(text("taken"));
    peer.calls(Connection::transmit_blocked);
    peer.waits(seconds(29)).calls(|us, _| us.transmit_unblocked());
    assert_eq!(peer.connection().poll_timeout(), None);
    peer.calls(Connection::transmit_blocked);
    peer.waits(seconds(29)).expect_state(State::Open);
    peer.waits(seconds(1)).expect_state(State::Closed);
    assert_eq!(peer.connection().failure(), Some(Failure::Timeout(Phase::Write)));
}

#[test]
fn what_is_received_does_not_put_the_write_deadline_off() {
    let mut peer = Peer::of_server(quiet());
    peer.stops_reading();
    peer.calls(|us, _| us.send(Message::from("stuck"))).unwrap();
    for _ in 0..29 {
        peer.waits(seconds(1)).sends(text("talking")).expect_message("talking");
    }
    peer.waits(seconds(1)).expect_state(State::Closed);
}

#[test]
fn timeouts_that_are_not_due_do_nothing() {
    for role in ROLES {
        let mut peer = Peer::of(role, Config::default());
        peer.sends(text("half").more());
        for _ in 0..100 {
            peer.calls(Connection::handle_timeout);
        }
        peer.expect_nothing().expect_state(State::Open);
    }
}
