//! Where a request comes from when a proxy stands between: `Forwarded` (RFC 7239),
//! `X-Forwarded-For`, and who is trusted to say so.
//!
//! Anyone can write these headers. So they are read from the right, where the nearest proxy wrote,
//! and only as far as whoever wrote an entry is trusted itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use stentor_proto::header_value::is_token;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that stand before a server, and how they tell whom they speak for.
///
/// By default nobody is trusted, and [`client_ip`](crate::WebSocket::client_ip) is the address at
/// the other end of the TCP connection. Behind a proxy that is the proxy's. Name the proxies here,
/// and the one way in which they tell: a proxy passes on what it does not know, so a header that it
/// does not write itself is whatever the client likes.
///
/// ```
/// use stentor::{ForwardedHeader, TrustedProxies};
///
/// // nginx on this machine, which sets X-Forwarded-For.
/// let nginx = TrustedProxies::new(["127.0.0.1", "::1"])?.header(ForwardedHeader::XForwardedFor);
/// // A load balancer that begins each connection with a PROXY header.
/// let balancer = TrustedProxies::new(["10.0.0.0/8"])?.proxy_protocol();
/// # Ok::<(), stentor::InvalidNetwork>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    local: bool,
    header: Option<ForwardedHeader>,
    proxy_protocol: bool,
}

/// The header in which proxies tell whom they speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `Forwarded`, the standard (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`, which most proxies write.
    XForwardedFor,
}

impl TrustedProxies {
    /// Trusts these addresses and networks, such as `127.0.0.1`, `10.0.0.0/8` or `fd00::/8`.
    ///
    /// # Errors
    ///
    /// [`InvalidNetwork`] for the first that is neither.
    pub fn new<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNetwork> {
        let parse = |text: &str| Network::parse(text).ok_or_else(|| InvalidNetwork(text.to_owned()));
        let networks = networks.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { networks, ..Self::default() })
    }

    /// Trusts those too who connect without an address: over a unix socket, or over a byte stream
    /// of another kind.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// Believes this header of a trusted proxy.
    #[must_use]
    pub fn header(mut self, header: ForwardedHeader) -> Self {
        self.header = Some(header);
        self
    }

    /// Expects every connection of a trusted proxy to begin with a PROXY header, version 1 or 2;
    /// without one it is dropped. Whoever is not trusted must not send one.
    ///
    /// With [`header`](Self::header) as well, the source in the PROXY header has to be trusted
    /// before the other header counts.
    #[must_use]
    pub fn proxy_protocol(mut self) -> Self {
        self.proxy_protocol = true;
        self
    }

    /// Whether this end of a TCP connection is trusted.
    pub(crate) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            None => self.local,
            Some(address) => {
                let address = address.to_canonical();
                self.networks.iter().any(|network| network.contains(address))
            }
        }
    }

    /// Whether a connection from there has to begin with a PROXY header.
    pub(crate) fn expects_proxy_header(&self, peer: Option<IpAddr>) -> bool {
        self.proxy_protocol && self.trusts(peer)
    }

    /// The address of the client of a request that came from `peer`: the farthest that is told by
    /// someone trusted.
    pub(crate) fn client(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<Option<IpAddr>, Malformed> {
        let mut client = peer;
        if !self.trusts(client) {
            return Ok(client);
        }
        let hops = match self.header {
            None => return Ok(client),
            Some(ForwardedHeader::Forwarded) => forwarded_hops(headers)?,
            Some(ForwardedHeader::XForwardedFor) => x_forwarded_hops(headers)?,
        };
        for hop in hops.into_iter().rev() {
            match hop.and_then(parse_node) {
                Some(address) => client = Some(address),
                // A proxy that does not tell; what lies behind it is not known either.
                None => break,
            }
            if !self.trusts(client) {
                break;
            }
        }
        Ok(client)
    }
}

/// A header of a trusted proxy that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The node of each entry, the nearest proxy's last.
fn x_forwarded_hops(headers: &HeaderMap) -> Result<Vec<Option<&str>>, Malformed> {
    let mut hops = Vec::new();
    for value in headers.get_all(X_FORWARDED_FOR) {
        let value = value.to_str().map_err(|_| Malformed)?;
        hops.extend(value.split(',').map(str::trim).filter(|hop| !hop.is_empty()).map(Some));
    }
    Ok(hops)
}

/// The `for` of each element of `Forwarded` (RFC 7239 §4), the nearest proxy's last.
fn forwarded_hops(headers: &HeaderMap) -> Result<Vec<Option<&str>>, Malformed> {
    let mut hops = Vec::new();
    for value in headers.get_all(FORWARDED) {
        let mut rest = value.to_str().map_err(|_| Malformed)?.trim();
        let (mut node, mut empty) = (None, true);
        loop {
            if !rest.is_empty() && !rest.starts_with([',', ';']) {
                let (name, after) = rest.split_once('=').ok_or(Malformed)?;
                let (name, (value, after)) = (name.trim_end(), forwarded_value(after)?);
                if !is_token(name) {
                    return Err(Malformed);
                }
                if name.eq_ignore_ascii_case("for") {
                    // §4: "each parameter MUST NOT occur more than once per field-value".
                    if node.replace(value).is_some() {
                        return Err(Malformed);
                    }
                }
                (rest, empty) = (after.trim_start(), false);
            }
            let end = rest.chars().next();
            if end != Some(';') {
                if !empty {
                    hops.push(node);
                }
                (node, empty) = (None, true);
            }
            rest = match end {
                None => break,
                Some(',' | ';') => rest[1..].trim_start(),
                Some(_) => return Err(Malformed),
            };
        }
    }
    Ok(hops)
}

/// A token or quoted string at the beginning of `text`, and what follows it.
fn forwarded_value(text: &str) -> Result<(&str, &str), Malformed> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, rest) = quoted.split_once('"').ok_or(Malformed)?;
        // No node needs an escape, so one that has some means to be read in two ways.
        return if value.contains('\\') { Err(Malformed) } else { Ok((value, rest)) };
    }
    let (value, rest) = text.split_at(text.find([',', ';']).unwrap_or(text.len()));
    let value = value.trim_end();
    if value.is_empty() || value.contains('"') { Err(Malformed) } else { Ok((value, rest)) }
}

/// The address of a node with an optional port (RFC 7239 §6), or `None` when it is hidden:
/// `unknown`, or a name that begins with `_`.
fn parse_node(node: &str) -> Option<IpAddr> {
    let address = if let Some(bracketed) = node.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        if !port.is_empty() && !port.starts_with(':') {
            return None;
        }
        address.parse().map(IpAddr::V6).ok()
    } else {
        let as_it_stands = node.parse().ok();
        as_it_stands.or_else(|| node.split_once(':')?.0.parse().map(IpAddr::V4).ok())
    };
    address.map(|address: IpAddr| address.to_canonical())
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

/// A text that is no address and no network such as `10.0.0.0/8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork(String);

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no address and no network such as 10.0.0.0/8", self.0)
    }
}

impl std::error::Error for InvalidNetwork {}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Source {
    /// The other end of the TCP connection.
    pub(crate) peer: Option<SocketAddr>,
    /// The client's address, as far as trusted proxies tell.
    pub(crate) client: Option<IpAddr>,
}

impl Source {
    /// Straight from `peer`, as far as is known.
    pub(crate) fn direct(peer: Option<SocketAddr>) -> Self {
        Self { peer, client: peer.map(|peer| peer.ip().to_canonical()) }
    }

    /// Whether the client is another than the peer.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.client != Self::direct(self.peer).client
    }
}

#[cfg(test)]
mod tests;
