//! Messages leave compressed (RFC 7692 §7.2.1), a bounded piece of work at a time.
//!
//! A message that can be compressed at once is. One that would hold up the other connections of the
//! thread waits in a queue, and so does everything sent behind it, until
//! [`Connection::poll_transmit`] finds nothing else to give and does the next piece.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::Connection;
use crate::deflate::{
    Compress, Decoder, Deflate, DeflateParams, Encoder, Shape, Work, give_encoder, give_scratch,
    take_encoder, take_scratch,
};
use crate::header::{FrameHeader, MAX_HEADER_LEN, RSV1};
use crate::message::Message;
use crate::opcode::Opcode;
use crate::outbox::COPY_MAX;
use crate::prepared::Prepared;
use crate::role::Role;

/// Without takeover a short message has nothing to refer to, and little comes of compressing it.
const THRESHOLD_WITHOUT_TAKEOVER: usize = 1024;

/// Below this a message hardly gets shorter, whatever it may refer to.
const THRESHOLD_WITH_TAKEOVER: usize = 64;

/// What a connection needs to compress and to decompress.
#[derive(Debug)]
pub(super) struct Codec {
    pub(super) params: DeflateParams,
    pub(super) decoder: Decoder,
    pub(super) inflating: Work,
    shape: Shape,
    takeover: bool,
    threshold: usize,
    /// With takeover it is kept between messages, otherwise only while one is under way.
    encoder: Option<Box<Encoder>>,
    /// The peer's decoder has not seen what the encoder has, or has seen what the encoder has not:
    /// it must not look back (RFC 7692 §7.1.1 has both remember the same bytes).
    stale: bool,
    compressing: Work,
    queue: VecDeque<Queued>,
    idle: Idle,
}

/// When an encoder is given back that nothing uses.
///
/// A message costs no more than a flag. Time is looked at when the deadline comes: if the flag was
/// set meanwhile, the deadline moves.
#[derive(Debug, Default)]
struct Idle {
    used: bool,
    deadline: Option<Instant>,
}

/// What waits to be encoded.
#[derive(Debug)]
enum Queued {
    Message(Message, Compress),
    Begun(Box<Begun>),
    Prepared(Prepared),
    /// The body of a Close frame, which keeps its place.
    Close(Bytes),
}

/// A message compressed in part.
#[derive(Debug)]
struct Begun {
    message: Message,
    /// How much of it the encoder has taken.
    taken: usize,
    /// What came of that and is not queued as a fragment.
    out: Vec<u8>,
    /// Of the next frame.
    opcode: Opcode,
    always: bool,
}

impl Codec {
    pub(super) fn new(role: Role, params: DeflateParams, settings: &Deflate) -> Self {
        let (takeover, window_bits) = settings.own(role, params);
        let decoder = match role {
            Role::Server => Decoder::new(params.client_context_takeover, params.client_max_window_bits),
            Role::Client => Decoder::new(params.server_context_takeover, params.server_max_window_bits),
        };
        let usual = if takeover { THRESHOLD_WITH_TAKEOVER } else { THRESHOLD_WITHOUT_TAKEOVER };
        Self {
            params,
            decoder,
            inflating: Work::inflating(),
            shape: Shape::new(settings, window_bits),
            takeover,
            threshold: settings.threshold.unwrap_or(usual),
            encoder: None,
            stale: false,
            compressing: Work::compressing(),
            queue: VecDeque::new(),
            idle: Idle::default(),
        }
    }

    fn wants(&self, compress: Compress, len: usize) -> bool {
        match compress {
            Compress::ByThreshold => len >= self.threshold,
            Compress::Always => true,
            Compress::Never => false,
        }
    }

    /// Whether a message that came out so long is sent so.
    ///
    /// One that did not become smaller is sent plain, and then the encoder must forget. That would
    /// cost the next messages more than a few bytes, unless this one fills the window by itself.
    fn keeps(&self, compressed: usize, message: &Message, always: bool) -> bool {
        let forgetting_costs = self.takeover && message.len() < self.shape.window();
        always || compressed < message.len() || forgetting_costs
    }

    fn encoder(&mut self) -> &mut Encoder {
        self.idle.used = true;
        let shape = self.shape;
        let encoder = self.encoder.get_or_insert_with(|| {
            self.stale = false;
            take_encoder(shape)
        });
        if std::mem::take(&mut self.stale) {
            encoder.reset();
        }
        encoder
    }

    /// A message is compressed: nothing is held where nothing is taken over.
    fn rest(&mut self) {
        if !self.takeover
            && let Some(encoder) = self.encoder.take()
        {
            give_encoder(encoder);
        }
    }

