//! Clients made of plain sockets: what they hold is none of the server's memory.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::scenario::{ACCEPT, HANDSHAKE, Scenario};

/// Longer than any answer takes: a server that does not answer ends the measurement.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that has been upgraded.
#[derive(Debug)]
pub struct Client(TcpStream);

impl Client {
    /// Connects to a server on this machine and performs the opening handshake (RFC 6455 §4.1).
    ///
    /// # Errors
    ///
    /// When there is no connection, or no `101` with the right accept key.
    pub fn connect(port: u16) -> io::Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(HANDSHAKE)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut bytes = [0; 512];
            let len = stream.read(&mut bytes)?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            head.extend_from_slice(&bytes[..len]);
        }
        let head = String::from_utf8_lossy(&head);
        if head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT) {
            Ok(Self(stream))
        } else {
            Err(io::Error::other(head.into_owned()))
        }
    }

    /// Sends the scenario's burst and reads the echo.
    ///
    /// # Errors
    ///
    /// When the echo does not come or is not one.
    pub fn exchange(&mut self, scenario: &Scenario) -> io::Result<()> {
        self.0.write_all(&scenario.request())?;
        let expected = scenario.echo();
        let mut echo = vec![0; expected.len()];
        self.0.read_exact(&mut echo)?;
        if echo == expected { Ok(()) } else { Err(io::Error::other("not the echo")) }
    }
}
