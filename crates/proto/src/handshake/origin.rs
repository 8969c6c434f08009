//! Which web pages may open a connection: the origin policy (RFC 6455 §4.2.2, §10.2; RFC 6454).

use std::fmt;

use super::authority::{Authority, default_port};
use crate::header_value::is_token;

/// Which origins a server accepts.
///
/// A browser lets any page open a WebSocket to any server and sends the user's cookies along, so
/// the server has to look at the page's `Origin` itself; otherwise a foreign page acts with the
/// user's rights (cross-site WebSocket hijacking). The default accepts only pages that come from
/// the server itself.
///
/// A request without `Origin` does not come from a page, and every policy accepts it: such a
/// client could claim any origin anyway. An origin of `null`, which sandboxed and local pages
/// have, is never accepted short of
/// [`dangerous_allow_any_origin`](Self::dangerous_allow_any_origin).
///
/// # Same origin
///
/// The origin's host and port are compared with those that the request itself was sent to
/// (`Host`). The scheme is not, because a server behind a proxy that ends TLS cannot know whether
/// its clients came by `https`. It still decides what a port left out means: 80 for `http`, 443 for
/// `https`, on both sides. So `https://example.com` may connect to `Host: example.com` and
/// `Host: example.com:443`, but not to `Host: example.com:80`. Where pages served over plain
/// `http` must not connect to their own host over TLS, list the origins with
/// [`only`](Self::only).
///
/// [`only`](Self::only) also protects against DNS rebinding, where a foreign name is made to point
/// at the server's address and so is the origin as well as the host.
///
/// ```
/// use stentor_proto::handshake::OriginPolicy;
///
/// let policy = OriginPolicy::same_origin().allow("https://app.example")?;
/// let strict = OriginPolicy::only(["https://app.example", "https://admin.example:8443"])?;
/// # Ok::<(), stentor_proto::handshake::InvalidOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPolicy {
    any: bool,
    same_origin: bool,
    allowed: Vec<Origin>,
}

impl Default for OriginPolicy {
    fn default() -> Self {
        Self::same_origin()
    }
}

impl OriginPolicy {
    /// Accepts pages that come from the host and port that they connect to. This is the default.
    #[must_use]
    pub const fn same_origin() -> Self {
        Self { any: false, same_origin: true, allowed: Vec::new() }
    }

    /// Accepts these origins and no others, not even the server's own. They are compared with
    /// scheme, host and port.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] for the first that is no `scheme://host[:port]`.
    pub fn only<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidOrigin> {
        origins.into_iter().try_fold(Self { same_origin: false, ..Self::same_origin() }, |policy, origin| {
            policy.allow(origin)
        })
    }

    /// Accepts this origin too; it is compared with scheme, host and port.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] unless it is a `scheme://host[:port]`.
    pub fn allow(mut self, origin: &str) -> Result<Self, InvalidOrigin> {
        self.allowed.push(Origin::parse(origin).ok_or_else(|| InvalidOrigin(origin.to_owned()))?);
        Ok(self)
    }

    /// Accepts every origin: any web page that one of your users visits can then act in that
    /// user's name, unless something other than cookies authorizes the connection.
    #[must_use]
    pub const fn dangerous_allow_any_origin() -> Self {
        Self { any: true, same_origin: true, allowed: Vec::new() }
    }

    /// Whether a request sent to `host` may come from `origin`.
    pub(super) fn allows(&self, origin: Option<&str>, host: &Authority) -> bool {
        let Some(origin) = origin else { return true };
        self.any
            || Origin::parse(origin).is_some_and(|origin| {
                (self.same_origin && origin.is_of(host)) || self.allowed.contains(&origin)
            })
    }
}

/// A text that is no origin, `scheme://host[:port]` (RFC 6454 §6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin(String);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin such as https://example.com", self.0)
    }
}

impl std::error::Error for InvalidOrigin {}

