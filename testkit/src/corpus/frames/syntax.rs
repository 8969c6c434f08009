//! From the text of a file to its cases.

use std::fmt;

use stentor_proto::{CloseCode, ClosedBy, Config, DeflateParams, ProtocolError, Role, State};

use super::{Case, Command, Ended, Event, Input, Sent, Step};
use crate::frame::{Frame, LengthForm, frame};

/// Where a file cannot be understood, and why.
#[derive(Debug)]
pub(super) struct SyntaxError {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// The cases of a file.
pub(super) fn parse(file: &str, source: &str) -> Result<Vec<Case>, SyntaxError> {
    let mut cases: Vec<Case> = Vec::new();
    for (index, text) in source.lines().enumerate() {
        let line = index + 1;
        let fail = |what: String| SyntaxError { file: file.to_owned(), line, what };
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        if text.starts_with(' ') {
            let case = cases.last_mut().ok_or_else(|| fail("a line before the first case".into()))?;
            parse_line(case, line, text).map_err(fail)?;
        } else {
            if let Some(case) = cases.last() {
                check_complete(case).map_err(&fail)?;
            }
            cases.push(new_case(file, line, text).map_err(fail)?);
        }
    }
    if let Some(case) = cases.last() {
        check_complete(case).map_err(|what| SyntaxError { file: file.to_owned(), line: case.line, what })?;
    }
    Ok(cases)
}

fn new_case(file: &str, line: usize, name: &str) -> Result<Case, String> {
    if !name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'+')) {
        return Err(format!("{name:?} is no name of a case"));
    }
    Ok(Case {
        file: file.to_owned(),
        line,
        name: name.to_owned(),
        roles: vec![Role::Client, Role::Server],
        config: Config {
            max_frame_size: 16 << 20,
            max_message_size: 16 << 20,
            keepalive: None,
            ..Config::default()
        },
        deflate: None,
        steps: Vec::new(),
    })
}

fn check_complete(case: &Case) -> Result<(), String> {
    match case.steps.last() {
        Some(step) if step.line != 0 => Ok(()),
        _ => Err(format!("{} ends without an expectation", case.name)),
    }
}

fn parse_line(case: &mut Case, line: usize, text: &str) -> Result<(), String> {
    let mut words = Words(text);
    let verb = words.word()?;
    match verb {
        "role" if case.steps.is_empty() => {
            case.roles = vec![match words.word()? {
                "client" => Role::Client,
                "server" => Role::Server,
                other => return Err(format!("unknown role {other:?}")),
            }];
        }
        "config" if case.steps.is_empty() => {
            while !words.at_end() {
                configure(&mut case.config, words.word()?)?;
            }
        }
        "deflate" if case.steps.is_empty() => {
            let params = case.deflate.get_or_insert_default();
            while !words.at_end() {
                agree(params, words.word()?)?;
            }
        }
        "<" | "do" => {
            let input = if verb == "<" { parse_input(&mut words)? } else { parse_command(&mut words)? };
            step_to_fill(case).inputs.push(input);
        }
        "=" => {
            let event = parse_event(&mut words)?;
            step_to_expect(case, line)?.events.push(event);
        }
        ">" => {
            let sent = parse_sent(&mut words)?;
            step_to_expect(case, line)?.frames.push(sent);
        }
        "!" => {
            let code = words.number()?;
            let error = parse_violation(words.word()?)?;
            let step = step_to_expect(case, line)?;
            step.events.push(Event::Violation(error));
            step.frames.push(Sent::Close(code));
            step.closed = Some(Ended { code, reason: None, by: ClosedBy::Us });
        }
        "nothing" => {
            step_to_expect(case, line)?;
        }
        "state" => {
            let state = match words.word()? {
                "open" => State::Open,
                "closing" => State::Closing,
                "closed" => State::Closed,
                other => return Err(format!("unknown state {other:?}")),
            };
            step_to_expect(case, line)?.state = Some(state);
        }
        "closed" => {
            let code = words.number()?;
            let reason = words.text_if_any()?;
            let reason = (!reason.is_empty()).then_some(reason);
            let by = match (words.word()?, words.word()?) {
                ("by", "us") => ClosedBy::Us,
                ("by", "peer") => ClosedBy::Peer,
                _ => return Err("by whom?".into()),
            };
            step_to_expect(case, line)?.closed = Some(Ended { code, reason, by });
        }
        other => return Err(format!("{other:?} does not belong here")),
    }
    words.finish()
}

