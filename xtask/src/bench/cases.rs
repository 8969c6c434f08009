//! The cases: how many connections, how many messages in flight on each, of which size and kind.

use crate::outcome::{Result, Stop};

/// What a message's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Binary,
    /// ASCII.
    Text,
    /// Text outside ASCII.
    Wide,
}

/// Whether messages are compressed with what the ones before them held (RFC 7692 §7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takeover {
    /// With it, as browsers offer.
    Kept,
    /// Each for itself, both ways.
    Off,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Case {
    /// Bytes of each message.
    pub(crate) payload: usize,
    pub(crate) kind: Kind,
    pub(crate) connections: usize,
    /// Messages in flight on each connection.
    pub(crate) in_flight: usize,
    /// Whether permessage-deflate is agreed upon and messages are compressed, and how.
    pub(crate) deflate: Option<Takeover>,
    /// What Stentor is to cost at most, as a multiple of the TCP echo.
    pub(crate) goal: Option<f64>,
}

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

/// The rows of the table, small messages first.
pub(crate) const ECHO: &[Case] = &[
    case(16, Kind::Binary, 1, 1, None),
    case(16, Kind::Binary, 1, 64, Some(1.10)),
    case(16, Kind::Binary, 50, 16, Some(1.12)),
    case(125, Kind::Text, 50, 1, Some(1.03)),
    case(125, Kind::Binary, 500, 1, Some(1.03)),
    case(125, Kind::Text, 500, 16, Some(1.08)),
    case(KIB, Kind::Binary, 50, 16, Some(1.08)),
    case(16 * KIB, Kind::Binary, 50, 1, Some(1.12)),
    case(16 * KIB, Kind::Wide, 50, 1, Some(1.22)),
    case(16 * KIB, Kind::Binary, 1, 16, Some(1.4)),
    case(MIB, Kind::Binary, 1, 1, Some(1.4)),
    case(MIB, Kind::Text, 10, 1, None),
];

/// The rows with permessage-deflate.
pub(crate) const DEFLATE: &[Case] = &[
    compressed(256, 50, Takeover::Kept),
    compressed(KIB, 50, Takeover::Kept),
    compressed(16 * KIB, 10, Takeover::Kept),
];

/// The rows with permessage-deflate on one connection and on many, with and without takeover.
pub(crate) const TAKEOVER: &[Case] = &[
    compressed(200, 1, Takeover::Kept),
    compressed(KIB, 1, Takeover::Kept),
    compressed(16 * KIB, 1, Takeover::Kept),
    compressed(200, 1000, Takeover::Kept),
    compressed(KIB, 1000, Takeover::Kept),
    compressed(16 * KIB, 1000, Takeover::Kept),
    compressed(200, 1, Takeover::Off),
    compressed(KIB, 1, Takeover::Off),
    compressed(16 * KIB, 1, Takeover::Off),
    compressed(200, 1000, Takeover::Off),
    compressed(KIB, 1000, Takeover::Off),
    compressed(16 * KIB, 1000, Takeover::Off),
];

/// Lines of JSON, compressed, one in flight.
const fn compressed(payload: usize, connections: usize, takeover: Takeover) -> Case {
    Case { deflate: Some(takeover), ..case(payload, Kind::Text, connections, 1, None) }
}

/// A case without permessage-deflate.
pub(crate) const fn case(
    payload: usize,
    kind: Kind,
    connections: usize,
    in_flight: usize,
    goal: Option<f64>,
) -> Case {
    Case { payload, kind, connections, in_flight, deflate: None, goal }
}

/// The case with this id.
pub(crate) fn named(id: &str) -> Result<Case> {
    let found = ECHO.iter().chain(DEFLATE).chain(TAKEOVER).find(|case| case.id() == id).copied();
    found.ok_or_else(|| Stop::fail(format!("no case {id}; `cargo xtask bench --list` has them")))
}

impl Case {
    /// Its name on the command line: `16B-c1-m64`.
    pub(crate) fn id(&self) -> String {
        let kind = match self.kind {
            Kind::Binary => "",
            Kind::Text => "-text",
            Kind::Wide => "-wide",
        };
        let deflate = match self.deflate {
            None => "",
            Some(Takeover::Kept) => "-deflate",
            Some(Takeover::Off) => "-deflate-alone",
        };
        format!("{}{kind}{deflate}-c{}-m{}", size(self.payload, ""), self.connections, self.in_flight)
    }

    /// Its name in tables: `16 B, c1, M64`.
    pub(crate) fn title(&self) -> String {
        let kind = match self.kind {
            Kind::Binary => "",
            Kind::Text => " text",
            Kind::Wide => " non-ASCII text",
        };
        format!("{}{kind}, c{}, M{}", size(self.payload, " "), self.connections, self.in_flight)
    }
}

impl Kind {
    /// Its name for the load generator.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Text => "text",
            Self::Wide => "wide",
        }
    }
}

/// A size with its unit.
pub(crate) fn size(bytes: usize, space: &str) -> String {
    match bytes {
        _ if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{}{space}MiB", bytes / MIB),
        _ if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{}{space}KiB", bytes / KIB),
        _ => format!("{bytes}{space}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_by_their_ids_which_all_differ() {
        for case in ECHO.iter().chain(DEFLATE).chain(TAKEOVER) {
            assert_eq!(named(&case.id()), Ok(*case));
        }
        assert_eq!(named("16B-c1-m64").unwrap().title(), "16 B, c1, M64");
        assert_eq!(named("16KiB-wide-c50-m1").unwrap().title(), "16 KiB non-ASCII text, c50, M1");
        assert!(named("17B-c1-m1").is_err());
    }
}
