//! Random messages, settings, parameters, fragments, flushes and pieces: whatever is sent arrives.
//!
//! `STENTOR_ROUNDS=100000` makes it a nightly run. A failure names its round, which comes back with
//! `STENTOR_FIRST_ROUND`.

use super::*;
use stentor_testkit::frame::frame;
use stentor_testkit::pair::Pair;
use zlib_rs::{Deflate as Stream, DeflateConfig, DeflateFlush};

fn rounds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().expect(name));
    let first = number("STENTOR_FIRST_ROUND").unwrap_or(0);
    first..first + number("STENTOR_ROUNDS").unwrap_or(2000)
}

/// Runs a round for each number, and says which one failed.
fn every_round(round: impl Fn(&mut Random) + std::panic::RefUnwindSafe) {
    for number in rounds() {
        let result = std::panic::catch_unwind(|| round(&mut Random::new(number)));
        if let Err(panic) = result {
            eprintln!("round {number} failed");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Splitmix, so that neighbouring rounds have nothing in common.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From 0 up to, but not including, `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Small numbers as likely as large ones.
    fn size(&mut self, most: usize) -> usize {
        let reach = 1 << self.below(1 + most.max(1).ilog2() as usize);
        self.below(reach + 1).min(most)
    }

    fn params(&mut self) -> DeflateParams {
        let mut bits = || 8 + u8::try_from(self.below(8)).unwrap();
        let (server_max_window_bits, client_max_window_bits) = (bits(), bits());
        DeflateParams {
            server_context_takeover: self.chance(2),
            client_context_takeover: self.chance(2),
            server_max_window_bits,
            client_max_window_bits,
        }
    }

    fn config(&mut self) -> Config {
        let deflate = Deflate {
            level: self.pick(&[1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9]),
            mem_level: 1 + u8::try_from(self.below(9)).unwrap(),
            threshold: self.pick(&[None, Some(0), Some(1), Some(64), Some(1024)]),
            ..full()
        };
        let fragment_size = self.chance(3).then(|| 1 + self.size(5000));
        Config { fragment_size, max_fragments: usize::MAX, ..config(deflate) }
    }

    fn compress(&mut self) -> Compress {
        self.pick(&[Compress::ByThreshold, Compress::ByThreshold, Compress::Always, Compress::Never])
    }

    /// Runs of what was there before, of a few words and of noise, as text or binary.
    fn message(&mut self) -> Message {
        const WORDS: [&str; 8] =
            ["", "a", "price", "κόσμε", "{\"id\":", "🦀🦀", "0000000000000000", "\n<p class=\"x\">"];
        let len = if self.chance(40) { self.size(200_000) } else { self.size(4000) };
        let mut text = String::new();
        while text.len() < len {
            match self.below(4) {
                0 if text.is_ascii() && !text.is_empty() => {
                    let from = self.below(text.len());
                    let end = text.len().min(from + self.size(300));
                    let again = text[from..end].to_owned();
                    text += &again;
                }
                1 => text.extend((0..self.size(60)).map(|_| char::from(33 + (self.next() % 90) as u8))),
                _ => text.push_str(&self.pick(&WORDS).repeat(1 + self.size(20))),
            }
        }
        if self.chance(2) {
            return text.into();
        }
        let mut bytes = text.into_bytes();
        if self.chance(2) {
            let noise = self.size(500);
            bytes.extend((0..noise).map(|_| self.next().to_le_bytes()[0]));
        }
        bytes.into()
    }
}

fn send(us: &mut Connection, message: &Message, random: &mut Random) {
    let compress = random.compress();
    let sent = if random.chance(5) {
        us.send_prepared(&Prepared::with(message.clone(), compress))
    } else {
        us.send_with(message.clone(), compress)
    };
    sent.unwrap();
}

#[test]
fn what_one_of_our_ends_sends_arrives_at_the_other() {
    every_round(|random| {
        let params = random.params();
        let (client, server) = (random.config(), random.config());
        let piece = 1 + random.size(20_000);
        let mut pair = Pair::with_deflate(client, server, params).in_pieces_of(piece);
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        for _ in 0..=random.below(8) {
            let message = random.message();
            if random.chance(2) {
                send(&mut pair.client.connection, &message, random);
                to_server.push(message);
            } else {
                send(&mut pair.server.connection, &message, random);
                to_client.push(message);
            }
            if random.chance(3) {
                pair.settle();
            }
        }
        pair.settle();
        assert!(pair.server.take_messages() == to_server, "{params:?}: to the server");
        assert!(pair.client.take_messages() == to_client, "{params:?}: to the client");
    });
}

#[test]
fn what_we_send_is_read_by_a_decoder_that_has_no_more_than_was_agreed_on() {
    every_round(|random| {
        let (params, role) = (random.params(), random.pick(&ROLES));
        let (takeover, bits) = match role {
            Role::Server => (params.server_context_takeover, params.server_max_window_bits),
            Role::Client => (params.client_context_takeover, params.client_max_window_bits),
        };
        let mut peer = Peer::with_deflate(role, random.config(), params);
        let mut inflater = Inflater::new(bits, takeover);
        for _ in 0..=random.below(5) {
            let message = random.message();
            peer.calls(|us, _| send(us, &message, random));
            let received = read(&mut peer).unwrap();
            let payload = if received.compressed {
                inflater.message(&received.payload).unwrap_or_else(|error| panic!("{error}: {params:?}"))
            } else {
                received.payload
            };
            assert!(payload == message.as_bytes());
        }
    });
}

/// A peer whose compressor flushes where it pleases, in whichever way.
struct Flushing {
    stream: Stream,
    takeover: bool,
    /// A final block has ended the stream.
    ended: bool,
    /// How much of the input it may not have put out yet.
    held: usize,
    seen: Vec<u8>,
}

impl Flushing {
    fn new(bits: u8, takeover: bool, random: &mut Random) -> Self {
        let config = DeflateConfig {
            level: i32::try_from(random.below(10)).unwrap(),
            window_bits: -i32::from(bits.max(9)),
            mem_level: 1 + i32::try_from(random.below(9)).unwrap(),
            ..DeflateConfig::default()
        };
        Self { stream: Stream::new_with_config(config), takeover, ended: false, held: 0, seen: Vec::new() }
    }

    fn message(&mut self, payload: &[u8], random: &mut Random) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.takeover {
            self.stream.reset();
            self.ended = false;
        }
        let mut rest = payload;
        while !rest.is_empty() {
            let (piece, next) = rest.split_at(1 + random.below(rest.len()));
            rest = next;
            let flush = random.pick(&[
                DeflateFlush::NoFlush,
                DeflateFlush::NoFlush,
                DeflateFlush::PartialFlush,
                DeflateFlush::SyncFlush,
                DeflateFlush::FullFlush,
                DeflateFlush::Block,
                DeflateFlush::Finish,
            ]);
            self.deflate(piece, flush, &mut out);
        }
        if self.ended && !payload.is_empty() {
            // RFC 7692 §7.2.3.4: a zero byte behind a final block, or nothing.
            out.extend(random.chance(2).then_some(0x00));
            return out;
        }
        let before = out.len();
        self.deflate(&[], DeflateFlush::SyncFlush, &mut out);
        if out.len() == before {
            // It has just flushed so already.
            out.extend([0x00, 0x00, 0x00, 0xff, 0xff]);
        }
        assert!(out.ends_with(&[0x00, 0x00, 0xff, 0xff]), "{:x?}", &out[before..]);
        out.truncate(out.len() - 4);
        out
    }

    fn deflate(&mut self, piece: &[u8], flush: DeflateFlush, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.ended) {
            // A new stream, which remembers what the old one had.
            self.stream.reset();
            let from = self.seen.len().saturating_sub(1 << 15);
            self.stream.set_dictionary(&self.seen[from..]).unwrap();
        }
        self.held += piece.len();
        let mut room = vec![0; self.held * 2 + 1000];
        let (read, written) = (self.stream.total_in(), self.stream.total_out());
        self.stream.compress(piece, &mut room, flush).unwrap();
        assert_eq!(self.stream.total_in() - read, piece.len() as u64);
        let len = usize::try_from(self.stream.total_out() - written).unwrap();
        assert!(len < room.len());
        if flush != DeflateFlush::NoFlush {
            self.held = 0;
        }
        out.extend(&room[..len]);
        self.ended = flush == DeflateFlush::Finish;
        if self.takeover {
            self.seen.extend(piece);
        } else {
            self.seen.clear();
        }
    }
}

#[test]
fn what_another_compressor_flushes_and_fragments_as_it_pleases_arrives() {
    every_round(|random| {
        let (params, role) = (random.params(), random.pick(&ROLES));
        let (takeover, bits) = match role {
            Role::Server => (params.client_context_takeover, params.client_max_window_bits),
            Role::Client => (params.server_context_takeover, params.server_max_window_bits),
        };
        let mut peer = Peer::with_deflate(role, random.config(), params);
        let mut flushing = Flushing::new(bits, takeover, random);
        for _ in 0..=random.below(5) {
            let message = random.message();
            let mut opcode = if message.is_text() { 0x1 } else { 0x2 };
            let payload = flushing.message(message.as_bytes(), random);
            let mut rest = payload.as_slice();
            let mut wire = Vec::new();
            loop {
                let len = if random.chance(3) { rest.len() } else { random.size(rest.len().max(1)) };
                let (piece, next) = rest.split_at(len.min(rest.len()));
                rest = next;
                let mut fragment = frame(opcode, piece);
                fragment.rsv = if opcode == 0 { 0 } else { 0b100 };
                fragment.fin = rest.is_empty();
                wire.extend(fragment.encode(role.peer()));
                if random.chance(4) {
                    wire.extend(pong("between").encode(role.peer()));
                }
                if rest.is_empty() {
                    break;
                }
                opcode = 0;
            }
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                let (piece, next) = rest.split_at(1 + random.size(rest.len() - 1));
                rest = next;
                peer.sends_bytes(piece);
            }
            while peer.next_event_is_pong() {
                peer.expect_pong();
            }
            peer.expect_message(message).discards_events();
        }
    });
}