/// The step that takes the next input: a new one when the last already expects something.
fn step_to_fill(case: &mut Case) -> &mut Step {
    if case.steps.last().is_none_or(|step| step.line != 0) {
        case.steps.push(Step::default());
    }
    case.steps.last_mut().expect("one was just pushed")
}

fn step_to_expect(case: &mut Case, line: usize) -> Result<&mut Step, String> {
    let step = case.steps.last_mut().ok_or("an expectation before any input")?;
    if step.line == 0 {
        step.line = line;
    }
    Ok(step)
}

fn configure(config: &mut Config, setting: &str) -> Result<(), String> {
    let (name, value) = setting.split_once('=').ok_or_else(|| format!("{setting:?} is no name=value"))?;
    let value: usize = value.parse().map_err(|_| format!("{value:?} is no number"))?;
    match name {
        "max_frame_size" => config.max_frame_size = value,
        "max_message_size" => config.max_message_size = value,
        "max_fragments" => config.max_fragments = value,
        "max_empty_fragments" => config.max_empty_fragments = value,
        "max_control_frames_per_second" => {
            config.max_control_frames_per_second = value.try_into().map_err(|_| "too large")?;
        }
        "fragment_size" => config.fragment_size = Some(value),
        _ => return Err(format!("unknown setting {name:?}")),
    }
    Ok(())
}

fn agree(params: &mut DeflateParams, parameter: &str) -> Result<(), String> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let bits = || value.parse().map_err(|_| format!("{value:?} is no number"));
    match name {
        "server_no_context_takeover" => params.server_context_takeover = false,
        "client_no_context_takeover" => params.client_context_takeover = false,
        "server_max_window_bits" => params.server_max_window_bits = bits()?,
        "client_max_window_bits" => params.client_max_window_bits = bits()?,
        _ => return Err(format!("unknown parameter {name:?}")),
    }
    Ok(())
}

fn parse_input(words: &mut Words<'_>) -> Result<Input, String> {
    Ok(match words.peek_word() {
        Some("eof") => {
            words.word()?;
            Input::Eof
        }
        Some("raw") => {
            words.word()?;
            Input::Raw(words.bytes()?)
        }
        Some("more") => {
            words.word()?;
            Input::More(words.bytes()?)
        }
        _ => Input::Frame(parse_frame(words)?),
    })
}

fn parse_command(words: &mut Words<'_>) -> Result<Input, String> {
    Ok(Input::Command(match words.word()? {
        "text" => Command::SendText(words.text_if_any()?),
        "binary" => Command::SendBinary(words.bytes()?),
        "close" => Command::Close(words.number()?, words.text_if_any()?),
        other => return Err(format!("unknown call {other:?}")),
    }))
}

fn parse_event(words: &mut Words<'_>) -> Result<Event, String> {
    Ok(match words.word()? {
        "text" => Event::Text(words.text_if_any()?),
        "binary" => Event::Binary(words.bytes()?),
        "ping" => Event::Ping(words.bytes()?),
        "pong" => Event::Pong(words.bytes()?),
        "close" => Event::Close(words.number()?, words.text_if_any()?),
        "violation" => Event::Violation(parse_violation(words.word()?)?),
        other => return Err(format!("unknown event {other:?}")),
    })
}

fn parse_sent(words: &mut Words<'_>) -> Result<Sent, String> {
    let frame = parse_frame(words)?;
    Ok(match (frame.opcode, frame.payload.as_slice()) {
        (0x8, &[high, low]) => Sent::Close(u16::from_be_bytes([high, low])),
        _ => Sent::Frame(frame),
    })
}

