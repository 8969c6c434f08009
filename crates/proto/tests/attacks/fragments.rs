//! A message in very many fragments, tiny or empty (RFC 6455 §5.4, §10.4).

use super::*;
use stentor_testkit::frame::{binary, continuation, text};

#[test]
fn a_million_empty_fragments_are_refused_with_1008() {
    for role in [Role::Client, Role::Server] {
        let info = measure(|| {
            let mut victim = Victim::new(role, Config::default());
            victim.receive(&text("").more().encode(role.peer()));
            victim.receive_repeatedly(&continuation("").more().encode(role.peer()), 1_000_000);
            assert_eq!(victim.violation, Some(ProtocolError::TooManyEmptyFragments));
            assert_eq!(victim.events, 1, "nothing but the violation");
        });
        assert!(info.bytes_max <= SLACK, "{role:?}: {info:?}");
    }
}

#[test]
fn a_million_fragments_of_one_byte_are_refused_with_1008() {
    for role in [Role::Client, Role::Server] {
        let info = measure(|| {
            let mut victim = Victim::new(role, Config::default());
            victim.receive(&binary([0]).more().encode(role.peer()));
            victim.receive_repeatedly(&continuation([0]).more().encode(role.peer()), 1_000_000);
            assert_eq!(victim.violation, Some(ProtocolError::TooManyFragments));
        });
        assert!(info.bytes_max <= SLACK, "{role:?}: {info:?}");
    }
}

#[test]
fn a_million_empty_fragments_hold_no_memory_even_where_they_are_allowed() {
    let info = measure(|| {
        let mut victim = Victim::new(Role::Server, unlimited());
        victim.receive(&text("").more().encode(Role::Client));
        victim.receive_repeatedly(&continuation("").more().encode(Role::Client), 1_000_000);
        assert_eq!((victim.violation, victim.events), (None, 0));
    });
    assert!(info.bytes_max <= SLACK, "{info:?}");
}

#[test]
fn fragments_of_one_byte_take_the_memory_of_their_bytes_even_where_they_are_allowed() {
    const LIMIT: usize = 1 << 20;
    let info = measure(|| {
        let config = Config { max_message_size: LIMIT, ..unlimited() };
        let mut victim = Victim::new(Role::Server, config);
        victim.receive(&binary([0]).more().encode(Role::Client));
        victim.receive_repeatedly(&continuation([0]).more().encode(Role::Client), LIMIT);
        assert_eq!(victim.violation, Some(ProtocolError::MessageTooLarge));
    });
    // While the buffer doubles for the last time, its old half is still there.
    let bound = (LIMIT + LIMIT / 2) as u64 + SLACK;
    assert!(info.bytes_max <= bound, "{info:?}");
    assert!(info.count_total < 500, "buffers are grown, not made for each fragment: {info:?}");
}

#[test]
fn many_fragments_of_a_text_cost_linear_work() {
    let attack = |bytes: usize| {
        let config = Config { max_message_size: 4 << 20, ..unlimited() };
        let mut victim = Victim::new(Role::Server, config);
        let piece = "ναι ".repeat(9) + "a";
        assert_eq!(piece.len(), 64);
        victim.receive(&text(&piece).more().encode(Role::Client));
        victim.receive_repeatedly(&continuation(&piece).more().encode(Role::Client), bytes / 64 - 2);
        victim.receive(&continuation(&piece).encode(Role::Client));
        assert_eq!((victim.violation, victim.events), (None, 1));
    };
    assert_linear(attack, 1 << 20);
}

#[test]
fn empty_fragments_cost_linear_work() {
    let attack = |count: usize| {
        let mut victim = Victim::new(Role::Client, unlimited());
        victim.receive(&text("").more().encode(Role::Server));
        victim.receive_repeatedly(&continuation("").more().encode(Role::Server), count);
        victim.receive(&continuation("").encode(Role::Server));
        assert_eq!((victim.violation, victim.events), (None, 1));
    };
    assert_linear(attack, 50_000);
}

#[test]
fn a_text_frame_that_arrives_byte_by_byte_costs_linear_work() {
    let attack = |len: usize| {
        let mut victim = Victim::new(Role::Server, unlimited());
        for byte in text("é".repeat(len / 2)).encode(Role::Client) {
            victim.receive(&[byte]);
        }
        assert_eq!((victim.violation, victim.events), (None, 1));
    };
    // Below and above the size up to which a frame is waited for in the read buffer.
    assert_linear(attack, 3 << 10);
    assert_linear(attack, 100 << 10);
}
