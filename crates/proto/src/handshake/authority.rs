//! A host with an optional port, as `Host`, `Origin` and request targets name it (RFC 3986 §3.2).

use std::net::Ipv6Addr;

/// A host in its one normal form, so that equal hosts compare equal, with the port if one is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Authority {
    /// Lower case; an IPv6 address in brackets, as short as RFC 5952 writes it.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port` or `[v6]:port`; `None` for anything else, user information
    /// included. An empty port is none at all (RFC 3986 §3.2.3).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), port)
        } else {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            if host.is_empty() || !host.bytes().all(is_host_byte) {
                return None;
            }
            (host.to_ascii_lowercase(), port)
        };
        let port = match (port.strip_prefix(':'), port) {
            (Some(""), _) | (None, "") => None,
            (Some(digits), _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// The named port, or else the one that the scheme implies.
    pub(super) fn port_or_default(&self, scheme: &str) -> Option<u16> {
        self.port.or_else(|| default_port(scheme))
    }
}

/// The port that a URI of this scheme means when it names none (RFC 6455 §3, RFC 9110 §4.2).
pub(super) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// `unreserved / pct-encoded / sub-delims`, the bytes of a registered name or an IPv4 address
/// (RFC 3986 §3.2.2).
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')')
        || matches!(byte, b'*' | b'+' | b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, Option<u16>)> {
        Authority::parse(text).map(|authority| (authority.host, authority.port))
    }

    #[test]
    fn hosts_come_out_in_one_form() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("EXAMPLE.com:8080", "example.com", Some(8080)),
            ("example.com:", "example.com", None),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("a_b", "a_b", None),
            ("[::1]", "[::1]", None),
            ("[0:0::0:1]:65535", "[::1]", Some(65535)),
            ("[2001:DB8::A]:", "[2001:db8::a]", None),
        ] {
            assert_eq!(parse(text), Some((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ":80",
            "a b",
            "a/b",
            "user@host",
            "a:b",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[]",
            "[1.2.3.4]",
            "[::1%eth0]",
            "a,b c",
            "é",
            "a\\b",
            "a\"b",
            "a<b",
            "a#b",
            "a?b",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn schemes_imply_ports() {
        let host = Authority::parse("h").unwrap();
        for (scheme, port) in
            [("http", Some(80)), ("ws", Some(80)), ("https", Some(443)), ("wss", Some(443)), ("ftp", None)]
        {
            assert_eq!(host.port_or_default(scheme), port);
        }
        assert_eq!(Authority::parse("h:1").unwrap().port_or_default("https"), Some(1));
    }
}
