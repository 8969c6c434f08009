//! Encoders, decoders and scratch space that the connections of a thread share.
//!
//! All are bounded in number. A thread that is ending keeps none.

use std::cell::RefCell;

use zlib_rs::Inflate;

use super::encoder::{Encoder, Shape};

/// How many encoders a thread keeps: one is busy at a time, and there are few shapes.
const ENCODERS: usize = 2;

/// How many decoders a thread keeps. One would do, but one that goes on where it stopped is better.
const DECODERS: usize = 4;

/// Scratch space that grew beyond this is not kept.
const MAX_KEPT_SCRATCH: usize = 128 << 10;

/// Where a decoder stopped: the connection and how many messages that had received.
pub(super) type Stopped = (u64, u64);

#[derive(Default)]
struct Pool {
    #[allow(clippy::vec_box)] // They go in and out by their pointers.
    encoders: Vec<Box<Encoder>>,
    decoders: Vec<(Option<Stopped>, Box<Inflate>)>,
    scratch: Vec<u8>,
}

thread_local! {
    static POOL: RefCell<Pool> =
        const { RefCell::new(Pool { encoders: Vec::new(), decoders: Vec::new(), scratch: Vec::new() }) };
}

fn with<T>(f: impl FnOnce(&mut Pool) -> T) -> Option<T> {
    POOL.try_with(|pool| f(&mut pool.borrow_mut())).ok()
}

/// An encoder of this shape that has seen nothing.
pub(crate) fn take_encoder(shape: Shape) -> Box<Encoder> {
    let kept = with(|pool| {
        let at = pool.encoders.iter().position(|encoder| encoder.shape() == shape)?;
        Some(pool.encoders.swap_remove(at))
    });
    kept.flatten().unwrap_or_else(|| Box::new(Encoder::new(shape)))
}

/// Gives an encoder back for another message or connection.
pub(crate) fn give_encoder(mut encoder: Box<Encoder>) {
    // What one message held must not show in another's length (RFC 7692 §8).
    encoder.reset();
    let _ = with(|pool| {
        if pool.encoders.len() == ENCODERS {
            pool.encoders.remove(0);
        }
        pool.encoders.push(encoder);
    });
}

/// A decoder, and whether it is the very one that `stopped` there; any other has seen nothing.
pub(super) fn take_decoder(stopped: Option<Stopped>) -> (Box<Inflate>, bool) {
    let kept = with(|pool| {
        let same = |kept: &(Option<Stopped>, _)| stopped.is_some() && kept.0 == stopped;
        let at = pool.decoders.iter().position(same);
        if let Some(at) = at {
            return Some((pool.decoders.remove(at).1, true));
        }
        // The one that has waited longest is the least likely to be asked for.
        let oldest = (!pool.decoders.is_empty()).then(|| pool.decoders.remove(0).1)?;
        Some((oldest, false))
    });
    match kept.flatten() {
        Some((decoder, true)) => (decoder, true),
        Some((mut decoder, false)) => {
            decoder.reset(false);
            (decoder, false)
        }
        // The window of zlib-rs's decoder always has its largest size.
        None => (Box::new(Inflate::new(false, 15)), false),
    }
}

pub(super) fn give_decoder(decoder: Box<Inflate>, stopped: Option<Stopped>) {
    let _ = with(|pool| {
        if pool.decoders.len() == DECODERS {
            pool.decoders.remove(0);
        }
        pool.decoders.push((stopped, decoder));
    });
}

/// Space to work in, at least `len` bytes of whatever.
pub(crate) fn take_scratch(len: usize) -> Vec<u8> {
    let mut scratch = with(|pool| std::mem::take(&mut pool.scratch)).unwrap_or_default();
    if scratch.len() < len {
        scratch.resize(len, 0);
    }
    scratch
}

/// Gives scratch space back.
pub(crate) fn give_scratch(scratch: Vec<u8>) {
    if scratch.capacity() <= MAX_KEPT_SCRATCH {
        let _ = with(|pool| pool.scratch = scratch);
    }
}