/// An origin in its normal form: lower case, and the port that its scheme implies left out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    authority: Authority,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let mut authority = Authority::parse(authority)?;
        if authority.port == default_port(&scheme) {
            authority.port = None;
        }
        is_token(&scheme).then_some(Self { scheme, authority })
    }

    /// Whether this is the origin of pages that `host` serves.
    fn is_of(&self, host: &Authority) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
            && self.authority.host == host.host
            && self.authority.port_or_default(&self.scheme) == host.port_or_default(&self.scheme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same_origin(origin: &str, host: &str) -> bool {
        OriginPolicy::default().allows(Some(origin), &Authority::parse(host).unwrap())
    }

    #[test]
    fn a_page_may_connect_to_where_it_came_from() {
        for (origin, host) in [
            ("http://example.com", "example.com"),
            ("https://example.com", "example.com"),
            ("https://EXAMPLE.com", "Example.COM"),
            ("HTTPS://example.com", "example.com"),
            ("http://example.com:80", "example.com"),
            ("http://example.com", "example.com:80"),
            ("https://example.com", "example.com:443"),
            ("https://example.com:443", "example.com"),
            ("http://localhost:8080", "localhost:8080"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[0::1]:8080"),
        ] {
            assert!(same_origin(origin, host), "{origin} to {host}");
        }
    }

    #[test]
    fn a_page_may_not_connect_to_anywhere_else() {
        for (origin, host) in [
            ("http://evil.example", "example.com"),
            ("http://sub.example.com", "example.com"),
            ("http://example.com", "sub.example.com"),
            ("http://example.com.evil.example", "example.com"),
            ("http://notexample.com", "example.com"),
            ("http://example.com:8080", "example.com"),
            ("http://example.com", "example.com:8080"),
            ("http://example.com", "example.com:443"),
            ("https://example.com", "example.com:80"),
            ("http://127.0.0.1", "localhost"),
            ("http://[::1]", "[::2]"),
            ("chrome-extension://example.com", "example.com"),
            ("ftp://example.com", "example.com"),
        ] {
            assert!(!same_origin(origin, host), "{origin} to {host}");
        }
    }

    #[test]
    fn what_is_no_origin_is_not_the_same_one() {
        for origin in [
            "",
            "null",
            "NULL",
            "example.com",
            "//example.com",
            "://example.com",
            "http://",
            "http://example.com/",
            "http://example.com?",
            "http://example.com#",
            "http://user@example.com",
            "http://example.com http://example.com",
            "http://example.com, http://example.com",
            "http://example.com:99999",
            "http:/example.com",
            "ht tp://example.com",
        ] {
            assert!(!same_origin(origin, "example.com"), "{origin:?}");
        }
    }

    #[test]
    fn no_origin_is_no_page() {
        let host = Authority::parse("example.com").unwrap();
        assert!(OriginPolicy::same_origin().allows(None, &host));
        assert!(OriginPolicy::only(["https://a.example"]).unwrap().allows(None, &host));
    }

    #[test]
    fn listed_origins_are_compared_with_their_scheme() {
        let host = Authority::parse("example.com").unwrap();
        let policy = OriginPolicy::same_origin().allow("https://App.example:443").unwrap();
        assert!(policy.allows(Some("https://app.example"), &host));
        assert!(policy.allows(Some("http://example.com"), &host));
        assert!(!policy.allows(Some("http://app.example"), &host));
        assert!(!policy.allows(Some("http://app.example:443"), &host));
        assert!(!policy.allows(Some("https://app.example:8443"), &host));

        let app = OriginPolicy::same_origin().allow("capacitor://localhost").unwrap();
        assert!(app.allows(Some("capacitor://localhost"), &host));
    }

    #[test]
    fn only_listed_origins_leaves_out_the_servers_own() {
        let rebound = Authority::parse("evil.example").unwrap();
        let policy = OriginPolicy::only(["https://app.example", "http://b.example"]).unwrap();
        assert!(policy.allows(Some("http://b.example"), &rebound));
        assert!(!policy.allows(Some("http://evil.example"), &rebound));
        assert!(!policy.allows(Some("null"), &rebound));
    }

    #[test]
    fn any_origin_is_any_origin() {
        let host = Authority::parse("example.com").unwrap();
        let policy = OriginPolicy::dangerous_allow_any_origin();
        for origin in ["null", "http://evil.example", "nonsense"] {
            assert!(policy.allows(Some(origin), &host));
        }
    }

    #[test]
    fn a_list_takes_only_origins() {
        for text in ["null", "example.com", "https://example.com/", "*"] {
            let error = OriginPolicy::only([text]).unwrap_err();
            assert_eq!(error.to_string(), format!("{text:?} is no origin such as https://example.com"));
        }
    }
}
