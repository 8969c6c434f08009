//! Lengths that lie, overflow or add up to too much (RFC 6455 §5.2, §10.4).

use super::*;
use stentor_testkit::frame::{Frame, LengthForm, binary, continuation, frame, text};

const KIB: u64 = 1 << 10;

#[test]
fn a_declared_length_allocates_nothing() {
    for role in [Role::Client, Role::Server] {
        for declared in [1 << 20, 1 << 31, 1 << 32, (1 << 63) - 1] {
            let info = measure(|| {
                let config =
                    Config { max_frame_size: usize::MAX, max_message_size: usize::MAX, ..Config::default() };
                let mut victim = Victim::new(role, config);
                victim.receive(&binary([7; 1000]).declaring(declared).encode(role.peer()));
                assert_eq!((victim.violation, victim.events), (None, 0));
            });
            assert!(info.bytes_max < READ_BUFFER as u64 + 16 * KIB, "{role:?}, {declared}: {info:?}");
        }
    }
}

#[test]
fn a_declared_length_over_the_limit_is_refused_before_its_payload() {
    for role in [Role::Client, Role::Server] {
        let info = measure(|| {
            let mut victim = Victim::new(role, Config::default());
            victim.receive(&binary([]).declaring((1 << 20) + 1).encode(role.peer()));
            assert_eq!(victim.violation, Some(ProtocolError::FrameTooLarge));
        });
        assert!(info.bytes_max < READ_BUFFER as u64 + 4 * KIB, "{role:?}: {info:?}");
    }
}

#[test]
fn fragments_under_the_frame_limit_do_not_pass_the_message_limit() {
    const LIMIT: usize = 256 << 10;
    let first = binary(vec![0; 60_000]).more().encode(Role::Client);
    let next = continuation(vec![0; 60_000]).more().encode(Role::Client);
    let info = measure(|| {
        let config = Config { max_frame_size: 64 << 10, max_message_size: LIMIT, ..Config::default() };
        let mut victim = Victim::new(Role::Server, config);
        victim.receive(&first);
        for _ in 0..20 {
            victim.receive(&next);
        }
        assert_eq!(victim.violation, Some(ProtocolError::MessageTooLarge));
        assert_eq!(victim.events, 1, "nothing but the violation");
    });
    assert!(info.bytes_max < (LIMIT + LIMIT / 2) as u64 + SLACK, "{info:?}");
}

#[test]
fn a_frame_that_arrives_slowly_holds_what_has_arrived_and_no_multiple_of_it() {
    let piece = vec![7; 1000];
    let header = binary([]).declaring(16 << 20).encode(Role::Server);
    let info = measure(|| {
        let config = Config { max_frame_size: 16 << 20, max_message_size: 16 << 20, ..Config::default() };
        let mut victim = Victim::new(Role::Client, config);
        victim.receive(&header);
        for _ in 0..1000 {
            victim.receive(&piece);
        }
        assert_eq!((victim.violation, victim.events), (None, 0));
    });
    // 1 MB has arrived; a doubling buffer is at most twice that, beside its old half.
    assert!(info.bytes_max < 3_000_000 + SLACK, "{info:?}");
}

/// What RFC 6455 says of a header, by the tables of §5.2 and §5.5 and the order of its bytes.
fn verdict(frame: &Frame, limit: u64) -> Option<ProtocolError> {
    let length = frame.declared.unwrap_or(0);
    let minimal = match frame.length {
        LengthForm::Minimal => true,
        LengthForm::Two => length > 125,
        LengthForm::Eight => length > 0xffff,
    };
    let short = frame.length == LengthForm::Minimal && length <= 125;
    match frame.opcode {
        0x3..=0x7 | 0xb..=0xf => Some(ProtocolError::ReservedOpcode(frame.opcode)),
        0x8..=0xa if !short => Some(ProtocolError::ControlFrameTooLong),
        _ if length >> 63 == 1 => Some(ProtocolError::LengthTopBit),
        _ if !minimal => Some(ProtocolError::LengthNotMinimal),
        0x0 => Some(ProtocolError::UnexpectedContinuation),
        0x1 | 0x2 if length > limit => Some(ProtocolError::FrameTooLarge),
        _ => None,
    }
}

#[test]
fn every_opcode_length_form_and_boundary_is_judged_by_the_rfc() {
    let boundaries = [0, 125, 126, 0xffff, 0x1_0000, 1 << 20, 1 << 31, 1 << 32, 1 << 63, u64::MAX];
    let lengths = boundaries.into_iter().flat_map(|at| [at.wrapping_sub(1), at, at.wrapping_add(1)]);
    let mut judged = 0;
    for length in lengths {
        for opcode in 0..16 {
            for form in [LengthForm::Minimal, LengthForm::Two, LengthForm::Eight] {
                if form == LengthForm::Two && length > 0xffff {
                    continue;
                }
                for role in [Role::Client, Role::Server] {
                    let header = frame(opcode, []).length(form).declaring(length);
                    let mut expected = verdict(&header, 1 << 20);
                    let mut victim = Victim::new(role, Config::default());
                    if opcode == 0 {
                        // With a message to continue, a continuation is judged like any other.
                        victim.receive(&text("").more().encode(role.peer()));
                        if expected == Some(ProtocolError::UnexpectedContinuation) {
                            expected = (length > 1 << 20).then_some(ProtocolError::FrameTooLarge);
                        }
                    }
                    victim.receive(&header.encode(role.peer()));
                    assert_eq!(victim.violation, expected, "{role:?}: {header:?}");
                    judged += 1;
                }
            }
        }
    }
    // Of the thirty lengths, twelve fit in two bytes.
    assert_eq!(judged, 2 * 16 * (30 * 2 + 12));
}
