//! Keeps messages in flight: reads an echo, sends the next message, on every connection.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::Result;
use crate::arguments::Arguments;
use crate::connect;
use crate::poll::Poll;
use crate::wire::{Counter, Frames, VERIFIED};

/// What one read has room for: all that the largest burst of small messages brings.
const BUFFER: usize = 256 * 1024;

/// A server that answers nothing for so long is broken.
const STALLED: Duration = Duration::from_secs(20);

/// The open connections, and what goes over them.
pub(crate) struct Engine {
    pub(crate) poll: Poll,
    pub(crate) connections: Vec<Connection>,
    pub(crate) frames: Frames,
    /// The window of what is sent compressed; `None` when nothing is.
    window: Option<u8>,
    buffer: Vec<u8>,
    /// Messages and bytes that have come back so far.
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    counter: Counter,
    /// Messages to send that are not in `pending` yet.
    owed: usize,
    /// The slot of the next of them.
    slot: usize,
    /// What is being written of the frames.
    pending: Range<usize>,
    /// When the messages in flight were due, oldest first; only at a fixed rate.
    pub(crate) due: VecDeque<Instant>,
    /// What has come back, kept while verifying.
    kept: Option<Vec<u8>>,
}

impl Engine {
    /// Opens the connections.
    pub(crate) fn open(arguments: &Arguments) -> Result<Self> {
        let (streams, window) = connect::open(arguments, arguments.connections)?;
        let frames = Frames::new(arguments.shape, arguments.in_flight, window);
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(arguments.connections);
        for (key, stream) in streams.into_iter().enumerate() {
            poll.add(&stream, key)?;
            connections.push(Connection {
                stream,
                counter: Counter::new(&frames, arguments.raw, window.is_some()),
                owed: 0,
                slot: 0,
                pending: 0..0,
                due: VecDeque::new(),
                kept: None,
            });
        }
        Ok(Self { poll, connections, frames, window, buffer: vec![0; BUFFER], messages: 0, bytes: 0 })
    }

    /// Sends messages of another shape from now on.
    pub(crate) fn change_to(&mut self, arguments: &Arguments) {
        self.frames = Frames::new(arguments.shape, arguments.in_flight, self.window);
        for connection in &mut self.connections {
            connection.counter = Counter::new(&self.frames, arguments.raw, self.window.is_some());
            connection.slot = 0;
        }
    }

    /// Sends some messages on each connection and compares every byte of the echo.
    pub(crate) fn verify(&mut self, arguments: &Arguments) -> Result {
        let in_flight = arguments.in_flight;
        let count = self.frames.distinct.min(VERIFIED).next_multiple_of(in_flight);
        for connection in &mut self.connections {
            connection.kept = Some(Vec::new());
        }
        for _ in 0..count / in_flight {
            self.run(0..self.connections.len(), in_flight, |_| false)?;
        }
        for connection in &mut self.connections {
            let kept = connection.kept.take().unwrap_or_default();
            self.frames.check_echo(count, &kept, arguments.raw)?;
        }
        Ok(())
    }

    /// Keeps `in_flight` messages in flight on each of these connections as long as `more`, which is
    /// told how many have come back, says so; then waits for the rest. Returns how many came back.
    pub(crate) fn run(
        &mut self,
        keys: Range<usize>,
        in_flight: usize,
        mut more: impl FnMut(u64) -> bool,
    ) -> Result<u64> {
        let (mut sent, mut received) = ((in_flight * keys.len()) as u64, 0);
        for connection in &mut self.connections[keys] {
            connection.owed = in_flight;
            connection.write(&self.frames)?;
        }
        let mut sending = more(0);
        let mut heard = Instant::now();
        while received < sent {
            let before = received;
            let Self { poll, connections, frames, buffer, bytes, .. } = self;
            for key in poll.wait(Duration::from_secs(1))? {
                let connection = &mut connections[key];
                let count = connection.read(frames, buffer, bytes)?;
                received += count as u64;
                if sending {
                    sent += count as u64;
                    connection.owed += count;
                }
                connection.write(frames)?;
            }
            if sending {
                sending = more(received);
            }
            if received > before {
                heard = Instant::now();
            } else if heard.elapsed() > STALLED {
                return Err(format!("{received} of {sent} echoes, then none for {STALLED:?}").into());
            }
        }
        self.messages += received;
        Ok(received)
    }

    /// Reads what has come on a connection; returns how many messages that completes.
    pub(crate) fn read(&mut self, key: usize) -> Result<usize> {
        self.connections[key].read(&self.frames, &mut self.buffer, &mut self.bytes)
    }

    /// Sends one message more on a connection.
    pub(crate) fn send(&mut self, key: usize) -> Result {
        self.connections[key].owed += 1;
        self.connections[key].write(&self.frames)
    }
}

impl Connection {
    /// Reads until there is no more.
    fn read(&mut self, frames: &Frames, buffer: &mut [u8], bytes: &mut u64) -> Result<usize> {
        let mut count = 0;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("the server ended the connection".into()),
                Ok(len) => {
                    *bytes += len as u64;
                    count += self.counter.count(frames, &buffer[..len])?;
                    if let Some(kept) = &mut self.kept {
                        kept.extend_from_slice(&buffer[..len]);
                    }
                    // A read that is not full has emptied the socket; what comes later is another edge.
                    if len < buffer.len() {
                        return Ok(count);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes what is owed, as far as the socket takes it.
    pub(crate) fn write(&mut self, frames: &Frames) -> Result {
        loop {
            if self.pending.is_empty() {
                if self.owed == 0 {
                    return Ok(());
                }
                // At a fixed rate more may be owed than the row of frames is long.
                let count = self.owed.min(frames.longest());
                self.pending = frames.range(self.slot, count);
                self.slot = (self.slot + count) % frames.distinct;
                self.owed -= count;
            }
            match self.stream.write(frames.bytes(self.pending.clone())) {
                Ok(len) => self.pending.start += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
