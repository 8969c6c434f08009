//! Encoded frames on their way out, as one [`Buf`].
//!
//! Small frames are gathered in one buffer, so that they leave in one write; the payload of a
//! large frame is not copied but queued behind its header, unless it is alone and fits. Pings and Pongs
//! overtake data that waits, but never cut into a frame whose first byte has left. At most one Pong
//! waits, the latest (RFC 6455 §5.5.3). A Close frame keeps its place behind the data sent before it.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::copying::append;
use crate::header::{FrameHeader, MAX_HEADER_LEN};
use crate::mask::{MaskingKey, apply_mask};
use crate::opcode::Opcode;

/// Payloads up to this size are copied beside their header: below it one copy is cheaper than a
/// second slice to write.
pub(crate) const COPY_MAX: usize = 8 << 10;

/// The payload of a frame that is the first to wait is, up to this size, if the buffer has room for it.
const COPY_FIRST_MAX: usize = 32 << 10;

/// What waits to be written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Whole frames, gathered by copying.
    gathered: Vec<u8>,
    /// What waits behind them, or overtakes them. Nearly always there is none, so it costs a word.
    beyond: Option<Box<Beyond>>,
}

/// What waits besides the frames that were gathered first.
#[derive(Debug, Default)]
struct Beyond {
    urgent: Urgent,
    /// Frames that nothing is appended to any more, oldest first.
    sealed: VecDeque<Sealed>,
    /// Whole small frames behind them.
    back: Vec<u8>,
    /// How many bytes `sealed` holds.
    sealed_len: usize,
    /// How many bytes are to come that are not encoded yet.
    held: usize,
    /// Whether the first of `sealed` has begun to leave, so that no other frame may come now. Then
    /// nothing is gathered before it.
    mid_frame: bool,
}

/// One large frame, or encoded frames.
#[derive(Debug)]
struct Sealed {
    /// The header of the frame; empty before frames that are encoded already.
    head: Head,
    rest: Bytes,
}

/// The bytes of a header that have not left yet, held where they are so that they need no buffer.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; MAX_HEADER_LEN],
    begin: usize,
    end: usize,
}

impl Head {
    fn of(header: &FrameHeader) -> Self {
        let mut bytes = [0; MAX_HEADER_LEN];
        let mut room = bytes.as_mut_slice();
        header.encode(&mut room);
        let left = room.len();
        Self { bytes, begin: 0, end: MAX_HEADER_LEN - left }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.begin..self.end).unwrap_or_default()
    }

    fn advance(&mut self, len: usize) {
        self.begin = self.end.min(self.begin + len);
    }
}

impl Sealed {
    fn len(&self) -> usize {
        self.head.rest().len() + self.rest.len()
    }

    fn pieces(&self) -> [&[u8]; 2] {
        [self.head.rest(), &self.rest]
    }

    /// Forgets up to `len` bytes and says how many those were.
    fn advance(&mut self, len: usize) -> usize {
        let of_head = len.min(self.head.rest().len());
        self.head.advance(of_head);
        let of_rest = (len - of_head).min(self.rest.len());
        self.rest.advance(of_rest);
        of_head + of_rest
    }
}

impl Beyond {
    /// The bytes that wait here, those not encoded yet among them, Pings and Pongs apart.
    #[cold]
    fn len(&self) -> usize {
        self.sealed_len + self.back.len() + self.held
    }

    /// Whether it is needed no longer.
    #[cold]
    fn is_idle(&self) -> bool {
        self.len() == 0 && self.urgent.is_empty()
    }

    /// Whether a frame that comes next has to wait behind one of these.
    #[cold]
    fn has_frames(&self) -> bool {
        !self.sealed.is_empty() || !self.back.is_empty()
    }

    /// Whether there is anything to write now.
    #[cold]
    fn has_bytes(&self) -> bool {
        self.has_frames() || !self.urgent.is_empty()
    }

    /// How many of the bytes of its Ping and Pong wait.
    #[cold]
    fn urgent_len(&self) -> usize {
        self.urgent.rest().len()
    }

    fn seal(&mut self, head: Head, rest: Bytes) {
        self.seal_back();
        let sealed = Sealed { head, rest };
        self.sealed_len += sealed.len();
        self.sealed.push_back(sealed);
    }

