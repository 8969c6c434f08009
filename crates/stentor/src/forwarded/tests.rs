use http::HeaderValue;

use super::*;

const PROXY: &str = "10.0.0.1";

fn proxies(header: ForwardedHeader) -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/8", "fd00::/8"]).unwrap().header(header)
}

/// The client of a request from `peer` with these lines of the header.
fn client(header: ForwardedHeader, peer: &str, lines: &[&str]) -> Result<String, Malformed> {
    let name = match header {
        ForwardedHeader::Forwarded => FORWARDED,
        ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(&name, HeaderValue::from_str(line).unwrap());
    }
    let client = proxies(header).client(Some(peer.parse().unwrap()), &headers)?;
    Ok(client.unwrap().to_string())
}

#[test]
fn x_forwarded_for_counts_from_the_right_as_far_as_proxies_are_trusted() {
    let header = ForwardedHeader::XForwardedFor;
    for (peer, lines, expected) in [
        (PROXY, &["192.0.2.1"][..], "192.0.2.1"),
        (PROXY, &["192.0.2.1:4711"], "192.0.2.1"),
        (PROXY, &["2001:db8::1"], "2001:db8::1"),
        (PROXY, &["[2001:db8::1]"], "2001:db8::1"),
        (PROXY, &["[2001:db8::1]:4711"], "2001:db8::1"),
        (PROXY, &["::ffff:192.0.2.1"], "192.0.2.1"),
        // What the client itself wrote is left of what the proxy wrote.
        (PROXY, &["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (PROXY, &["10.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (PROXY, &["rubbish, 192.0.2.1"], "192.0.2.1"),
        (PROXY, &["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        // Two proxies in a row.
        (PROXY, &["6.6.6.6, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        (PROXY, &["192.0.2.1", "10.0.0.2, fd00::3"], "192.0.2.1"),
        ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
        ("fd00::1", &["192.0.2.1"], "192.0.2.1"),
        // All of them trusted: the farthest.
        (PROXY, &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        // Nothing is told.
        (PROXY, &[], PROXY),
        (PROXY, &[""], PROXY),
        (PROXY, &["unknown"], PROXY),
        (PROXY, &["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (PROXY, &["192.0.2.1, rubbish"], PROXY),
        (PROXY, &["192.0.2.1,,"], "192.0.2.1"),
        // Whoever is not trusted may claim what he likes.
        ("203.0.113.9", &["192.0.2.1"], "203.0.113.9"),
        ("11.0.0.1", &["10.0.0.2"], "11.0.0.1"),
    ] {
        assert_eq!(client(header, peer, lines).as_deref(), Ok(expected), "{peer} {lines:?}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_writes_it() {
    let header = ForwardedHeader::Forwarded;
    for (peer, lines, expected) in [
        (PROXY, &["for=192.0.2.60;proto=http;by=203.0.113.43"][..], "192.0.2.60"),
        (PROXY, &["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
        (PROXY, &["proto=https; FOR=192.0.2.43 ; host=\"a, b; c\""], "192.0.2.43"),
        (PROXY, &["for=6.6.6.6, for=192.0.2.43"], "192.0.2.43"),
        (PROXY, &["for=6.6.6.6", "for=192.0.2.43, for=10.0.0.2"], "192.0.2.43"),
        (PROXY, &["for=\"192.0.2.43:_port\""], "192.0.2.43"),
        (PROXY, &["for=192.0.2.43, for=unknown"], PROXY),
        (PROXY, &["for=192.0.2.43, for=_hidden, for=10.0.0.2"], "10.0.0.2"),
        // A proxy that tells something else tells not whom it speaks for.
        (PROXY, &["for=192.0.2.43, proto=https"], PROXY),
        (PROXY, &[" , for=192.0.2.43 ,, "], "192.0.2.43"),
        (PROXY, &["for=192.0.2.43;"], "192.0.2.43"),
        ("203.0.113.9", &["for=192.0.2.43"], "203.0.113.9"),
    ] {
        assert_eq!(client(header, peer, lines).as_deref(), Ok(expected), "{peer} {lines:?}");
    }
}

#[test]
fn what_a_client_writes_cannot_swallow_what_the_proxy_adds() {
    let header = ForwardedHeader::Forwarded;
    for line in [
        "for=\"6.6.6.6, for=192.0.2.43",
        "for=\"6.6.6.6\\\", for=192.0.2.43",
        "for=6.6.6.6\", for=192.0.2.43",
        "for=6.6.6.6;for=192.0.2.43",
        "for, for=192.0.2.43",
        "for=, for=192.0.2.43",
        "for=\"6.6.6.6\" x, for=192.0.2.43",
    ] {
        assert_eq!(client(header, PROXY, &[line]), Err(Malformed), "{line}");
        // From others it is not even looked at.
        assert_eq!(client(header, "203.0.113.9", &[line]).as_deref(), Ok("203.0.113.9"));
    }
    let mut headers = HeaderMap::new();
    headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(b"\xe9, 192.0.2.43").unwrap());
    let peer = Some(PROXY.parse().unwrap());
    assert_eq!(proxies(ForwardedHeader::XForwardedFor).client(peer, &headers), Err(Malformed));
}

#[test]
fn the_header_that_was_not_named_means_nothing() {
    let peer = Some(PROXY.parse().unwrap());
    let mut headers = HeaderMap::new();
    headers.append(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
    assert_eq!(proxies(ForwardedHeader::Forwarded).client(peer, &headers), Ok(peer));
    let silent = TrustedProxies::new([PROXY]).unwrap();
    assert_eq!(silent.client(peer, &headers), Ok(peer));
    assert_eq!(TrustedProxies::default().client(peer, &headers), Ok(peer));
}

#[test]
fn networks_hold_the_addresses_that_begin_like_them() {
    for (network, inside, outside) in [
        ("192.0.2.1", &["192.0.2.1"][..], &["192.0.2.2", "::ffff:192.0.2.2"][..]),
        ("192.0.2.0/24", &["192.0.2.0", "192.0.2.255"], &["192.0.3.0", "::1"]),
        ("192.0.2.77/24", &["192.0.2.1"], &["192.0.3.0"]),
        ("0.0.0.0/0", &["1.2.3.4", "255.255.255.255"], &["::1"]),
        ("10.128.0.0/9", &["10.128.0.1", "10.255.0.1"], &["10.127.255.255"]),
        ("::1", &["::1"], &["::2", "127.0.0.1"]),
        ("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::1"]),
        ("::/0", &["2001:db8::1"], &["1.2.3.4"]),
    ] {
        let network = Network::parse(network).unwrap();
        for address in inside {
            assert!(network.contains(address.parse().unwrap()), "{address} in {network:?}");
        }
        for address in outside {
            assert!(!network.contains(address.parse().unwrap()), "{address} in {network:?}");
        }
    }
    for text in
        ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "localhost", "10.0.0.1:80"]
    {
        let error = TrustedProxies::new([text]).unwrap_err();
        assert_eq!(error.to_string(), format!("{text:?} is no address and no network such as 10.0.0.0/8"));
    }
}

#[test]
fn those_without_an_address_are_trusted_only_when_that_is_said() {
    let mut headers = HeaderMap::new();
    headers.append(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
    let proxies = TrustedProxies::default().header(ForwardedHeader::XForwardedFor);
    assert_eq!(proxies.client(None, &headers), Ok(None));
    assert_eq!(proxies.local().client(None, &headers), Ok(Some("192.0.2.1".parse().unwrap())));
}
