//! Bytes that are no frames, or frames with a bit turned: no panic, no memory, one Close.

use super::*;
use stentor_proto::State;
use stentor_testkit::frame::{Frame, binary, close, continuation, ping, text};

/// Xorshift: the same rubbish on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Whatever happened: a violation has sent exactly one Close, with its code, and nothing behind it.
fn assert_ended_well(victim: &mut Victim, role: Role) {
    let mut written = victim.write();
    let mut last = None;
    while let Some(frame) = Frame::decode(&mut written, role) {
        assert!(last.as_ref().is_none_or(|last: &Frame| last.opcode != 0x8), "{frame:?} after a Close");
        last = Some(frame);
    }
    assert!(written.is_empty(), "half a frame");
    if let Some(error) = victim.violation {
        let close = last.expect("a violation sends a Close");
        assert_eq!(close.close_code_and_reason().0, u16::from(error.close_code()));
        assert_ne!(victim.connection.state(), State::Open);
        assert!(victim.inbox.is_empty(), "bytes after a violation are not kept");
    }
}

#[test]
fn random_bytes_end_the_connection_with_one_close_and_hold_nothing() {
    let mut random = Random(0x0bad_5eed);
    let mut ended = 0;
    for round in 0..20_000 {
        let role = if round % 2 == 0 { Role::Client } else { Role::Server };
        let bytes: Vec<u8> = (0..random.next() % 200).map(|_| random.byte()).collect();
        let info = measure(|| {
            let mut victim = Victim::new(role, Config::default());
            victim.reads = false;
            for piece in bytes.chunks(1 + round % 7) {
                victim.receive(piece);
            }
            assert_ended_well(&mut victim, role);
            ended += u32::from(victim.violation.is_some());
        });
        assert!(info.bytes_max <= SLACK, "round {round}: {info:?}");
    }
    assert!(ended > 15_000, "only {ended} of the 20,000 were noticed");
}

#[test]
fn good_frames_with_a_bit_turned_never_get_past_the_rules() {
    let mut random = Random(0xb17_f11b);
    for round in 0..20_000 {
        let role = if round % 2 == 0 { Role::Client } else { Role::Server };
        let frames = [
            text("κόσμε"),
            binary(vec![0x55; 130]),
            text("Hel").more(),
            ping("between"),
            continuation("lo"),
            close(1000, "bye"),
        ];
        let mut bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(role.peer())).collect();
        for _ in 0..=random.next() % 3 {
            let at = random.next() % bytes.len();
            bytes[at] ^= 1 << (random.next() % 8);
        }
        let mut victim = Victim::new(role, Config::default());
        victim.reads = false;
        for piece in bytes.chunks(1 + random.next() % bytes.len()) {
            victim.receive(piece);
        }
        assert_ended_well(&mut victim, role);
    }
}

#[test]
fn nothing_that_follows_a_violation_costs_memory_or_work() {
    let mut victim = Victim::new(Role::Server, unlimited());
    victim.receive(&text("bad").rsv(0b100).encode(Role::Client));
    assert_eq!(victim.violation, Some(ProtocolError::ReservedBits(0b100)));
    let flood = binary(vec![0; 10_000]).encode(Role::Client);
    let info = measure(|| {
        for _ in 0..1000 {
            victim.receive(&flood);
        }
    });
    assert_eq!(victim.events, 1, "nothing but the violation");
    assert!(info.bytes_max <= SLACK, "{info:?}");
}
