//! The PROXY header with which a proxy begins a connection, versions 1 and 2 (`HAProxy`'s
//! "The PROXY protocol", 2020-03-05).
//!
//! It is read to the byte, because what follows may belong to another reader, such as TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::BytesMut;

use crate::handshake::read_exact;
use crate::transport::Transport;

/// Version 2, §2.2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1 (§2.1: 107 characters), with its end.
const MAX_LINE: usize = 107;

/// The most bytes of addresses and additions in version 2. The format allows 64 KiB; what proxies
/// add, TLS certificates' names included, is some hundred.
const MAX_V2: usize = 4096;

/// Reads a PROXY header: the source that it names, or `None` when the proxy speaks for itself or
/// does not know.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] when there is none in order, and what reading fails with.
pub(crate) async fn read(transport: &mut Transport) -> io::Result<Option<SocketAddr>> {
    let mut header = BytesMut::with_capacity(SIGNATURE.len());
    read_exact(transport, &mut header, SIGNATURE.len()).await?;
    if header[..] == SIGNATURE[..] {
        return read_v2(transport).await;
    }
    if !header.starts_with(b"PROXY ") {
        return Err(invalid("no PROXY header"));
    }
    while !header.ends_with(b"\r\n") {
        if header.len() == MAX_LINE {
            return Err(invalid("PROXY line without an end"));
        }
        read_exact(transport, &mut header, 1).await?;
    }
    let line = header.strip_suffix(b"\r\n").and_then(|line| str::from_utf8(line).ok());
    line.ok_or(Invalid).and_then(parse_v1).map_err(|Invalid| invalid("invalid PROXY line"))
}

async fn read_v2(transport: &mut Transport) -> io::Result<Option<SocketAddr>> {
    let mut fixed = BytesMut::new();
    read_exact(transport, &mut fixed, 4).await?;
    let (version_command, family) = (fixed[0], fixed[1]);
    let len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if len > MAX_V2 {
        return Err(invalid("PROXY header too long"));
    }
    let mut addresses = BytesMut::new();
    read_exact(transport, &mut addresses, len).await?;
    match version_command {
        // §2.2: LOCAL, a connection of the proxy itself, such as a health check; what follows is
        // to be discarded.
        0x20 => Ok(None),
        0x21 => parse_v2(family, &addresses).map_err(|Invalid| invalid("invalid PROXY header")),
        _ => Err(invalid("unknown PROXY version or command")),
    }
}

/// What is no PROXY header in order.
#[derive(Debug)]
struct Invalid;

/// `PROXY TCP4 source destination source-port destination-port` (§2.1).
fn parse_v1(line: &str) -> Result<Option<SocketAddr>, Invalid> {
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or(Invalid);
    if word()? != "PROXY" {
        return Err(Invalid);
    }
    let parse: fn(&str) -> Option<IpAddr> = match word()? {
        // What follows is to be ignored.
        "UNKNOWN" => return Ok(None),
        "TCP4" => |text| text.parse().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse().ok().map(IpAddr::V6),
        _ => return Err(Invalid),
    };
    let source = parse(word()?).ok_or(Invalid)?;
    let _destination = parse(word()?).ok_or(Invalid)?;
    let port = parse_port(word()?)?;
    let _destination_port = parse_port(word()?)?;
    match words.next() {
        None => Ok(Some(SocketAddr::new(source.to_canonical(), port))),
        Some(_) => Err(Invalid),
    }
}

/// A decimal number up to 65535, without leading zeros (§2.1).
fn parse_port(text: &str) -> Result<u16, Invalid> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().map_err(|_| Invalid) } else { Err(Invalid) }
}

