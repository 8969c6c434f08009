//! Connections that never read what a server sends them all the time, beside those that are measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::Result;
use crate::arguments::Arguments;
use crate::connect::{check, request_for};

/// What asks the server to be sent its news.
const PATH: &str = "/news";

/// What the kernel keeps for each: little, so that the server has to.
const RECEIVED: usize = 4096;

/// By then everything on the way is full: the server sends 1.6 MB a second to each, and there is room for a
/// quarter of that in its own queue, and a tenth in the kernel's.
const FILLING: Duration = Duration::from_secs(1);

/// Connections that never read, as long as this lives.
#[derive(Debug)]
pub(crate) struct SlowReaders(Vec<TcpStream>);

impl SlowReaders {
    /// Opens them, and waits until the server can send them nothing more; as long when there are none, so
    /// that nothing else differs.
    pub(crate) fn open(arguments: &Arguments) -> Result<Self> {
        let Some(count) = arguments.slow_readers else { return Ok(Self(Vec::new())) };
        let readers = Self((0..count).map(|_| open(arguments)).collect::<Result<_>>()?);
        thread::sleep(FILLING);
        readers.check()?;
        Ok(readers)
    }

    /// Whether something waits for each of them, as it should all the time.
    pub(crate) fn check(&self) -> Result {
        for stream in &self.0 {
            let waiting = ioctl_fionread(stream)?;
            if waiting < RECEIVED as u64 / 2 {
                return Err(format!("only {waiting} bytes wait for one who does not read").into());
            }
        }
        Ok(())
    }
}

/// Opens one, and reads the server's answer and nothing behind it.
fn open(arguments: &Arguments) -> Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_recv_buffer_size(&socket, RECEIVED)?;
    connect(&socket, &arguments.server)?;
    let mut stream = TcpStream::from(socket);
    // Closing resets, so that no port is kept waiting.
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    stream.write_all(&request_for(PATH, arguments))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    check(&head, arguments)?;
    Ok(stream)
}