    fn seal_back(&mut self) {
        if !self.back.is_empty() {
            let frames = std::mem::take(&mut self.back);
            self.sealed_len += frames.len();
            self.sealed.push_back(Sealed { head: Head::default(), rest: frames.into() });
        }
    }

    /// How many of `sealed` have begun to leave.
    fn begun(&self) -> usize {
        usize::from(self.mid_frame).min(self.sealed.len())
    }

    /// The pieces that leave before the frames that were gathered first; some may be empty.
    fn pieces_before(&self) -> impl Iterator<Item = &[u8]> {
        self.sealed.range(..self.begun()).flat_map(Sealed::pieces).chain([self.urgent.rest()])
    }

    /// Those that leave behind them.
    fn pieces_behind(&self) -> impl Iterator<Item = &[u8]> {
        self.sealed.range(self.begun()..).flat_map(Sealed::pieces).chain([self.back.as_slice()])
    }

    /// Forgets up to `len` bytes of the first piece and says how many those were.
    fn advance(&mut self, len: usize) -> usize {
        if self.sealed.is_empty() && len >= self.back.len() {
            let sent = self.back.len();
            self.back.clear();
            return sent;
        }
        if self.sealed.is_empty() {
            // What is left of these frames must not be cut into, so nothing may join them.
            self.seal_back();
        }
        let Some(first) = self.sealed.front_mut() else { return 0 };
        let sent = first.advance(len);
        self.sealed_len -= sent;
        self.mid_frame = first.len() > 0;
        if !self.mid_frame {
            self.sealed.pop_front();
        }
        sent
    }
}