/// The source among the addresses of version 2 (§2.2).
fn parse_v2(family: u8, addresses: &[u8]) -> Result<Option<SocketAddr>, Invalid> {
    // Both addresses, then both ports. Additions may follow.
    let (source, ports) = match family {
        // TCP over IPv4.
        0x11 => {
            let (source, rest) = addresses.split_first_chunk::<4>().ok_or(Invalid)?;
            (IpAddr::V4(Ipv4Addr::from(*source)), rest.get(4..))
        }
        // TCP over IPv6.
        0x21 => {
            let (source, rest) = addresses.split_first_chunk::<16>().ok_or(Invalid)?;
            (IpAddr::V6(Ipv6Addr::from(*source)).to_canonical(), rest.get(16..))
        }
        // §2.2: what is unspecified, or not understood, makes the receiver use the real address.
        _ => return Ok(None),
    };
    let ports = ports.and_then(|rest| rest.first_chunk::<4>()).ok_or(Invalid)?;
    Ok(Some(SocketAddr::new(source, u16::from_be_bytes([ports[0], ports[1]]))))
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const TCP4: u8 = 0x11;
    const TCP6: u8 = 0x21;

    /// What reading gives of these bytes, and what it leaves unread.
    async fn read_from(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let (mut ours, theirs) = tokio::io::duplex(64 << 10);
        ours.write_all(bytes).await.unwrap();
        drop(ours);
        let mut transport = Transport::Boxed(Box::new(theirs));
        let result = read(&mut transport).await;
        let Transport::Boxed(mut rest) = transport else { unreachable!() };
        let mut unread = Vec::new();
        rest.read_to_end(&mut unread).await.unwrap();
        (result, unread)
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
        header.extend(addresses);
        header
    }

    /// The addresses of version 2 in order.
    fn ipv4() -> Vec<u8> {
        [&[192, 0, 2, 1, 10, 0, 0, 1][..], &4711_u16.to_be_bytes(), &443_u16.to_be_bytes()].concat()
    }

    #[tokio::test]
    async fn headers_in_order_name_the_source_and_not_a_byte_more_is_read() {
        let ipv6 = {
            let source: Ipv6Addr = "2001:db8::1".parse().unwrap();
            [&source.octets()[..], &[0; 16], &4711_u16.to_be_bytes(), &443_u16.to_be_bytes()].concat()
        };
        let additions = [&ipv4()[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
        let longest = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535";
        for (header, source) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\n".to_vec(), Some("192.0.2.1:4711")),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n".to_vec(), Some("[2001:db8::1]:4711")),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 443\r\n".to_vec(), Some("192.0.2.1:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (format!("{longest}\r\n").into_bytes(), None),
            (v2(0x21, TCP4, &ipv4()), Some("192.0.2.1:4711")),
            (v2(0x21, TCP4, &additions), Some("192.0.2.1:4711")),
            (v2(0x21, TCP6, &ipv6), Some("[2001:db8::1]:4711")),
            (v2(0x20, 0, &[]), None),
            (v2(0x20, TCP4, &ipv4()), None),
            (v2(0x21, 0, &[]), None),
            (v2(0x21, 0x31, &[b'x'; 216]), None),
        ] {
            let (result, unread) = read_from(&[&header[..], b"GET / HTTP/1.1\r\n"].concat()).await;
            let source = source.map(|source| source.parse().unwrap());
            assert_eq!(result.unwrap(), source, "{}", header.escape_ascii());
            assert_eq!(unread, b"GET / HTTP/1.1\r\n", "{}", header.escape_ascii());
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 443 x\r\n",
            b"PROXY TCP4 192.0.2.1  10.0.0.1 4711 443\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 4711 443\r\n",
            b"PROXY TCP6 192.0.2.1 10.0.0.1 4711 443\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 04711 443\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 +1 443\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\n\r\n",
            b"PROXY UDP4 192.0.2.1 10.0.0.1 4711 443\r\n",
            b"PROXY \xff\xff\xff\xff\xff\xff\r\n",
            b"proxy unknown\r\n",
            &endless,
            &v2(0x22, TCP4, &ipv4()),
            &v2(0x11, TCP4, &ipv4()),
            &v2(0x21, TCP4, &ipv4()[..11]),
            &v2(0x21, TCP6, &ipv4()),
            &v2(0x21, TCP4, &[0; MAX_V2 + 1]),
        ] {
            let error = read_from(bytes).await.0.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{}", bytes.escape_ascii());
        }
        for cut in [&b"PROXY TCP4"[..], b"PROXY TCP4 192.0.2.1", &v2(0x21, TCP4, &ipv4())[..20]] {
            let error = read_from(cut).await.0.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{}", cut.escape_ascii());
        }
    }
}
