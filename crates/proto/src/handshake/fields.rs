//! Questions that both sides ask about header fields (RFC 9110 §5, RFC 9112 §6).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::header_value::{is_token, tokens, trim_ows};
use crate::version::SEC_WEBSOCKET_ORIGIN;

/// A field that was to come at most once came again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Duplicate;

/// The value of a field that may come at most once (RFC 9110 §5.3).
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Duplicate> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(Duplicate) } else { Ok(first) }
}

/// The field is no list of what it should list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidList;

/// Whether `Connection` lists `upgrade`, in any case (RFC 6455 §4.1, §4.2.1).
pub(super) fn connection_upgrades(headers: &HeaderMap) -> Result<bool, InvalidList> {
    let mut found = false;
    for value in headers.get_all(CONNECTION) {
        for option in tokens(value.to_str().map_err(|_| InvalidList)?) {
            found |= option.map_err(|_| InvalidList)?.eq_ignore_ascii_case("upgrade");
        }
    }
    Ok(found)
}

/// Whether `Upgrade` lists `websocket`, in any case, among protocols written `name[/version]`
/// (RFC 6455 §4.2.1, RFC 9110 §7.8).
pub(super) fn upgrades_to_websocket(headers: &HeaderMap) -> Result<bool, InvalidList> {
    let mut found = false;
    for value in headers.get_all(UPGRADE) {
        for protocol in value.to_str().map_err(|_| InvalidList)?.split(',').map(trim_ows) {
            // RFC 9110 §5.6.1.2: an empty element is skipped.
            if !protocol.is_empty() && !protocol.splitn(2, '/').all(is_token) {
                return Err(InvalidList);
            }
            found |= protocol.eq_ignore_ascii_case("websocket");
        }
    }
    Ok(found)
}

/// `Content-Length` is no number, or comes more than once (RFC 9112 §6.3).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidContentLength;

/// What follows the head (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Empty,
    /// So many bytes, or more than can be counted.
    Length(usize),
    /// As `Transfer-Encoding` says.
    Encoded,
}

impl Body {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, InvalidContentLength> {
        let length = single(headers, &CONTENT_LENGTH).map_err(|Duplicate| InvalidContentLength)?;
        let length = match length.map(HeaderValue::as_bytes) {
            None => 0,
            Some(digits) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                let number = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                number.unwrap_or(usize::MAX)
            }
            Some(_) => return Err(InvalidContentLength),
        };
        Ok(match length {
            _ if headers.contains_key(TRANSFER_ENCODING) => Self::Encoded,
            0 => Self::Empty,
            length => Self::Length(length),
        })
    }
}

/// Whether the handshake writes this field itself, so that a caller may not.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE].contains(name)
        || name.as_str().starts_with("sec-websocket-")
}

/// Whether the field carries the origin, in some version of the protocol.
pub(super) fn is_origin(name: &HeaderName) -> bool {
    *name == ORIGIN || *name == SEC_WEBSOCKET_ORIGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn many(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_single_field_is_found_and_a_second_one_noticed() {
        assert_eq!(single(&HeaderMap::new(), &HOST), Ok(None));
        let one = many(&HOST, &["a"]);
        assert_eq!(single(&one, &HOST), Ok(Some(&HeaderValue::from_static("a"))));
        assert_eq!(single(&many(&HOST, &["a", "a"]), &HOST), Err(Duplicate));
    }

    #[test]
    fn connection_is_a_list_over_all_its_lines() {
        for (values, upgrades) in [
            (&[][..], Ok(false)),
            (&["upgrade"], Ok(true)),
            (&["keep-alive, UPGRADE"], Ok(true)),
            (&["keep-alive", "Upgrade"], Ok(true)),
            (&["keep-alive"], Ok(false)),
            (&["upgraded"], Ok(false)),
            (&["keep alive, upgrade"], Err(InvalidList)),
            (&["upgrade; q=1"], Err(InvalidList)),
        ] {
            assert_eq!(connection_upgrades(&many(&CONNECTION, values)), upgrades, "{values:?}");
        }
        let mut outside_ascii = HeaderMap::new();
        outside_ascii.insert(CONNECTION, HeaderValue::from_bytes(b"upgrade, \xe9").unwrap());
        assert_eq!(connection_upgrades(&outside_ascii), Err(InvalidList));
    }

    #[test]
    fn upgrade_is_a_list_of_protocols() {
        for (values, upgrades) in [
            (&[][..], Ok(false)),
            (&["WebSocket"], Ok(true)),
            (&["h2c, websocket"], Ok(true)),
            (&["HTTP/2.0", "websocket"], Ok(true)),
            (&["h2c"], Ok(false)),
            (&[""], Ok(false)),
            (&["websocket/13"], Ok(false)),
            (&["websockets"], Ok(false)),
            (&["\"x, websocket"], Err(InvalidList)),
            (&["web socket"], Err(InvalidList)),
            (&["/1, websocket"], Err(InvalidList)),
            (&["h2c/, websocket"], Err(InvalidList)),
        ] {
            assert_eq!(upgrades_to_websocket(&many(&UPGRADE, values)), upgrades, "{values:?}");
        }
        let mut outside_ascii = HeaderMap::new();
        outside_ascii.insert(UPGRADE, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(upgrades_to_websocket(&outside_ascii), Err(InvalidList));
    }

    #[test]
    fn a_body_is_announced_by_either_field() {
        for (value, body) in [
            ("0", Ok(Body::Empty)),
            ("000", Ok(Body::Empty)),
            ("1", Ok(Body::Length(1))),
            ("99999999999999999999999999", Ok(Body::Length(usize::MAX))),
            ("", Err(InvalidContentLength)),
            ("-1", Err(InvalidContentLength)),
            ("+0", Err(InvalidContentLength)),
            ("0x0", Err(InvalidContentLength)),
            ("0, 0", Err(InvalidContentLength)),
        ] {
            assert_eq!(Body::of(&headers(&[(CONTENT_LENGTH, value)])), body, "{value:?}");
        }
        assert_eq!(Body::of(&HeaderMap::new()), Ok(Body::Empty));
        assert_eq!(Body::of(&headers(&[(TRANSFER_ENCODING, "chunked")])), Ok(Body::Encoded));
        assert_eq!(
            Body::of(&headers(&[(TRANSFER_ENCODING, "identity"), (CONTENT_LENGTH, "0")])),
            Ok(Body::Encoded)
        );
        assert_eq!(Body::of(&many(&CONTENT_LENGTH, &["0", "0"])), Err(InvalidContentLength));
    }

    #[test]
    fn what_the_handshake_writes_is_reserved() {
        for name in ["host", "upgrade", "connection", "content-length", "transfer-encoding"] {
            assert!(is_reserved(&HeaderName::from_static(name)));
        }
        assert!(is_reserved(&HeaderName::from_static("sec-websocket-protocol")));
        assert!(is_reserved(&HeaderName::from_static("sec-websocket-anything")));
        assert!(!is_reserved(&HeaderName::from_static("set-cookie")));
        assert!(is_origin(&ORIGIN) && is_origin(&SEC_WEBSOCKET_ORIGIN) && !is_origin(&HOST));
    }
}
