//! A little compressed data that inflates to very much, or takes very long (RFC 7692 §8).

use super::*;
use stentor_proto::Message;
use stentor_testkit::frame::{binary, continuation};
use zlib_rs::{Deflate as Stream, DeflateFlush};

const LIMIT: usize = 1 << 20;
const RSV1: u8 = 0b100;

/// The payload of a message that inflates to so many zeros: at most a thousandth of them.
fn zeros(len: usize) -> Vec<u8> {
    let mut stream = Stream::new(9, false, 15);
    let mut out = vec![0; len / 900 + 100];
    stream.compress(&vec![0; len], &mut out, DeflateFlush::SyncFlush).expect("there is room");
    let len = usize::try_from(stream.total_out()).expect("a small number");
    assert_eq!(out[len - 4..len], [0x00, 0x00, 0xff, 0xff]);
    out.truncate(len - 4);
    out
}

fn limited() -> Config {
    Config { max_message_size: LIMIT, ..unlimited() }
}

/// Runs an attack with a read buffer of the attack's size, on a thread that has inflated nothing.
fn attack(role: Role, config: Config, bytes: &[u8], expected: Option<ProtocolError>) -> AllocationInfo {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut inbox = BytesMut::from(bytes);
            let now = Instant::now();
            measure(|| {
                let mut connection = connection(role, config, now).with_deflate(DeflateParams::default());
                let mut violation = None;
                while connection.has_work() || !inbox.is_empty() {
                    if let Some(Event::Violation(error)) = connection.receive(&mut inbox, now) {
                        violation = Some(error);
                    }
                }
                assert_eq!(violation, expected);
            })
        });
        thread.join().expect("no panic")
    })
}

#[test]
fn a_bomb_of_a_thousand_to_one_stops_at_the_limit() {
    for role in [Role::Client, Role::Server] {
        for inflated in [LIMIT + 1, 16 * LIMIT, 256 * LIMIT] {
            let payload = zeros(inflated);
            assert!(payload.len() <= inflated / 1000);
            let bytes = binary(payload).rsv(RSV1).encode(role.peer());
            let info = attack(role, limited(), &bytes, Some(ProtocolError::MessageTooLarge));
            // The decoder that the thread keeps from now on is among it.
            assert!(info.bytes_max <= LIMIT as u64 + SLACK, "{role:?}, {inflated}: {info:?}");
        }
    }
}

#[test]
fn a_bomb_in_fragments_stops_at_the_limit_too() {
    for role in [Role::Client, Role::Server] {
        let payload = zeros(16 * LIMIT);
        let mut pieces = payload.chunks(100);
        let mut bytes = binary(pieces.next().expect("a piece")).rsv(RSV1).more().encode(role.peer());
        bytes.extend(pieces.flat_map(|piece| continuation(piece).more().encode(role.peer())));
        let info = attack(role, limited(), &bytes, Some(ProtocolError::MessageTooLarge));
        assert!(info.bytes_max <= LIMIT as u64 + SLACK, "{role:?}: {info:?}");
    }
}

#[test]
fn a_message_of_exactly_the_limit_passes() {
    for role in [Role::Client, Role::Server] {
        let bytes = binary(zeros(LIMIT)).rsv(RSV1).encode(role.peer());
        let info = attack(role, limited(), &bytes, None);
        // Once its length is known, it is put together.
        assert!(info.bytes_max <= 2 * LIMIT as u64 + SLACK, "{role:?}: {info:?}");
        let mut inbox = BytesMut::from(&bytes[..]);
        let mut connection =
            connection(role, limited(), Instant::now()).with_deflate(DeflateParams::default());
        let event = loop {
            if let Some(event) = connection.receive(&mut inbox, Instant::now()) {
                break event;
            }
        };
        assert_eq!(event, Event::Message(Message::from(vec![0; LIMIT])));
    }
}

#[test]
fn a_small_limit_is_kept_as_well() {
    for limit in [0, 1, 1000, 8 << 10, 100_000] {
        let config = Config { max_message_size: limit, ..unlimited() };
        let bytes = binary(zeros(64 << 20)).rsv(RSV1).encode(Role::Client);
        let info = attack(Role::Server, config, &bytes, Some(ProtocolError::MessageTooLarge));
        assert!(info.bytes_max <= limit as u64 + SLACK, "{limit}: {info:?}");
    }
}

