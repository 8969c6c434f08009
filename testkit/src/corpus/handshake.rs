//! The opening-handshake cases: what a peer sends, and what must come of it.
//!
//! The format is described at the top of `conformance/corpus/handshake_server.txt` and
//! `handshake_client.txt`.

use std::collections::HashMap;
use std::fmt;

use stentor_proto::Deflate;

use crate::deflate::settings;

/// One case. The peer sends [`input`](Self::input) and then no more.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file, such as `handshake_server.txt`.
    pub file: &'static str,
    /// The line of its name.
    pub line: usize,
    /// The name, unique in its file.
    pub name: String,
    /// The subprotocols that a client under test offers.
    pub offers: Vec<String>,
    /// Whether a client under test does without a subprotocol though it offers some.
    pub optional: bool,
    /// What the endpoint under test wants of permessage-deflate.
    pub deflate: Option<Deflate>,
    /// What must come of it.
    pub expect: Expect,
    /// Header lines that the answer of a server under test must have, among others.
    pub headers: Vec<(String, String)>,
    /// Headers that the answer of a server under test must not have.
    pub absent: Vec<String>,
    /// The [terms](crate::deflate::terms) of permessage-deflate that must have been agreed on, `None` for none of it.
    pub agreed: Option<String>,
    /// What must be left for the open connection.
    pub rest: Vec<u8>,
    template: Vec<u8>,
}

/// What must come of a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The connection opens, by a 101.
    Open,
    /// A response with another status: given by a server under test, for the rule of that name,
    /// and then it closes; or taken by a client under test, without a rule.
    Status(u16, Option<String>),
    /// The client under test fails the connection, for the rule of that name.
    Fail(String),
}

/// What stands in a template for the right `Sec-WebSocket-Accept`.
const ACCEPT: &[u8] = b"{accept}";

impl Case {
    /// What the peer sends, where `accept` is the right `Sec-WebSocket-Accept` if the peer is a
    /// server.
    #[must_use]
    pub fn input(&self, accept: &str) -> Vec<u8> {
        let mut input = Vec::new();
        let mut template = &self.template[..];
        while let Some(at) = template.windows(ACCEPT.len()).position(|window| window == ACCEPT) {
            input.extend_from_slice(&template[..at]);
            input.extend_from_slice(accept.as_bytes());
            template = &template[at + ACCEPT.len()..];
        }
        input.extend_from_slice(template);
        input
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.file, self.line, self.name)
    }
}

/// The cases for a server under test.
#[must_use]
pub fn server_cases() -> Vec<Case> {
    let text = include_str!("../../../conformance/corpus/handshake_server.txt");
    parse("handshake_server.txt", text)
}

/// The cases for a client under test.
#[must_use]
pub fn client_cases() -> Vec<Case> {
    let text = include_str!("../../../conformance/corpus/handshake_client.txt");
    parse("handshake_client.txt", text)
}

fn parse(file: &'static str, text: &str) -> Vec<Case> {
    let mut blocks = HashMap::new();
    let mut cases: Vec<Case> = Vec::new();
    // A name in the first column, and the indented lines that follow it.
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut draft = Draft::default();
        while let Some((index, line)) = lines.next_if(|(_, line)| line.starts_with("  ")) {
            if let Err(what) = draft.line(&line[2..], &blocks) {
                panic!("{file}:{}: {what}", index + 1);
            }
        }
        if let Some(name) = line.strip_prefix("define ") {
            assert!(draft.expect.is_none(), "{file}:{}: a block expects nothing", index + 1);
            blocks.insert(name.to_owned(), draft.template);
        } else {
            assert!(
                cases.iter().all(|case| case.name != line),
                "{file}:{}: a second case of this name",
                index + 1
            );
            let Some(expect) = draft.expect else { panic!("{file}:{}: nothing is expected", index + 1) };
            cases.push(Case {
                file,
                line: index + 1,
                name: line.to_owned(),
                offers: draft.offers,
                optional: draft.optional,
                deflate: draft.deflate,
                expect,
                headers: draft.headers,
                absent: draft.absent,
                agreed: draft.agreed,
                rest: draft.rest,
                template: draft.template,
            });
        }
    }
    cases
}

/// A case or block while its lines are read.
#[derive(Default)]
struct Draft {
    template: Vec<u8>,
    offers: Vec<String>,
    optional: bool,
    deflate: Option<Deflate>,
    expect: Option<Expect>,
    headers: Vec<(String, String)>,
    absent: Vec<String>,
    agreed: Option<String>,
    rest: Vec<u8>,
}

impl Draft {
    fn line(&mut self, line: &str, blocks: &HashMap<String, Vec<u8>>) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "use" => {
                for name in rest.split(' ') {
                    self.template.extend(blocks.get(name).ok_or_else(|| format!("no block {name}"))?);
                }
            }
            "=" => self.expect = Some(expectation(rest)?),
            ">" => {
                let (name, value) = rest.split_once(": ").ok_or("no header")?;
                self.headers.push((name.to_owned(), value.to_owned()));
            }
            ">!" => self.absent.push(rest.to_owned()),
            "deflate" => self.deflate = Some(settings(rest)?),
            "agreed" => self.agreed = Some(rest.to_owned()),
            "offers" => self.offers = rest.split(' ').map(str::to_owned).collect(),
            "optional" => self.optional = true,
            "rest" => self.rest = unescape(rest)?,
            _ => {
                let how = word.strip_prefix('<').ok_or_else(|| format!("unknown word {word}"))?;
                let (raw, how) = how.strip_prefix('-').map_or((false, how), |how| (true, how));
                let times = match how.strip_prefix('*') {
                    Some(times) => times.parse().map_err(|_| format!("no number in {word}"))?,
                    None if how.is_empty() => 1,
                    None => return Err(format!("unknown word {word}")),
                };
                let mut bytes = unescape(rest)?;
                if !raw {
                    bytes.extend_from_slice(b"\r\n");
                }
                self.template.extend(bytes.repeat(times));
            }
        }
        Ok(())
    }
}

