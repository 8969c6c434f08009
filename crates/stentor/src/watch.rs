//! What is noted of a connection for those who watch it: what passes over its wire, and what they are
//! to be told once nobody holds its lock.

use std::io::IoSlice;

use bytes::{Buf, Bytes};
use stentor_proto::{Closed, Connection, Event, ProtocolError};

use crate::traffic::{Meter, Traffic};

/// Kept by a connection that is watched, and by no other.
#[derive(Debug)]
pub(crate) struct Watch {
    received: Meter,
    sent: Meter,
    /// How many bytes are to leave before the first frame: those of the opening handshake.
    head: usize,
    /// What the observers have been told of.
    told: Traffic,
    notices: Vec<Notice>,
    /// Somebody is about to tell them, and looks again when that is done.
    telling: bool,
    /// There is nobody to be told: it only counts.
    only_counts: bool,
    ended: bool,
}

/// What observers are told at once: what has happened, and then what has passed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) notices: Vec<Notice>,
    /// Apart, so that connections on which nothing but messages passes need no list.
    pub(crate) traffic: Option<Traffic>,
}

impl Report {
    pub(crate) fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.traffic.is_none()
    }
}

/// What observers are told.
#[derive(Debug)]
pub(crate) enum Notice {
    Ping(Bytes),
    Pong(stentor_proto::Pong),
    Violation(ProtocolError),
    Traffic(Traffic),
    Closed(Closed),
}

impl Watch {
    /// Watches from now on: of what was queued already nothing is a frame.
    pub(crate) fn new(connection: &Connection, inbound: &[u8], only_counts: bool) -> Box<Self> {
        let mut received = Meter::default();
        received.pass(inbound);
        Box::new(Self {
            received,
            sent: Meter::default(),
            head: connection.queued(),
            told: Traffic::default(),
            notices: Vec::new(),
            telling: false,
            only_counts,
            ended: false,
        })
    }

    /// These bytes were read.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        self.received.pass(bytes);
    }

    /// These are to be written, and count as far as they are.
    pub(crate) fn writing<B: Buf>(&mut self, bytes: B) -> impl Buf {
        Writing { watch: self, bytes }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let head = self.head.min(bytes.len());
        self.head -= head;
        self.sent.pass(bytes.get(head..).unwrap_or_default());
    }

    /// This has arrived.
    pub(crate) fn note(&mut self, event: &Event) {
        if self.only_counts {
            return;
        }
        self.notices.push(match event {
            Event::Ping(payload) => Notice::Ping(payload.clone()),
            Event::Pong(pong) => Notice::Pong(pong.clone()),
            Event::Violation(error) => Notice::Violation(*error),
            _ => return,
        });
    }

    /// The transport is gone.
    pub(crate) fn end(&mut self, connection: &Connection) {
        if let (false, Some(closed)) = (self.ended || self.only_counts, connection.closed()) {
            self.ended = true;
            let traffic = self.untold(connection).map(Notice::Traffic);
            self.notices.extend(traffic.into_iter().chain([Notice::Closed(closed.clone())]));
        }
    }

    /// What has passed so far.
    pub(crate) fn traffic(&self, connection: &Connection) -> Traffic {
        Traffic { received: self.received.flow, sent: self.sent.flow, dropped: connection.dropped() }
    }

    /// What has passed since this was last asked, if anything has.
    fn untold(&mut self, connection: &Connection) -> Option<Traffic> {
        let traffic = self.traffic(connection);
        let told = std::mem::replace(&mut self.told, traffic);
        (traffic != told).then(|| traffic.since(&told))
    }

    /// What the observers are to be told, unless somebody is telling them already. Who gets anything
    /// calls [`has_told`](Self::has_told) afterwards.
    pub(crate) fn begin_telling(&mut self, connection: &Connection) -> Report {
        if self.telling {
            return Report::default();
        }
        let traffic = if self.ended { None } else { self.untold(connection) };
        let report = Report { notices: std::mem::take(&mut self.notices), traffic };
        self.telling = !report.is_empty();
        report
    }

    /// They have been told.
    pub(crate) fn has_told(&mut self) {
        self.telling = false;
    }
}

/// Bytes that count as they leave.
struct Writing<'a, B> {
    watch: &'a mut Watch,
    bytes: B,
}

impl<B: Buf> Buf for Writing<'_, B> {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, mut len: usize) {
        while len > 0 {
            let chunk = self.bytes.chunk();
            let piece = chunk.get(..len).unwrap_or(chunk);
            let left = piece.len();
            if left == 0 {
                break;
            }
            self.watch.wrote(piece);
            self.bytes.advance(left);
            len -= left;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    /// A peer may send as many Pings as it likes: what nobody will ever take must not pile up.
    #[test]
    fn where_nobody_is_told_nothing_waits_to_be_told() {
        let mut connection = Connection::server(Arc::default(), Instant::now());
        let mut watch = Watch::new(&connection, b"", true);
        watch.note(&Event::Ping(Bytes::from_static(b"a")));
        connection.transport_dropped(Instant::now());
        watch.end(&connection);
        assert!(watch.notices.is_empty());
    }
}