impl Outbox {
    /// The bytes that wait, those not encoded yet among them, Pings and Pongs apart.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.gathered.len() + self.beyond.as_ref().map_or(0, |beyond| beyond.len())
    }

    /// Whether nothing waits at all.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.beyond.as_ref().is_none_or(|beyond| beyond.is_idle())
    }

    /// Whether there is anything to write now.
    #[inline]
    pub(crate) fn has_bytes(&self) -> bool {
        !self.gathered.is_empty() || self.beyond.as_deref().is_some_and(Beyond::has_bytes)
    }

    /// Counts bytes that will be queued once they are encoded.
    pub(crate) fn hold(&mut self, len: usize) {
        self.beyond.get_or_insert_default().held += len;
    }

    /// They are about to be queued.
    pub(crate) fn release(&mut self, len: usize) {
        if let Some(beyond) = &mut self.beyond {
            beyond.held -= len;
        }
        self.beyond.take_if(|beyond| beyond.is_idle());
    }

    /// Whether something waits to be encoded.
    pub(crate) fn is_holding(&self) -> bool {
        self.held() > 0
    }

    #[inline]
    fn held(&self) -> usize {
        self.beyond.as_ref().map_or(0, |beyond| beyond.held)
    }

    /// Queues a whole message of at most [`COPY_MAX`] bytes behind all others.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub(crate) fn push_copy(&mut self, mask: Option<MaskingKey>, opcode: Opcode, payload: &[u8]) {
        let header = FrameHeader { fin: true, rsv: 0, opcode, mask, payload_len: payload.len() as u64 };
        append_frame(self.last(), &header, payload);
    }

    /// Queues a frame with at most [`COPY_MAX`] bytes of payload behind all others.
    pub(crate) fn push_small(&mut self, header: &FrameHeader, payload: &[u8]) {
        append_frame(self.last(), header, payload);
    }

    /// Queues a frame behind all others.
    pub(crate) fn push(&mut self, header: &FrameHeader, payload: Bytes) {
        if payload.len() <= COPY_MAX || self.has_room_for_first(payload.len()) {
            append_frame(self.last(), header, &payload);
        } else {
            self.seal(Head::of(header), masked(header.mask, payload));
        }
    }

    /// Where a small frame is gathered that leaves behind all others.
    #[inline]
    fn last(&mut self) -> &mut Vec<u8> {
        match &mut self.beyond {
            Some(beyond) if beyond.has_frames() => &mut beyond.back,
            _ => &mut self.gathered,
        }
    }

    /// Whether a frame is the first to wait and fits into the buffer as it is. Copied, it spares the second
    /// slice.
    fn has_room_for_first(&self, payload_len: usize) -> bool {
        let is_first = self.gathered.is_empty() && self.beyond.is_none();
        let fits = || self.gathered.capacity() >= MAX_HEADER_LEN + payload_len;
        is_first && payload_len <= COPY_FIRST_MAX && fits()
    }

    /// Queues the head of the opening handshake: no Pong may overtake that either.
    pub(crate) fn push_head(&mut self, head: Bytes) {
        self.seal(Head::default(), head);
        self.beyond.get_or_insert_default().mid_frame = true;
    }

    /// Queues bytes that are whole frames.
    pub(crate) fn push_encoded(&mut self, frames: Bytes) {
        if frames.len() <= COPY_MAX {
            append(self.last(), &frames);
        } else {
            self.seal(Head::default(), frames);
        }
    }

    /// Queues a Ping that overtakes.
    pub(crate) fn push_ping(&mut self, payload: &[u8]) {
        self.beyond.get_or_insert_default().urgent.ping = Some(payload.into());
    }

    /// Queues a Pong that overtakes, in place of one that still waits.
    pub(crate) fn push_pong(&mut self, payload: &[u8]) {
        self.beyond.get_or_insert_default().urgent.pong = Some(payload.into());
    }

    /// Forgets everything that waits.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets everything that has not begun to leave, Pings and Pongs apart.
    pub(crate) fn clear_waiting(&mut self) {
        self.gathered.clear();
        if let Some(beyond) = &mut self.beyond {
            beyond.sealed.truncate(beyond.begun());
            beyond.sealed_len = beyond.sealed.iter().map(Sealed::len).sum();
            beyond.back.clear();
            beyond.held = 0;
        }
    }

    /// Whether small frames have no buffer to be gathered in.
    #[inline]
    pub(crate) fn wants_buffer(&self) -> bool {
        self.gathered.capacity() == 0
    }

    /// Takes `buffer` to gather small frames in.
    pub(crate) fn lend_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.wants_buffer() {
            buffer.clear();
            self.gathered = buffer;
        }
    }

    /// Gives the gathering buffer away, when it is empty.
    #[inline]
    pub(crate) fn reclaim_buffer(&mut self) -> Option<Vec<u8>> {
        let is_idle = self.gathered.is_empty() && self.gathered.capacity() > 0;
        is_idle.then(|| std::mem::take(&mut self.gathered))
    }

    /// What is to be written next, if anything. `mask` draws the masking keys of a client.
    #[inline]
    pub(crate) fn transmit(&mut self, mask: impl FnMut() -> Option<MaskingKey>) -> Option<Transmit<'_>> {
        if let Some(beyond) = &mut self.beyond {
            beyond.urgent.encode(mask);
        }
        if self.has_bytes() { Some(Transmit { outbox: self }) } else { None }
    }

    fn seal(&mut self, head: Head, rest: Bytes) {
        self.beyond.get_or_insert_default().seal(head, rest);
    }

    /// The pieces in the order they have to be written; some may be empty.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let before = self.beyond.iter().flat_map(|beyond| beyond.pieces_before());
        let behind = self.beyond.iter().flat_map(|beyond| beyond.pieces_behind());
        before.chain([self.gathered.as_slice()]).chain(behind)
    }

    #[cold]
    fn first_piece(&self) -> &[u8] {
        self.pieces().find(|piece| !piece.is_empty()).unwrap_or_default()
    }

    #[cold]
    fn advance(&mut self, mut len: usize) {
        while len > 0 {
            match self.advance_piece(len) {
                0 => break,
                sent => len -= sent,
            }
        }
        self.beyond.take_if(|beyond| beyond.is_idle());
    }

    /// Forgets up to `len` bytes of the first piece and says how many those were.
    fn advance_piece(&mut self, len: usize) -> usize {
        let overtaking = |beyond: &&mut Box<Beyond>| !beyond.mid_frame && !beyond.urgent.rest().is_empty();
        if let Some(beyond) = self.beyond.as_mut().filter(overtaking) {
            return beyond.urgent.advance(len);
        }
        if len < self.gathered.len() {
            // What is left of these frames must not be cut into, so nothing may join them.
            let begun = std::mem::take(&mut self.gathered);
            let beyond = self.beyond.get_or_insert_default();
            beyond.sealed_len += begun.len();
            beyond.sealed.push_front(Sealed { head: Head::default(), rest: begun.into() });
        }
        if self.gathered.is_empty() {
            return self.beyond.as_mut().map_or(0, |beyond| beyond.advance(len));
        }
        let sent = self.gathered.len();
        self.gathered.clear();
        sent
    }
}