#[test]
fn one_bomb_after_another_holds_no_more_than_one() {
    let bytes = binary(zeros(LIMIT)).rsv(RSV1).encode(Role::Client).repeat(20);
    let info = attack(Role::Server, limited(), &bytes, None);
    // The last window of it stays, for the next may refer to that.
    assert!(info.bytes_max <= 2 * LIMIT as u64 + (32 << 10) + SLACK, "{info:?}");
}

#[test]
fn final_blocks_without_end_cost_linear_work() {
    let window = DeflateParams { client_max_window_bits: 12, ..DeflateParams::default() };
    let attack = |blocks: usize| {
        let mut victim = Victim::with_deflate(Role::Server, unlimited(), window);
        // A window full of history, which each block might refer to.
        victim.receive(&binary(zeros(100_000)).rsv(RSV1).encode(Role::Client));
        victim.receive(&binary([0x03, 0x00].repeat(blocks)).rsv(RSV1).encode(Role::Client));
        assert_eq!((victim.violation, victim.events), (None, 2));
    };
    // More than the read buffer in either case.
    assert_linear(attack, 20_000);
}

#[test]
fn empty_blocks_without_end_yield_nothing_and_hold_nothing() {
    let attack = |blocks: usize| {
        let mut victim = Victim::with_deflate(Role::Server, unlimited(), DeflateParams::default());
        victim.receive(&binary([]).rsv(RSV1).more().encode(Role::Client));
        let empty = continuation([0x00, 0x00, 0x00, 0xff, 0xff].repeat(100)).more();
        victim.receive_repeatedly(&empty.encode(Role::Client), blocks / 100);
        assert_eq!((victim.violation, victim.events), (None, 0));
    };
    assert_linear(attack, 20_000);
    let info = measure(|| attack(100_000));
    assert!(info.bytes_max <= 2 * SLACK, "{info:?}");
}

#[test]
fn compressed_fragments_of_one_byte_are_refused_with_1008() {
    for role in [Role::Client, Role::Server] {
        let info = measure(|| {
            let mut victim = Victim::with_deflate(role, Config::default(), DeflateParams::default());
            victim.receive(&binary([0x00]).rsv(RSV1).more().encode(role.peer()));
            let stored = [0x00, 0x00, 0xff, 0xff, 0x00].map(|byte| continuation([byte]).more());
            let bytes: Vec<u8> = stored.iter().flat_map(|frame| frame.encode(role.peer())).collect();
            victim.receive_repeatedly(&bytes, 1000);
            assert_eq!(victim.violation, Some(ProtocolError::TooManyFragments));
        });
        assert!(info.bytes_max <= 2 * SLACK, "{role:?}: {info:?}");
    }
}

#[test]
fn a_message_inflated_byte_by_byte_costs_linear_work() {
    let attack = |len: usize| {
        let mut victim = Victim::with_deflate(Role::Server, unlimited(), DeflateParams::default());
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        // Stored blocks: a byte of input is a byte of output.
        let noise: Vec<u8> = noise.take(len).collect();
        let stored = noise.chunks(0xffff).flat_map(|block| {
            let len = u16::try_from(block.len()).expect("it fits");
            [&[0x00], &len.to_le_bytes()[..], &(!len).to_le_bytes()[..], block].concat()
        });
        let payload: Vec<u8> = stored.chain([0x00]).collect();
        for byte in binary(payload).rsv(RSV1).encode(Role::Client) {
            victim.receive(&[byte]);
        }
        assert_eq!((victim.violation, victim.events), (None, 1));
    };
    assert_linear(attack, 50 << 10);
}

#[test]
fn rubbish_under_rsv1_ends_the_connection_and_holds_nothing() {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut refused = 0;
    for round in 0..5000 {
        let role = if round % 2 == 0 { Role::Client } else { Role::Server };
        let len = usize::try_from(random() % 300).expect("a small number");
        let payload: Vec<u8> = (0..len).map(|_| random().to_le_bytes()[3]).collect();
        let frame = binary(payload).rsv(RSV1);
        let info = measure(|| {
            let mut victim = Victim::with_deflate(role, Config::default(), DeflateParams::default());
            for piece in frame.encode(role.peer()).chunks(1 + round % 50) {
                victim.receive(piece);
            }
            refused += usize::from(victim.violation.is_some());
        });
        assert!(info.bytes_max <= 2 * SLACK, "round {round}: {info:?}");
    }
    assert!(refused > 4900, "only {refused} of 5,000 were noticed");
}