    fn is_compressing(&self) -> bool {
        matches!(self.queue.front(), Some(Queued::Begun(_)))
    }
}

impl Connection {
    #[inline(never)]
    pub(super) fn send_by_codec(&mut self, message: Message, compress: Compress) {
        let Some(mut codec) = self.codec.take() else { return self.push_message(message) };
        let wanted = codec.wants(compress, message.len());
        if !codec.queue.is_empty() || (wanted && message.len() > codec.compressing.left()) {
            let compress = if wanted { compress } else { Compress::Never };
            self.outbox.hold(held(&message));
            codec.queue.push_back(Queued::Message(message, compress));
        } else if wanted {
            self.compress_whole(&mut codec, message, compress);
        } else {
            self.push_message(message);
        }
        self.codec = Some(codec);
    }

    #[inline(never)]
    pub(super) fn send_prepared_by_codec(&mut self, prepared: &Prepared) {
        let message = prepared.message();
        if self.config.fragment_size.is_some() {
            return self.send_by_codec(message.clone(), prepared.compress());
        }
        let Some(mut codec) = self.codec.take() else { return self.push_prepared(prepared) };
        if codec.queue.is_empty() {
            self.push_prepared_by(&mut codec, prepared);
        } else {
            self.outbox.hold(held(message));
            codec.queue.push_back(Queued::Prepared(prepared.clone()));
        }
        self.codec = Some(codec);
    }

    /// Queues a Close frame behind what waits to be encoded; `false` when nothing does.
    pub(super) fn close_behind_queue(&mut self, body: &Bytes) -> bool {
        let Some(codec) = self.codec.as_mut().filter(|codec| !codec.queue.is_empty()) else { return false };
        self.outbox.hold(body.len() + MAX_HEADER_LEN);
        codec.queue.push_back(Queued::Close(body.clone()));
        true
    }

    /// Encodes of what waits as much as may be done before a pause.
    #[inline(never)]
    pub(super) fn encode_queued(&mut self) {
        let Some(mut codec) = self.codec.take() else { return };
        while !codec.compressing.is_done()
            && let Some(queued) = codec.queue.pop_front()
        {
            match queued {
                Queued::Message(message, compress) if codec.wants(compress, message.len()) => {
                    let begun = Begun::new(message, compress);
                    self.compress_some(&mut codec, Box::new(begun));
                }
                Queued::Message(message, _) => {
                    self.outbox.release(held(&message));
                    self.push_message(message);
                }
                Queued::Begun(begun) => self.compress_some(&mut codec, begun),
                Queued::Prepared(prepared) => {
                    self.outbox.release(held(prepared.message()));
                    self.push_prepared_by(&mut codec, &prepared);
                }
                Queued::Close(body) => {
                    self.outbox.release(body.len() + MAX_HEADER_LEN);
                    self.push_frame(true, Opcode::Close, body);
                }
            }
        }
        if codec.queue.is_empty() {
            codec.queue = VecDeque::new();
        }
        if !self.outbox.has_bytes() {
            codec.compressing.renew();
        }
        self.codec = Some(codec);
    }

    /// Nothing more will be sent.
    pub(super) fn drop_queued(&mut self) {
        if let Some(codec) = &mut self.codec {
            codec.queue = VecDeque::new();
            codec.encoder = None;
        }
    }

    /// When the encoder is due to be given back, or at least to be looked at.
    pub(super) fn release_deadline(&self) -> Option<Instant> {
        let codec = self.codec.as_ref()?;
        let after = self.config.deflate.as_ref()?.release_after?;
        codec.encoder.as_ref()?;
        codec.idle.deadline.or_else(|| self.liveness.last_heard().checked_add(after))
    }

    /// Gives the encoder back, unless it was used since the last deadline.
    pub(super) fn release_idle(&mut self, now: Instant) {
        if self.release_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let after = self.config.deflate.as_ref().and_then(|settings| settings.release_after);
        let (Some(codec), Some(after)) = (&mut self.codec, after) else { return };
        if std::mem::take(&mut codec.idle.used) || codec.is_compressing() {
            codec.idle.deadline = now.checked_add(after);
            return;
        }
        codec.idle.deadline = None;
        if let Some(encoder) = codec.encoder.take() {
            // The next one has seen nothing, which a compressor may do at any time.
            give_encoder(encoder);
        }
    }

    /// Compresses a message at once, and queues what comes of it.
    fn compress_whole(&mut self, codec: &mut Codec, message: Message, compress: Compress) {
        codec.compressing.spend_output(message.len());
        let always = compress == Compress::Always;
        let mut scratch = take_scratch(0);
        let len = codec.encoder().finish(message.payload(), &mut scratch);
        if codec.keeps(len, &message, always) {
            self.push_compressed(message.opcode(), scratch.get(..len).unwrap_or_default());
        } else {
            codec.stale = true;
            self.push_message(message);
        }
        give_scratch(scratch);
        codec.rest();
    }

