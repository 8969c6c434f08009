//! Floods of control frames (RFC 6455 §5.5.2, §5.5.3, §10.4).

use super::*;
use stentor_testkit::frame::{Frame, ping, pong};

#[test]
fn a_million_pings_to_a_peer_that_cannot_write_leave_one_pong() {
    for role in [Role::Client, Role::Server] {
        let info = measure(|| {
            let mut victim = Victim::new(role, unlimited());
            victim.reads = false;
            victim.receive_repeatedly(&ping([b'p'; 100]).encode(role.peer()), 999_999);
            victim.receive(&ping("the last one").encode(role.peer()));
            assert_eq!((victim.violation, victim.events), (None, 1_000_000));
            let mut written = victim.write();
            assert_eq!(Frame::decode(&mut written, role), Some(pong("the last one")));
            assert!(written.is_empty(), "a second frame was sent");
        });
        assert!(info.bytes_max <= SLACK, "{role:?}: {info:?}");
    }
}

#[test]
fn pings_to_a_peer_that_cannot_write_cost_linear_work() {
    let attack = |count: usize| {
        let mut victim = Victim::new(Role::Server, unlimited());
        victim.reads = false;
        victim.receive_repeatedly(&ping("flood").encode(Role::Client), count);
        assert_eq!(victim.events, count as u64);
    };
    assert_linear(attack, 20_000);
}

#[test]
fn a_flood_of_control_frames_is_refused_with_1008() {
    for flood in [ping("x"), pong("x"), ping([0; 125]), pong([])] {
        for role in [Role::Client, Role::Server] {
            let mut victim = Victim::new(role, Config::default());
            victim.receive_repeatedly(&flood.encode(role.peer()), 1000);
            assert_eq!((victim.violation, victim.events), (None, 1000));
            victim.receive(&flood.encode(role.peer()));
            assert_eq!(victim.violation, Some(ProtocolError::TooManyControlFrames));
        }
    }
}

#[test]
fn control_frames_below_the_rate_go_on_for_ever() {
    let mut victim = Victim::new(Role::Server, Config { keepalive: None, ..Config::default() });
    let bytes = ping("x").encode(Role::Client);
    for _ in 0..100 {
        victim.receive_repeatedly(&bytes, 500);
        victim.now += Duration::from_secs(1);
    }
    assert_eq!((victim.violation, victim.events), (None, 50_000));
}
