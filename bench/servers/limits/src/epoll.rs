//! On epoll alone, one thread and one buffer: TCP, and WebSocket in place.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send, sockopt};
use stentor_bench_harness::{announce, handshake, prepare};

use crate::{BUFFER, frames};

/// What is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The bytes as they come.
    Bytes,
    /// The messages of WebSocket connections.
    Messages,
}

/// The listener's key; connections have the numbers from 1 on.
const LISTENER: u64 = 0;

struct Connection {
    socket: OwnedFd,
    upgraded: bool,
    /// What a write did not take.
    unwritten: Vec<u8>,
    /// The beginning of what is not complete.
    unfinished: Vec<u8>,
    /// How much of it is to come, as far as is known.
    missing: usize,
}

pub(crate) fn run(answer: Answer) -> io::Result<()> {
    prepare()?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    announce(listener.local_addr()?)?;

    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut last = LISTENER;
    let mut buffer = vec![0; BUFFER];
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let key = event.data.u64();
            if key != LISTENER {
                let Some(connection) = connections.get_mut(&key) else { continue };
                // An error is a client that has gone, as every measurement ends.
                if !connection.turn(answer, &mut buffer).unwrap_or(false) {
                    connections.remove(&key);
                }
                continue;
            }
            while let Ok(socket) = accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                sockopt::set_tcp_nodelay(&socket, true)?;
                last += 1;
                let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
                epoll::add(&epoll, &socket, EventData::new_u64(last), flags)?;
                let (unwritten, unfinished) = (Vec::new(), Vec::new());
                let upgraded = answer == Answer::Bytes;
                connections.insert(last, Connection { socket, upgraded, unwritten, unfinished, missing: 0 });
            }
        }
    }
}

impl Connection {
    /// Reads until the socket is empty and answers; `false` when the client has ended.
    fn turn(&mut self, answer: Answer, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            let unwritten = std::mem::take(&mut self.unwritten);
            self.write(&unwritten)?;
            if !self.unwritten.is_empty() {
                return Ok(true);
            }
            let room = if self.unfinished.is_empty() {
                let (len, _) = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                    Err(Errno::AGAIN) => return Ok(true),
                    other => other?,
                };
                if len == 0 {
                    return Ok(false);
                }
                let bytes = &mut buffer[..len];
                match answer {
                    Answer::Bytes => self.write(bytes),
                    Answer::Messages => self.answer(bytes),
                }?;
                len < buffer.len()
            } else {
                match self.read_on()? {
                    Some(room) => room,
                    None => return Ok(false),
                }
            };
            // A read that was not full has emptied the socket; what comes later is another edge.
            if room && self.unwritten.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Reads the rest of what is unfinished, and answers it when it is complete. Says whether the
    /// socket is empty; `None` when the client has ended.
    fn read_on(&mut self) -> io::Result<Option<bool>> {
        let missing = self.missing.max(1);
        let filled = self.unfinished.len();
        self.unfinished.resize(filled + missing, 0);
        let len = match recv(&self.socket, &mut self.unfinished[filled..], RecvFlags::empty()) {
            Err(Errno::AGAIN) => {
                self.unfinished.truncate(filled);
                return Ok(Some(true));
            }
            other => other?.0,
        };
        self.unfinished.truncate(filled + len);
        if len == 0 {
            return Ok(None);
        }
        self.missing = missing - len;
        if self.missing == 0 {
            let mut bytes = std::mem::take(&mut self.unfinished);
            self.answer(&mut bytes)?;
        }
        Ok(Some(len < missing))
    }

    fn answer(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if !self.upgraded {
            match handshake::answer(bytes) {
                Some(response) => {
                    self.upgraded = true;
                    self.write(&response)?;
                }
                None => self.unfinished = bytes.to_vec(),
            }
            return Ok(());
        }
        let echoed = frames::echo(bytes)?;
        let rest = &bytes[echoed.rest..];
        if !rest.is_empty() {
            self.unfinished = Vec::with_capacity(echoed.rest_len);
            self.unfinished.extend_from_slice(rest);
            self.missing = echoed.rest_len - rest.len();
        }
        self.write(&bytes[echoed.answers])
    }

    /// Writes now what the socket takes, and keeps the rest.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(len) => bytes = &bytes[len..],
                Err(Errno::AGAIN) => {
                    self.unwritten.extend_from_slice(bytes);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
