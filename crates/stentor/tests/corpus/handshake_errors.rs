//! The opening-handshake cases over TCP: the right status or failure, the end of the connection,
//! and nothing behind a bad head looked at.

use std::time::Duration;

use stentor::{Client, Config, Error, HandshakeFailure, WebSocket};
use stentor_proto::{HandshakeLimits, Role};
use stentor_testkit::corpus::handshake::{Case, Expect, client_cases, server_cases};
use stentor_testkit::deflate::terms;
use stentor_testkit::frame::text;
use stentor_testkit::peer::{Peer, accept_of, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{raw_listener, server, soon};

#[tokio::test]
async fn every_case_for_a_server() {
    let limits = HandshakeLimits { timeout: Duration::from_millis(300), ..HandshakeLimits::default() };
    let hurried = server().await.config(Config { handshake: limits, ..Config::default() });
    let patient = server().await;
    let mut failures = Vec::new();
    let cases = server_cases();
    for case in &cases {
        let server = if matches!(case.expect, Expect::Status(408, _)) { &hurried } else { &patient };
        let addr = server.local_addr().unwrap();
        let served = async {
            match server.accept().await {
                Ok(Some(upgrade)) => {
                    let config = Config { deflate: case.deflate.clone(), ..Config::default() };
                    upgrade.config(config).accept().await
                }
                Ok(None) => panic!("there is no hook"),
                Err(error) => Err(error),
            }
        };
        let (served, answer) = soon(async { tokio::join!(served, ask(addr, case)) }).await;
        if let Err(what) =
            judge_agreement(case, &served).and_then(|()| judge_answer(case, served.err(), &answer))
        {
            failures.push(format!("{case}: {what}"));
        }
    }
    println!("{} handshake cases for a server over TCP, {} failed", cases.len(), failures.len());
    assert!(cases.len() >= 80, "only {} cases were found", cases.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Sends what the case says and, where it is refused at once, a frame and a good request behind it.
/// Gives everything that the server says, up to the end or to its 101.
async fn ask(addr: std::net::SocketAddr, case: &Case) -> String {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let mut sent = case.input("");
    if matches!(case.expect, Expect::Status(status, _) if status != 408) {
        sent.extend(text("not interpreted").encode(Role::Client));
        sent.extend(request("/", "").into_bytes());
    }
    // The server may answer and close before it has read everything.
    let _ = tcp.write_all(&sent).await;
    if case.expect == Expect::Open {
        return Peer::new(Role::Client, tcp).head().await;
    }
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("an answer that nothing cuts short");
    answer
}

fn judge_answer(case: &Case, error: Option<Error>, answer: &str) -> Result<(), String> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("answered {answer:?}"))?;
    let has = |name: &str, value: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields.any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value)
    };
    match (&case.expect, error) {
        (Expect::Open, None) if head.starts_with("HTTP/1.1 101 ") => {}
        (Expect::Status(status, rule), Some(Error::Handshake(failure))) => {
            let HandshakeFailure::Offer(found) = *failure else { return Err(format!("{failure:?}")) };
            let found = format!("{found:?}");
            if !rule.as_ref().is_none_or(|rule| found.starts_with(rule.as_str())) {
                return Err(format!("{found} instead of {rule:?}"));
            }
            if !head.starts_with(&format!("HTTP/1.1 {status} ")) {
                return Err(format!("answered {head}"));
            }
            // One answer, whole, and the end.
            if !has("Content-Length", &body.len().to_string()) {
                return Err(format!("body {body:?} with {head}"));
            }
        }
        (expected, error) => return Err(format!("{error:?}, {head:?} instead of {expected:?}")),
    }
    if let Some((name, value)) = case.headers.iter().find(|(name, value)| !has(name, value)) {
        return Err(format!("no {name}: {value} in {head}"));
    }
    let mut names = head.lines().filter_map(|line| Some(line.split_once(": ")?.0));
    match names.find(|name| case.absent.iter().any(|absent| absent.eq_ignore_ascii_case(name))) {
        Some(name) => Err(format!("{name} in {head}")),
        None => Ok(()),
    }
}

fn judge_agreement(case: &Case, result: &Result<WebSocket, Error>) -> Result<(), String> {
    let agreed = result.as_ref().ok().and_then(WebSocket::deflate).map(terms);
    if agreed == case.agreed { Ok(()) } else { Err(format!("agreed on {agreed:?}")) }
}

#[tokio::test]
async fn every_case_for_a_client() {
    let (listener, uri) = raw_listener().await;
    let uri = format!("{uri}chat");
    let mut failures = Vec::new();
    let cases = client_cases();
    for case in &cases {
        let config = Config { deflate: case.deflate.clone(), ..Config::default() };
        let mut client = case.offers.iter().fold(Client::new().config(config), Client::subprotocol);
        if case.optional {
            client = client.subprotocol_optional();
        }
        let answering = async {
            let mut peer = Peer::new(Role::Server, listener.accept().await.unwrap().0);
            let head = peer.head().await;
            peer.send_bytes(&case.input(&accept_of(&head))).await;
            peer.finish_writing().await;
            peer
        };
        let (result, mut peer) = soon(async { tokio::join!(client.connect(&*uri), answering) }).await;
        if let Err(what) =
            judge_agreement(case, &result).and_then(|()| judge_result(case, result.as_ref().err()))
        {
            failures.push(format!("{case}: {what}"));
        }
        drop(result);
        // A client that gives up says nothing and closes (RFC 6455 §7.1.7); one that is dropped
        // open says Close at most.
        let rest = soon(peer.rest()).await;
        if case.expect != Expect::Open && !rest.is_empty() {
            failures.push(format!("{case}: then sent {}", rest.escape_ascii()));
        }
    }
    println!("{} handshake cases for a client over TCP, {} failed", cases.len(), failures.len());
    assert!(cases.len() >= 40, "only {} cases were found", cases.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn judge_result(case: &Case, error: Option<&Error>) -> Result<(), String> {
    match (&case.expect, error) {
        (Expect::Open, None) => Ok(()),
        (Expect::Status(status, None), Some(error))
            if error.status().is_some_and(|found| found == *status) =>
        {
            Ok(())
        }
        (Expect::Fail(rule), Some(Error::Handshake(failure))) => match &**failure {
            HandshakeFailure::Response(found) if format!("{found:?}").starts_with(rule.as_str()) => Ok(()),
            found => Err(format!("{found:?}")),
        },
        (_, found) => Err(format!("{found:?}")),
    }
}