/// Appends a frame with a copy of its payload.
#[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
#[inline(always)]
fn append_frame(out: &mut Vec<u8>, header: &FrameHeader, payload: &[u8]) {
    out.reserve(MAX_HEADER_LEN + payload.len());
    header.encode(out);
    let start = out.len();
    append(out, payload);
    if let Some(key) = header.mask {
        mask_from(key, out, start);
    }
}

/// Masks what a client sends. Apart, because it would stand in the way of servers.
#[inline(never)]
fn mask_from(key: MaskingKey, out: &mut [u8], start: usize) {
    if let Some(copy) = out.get_mut(start..) {
        apply_mask(key, copy, 0);
    }
}

/// `payload` as it goes on the wire. Copies only when a client must mask bytes it shares.
#[inline(never)]
fn masked(key: Option<MaskingKey>, payload: Bytes) -> Bytes {
    let Some(key) = key else { return payload };
    let mut own = payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    apply_mask(key, &mut own, 0);
    own.freeze()
}

/// The Ping and the Pong that overtake data.
#[derive(Debug, Default)]
struct Urgent {
    pong: Option<Box<[u8]>>,
    ping: Option<Box<[u8]>>,
    /// Both as frames: made anew for every transmit until their first byte has left.
    frames: Vec<u8>,
    sent: usize,
}

impl Urgent {
    fn is_empty(&self) -> bool {
        self.pong.is_none() && self.ping.is_none() && self.frames.is_empty()
    }

    #[cold]
    fn encode(&mut self, mut mask: impl FnMut() -> Option<MaskingKey>) {
        if self.sent > 0 || self.is_empty() {
            return;
        }
        self.frames.clear();
        for (opcode, payload) in [(Opcode::Pong, &self.pong), (Opcode::Ping, &self.ping)] {
            let Some(payload) = payload else { continue };
            let header =
                FrameHeader { fin: true, rsv: 0, opcode, mask: mask(), payload_len: payload.len() as u64 };
            append_frame(&mut self.frames, &header, payload);
        }
    }

    fn rest(&self) -> &[u8] {
        self.frames.get(self.sent..).unwrap_or_default()
    }

    fn advance(&mut self, len: usize) -> usize {
        if self.sent == 0 {
            // These are on their way now; a later Ping or Pong waits for its own turn.
            self.pong = None;
            self.ping = None;
        }
        let sent = len.min(self.rest().len());
        self.sent += sent;
        if self.rest().is_empty() {
            self.frames = Vec::new();
            self.sent = 0;
        }
        sent
    }
}

/// The bytes a connection wants written, in order; [`advance`](Buf::advance) over those that were.
///
/// It is a [`Buf`] of several slices, made for one vectored write.
#[derive(Debug)]
pub(crate) struct Transmit<'a> {
    outbox: &'a mut Outbox,
}

impl Buf for Transmit<'_> {
    #[inline]
    fn remaining(&self) -> usize {
        match &self.outbox.beyond {
            None => self.outbox.gathered.len(),
            Some(beyond) => self.outbox.gathered.len() + beyond.len() - beyond.held + beyond.urgent_len(),
        }
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        if self.outbox.beyond.is_none() { &self.outbox.gathered } else { self.outbox.first_piece() }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.outbox.pieces().filter(|piece| !piece.is_empty());
        slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    #[inline]
    fn advance(&mut self, len: usize) {
        let is_all = self.outbox.beyond.is_none() && len == self.outbox.gathered.len();
        if is_all { self.outbox.gathered.clear() } else { self.outbox.advance(len) }
    }
}
