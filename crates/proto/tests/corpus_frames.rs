//! The frame cases of `conformance/corpus/frames`, for both roles, with the bytes cut in every way
//! that might matter: whole, one at a time, and at random; and with messages taken one by one, and
//! many at a time.

use std::time::Instant;

use stentor_proto::bytes::{Buf, BytesMut};
use stentor_proto::{CloseFrame, Closed, Connection, Event, Message, Role, State};
use stentor_testkit::corpus::frames::{self, Case, Command, Ended, Event as Expected, Fed, Sent, Step};
use stentor_testkit::frame::Frame;
use stentor_testkit::script::connection;

/// How the bytes of a step are cut before the connection gets them.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    OneByteAtATime,
    AtRandom(u64),
}

const CUTS: [Cut; 7] = [
    Cut::Whole,
    Cut::OneByteAtATime,
    Cut::AtRandom(1),
    Cut::AtRandom(2),
    Cut::AtRandom(3),
    Cut::AtRandom(0x5eed),
    Cut::AtRandom(0xdead_beef),
];

#[test]
fn every_case_in_every_role_and_cut() {
    run_all(&frames::load(), 380);
}

#[test]
fn every_compressed_case_in_every_role_and_cut() {
    run_all(&frames::load_compressed(), 60);
}

fn run_all(cases: &[Case], at_least: usize) {
    let mut runs = 0;
    let mut failures = Vec::new();
    for case in cases {
        for &role in &case.roles {
            for (cut, whole) in CUTS.into_iter().flat_map(|cut| [(cut, false), (cut, true)]) {
                runs += 1;
                if let Err(what) = run(case, role, cut, whole) {
                    failures.push(format!("{case} as {role:?}, {cut:?}, whole {whole}: {what}"));
                    break;
                }
            }
        }
    }
    println!("{} frame cases, {runs} runs, {} failed", cases.len(), failures.len());
    assert!(cases.len() >= at_least, "only {} cases were found", cases.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// A connection under test, and what it did since it was last looked at.
struct Run {
    connection: Connection,
    role: Role,
    now: Instant,
    inbox: BytesMut,
    /// Whether messages that are there whole are taken by `receive_messages`.
    whole: bool,
    events: Vec<Event>,
    wire: Vec<u8>,
}

fn run(case: &Case, role: Role, cut: Cut, whole: bool) -> Result<(), String> {
    let now = Instant::now();
    let plain = connection(role, case.config.clone(), now);
    let mut run = Run {
        connection: match case.deflate {
            Some(params) => plain.with_deflate(params),
            None => plain,
        },
        role,
        now,
        inbox: BytesMut::new(),
        whole,
        events: Vec::new(),
        wire: Vec::new(),
    };
    let mut random = Random::new(cut);
    for (step, fed) in case.steps.iter().zip(case.fed(role)) {
        for fed in fed {
            match fed {
                Fed::Bytes(bytes) => run.receive(&bytes, cut, &mut random),
                Fed::Eof => run.connection.receive_eof(now),
                Fed::Command(command) => run.command(command),
            }
        }
        run.check(step).map_err(|what| format!("{what} (line {})", step.line))?;
    }
    Ok(())
}

impl Run {
    fn receive(&mut self, mut bytes: &[u8], cut: Cut, random: &mut Random) {
        while !bytes.is_empty() {
            let len = match cut {
                Cut::Whole => bytes.len(),
                Cut::OneByteAtATime => 1,
                Cut::AtRandom(_) => random.up_to(bytes.len()),
            };
            let (piece, rest) = bytes.split_at(len);
            bytes = rest;
            self.inbox.extend_from_slice(piece);
            loop {
                if self.whole {
                    let messages = self.connection.receive_messages(&mut self.inbox, self.now);
                    self.events.extend(messages.map(Event::Message));
                }
                let event = self.connection.receive(&mut self.inbox, self.now);
                if event.is_none() && !self.connection.has_work() {
                    break;
                }
                self.events.extend(event);
                self.write();
            }
        }
    }

    fn command(&mut self, command: Command) {
        let done = match command {
            Command::SendText(text) => self.connection.send(Message::from(text)),
            Command::SendBinary(bytes) => self.connection.send(Message::from(bytes)),
            Command::Close(code, reason) => self.connection.close(code.into(), &reason, self.now),
        };
        assert_eq!(done, Ok(()), "a case asks for nothing that is not allowed");
    }

    fn write(&mut self) {
        while let Some(mut transmit) = self.connection.poll_transmit() {
            let chunk = transmit.chunk();
            self.wire.extend_from_slice(chunk);
            let len = chunk.len();
            transmit.advance(len);
        }
    }

    fn check(&mut self, step: &Step) -> Result<(), String> {
        self.write();
        let events = std::mem::take(&mut self.events);
        let same = |(event, expected): (&Event, &Expected)| is_event(event, expected);
        if events.len() != step.events.len() || !events.iter().zip(&step.events).all(same) {
            return Err(format!("events {}\ninstead of {}", Short(&events), Short(&step.events)));
        }
        let mut frames = Vec::new();
        while let Some(frame) =
            Frame::decode_with(&mut self.wire, self.role, self.connection.deflate().is_some())
        {
            frames.push(frame);
        }
        if !self.wire.is_empty() {
            return Err(format!("half a frame was sent: {}", Short(&self.wire)));
        }
        let same = |(frame, sent): (&Frame, &Sent)| is_frame(frame, sent);
        if frames.len() != step.frames.len() || !frames.iter().zip(&step.frames).all(same) {
            return Err(format!("sent {}\ninstead of {}", Short(&frames), Short(&step.frames)));
        }
        if let Some(state) = step.state {
            let got = self.connection.state();
            if got != state {
                return Err(format!("{got:?} instead of {state:?}"));
            }
        }
        let closed = self.connection.closed();
        match &step.closed {
            Some(ended) if !closed.is_some_and(|closed| is_end(closed, ended)) => {
                return Err(format!("closed {closed:?} instead of {ended:?}"));
            }
            _ => {}
        }
        let over =
            step.events.iter().any(|event| matches!(event, Expected::Close(..) | Expected::Violation(_)));
        if over && !self.inbox.is_empty() {
            return Err(format!("bytes are kept after the end: {}", Short(&self.inbox)));
        }
        if over && self.connection.state() == State::Open {
            return Err("still open".to_owned());
        }
        Ok(())
    }
}

fn is_event(event: &Event, expected: &Expected) -> bool {
    match (event, expected) {
        (Event::Message(Message::Text(text)), Expected::Text(expected)) => text == expected,
        (Event::Message(Message::Binary(bytes)), Expected::Binary(expected)) => bytes == expected,
        (Event::Ping(payload), Expected::Ping(expected)) => payload == expected,
        (Event::Pong(pong), Expected::Pong(expected)) => pong.payload == expected,
        (Event::Close(CloseFrame { code, reason }), Expected::Close(expected_code, expected_reason)) => {
            u16::from(*code) == *expected_code && reason == expected_reason
        }
        (Event::Violation(error), Expected::Violation(expected)) => error == expected,
        _ => false,
    }
}

fn is_frame(frame: &Frame, sent: &Sent) -> bool {
    match sent {
        Sent::Frame(expected) => frame == expected,
        Sent::Close(code) => frame.opcode == 0x8 && frame.close_code_and_reason().0 == *code,
    }
}

fn is_end(closed: &Closed, ended: &Ended) -> bool {
    u16::from(closed.code) == ended.code
        && closed.by == ended.by
        && ended.reason.as_ref().is_none_or(|reason| closed.reason == *reason)
}

/// Shows as much of a value as fits a few lines.
struct Short<'a, T: ?Sized>(&'a T);

impl<T: std::fmt::Debug + ?Sized> std::fmt::Display for Short<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = format!("{:?}", self.0);
        match all.char_indices().nth(300) {
            Some((end, _)) => write!(f, "{}…", &all[..end]),
            None => f.write_str(&all),
        }
    }
}

/// Where to cut: xorshift, because a failure has to come back with its seed.
struct Random(u64);

impl Random {
    fn new(cut: Cut) -> Self {
        Self(match cut {
            Cut::AtRandom(seed) => seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            _ => 1,
        })
    }

    /// A number from 1 to `most`; small ones as likely as large ones.
    fn up_to(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let reach = 1 << (self.0 >> 32 & 0xf);
        let len = usize::try_from(self.0 & 0xffff_ffff).unwrap_or(0) % reach + 1;
        len.min(most)
    }
}