fn parse_frame(words: &mut Words<'_>) -> Result<Frame, String> {
    let kind = words.word()?;
    let opcode = match kind {
        "cont" => 0x0,
        "text" => 0x1,
        "binary" => 0x2,
        "close" => 0x8,
        "ping" => 0x9,
        "pong" => 0xa,
        other => match other.strip_prefix("opcode=").map(|bits| u8::from_str_radix(bits, 16)) {
            Some(Ok(bits @ 0..=15)) => bits,
            _ => return Err(format!("unknown frame {other:?}")),
        },
    };
    let mut frame = frame(opcode, []);
    while let Some(flag) = words.peek_word() {
        frame = match flag {
            "!fin" => frame.more(),
            "rsv1" => with_bit(frame, 0b100),
            "rsv2" => with_bit(frame, 0b010),
            "rsv3" => with_bit(frame, 0b001),
            "unmasked" => frame.unmasked(),
            "len16" => frame.length(LengthForm::Two),
            "len64" => frame.length(LengthForm::Eight),
            _ => match flag.split_once('=') {
                Some(("mask", key)) => frame.masked_with(
                    u32::from_str_radix(key, 16).map_err(|_| "a key is eight hex digits")?.to_be_bytes(),
                ),
                Some(("declares", length)) => {
                    frame.declaring(length.parse().map_err(|_| "a length is a number")?)
                }
                _ => break,
            },
        };
        words.word()?;
    }
    if kind == "close" && words.peek_word().is_some_and(|word| word.len() != 2 || word == "0") {
        frame.payload.extend(words.number()?.to_be_bytes());
    }
    frame.payload.extend(words.bytes()?);
    Ok(frame)
}

fn with_bit(frame: Frame, bit: u8) -> Frame {
    let bits = frame.rsv | bit;
    frame.rsv(bits)
}

fn parse_violation(word: &str) -> Result<ProtocolError, String> {
    let (name, argument) = match word.strip_suffix(')').and_then(|word| word.split_once('(')) {
        Some((name, argument)) => (name, argument),
        None => (word, ""),
    };
    let number =
        |radix| u16::from_str_radix(argument, radix).map_err(|_| format!("{argument:?} in {word:?}"));
    let small = |radix| number(radix).and_then(|n| u8::try_from(n).map_err(|_| "too large".into()));
    Ok(match name {
        "ReservedBits" => ProtocolError::ReservedBits(small(2)?),
        "ReservedOpcode" => ProtocolError::ReservedOpcode(small(16)?),
        "InvalidCloseCode" => ProtocolError::InvalidCloseCode(CloseCode::from(number(10)?)),
        "UnmaskedFrame" => ProtocolError::UnmaskedFrame,
        "MaskedFrame" => ProtocolError::MaskedFrame,
        "LengthNotMinimal" => ProtocolError::LengthNotMinimal,
        "LengthTopBit" => ProtocolError::LengthTopBit,
        "ControlFrameTooLong" => ProtocolError::ControlFrameTooLong,
        "FragmentedControlFrame" => ProtocolError::FragmentedControlFrame,
        "UnexpectedContinuation" => ProtocolError::UnexpectedContinuation,
        "UnfinishedMessage" => ProtocolError::UnfinishedMessage,
        "InvalidDeflate" => ProtocolError::InvalidDeflate,
        "InvalidUtf8" => ProtocolError::InvalidUtf8,
        "CloseBodyTooShort" => ProtocolError::CloseBodyTooShort,
        "FrameTooLarge" => ProtocolError::FrameTooLarge,
        "MessageTooLarge" => ProtocolError::MessageTooLarge,
        "TooManyFragments" => ProtocolError::TooManyFragments,
        "TooManyEmptyFragments" => ProtocolError::TooManyEmptyFragments,
        "TooManyControlFrames" => ProtocolError::TooManyControlFrames,
        other => return Err(format!("unknown violation {other:?}")),
    })
}

