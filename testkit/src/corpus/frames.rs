//! The frame cases: what a peer sends, and what must come of it.
//!
//! The format is described in `conformance/corpus/frames/README.md`.

mod syntax;

use std::fmt;
use std::fs;
use std::path::PathBuf;

use stentor_proto::{ClosedBy, Config, DeflateParams, ProtocolError, Role, State};

use crate::frame::{Frame, mask};

/// One case: a connection, and a trace of what arrives and what must happen.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file, such as `utf8.txt`.
    pub file: String,
    /// The line of its name.
    pub line: usize,
    /// The name, unique among all cases.
    pub name: String,
    /// The roles in which the connection under test must pass it.
    pub roles: Vec<Role>,
    /// The configuration of the connection under test.
    pub config: Config,
    /// What was agreed on compression, in the cases of [`load_compressed`].
    pub deflate: Option<DeflateParams>,
    /// The trace.
    pub steps: Vec<Step>,
}

/// Something arrives or is asked for, and exactly this must come of it.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The line of its first expectation.
    pub line: usize,
    /// What the connection is given, in this order.
    pub inputs: Vec<Input>,
    /// The events that must appear, in this order, and no others.
    pub events: Vec<Event>,
    /// The frames that must be sent, in this order, and no others.
    pub frames: Vec<Sent>,
    /// The state afterwards, when the case speaks of it.
    pub state: Option<State>,
    /// How the connection must have ended, when the case speaks of it.
    pub closed: Option<Ended>,
}

/// What a connection is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A frame from the peer.
    Frame(Frame),
    /// More payload of the frame before, masked on where that one stopped.
    More(Vec<u8>),
    /// Bytes as they stand.
    Raw(Vec<u8>),
    /// The end of the peer's bytes.
    Eof,
    /// A call of the application.
    Command(Command),
}

/// A call of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send a text message.
    SendText(String),
    /// Send a binary message.
    SendBinary(Vec<u8>),
    /// Begin the closing handshake.
    Close(u16, String),
}

/// What the application must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// The peer's Close; 1005 when it has no code.
    Close(u16, String),
    /// The peer broke this rule.
    Violation(ProtocolError),
}

/// A frame that must be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Exactly this frame.
    Frame(Frame),
    /// A Close frame with this code and whatever reason.
    Close(u16),
}

/// How a connection must have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The code.
    pub code: u16,
    /// The reason, when the case prescribes it.
    pub reason: Option<String>,
    /// Who began.
    pub by: ClosedBy,
}

/// An [`Input`] as a connection of a certain role gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fed {
    /// Bytes from the peer; all that arrive before anything else happens.
    Bytes(Vec<u8>),
    /// The end of the peer's bytes.
    Eof,
    /// A call of the application.
    Command(Command),
}

/// All frame cases, file by file.
///
/// Panics when a file cannot be read or understood, or when two cases share a name.
#[must_use]
pub fn load() -> Vec<Case> {
    load_from("frames")
}

/// All cases of connections with permessage-deflate.
///
/// Panics like [`load`].
#[must_use]
pub fn load_compressed() -> Vec<Case> {
    load_from("deflate")
}

fn load_from(folder: &str) -> Vec<Case> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance/corpus")).join(folder);
    let entries = fs::read_dir(&folder).expect("the folder of the frame cases");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let file = path.file_name().expect("a file name").to_string_lossy();
        let source = fs::read_to_string(&path).expect("readable UTF-8");
        cases.extend(syntax::parse(&file, &source).unwrap_or_else(|error| panic!("{error}")));
    }
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two cases share a name");
    }
    cases
}

impl Case {
    /// What a connection of `role` is given in each of the [`steps`](Self::steps).
    #[must_use]
    pub fn fed(&self, role: Role) -> Vec<Vec<Fed>> {
        let sender = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let mut payload = PayloadSoFar::default();
        self.steps.iter().map(|step| feed(&step.inputs, sender, &mut payload)).collect()
    }
}

/// Where in its mask the last frame stopped, for [`Input::More`].
#[derive(Default)]
struct PayloadSoFar {
    key: Option<[u8; 4]>,
    len: usize,
}

fn feed(inputs: &[Input], sender: Role, payload: &mut PayloadSoFar) -> Vec<Fed> {
    let mut fed = Vec::new();
    for input in inputs {
        let bytes = match input {
            Input::Frame(frame) => {
                *payload = PayloadSoFar { key: frame.key(sender), len: frame.payload.len() };
                frame.encode(sender)
            }
            Input::More(more) => {
                let mut bytes = more.clone();
                mask(payload.key.unwrap_or_default(), &mut bytes, payload.len);
                payload.len += bytes.len();
                bytes
            }
            Input::Raw(bytes) => bytes.clone(),
            Input::Eof => {
                fed.push(Fed::Eof);
                continue;
            }
            Input::Command(command) => {
                fed.push(Fed::Command(command.clone()));
                continue;
            }
        };
        match fed.last_mut() {
            Some(Fed::Bytes(before)) => before.extend(bytes),
            _ => fed.push(Fed::Bytes(bytes)),
        }
    }
    fed
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.name, self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_payload_is_masked_on_where_the_frame_stopped() {
        let source = "split\n  < text declares=5 \"He\"\n  nothing\n  < more \"llo\"\n  = text \"Hello\"\n";
        let case = &syntax::parse("x.txt", source).unwrap()[0];
        let bytes: Vec<u8> = case
            .fed(Role::Server)
            .into_iter()
            .flatten()
            .flat_map(|fed| match fed {
                Fed::Bytes(bytes) => bytes,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(bytes, crate::frame::text("Hello").encode(Role::Client));
    }
}
