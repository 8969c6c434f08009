//! Which web pages may open a connection: the origin policy (RFC 6455 §4.2.2, §10.2; RFC 6454).

use std::fmt;

use super::authority::{Authority, default_port};

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
/// # DNS rebinding
///
/// A foreign name can be made to point at the server's address, and is then the page's origin as
/// well as the host: to the comparison above that is the same origin. Whoever knows the names of
/// the server lists them with [`hosts`](Self::hosts), or lists the origins with
/// [`only`](Self::only). A server that is reached without TLS, on the user's own machine or in a
/// private network, should do one of the two.
///
/// ```
/// use stentor_proto::handshake::OriginPolicy;
///
/// let policy = OriginPolicy::same_origin()
///     .hosts(["chat.example", "localhost"])?
///     .allow("https://*.app.example")?
///     .allow("http://localhost:*")?;
/// let strict = OriginPolicy::only(["https://app.example", "https://admin.example:8443"])?;
/// # Ok::<(), stentor_proto::handshake::InvalidOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPolicy {
    any: bool,
    same_origin: bool,
    allowed: Vec<Allowed>,
    /// The names that requests may be sent to; empty when any may.
    hosts: Vec<Place>,
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
        Self { any: false, same_origin: true, allowed: Vec::new(), hosts: Vec::new() }
    }

    /// Accepts these origins and no others, not even the server's own: each as
    /// [`allow`](Self::allow) does.
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
    /// A host that begins with `*.` stands for every sub-domain, at any depth, but not for the
    /// domain itself; a port of `*` stands for every port.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] unless it is a `scheme://host[:port]`.
    pub fn allow(mut self, origin: &str) -> Result<Self, InvalidOrigin> {
        self.allowed.push(Allowed::parse(origin).ok_or_else(|| InvalidOrigin(origin.to_owned()))?);
        Ok(self)
    }

    /// Accepts only requests that are sent to one of these names, whatever their origin, and plain
    /// HTTP requests likewise: the guard against [DNS rebinding](Self#dns-rebinding). A second call
    /// adds to the first.
    ///
    /// A name without a port stands for every port; `*.` at its beginning stands for every
    /// sub-domain. It is compared with `Host`, or with the target of a request that names a host.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] for the first that is no `host[:port]`.
    pub fn hosts<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidOrigin> {
        for name in names {
            self.hosts.push(Place::parse_host(name).ok_or_else(|| InvalidOrigin(name.to_owned()))?);
        }
        Ok(self)
    }

    /// Accepts every origin: any web page that one of your users visits can then act in that
    /// user's name, unless something other than cookies authorizes the connection.
    #[must_use]
    pub const fn dangerous_allow_any_origin() -> Self {
        Self { any: true, same_origin: true, allowed: Vec::new(), hosts: Vec::new() }
    }

    /// Whether requests may be sent to `host`.
    pub(super) fn allows_host(&self, host: &Authority) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|place| place.is(host))
    }

    /// Whether a request sent to `host` may come from `origin`.
    pub(super) fn allows(&self, origin: Option<&str>, host: &Authority) -> bool {
        let Some(origin) = origin else { return true };
        self.any
            || Origin::parse(origin).is_some_and(|origin| {
                (self.same_origin && origin.is_of(host))
                    || self.allowed.iter().any(|allowed| allowed.is(&origin))
            })
    }
}

/// A text that is no origin, `scheme://host[:port]` (RFC 6454 §6.2), or no `host[:port]` where
/// [`OriginPolicy::hosts`] expects one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin(String);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin such as https://example.com, or no such host", self.0)
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
        is_scheme(&scheme).then_some(Self { scheme, authority })
    }

    /// Whether this is the origin of pages that `host` serves.
    fn is_of(&self, host: &Authority) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
            && self.authority.host == host.host
            && self.authority.port_or_default(&self.scheme) == host.port_or_default(&self.scheme)
    }
}

/// `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )` (RFC 3986 §3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// An origin, or many, in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Allowed {
    scheme: String,
    place: Place,
}

impl Allowed {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (authority, any_port) = match authority.strip_suffix(":*") {
            Some(authority) => (authority, true),
            None => (authority, false),
        };
        let mut place = Place::parse(authority)?;
        place.port = match place.port {
            // A port beside the `*`.
            Port::Is(Some(_)) if any_port => return None,
            _ if any_port => Port::Any,
            Port::Is(port) if port == default_port(&scheme) => Port::Is(None),
            port => port,
        };
        is_scheme(&scheme).then_some(Self { scheme, place })
    }

    fn is(&self, origin: &Origin) -> bool {
        self.scheme == origin.scheme && self.place.is(&origin.authority)
    }
}

