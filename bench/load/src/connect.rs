//! Connections, upgraded to WebSocket unless the server echoes TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::Result;
use crate::arguments::Arguments;
use crate::deflate::LARGEST_WINDOW;
use crate::poll::Poll;

/// The key of RFC 6455's own example (§1.3), and the accept key that answers it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The most connections that are being opened at a time: fewer than any server's backlog.
const AT_ONCE: usize = 64;

/// How many connections share one source address; there are about 28,000 ports for each, and Stentor allows
/// one address 16,384 connections unless it is told otherwise.
const PER_SOURCE: usize = 10_000;

/// Longer than any handshake takes.
const LIMIT: Duration = Duration::from_secs(30);

/// A client's opening handshake (RFC 6455 §4.1).
pub(crate) fn request(arguments: &Arguments) -> Vec<u8> {
    request_for("/", arguments)
}

/// The same for another path.
pub(crate) fn request_for(path: &str, arguments: &Arguments) -> Vec<u8> {
    let extension = match arguments.deflate.as_deref() {
        None => String::new(),
        Some("") => String::from("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        Some(parameters) => format!("Sec-WebSocket-Extensions: permessage-deflate; {parameters}\r\n"),
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extension}\r\n",
        arguments.server
    )
    .into_bytes()
}

/// Starts a connection that does not block; `number` decides its source address.
pub(crate) fn start(server: SocketAddr, number: usize) -> Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket: OwnedFd = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    let source = u8::try_from(number / PER_SOURCE)?;
    if source > 0 {
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 1 + source), 0))?;
    }
    match connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    // Closing resets, so that no port is kept waiting.
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(stream)
}

/// Opens `count` connections. With permessage-deflate, also says how many bits the client's window may
/// have.
pub(crate) fn open(arguments: &Arguments, count: usize) -> Result<(Vec<TcpStream>, Option<u8>)> {
    let request = request(arguments);
    let mut opening: Vec<Opening> = Vec::with_capacity(count);
    let mut poll = Poll::new()?;
    let deadline = Instant::now() + LIMIT;
    let mut done = 0;
    while done < count {
        while opening.len() < count && opening.len() - done < AT_ONCE {
            let stream = start(arguments.server, opening.len())?;
            poll.add(&stream, opening.len())?;
            opening.push(Opening::new(stream));
        }
        for key in poll.wait(Duration::from_millis(100))? {
            let opening = &mut opening[key];
            if !opening.done && opening.advance(&request, arguments)? {
                done += 1;
            }
        }
        if Instant::now() > deadline {
            return Err(format!("{done} of {count} connections in {LIMIT:?}").into());
        }
    }
    let window = match (&arguments.deflate, opening.first()) {
        (Some(_), Some(first)) => Some(client_window(&first.response)?),
        _ => None,
    };
    Ok((opening.into_iter().map(|opening| opening.stream).collect(), window))
}

/// A connection on its way to being open.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) stream: TcpStream,
    written: usize,
    response: Vec<u8>,
    done: bool,
}

impl Opening {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, written: 0, response: Vec::new(), done: false }
    }

    /// Does what can be done; says whether the connection is open.
    pub(crate) fn advance(&mut self, request: &[u8], arguments: &Arguments) -> Result<bool> {
        if arguments.raw {
            // Writing nothing tells whether it is connected yet.
            self.done = self.stream.peer_addr().is_ok();
            return Ok(self.done);
        }
        while self.written < request.len() {
            match self.stream.write(&request[self.written..]) {
                Ok(len) => self.written += len,
                Err(error) if is_not_yet(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        let mut bytes = [0; 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err("the server ended the handshake".into()),
                Ok(len) => self.response.extend_from_slice(&bytes[..len]),
                Err(error) if is_not_yet(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            if self.response.ends_with(b"\r\n\r\n") {
                self.done = true;
                check(&self.response, arguments)?;
                return Ok(true);
            }
        }
    }
}

fn is_not_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

/// Whether this answer accepts.
pub(crate) fn check(response: &[u8], arguments: &Arguments) -> Result {
    let head = String::from_utf8_lossy(response);
    if !(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT)) {
        return Err(format!("not upgraded: {head}").into());
    }
    let agreed = head.to_ascii_lowercase().contains("permessage-deflate");
    if agreed != arguments.deflate.is_some() {
        return Err(format!("permessage-deflate was not agreed upon as offered: {head}").into());
    }
    Ok(())
}

/// What the server has made of `client_max_window_bits` (RFC 7692 §7.1.2.2).
fn client_window(response: &[u8]) -> Result<u8> {
    let head = String::from_utf8_lossy(response).to_ascii_lowercase();
    let Some((_, rest)) = head.split_once("client_max_window_bits=") else { return Ok(LARGEST_WINDOW) };
    let digits = rest.split(|character: char| !character.is_ascii_digit()).next().unwrap_or_default();
    Ok(digits.parse()?)
}