fn expectation(text: &str) -> Result<Expect, String> {
    let (first, rule) = match text.split_once(' ') {
        Some((first, rule)) => (first, Some(rule.to_owned())),
        None => (text, None),
    };
    match (first, rule) {
        ("101", None) => Ok(Expect::Open),
        ("fail", Some(rule)) => Ok(Expect::Fail(rule)),
        (status, rule) => match status.parse() {
            Ok(status) if status != 101 => Ok(Expect::Status(status, rule)),
            _ => Err(format!("cannot expect {text}")),
        },
    }
}

/// Resolves the escapes in a text.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let meant = if byte == b'\\' { escaped(&mut rest) } else { Some(byte) };
        bytes.push(meant.ok_or_else(|| format!("unknown escape in {text}"))?);
    }
    Ok(bytes)
}

/// The byte that the characters behind a backslash stand for.
fn escaped(rest: &mut std::str::Bytes<'_>) -> Option<u8> {
    let digit = |rest: &mut std::str::Bytes<'_>| char::from(rest.next()?).to_digit(16)?.try_into().ok();
    match rest.next()? {
        b'r' => Some(b'\r'),
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b's' => Some(b' '),
        b'0' => Some(0),
        b'\\' => Some(b'\\'),
        b'x' => {
            let high: u8 = digit(rest)?;
            let low: u8 = digit(rest)?;
            Some(high << 4 | low)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Case> {
        parse("test.txt", text)
    }

    #[test]
    fn a_case_is_what_its_lines_say() {
        let cases = read(concat!(
            "# comment\n\ndefine a\n  < A: b\ndefine b\n  use a\n  <-*2 c\\s\n\n",
            "first\n  use a b\n  <\n  = 400 Rule(x)\n  > X: y: z\n\n",
            "second\n  offers p q\n  optional\n  < {accept},{accept}\n  <- \\r\\n\\t\\0\\\\\\xfF\n  = 101\n  rest \\x81\n",
            "third\n  <*2 x\n  = fail Rule\nfourth\n  = 404\n",
            "fifth\n  deflate server_no_context_takeover; client_max_window_bits=9\n  = 101\n  >! Y\n  agreed\n",
        ));
        let [first, second, third, fourth, fifth] = &cases[..] else { panic!("{cases:?}") };
        assert_eq!(first.input(""), b"A: b\r\nA: b\r\nc c \r\n");
        assert_eq!(first.expect, Expect::Status(400, Some("Rule(x)".into())));
        assert_eq!(first.headers, [("X".to_owned(), "y: z".to_owned())]);
        assert_eq!(first.to_string(), "test.txt:9 first");
        assert_eq!(second.input("!"), b"!,!\r\n\r\n\t\0\\\xff");
        assert_eq!((&second.offers[..], second.optional), (&["p".to_owned(), "q".to_owned()][..], true));
        assert_eq!((&second.expect, &second.rest[..]), (&Expect::Open, &b"\x81"[..]));
        assert_eq!((third.input(""), &third.expect), (b"x\r\nx\r\n".to_vec(), &Expect::Fail("Rule".into())));
        assert_eq!(fourth.expect, Expect::Status(404, None));
        assert_eq!((&fourth.deflate, &fourth.agreed), (&None, &None));
        assert_eq!((&fifth.absent[..], fifth.agreed.as_deref()), (&["Y".to_owned()][..], Some("")));
        let deflate = fifth.deflate.as_ref().unwrap();
        assert_eq!((deflate.server_context_takeover, deflate.client_context_takeover), (false, true));
        assert_eq!((deflate.server_max_window_bits, deflate.client_max_window_bits), (15, 9));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, expected) in [
            ("a\n  <\n", "test.txt:1: nothing is expected"),
            ("a\n  = 400\na\n  = 400\n", "test.txt:3: a second case of this name"),
            ("define a\n  = 400\n", "test.txt:1: a block expects nothing"),
            ("a\n  use b\n", "test.txt:2: no block b"),
            ("a\n  >> b\n", "test.txt:2: unknown word >>"),
            ("a\n  <+ b\n", "test.txt:2: unknown word <+"),
            ("a\n  <*x b\n", "test.txt:2: no number in <*x"),
            ("a\n  < \\q\n", "test.txt:2: unknown escape in \\q"),
            ("a\n  < \\x8\n", "test.txt:2: unknown escape in \\x8"),
            ("a\n  < \\\n", "test.txt:2: unknown escape in \\"),
            ("a\n  > b\n", "test.txt:2: no header"),
            ("a\n  deflate ;\n", "test.txt:2: no token at byte 10 in ;"),
            ("a\n  deflate level=1\n", "test.txt:2: unknown parameter level"),
            ("a\n  deflate server_max_window_bits\n", "test.txt:2: no number in server_max_window_bits"),
            ("a\n  = 101 Rule\n", "test.txt:2: cannot expect 101 Rule"),
            ("a\n  = fail\n", "test.txt:2: cannot expect fail"),
        ] {
            let panic = std::panic::catch_unwind(|| read(text)).expect_err(text);
            assert_eq!(panic.downcast_ref::<String>().unwrap(), expected);
        }
    }
}
