//! Compressed messages of random shape between a [`Connection`] and zlib, in both directions:
//! `against_zlib PYTHON SCRIPT ROUNDS`.
//!
//! Python's `zlib` works through one long list of tasks, which is made before: what the connections
//! have sent it inflates, and what they shall receive it compresses. A round is a connection with
//! parameters, settings and messages of its own.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use stentor_proto::bytes::{Buf, BytesMut};
use stentor_proto::{Compress, Config, Connection, Deflate, DeflateParams, Event, Message, Prepared, Role};
use stentor_testkit::frame::{Frame, frame};
use stentor_testkit::script::connection;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [python, script, rounds] = &arguments[..] else {
        eprintln!("against_zlib PYTHON SCRIPT ROUNDS");
        return ExitCode::FAILURE;
    };
    match rounds.parse().map_err(Into::into).and_then(|rounds| run(python, script, rounds)) {
        Ok(()) => {
            println!("rounds: {rounds} ok");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(python: &str, script: &str, rounds: u64) -> Result<(), Box<dyn Error>> {
    // In batches, so that the memory they take is bounded.
    const BATCH: u64 = 1000;
    for first in (0..rounds).step_by(1000) {
        let mut batch: Vec<Round> = (first..rounds.min(first + BATCH)).map(Round::new).collect();
        let script_input: Vec<u8> = batch.iter().flat_map(Round::script).collect();
        let mut child =
            Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().expect("it is piped");
        let writer = std::thread::spawn(move || stdin.write_all(&script_input));
        let mut answers = BufReader::new(child.stdout.take().expect("it is piped"));
        for round in &mut batch {
            let number = round.number;
            round.check(&mut answers).map_err(|what| format!("round {number}: {what}"))?;
        }
        writer.join().expect("no panic")?;
        if !child.wait()?.success() {
            return Err("python failed".into());
        }
    }
    Ok(())
}

/// What zlib is asked for.
enum Task {
    /// To inflate a payload that we have sent, which must give this message.
    Inflate(Vec<u8>, Message),
    /// To compress a message that we shall receive, with these flushes in between.
    Deflate(Message, Vec<usize>),
}

struct Round {
    number: u64,
    random: Random,
    /// The line that begins it.
    stream: String,
    tasks: Vec<Task>,
    ours: Connection,
}

impl Round {
    fn new(number: u64) -> Self {
        let mut random = Random(number);
        let bits = 8 + u8::try_from(random.below(8)).unwrap();
        let takeover = random.below(2) == 0;
        // Both directions alike: one stream of zlib's stands for both.
        let params = DeflateParams {
            server_context_takeover: takeover,
            client_context_takeover: takeover,
            server_max_window_bits: bits,
            client_max_window_bits: bits,
        };
        let deflate = Deflate {
            level: 1 + u8::try_from(random.below(9)).unwrap(),
            mem_level: 1 + u8::try_from(random.below(9)).unwrap(),
            threshold: [None, Some(0), Some(100)][random.below(3)],
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            ..Deflate::default()
        };
        let config = Config {
            deflate: Some(deflate),
            fragment_size: (random.below(3) == 0).then(|| 1 + random.below(3000)),
            max_fragments: usize::MAX,
            keepalive: None,
            ..Config::default()
        };
        let role = [Role::Client, Role::Server][random.below(2)];
        let mut ours = connection(role, config, Instant::now()).with_deflate(params);
        let (level, mem_level, strategy) = (random.below(10), 1 + random.below(9), random.below(5));
        let stream = format!("stream {bits} {} {level} {mem_level} {strategy}\n", u8::from(takeover));

        let mut tasks = Vec::new();
        for _ in 0..=random.below(6) {
            let message = random.message();
            if random.below(2) == 0 {
                // Z_NO_FLUSH to Z_FULL_FLUSH and Z_BLOCK; Z_FINISH would end the stream.
                let flushes = (0..=random.below(4)).map(|_| [0, 1, 2, 3, 5][random.below(5)]).collect();
                tasks.push(Task::Deflate(message, flushes));
            } else if let Some(payload) = sent(&mut ours, &message, &mut random) {
                tasks.push(Task::Inflate(payload, message));
            }
        }
        Self { number, random, stream, tasks, ours }
    }

    /// Its lines for the script, and the bytes behind them.
    fn script(&self) -> Vec<u8> {
        let mut script = self.stream.clone().into_bytes();
        for task in &self.tasks {
            match task {
                Task::Inflate(payload, _) => {
                    script.extend(format!("inflate {}\n", payload.len()).bytes());
                    script.extend(payload);
                }
                Task::Deflate(message, flushes) => {
                    let mut line = format!("deflate {}", message.len());
                    for flush in flushes {
                        let _ = write!(line, " {flush}");
                    }
                    line.push('\n');
                    script.extend(line.bytes());
                    script.extend(message.as_bytes());
                }
            }
        }
        script
    }

    /// Compares what zlib answers.
    fn check(&mut self, answers: &mut impl BufRead) -> Result<(), Box<dyn Error>> {
        for task in std::mem::take(&mut self.tasks) {
            let mut line = String::new();
            answers.read_line(&mut line)?;
            let mut answer = vec![0; line.trim_end().parse().map_err(|_| line)?];
            answers.read_exact(&mut answer)?;
            match task {
                Task::Inflate(_, message) if answer == message.as_bytes() => {}
                Task::Inflate(..) => return Err("zlib reads another message than we sent".into()),
                Task::Deflate(message, _) => self.receive(&message, &answer)?,
            }
        }
        Ok(())
    }

    /// What zlib has compressed arrives, in fragments and in pieces.
    fn receive(&mut self, message: &Message, payload: &[u8]) -> Result<(), Box<dyn Error>> {
        let (mut rest, mut wire) = (payload, Vec::new());
        let mut opcode = if message.is_text() { 0x1 } else { 0x2 };
        loop {
            let len = if self.random.below(2) == 0 { rest.len() } else { self.random.below(rest.len() + 1) };
            let (piece, next) = rest.split_at(len);
            rest = next;
            let mut fragment = frame(opcode, piece);
            (fragment.fin, fragment.rsv) = (rest.is_empty(), if opcode == 0 { 0 } else { 0b100 });
            wire.extend(fragment.encode(self.ours.role().peer()));
            if rest.is_empty() {
                break;
            }
            opcode = 0;
        }
        let (now, mut inbox, mut events) = (Instant::now(), BytesMut::new(), Vec::new());
        for piece in wire.chunks(1 + self.random.below(wire.len())) {
            inbox.extend_from_slice(piece);
            loop {
                let event = self.ours.receive(&mut inbox, now);
                if event.is_none() && !self.ours.has_work() {
                    break;
                }
                events.extend(event);
            }
        }
        match &events[..] {
            [Event::Message(got)] if got == message => Ok(()),
            [Event::Message(_)] => Err("we read another message than zlib compressed".into()),
            other => Err(format!("instead of a message there is {other:?}").into()),
        }
    }
}

/// Sends a message, and gives its payload as it is on the wire if it is compressed.
fn sent(ours: &mut Connection, message: &Message, random: &mut Random) -> Option<Vec<u8>> {
    let compress = [Compress::ByThreshold, Compress::Always, Compress::Never][random.below(3)];
    let sent = if random.below(4) == 0 {
        ours.send_prepared(&Prepared::with(message.clone(), compress))
    } else {
        ours.send_with(message.clone(), compress)
    };
    sent.expect("there is room");
    let mut wire = Vec::new();
    while ours.has_transmit() {
        while let Some(mut out) = ours.poll_transmit() {
            wire.extend(out.copy_to_bytes(out.remaining()));
        }
    }
    let (mut payload, mut compressed) = (Vec::new(), false);
    while let Some(frame) = Frame::decode_with(&mut wire, ours.role(), true) {
        compressed |= frame.rsv == 0b100;
        payload.extend(frame.payload);
    }
    compressed.then_some(payload)
}

/// Splitmix, so that neighbouring rounds have nothing in common.
struct Random(u64);

impl Random {
    /// From 0 up to, but not including, `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % end as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }

    /// Words, runs and noise, mostly short.
    fn message(&mut self) -> Message {
        const WORDS: [&str; 6] =
            ["price", "κόσμε", "{\"id\": ", "🦀", "0000000000000000000000", "\n<p class=\"x\">"];
        let len = if self.below(50) == 0 { self.below(300_000) } else { self.below(3000) };
        let mut text = String::new();
        while text.len() < len {
            match self.below(3) {
                0 => text.extend((0..self.below(80)).map(|_| char::from(33 + self.byte() % 90))),
                _ => text.push_str(&WORDS[self.below(WORDS.len())].repeat(1 + self.below(20))),
            }
        }
        if self.below(2) == 0 {
            return text.into();
        }
        let mut bytes = text.into_bytes();
        bytes.extend((0..self.below(400)).map(|_| self.byte()));
        bytes.into()
    }
}