/// A host, or a domain's sub-domains, at one port or all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// In its normal form; of a domain whose sub-domains are meant, the dot and all behind it.
    host: String,
    sub_domains: bool,
    port: Port,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    /// This one; `None` for the one that goes without saying.
    Is(Option<u16>),
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (sub_domains, text) = match text.strip_prefix('*') {
            Some(domain) => (true, domain),
            None => (false, text),
        };
        let Authority { host, port } = Authority::parse(text)?;
        // What begins with a dot names a domain; without the star it names nothing.
        let whole = host.strip_prefix('.').map_or(!sub_domains, |domain| sub_domains && !domain.is_empty());
        (whole && !host.contains('*')).then_some(Self { host, sub_domains, port: Port::Is(port) })
    }

    /// The same for a `Host`, where a port left out stands for all.
    fn parse_host(text: &str) -> Option<Self> {
        let place = Self::parse(text)?;
        let port = if place.port == Port::Is(None) { Port::Any } else { place.port };
        Some(Self { port, ..place })
    }

    fn is(&self, authority: &Authority) -> bool {
        let host = if self.sub_domains {
            authority.host.len() > self.host.len() && authority.host.ends_with(&self.host)
        } else {
            authority.host == self.host
        };
        host && match self.port {
            Port::Any => true,
            Port::Is(port) => authority.port == port,
        }
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
    fn a_star_stands_for_sub_domains_or_for_ports() {
        let host = Authority::parse("elsewhere.example").unwrap();
        let sub_domains = OriginPolicy::only(["https://*.Example.com"]).unwrap();
        let any_port = OriginPolicy::only(["http://localhost:*"]).unwrap();
        let both = OriginPolicy::only(["https://*.example.com:*"]).unwrap();
        let port = OriginPolicy::only(["https://*.example.com:8443"]).unwrap();
        for (policy, accepted, refused) in [
            (
                &sub_domains,
                &["https://a.example.com", "https://a.b.example.com", "https://A.example.com:443"][..],
                &[
                    "https://example.com",
                    "https://notexample.com",
                    "https://a.example.com.evil.example",
                    "https://a.example.com:8443",
                    "http://a.example.com",
                    "https://.example.com",
                    "null",
                ][..],
            ),
            (
                &any_port,
                &["http://localhost", "http://localhost:80", "http://localhost:3000"],
                &["https://localhost", "http://a.localhost", "http://localhost.evil.example"],
            ),
            (&both, &["https://a.example.com:1", "https://a.example.com"], &["https://example.com:1"]),
            (
                &port,
                &["https://a.example.com:8443"],
                &["https://a.example.com", "https://a.example.com:8444"],
            ),
        ] {
            for origin in accepted {
                assert!(policy.allows(Some(origin), &host), "{origin} by {policy:?}");
            }
            for origin in refused {
                assert!(!policy.allows(Some(origin), &host), "{origin} by {policy:?}");
            }
        }
    }

    #[test]
    fn only_listed_hosts_are_served() {
        let policy = OriginPolicy::same_origin();
        assert!(policy.allows_host(&Authority::parse("anything.example:1").unwrap()), "by default all are");
        let policy = policy.hosts(["Example.com", "127.0.0.1:8080"]).unwrap();
        let policy = policy.hosts(["*.chat.example", "[::1]"]).unwrap();
        for (host, served) in [
            ("example.com", true),
            ("EXAMPLE.com:8443", true),
            ("a.example.com", false),
            ("evil.example", false),
            ("127.0.0.1:8080", true),
            ("127.0.0.1", false),
            ("127.0.0.1:80", false),
            ("a.chat.example:1", true),
            ("chat.example", false),
            ("[0::1]:9001", true),
            ("[::2]", false),
            ("localhost", false),
        ] {
            assert_eq!(policy.allows_host(&Authority::parse(host).unwrap()), served, "{host}");
        }
        for name in
            ["", "https://example.com", "example.com/", "a b", "*", "*.", ".example.com", "example.com:*"]
        {
            assert_eq!(OriginPolicy::same_origin().hosts([name]), Err(InvalidOrigin(name.to_owned())));
        }
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
        for text in [
            "null",
            "example.com",
            "https://example.com/",
            "*",
            "https://*",
            "https://*.",
            "https://*example.com",
            "https://.example.com",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "https://*.[::1]",
            "https://example.com:1:*",
            "https://example.com:*:1",
            "*://example.com",
        ] {
            let error = OriginPolicy::only([text]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{text:?} is no origin such as https://example.com, or no such host")
            );
        }
    }
}