    /// Compresses a part of a message. Fragments leave as soon as they are there; a single frame
    /// needs its whole length first.
    fn compress_some(&mut self, codec: &mut Codec, mut begun: Box<Begun>) {
        let rest = begun.message.payload().get(begun.taken..).unwrap_or_default();
        let part = rest.get(..codec.compressing.left()).unwrap_or(rest);
        let last = part.len() == rest.len();
        codec.compressing.spend_output(part.len());
        let mut scratch = take_scratch(0);
        let encoder = codec.encoder();
        let len = if last {
            encoder.finish(part, &mut scratch)
        } else {
            encoder.compress(part, false, &mut scratch)
        };
        begun.taken += part.len();
        begun.out.extend_from_slice(scratch.get(..len).unwrap_or_default());
        give_scratch(scratch);
        if !last {
            if self.config.fragment_size.is_some() {
                let mut out = std::mem::take(&mut begun.out).into();
                self.push_full_fragments(&mut begun.opcode, &mut out);
                begun.out = out.into();
            }
            codec.queue.push_front(Queued::Begun(begun));
            return;
        }
        let Begun { message, out, mut opcode, always, .. } = *begun;
        self.outbox.release(held(&message));
        let begun = opcode == Opcode::Continuation;
        if begun || codec.keeps(out.len(), &message, always) {
            let mut out = Bytes::from(out);
            self.push_full_fragments(&mut opcode, &mut out);
            self.push_compressed_frame(true, opcode, out);
        } else {
            codec.stale = true;
            self.push_message(message);
        }
        codec.rest();
    }

    /// Queues a message that is encoded already, compressed if that is to be; its bytes are shared.
    fn push_prepared_by(&mut self, codec: &mut Codec, prepared: &Prepared) {
        if !codec.wants(prepared.compress(), prepared.message().len()) {
            return self.push_prepared(prepared);
        }
        if !prepared.is_deflated(codec.shape) {
            codec.compressing.spend_output(prepared.message().len());
        }
        let Some(deflated) = prepared.deflated(codec.shape) else { return self.push_prepared(prepared) };
        if self.masking.0.is_some() {
            self.push_compressed_frame(true, prepared.message().opcode(), deflated.payload());
        } else {
            self.outbox.push_encoded(deflated.frame());
        }
        // It refers to nothing before it, so any decoder with the window understands it, and
        // remembers it, which our encoder does not. From here on that may only refer to what it
        // will see.
        codec.stale = true;
    }

    /// Queues a whole compressed message.
    fn push_compressed(&mut self, mut opcode: Opcode, payload: &[u8]) {
        if payload.len() <= COPY_MAX && self.config.fragment_size.is_none_or(|size| payload.len() <= size) {
            let header = self.compressed_header(true, opcode, payload.len());
            return self.outbox.push_small(&header, payload);
        }
        let mut payload = Bytes::copy_from_slice(payload);
        self.push_full_fragments(&mut opcode, &mut payload);
        self.push_compressed_frame(true, opcode, payload);
    }

    /// Queues all fragments but the last (RFC 7692 §7.2.1 compresses a message, not its fragments).
    fn push_full_fragments(&mut self, opcode: &mut Opcode, payload: &mut Bytes) {
        let Some(size) = self.config.fragment_size else { return };
        while payload.len() > size.max(1) {
            let fragment = payload.split_to(size.max(1));
            self.push_compressed_frame(false, *opcode, fragment);
            *opcode = Opcode::Continuation;
        }
    }

    fn push_compressed_frame(&mut self, fin: bool, opcode: Opcode, payload: Bytes) {
        let header = self.compressed_header(fin, opcode, payload.len());
        self.outbox.push(&header, payload);
    }

    fn compressed_header(&mut self, fin: bool, opcode: Opcode, len: usize) -> FrameHeader {
        // RFC 7692 §6: a sender "MUST NOT set the bit on non-first fragments".
        let rsv = if opcode == Opcode::Continuation { 0 } else { RSV1 };
        FrameHeader { fin, rsv, opcode, mask: self.masking.key(), payload_len: len as u64 }
    }
}

impl Begun {
    fn new(message: Message, compress: Compress) -> Self {
        let (opcode, always) = (message.opcode(), compress == Compress::Always);
        Self { message, taken: 0, out: Vec::new(), opcode, always }
    }
}

/// What a message counts for while it waits.
fn held(message: &Message) -> usize {
    message.len() + MAX_HEADER_LEN
}
