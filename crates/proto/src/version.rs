//! Protocol versions: which are spoken, and which draft wrote which number (RFC 6455 §4.4).

use std::fmt;

use http::HeaderName;
use http::header::ORIGIN;

/// A version of the protocol that can be spoken: the number in `Sec-WebSocket-Version`.
///
/// 13 is RFC 6455 itself. 8 and 7 are what drafts 07 to 12 wrote; on the wire they differ from 13
/// only in the name of the header that carries the origin. They are spoken only on request.
///
/// ```
/// use stentor_proto::Version;
///
/// assert_eq!(Version::default(), Version::V13);
/// assert_eq!(Version::from_number(8), Some(Version::V8));
/// assert_eq!(Version::from_draft("hybi-17"), Some(Version::V13));
/// assert_eq!(Version::from_draft("hixie-76"), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Version {
    /// 7: draft-ietf-hybi-thewebsocketprotocol-07.
    V7,
    /// 8: drafts 08 to 12.
    V8,
    /// 13: drafts 13 to 17 and RFC 6455.
    #[default]
    V13,
}

impl Version {
    /// All that can be spoken, the newest first.
    pub const ALL: [Self; 3] = [Self::V13, Self::V8, Self::V7];

    /// The number in `Sec-WebSocket-Version`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V7 => 7,
            Self::V8 => 8,
            Self::V13 => 13,
        }
    }

    /// The version with that number, if it can be spoken.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// The version that a draft wrote on the wire, if it can be spoken; see [`Draft::by_name`] for
    /// the names.
    #[must_use]
    pub fn from_draft(name: &str) -> Option<Self> {
        Draft::by_name(name)?.version()
    }

    /// The request header that carries the origin: `Origin`, and before version 13
    /// `Sec-WebSocket-Origin`.
    #[must_use]
    pub fn origin_header(self) -> HeaderName {
        match self {
            Self::V13 => ORIGIN,
            Self::V7 | Self::V8 => SEC_WEBSOCKET_ORIGIN,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// What drafts before 11 called `Origin`.
pub(crate) const SEC_WEBSOCKET_ORIGIN: HeaderName = HeaderName::from_static("sec-websocket-origin");

/// A set of versions that an endpoint speaks; 13 is always in it.
///
/// Printed as `Sec-WebSocket-Version` lists them to a client whose version is not among them
/// (RFC 6455 §4.4).
///
/// ```
/// use stentor_proto::{Version, Versions};
///
/// assert_eq!(Versions::default().to_string(), "13");
/// assert_eq!(Versions::default().with(Version::V7).with(Version::V8).to_string(), "13, 8, 7");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    v8: bool,
    v7: bool,
}

impl Versions {
    /// The set with one more version.
    #[must_use]
    pub const fn with(mut self, version: Version) -> Self {
        match version {
            Version::V7 => self.v7 = true,
            Version::V8 => self.v8 = true,
            Version::V13 => {}
        }
        self
    }

    /// Whether the set has the version.
    #[must_use]
    pub const fn contains(self, version: Version) -> bool {
        match version {
            Version::V7 => self.v7,
            Version::V8 => self.v8,
            Version::V13 => true,
        }
    }

    /// The versions of the set, the newest first.
    pub fn iter(self) -> impl Iterator<Item = Version> {
        Version::ALL.into_iter().filter(move |version| self.contains(*version))
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, version) in self.iter().enumerate() {
            write!(f, "{}{version}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A published state of the protocol, from Hickson's drafts over those of the working group to the
/// RFC.
///
/// ```
/// use stentor_proto::Draft;
///
/// let draft = Draft::by_name("draft-ietf-hybi-thewebsocketprotocol-10").unwrap();
/// assert_eq!((draft.name, draft.number), ("hybi-10", Some(8)));
/// assert_eq!(Draft::by_number(8).map(|draft| draft.name).collect::<Vec<_>>().len(), 5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The short name, such as `hybi-17`.
    pub name: &'static str,
    /// The number in the IANA registry of WebSocket versions under which the draft appears on the
    /// wire; drafts before hybi-04 have no header that would carry it. `None` for drafts from
    /// before the working group.
    pub number: Option<u8>,
}

impl Draft {
    /// Every draft, the oldest first.
    pub const ALL: [Self; 21] = [
        Self { name: "hixie-75", number: None },
        Self { name: "hixie-76", number: None },
        Self { name: "hybi-00", number: Some(0) },
        Self { name: "hybi-01", number: Some(1) },
        Self { name: "hybi-02", number: Some(2) },
        Self { name: "hybi-03", number: Some(3) },
        Self { name: "hybi-04", number: Some(4) },
        Self { name: "hybi-05", number: Some(5) },
        Self { name: "hybi-06", number: Some(6) },
        Self { name: "hybi-07", number: Some(7) },
        Self { name: "hybi-08", number: Some(8) },
        Self { name: "hybi-09", number: Some(8) },
        Self { name: "hybi-10", number: Some(8) },
        Self { name: "hybi-11", number: Some(8) },
        Self { name: "hybi-12", number: Some(8) },
        Self { name: "hybi-13", number: Some(13) },
        Self { name: "hybi-14", number: Some(13) },
        Self { name: "hybi-15", number: Some(13) },
        Self { name: "hybi-16", number: Some(13) },
        Self { name: "hybi-17", number: Some(13) },
        Self { name: "rfc6455", number: Some(13) },
    ];

    /// Looks a draft up by its short name or its full one (`draft-ietf-hybi-thewebsocketprotocol-17`,
    /// `draft-hixie-thewebsocketprotocol-76`), in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let short = if let Some(number) = name.strip_prefix("draft-ietf-hybi-thewebsocketprotocol-") {
            format!("hybi-{number}")
        } else if let Some(number) = name.strip_prefix("draft-hixie-thewebsocketprotocol-") {
            format!("hixie-{number}")
        } else {
            name
        };
        Self::ALL.into_iter().find(|draft| draft.name == short)
    }

    /// Every draft that wrote this number, the oldest first.
    pub fn by_number(number: u8) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |draft| draft.number == Some(number))
    }

    /// The version to speak with an endpoint of this draft, if it can be spoken.
    #[must_use]
    pub fn version(self) -> Option<Version> {
        self.number.and_then(Version::from_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_versions() {
        for version in Version::ALL {
            assert_eq!(Version::from_number(version.number()), Some(version));
            assert_eq!(version.to_string(), version.number().to_string());
        }
        assert_eq!(Version::from_number(0), None);
        assert_eq!(Version::from_number(12), None);
    }

    #[test]
    fn drafts_are_found_by_either_name_in_any_case() {
        for draft in Draft::ALL {
            assert_eq!(Draft::by_name(&draft.name.to_uppercase()), Some(draft));
        }
        assert_eq!(Draft::by_name("draft-hixie-thewebsocketprotocol-76"), Draft::by_name("hixie-76"));
        assert_eq!(Draft::by_name("draft-ietf-hybi-thewebsocketprotocol-18"), None);
        assert_eq!(Draft::by_name(""), None);
    }

    #[test]
    fn only_drafts_of_the_final_wire_format_can_be_spoken() {
        let spoken: Vec<_> = Draft::ALL.iter().filter(|draft| draft.version().is_some()).collect();
        assert_eq!(spoken.first().unwrap().name, "hybi-07");
        assert_eq!(spoken.len(), 12);
        assert_eq!(Version::from_draft("hybi-12"), Some(Version::V8));
    }

    #[test]
    fn old_versions_name_the_origin_differently() {
        assert_eq!(Version::V13.origin_header(), "origin");
        assert_eq!(Version::V8.origin_header(), "sec-websocket-origin");
        assert_eq!(Version::V7.origin_header(), "sec-websocket-origin");
    }

    #[test]
    fn a_set_of_versions_always_has_the_rfc() {
        let set = Versions::default().with(Version::V13);
        assert_eq!(set, Versions::default());
        assert!(set.contains(Version::V13) && !set.contains(Version::V8) && !set.contains(Version::V7));
        assert!(set.with(Version::V7).contains(Version::V7));
    }
}