/// What is left of a line, taken off word by word.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn at_end(&mut self) -> bool {
        self.skip_spaces();
        self.0.is_empty()
    }

    /// The next word, unless a string comes next or nothing.
    fn peek_word(&mut self) -> Option<&'a str> {
        self.skip_spaces();
        let word = self.0.split_whitespace().next()?;
        if word.starts_with('"') { None } else { Some(word) }
    }

    fn word(&mut self) -> Result<&'a str, String> {
        let word = self.peek_word().ok_or("a word is missing")?;
        self.0 = &self.0[word.len()..];
        Ok(word)
    }

    fn number(&mut self) -> Result<u16, String> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("{word:?} is no 16-bit number"))
    }

    /// Strings and hex bytes up to the end of the line, each perhaps repeated: `"ab"*3 ff*20`.
    fn bytes(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        while !self.at_end() {
            let item = if self.0.starts_with('"') { self.string()?.into_bytes() } else { self.hex_byte()? };
            bytes.extend(item.repeat(self.times()?));
        }
        Ok(bytes)
    }

    /// Strings, each perhaps repeated, up to something else; empty when there are none.
    fn text_if_any(&mut self) -> Result<String, String> {
        let mut text = String::new();
        self.skip_spaces();
        while self.0.starts_with('"') {
            let item = self.string()?;
            text.push_str(&item.repeat(self.times()?));
            self.skip_spaces();
        }
        Ok(text)
    }

    fn hex_byte(&mut self) -> Result<Vec<u8>, String> {
        let digits = self.0.get(..2).ok_or_else(|| format!("{:?} is no byte", self.0))?;
        let byte = u8::from_str_radix(digits, 16).map_err(|_| format!("{digits:?} is no byte"))?;
        self.0 = &self.0[2..];
        Ok(vec![byte])
    }

    /// `*N` behind an item, else once.
    fn times(&mut self) -> Result<usize, String> {
        let end = self.0.find(char::is_whitespace).unwrap_or(self.0.len());
        let (suffix, rest) = self.0.split_at(end);
        self.0 = rest;
        match suffix.strip_prefix('*') {
            Some(times) => times.parse().map_err(|_| format!("{times:?} is no number")),
            None if suffix.is_empty() => Ok(1),
            None => Err(format!("{suffix:?} after an item")),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let mut string = String::new();
        let mut chars = self.0[1..].char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.0 = &self.0[at + 2..];
                    return Ok(string);
                }
                '\\' => match chars.next().map(|(_, escaped)| escaped) {
                    Some('n') => string.push('\n'),
                    Some('\\') => string.push('\\'),
                    Some('"') => string.push('"'),
                    Some('u') => {
                        let digits: String =
                            chars.by_ref().map(|(_, c)| c).skip(1).take_while(|&c| c != '}').collect();
                        let scalar = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        string.push(scalar.ok_or_else(|| format!("{digits:?} is no character"))?);
                    }
                    other => return Err(format!("unknown escape {other:?}")),
                },
                char => string.push(char),
            }
        }
        Err("a string without its end".into())
    }

    fn finish(mut self) -> Result<(), String> {
        if self.at_end() { Ok(()) } else { Err(format!("{:?} is left over", self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ping, pong, text};

    fn one(source: &str) -> Case {
        parse("x.txt", source).unwrap_or_else(|error| panic!("{error}")).remove(0)
    }

    #[test]
    fn a_trace_falls_into_steps_where_expectations_end() {
        let case = one("a-case\n  role server\n  < text !fin \"ab\"*2 ff*3\n  < ping \"x\"\n  \
                        = ping \"x\"\n  > pong \"x\"\n  < raw 81 80\n  nothing\n");
        assert_eq!(case.roles, [Role::Server]);
        let [first, second] = &case.steps[..] else { panic!("{:?}", case.steps) };
        let payload = b"abab\xff\xff\xff";
        assert_eq!(first.inputs, [Input::Frame(text(payload).more()), Input::Frame(ping("x"))]);
        assert_eq!(first.events, [Event::Ping(b"x".to_vec())]);
        assert_eq!(first.frames, [Sent::Frame(pong("x"))]);
        assert_eq!(second.inputs, [Input::Raw(vec![0x81, 0x80])]);
        assert!(second.events.is_empty() && second.frames.is_empty());
    }

    #[test]
    fn the_flags_of_a_frame_and_the_code_of_a_close_are_understood() {
        let case = one(
            "a-case\n  < opcode=3 rsv1 rsv3 len16 mask=00ff00ff declares=9 00\n  < close 1000 \"a\\u{e9}\\n\"\n  < close 03\n  nothing\n",
        );
        let reserved = frame(3, [0]).rsv(0b101).length(LengthForm::Two).masked_with([0, 255, 0, 255]);
        assert_eq!(
            case.steps[0].inputs,
            [
                Input::Frame(reserved.declaring(9)),
                Input::Frame(crate::frame::close(1000, "aé\n")),
                Input::Frame(frame(8, [3])),
            ]
        );
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (source, message) in [
            ("a\n  < text \"x\"\n", "ends without an expectation"),
            ("a\n  < text \"x\n  nothing\n", "x.txt:2: a string without its end"),
            ("a\n  = text \"x\"\n", "x.txt:2: an expectation before any input"),
            ("a\n  < tixt\n", "unknown frame \"tixt\""),
            ("a\n  < text 1g\n", "\"1g\" is no byte"),
            ("a\n  < eof now\n", "left over"),
            ("a\n  < ping\n  ! 1002 Nonsense\n", "unknown violation"),
            ("  < ping\n", "before the first case"),
            ("A b\n", "is no name"),
        ] {
            let error = parse("x.txt", source).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
