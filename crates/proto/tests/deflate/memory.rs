//! What a connection holds between messages, as the allocator counts it, against the formula.

use super::*;
use std::time::Instant;

use allocation_counter::measure;
use stentor_proto::bytes::{Buf, BytesMut};
use stentor_testkit::script::connection;

/// What `f` has allocated that is still held afterwards, on a thread where `warm` was done before:
/// what a thread keeps for all its connections does not count.
fn held(warm: impl FnOnce() -> Connection + Send, f: impl FnOnce() -> Connection + Send) -> usize {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            drop(warm());
            let mut connection = None;
            let info = measure(|| connection = Some(f()));
            usize::try_from(info.bytes_current).unwrap()
        });
        thread.join().unwrap()
    })
}

fn open(role: Role, deflate: Deflate, params: DeflateParams) -> Connection {
    connection(role, config(deflate), Instant::now()).with_deflate(params)
}

/// Sends a message, and receives what a peer without takeover makes of it, until all is at rest.
fn exchange(us: &mut Connection, message: &Message) {
    us.send(message.clone()).unwrap();
    while us.has_transmit() {
        while let Some(mut out) = us.poll_transmit() {
            out.advance(out.remaining());
        }
    }
    us.reclaim_buffer();
    let len = u16::try_from(message.len()).unwrap();
    let stored = [&[0], &len.to_le_bytes()[..], &(!len).to_le_bytes(), message.as_bytes(), &[0]].concat();
    let frame = binary(stored).rsv(0b100).encode(us.role().peer());
    let mut inbox = BytesMut::from(&frame[..]);
    while !matches!(us.receive(&mut inbox, Instant::now()), Some(Event::Message(_))) {}
}

/// A connection without compression holds this much.
fn plain(role: Role) -> usize {
    let open = move || connection(role, config(full()), Instant::now());
    held(open, open)
}

#[test]
fn what_a_connection_holds_is_what_the_formula_says() {
    for role in ROLES {
        let plain = plain(role);
        for mem_level in [1, 5, 9] {
            for window_bits in [8, 9, 12, 15] {
                for (server_context_takeover, client_context_takeover) in
                    [(true, true), (true, false), (false, true), (false, false)]
                {
                    let params = DeflateParams {
                        server_context_takeover,
                        client_context_takeover,
                        ..params(window_bits, true)
                    };
                    let deflate = Deflate { mem_level, ..full() };
                    let formula = deflate.max_memory(role, params);
                    let busy = || {
                        let mut us = open(role, deflate.clone(), params);
                        exchange(&mut us, &log(600));
                        us
                    };
                    let held = held(busy, busy) - plain;
                    let what = format!("{role:?}, {params:?}, mem level {mem_level}: {held} of {formula}");
                    assert!(held <= formula, "{what}");
                    // It is a bound, and no generous one.
                    assert!(held + 300 >= formula, "{what}");
                }
            }
        }
    }
}

#[test]
fn nothing_is_held_before_something_is_compressed() {
    for role in ROLES {
        let open = || open(role, full(), params(15, true));
        let held = held(open, open) - plain(role);
        assert!(held <= full().max_memory(role, params(15, false)), "{held} bytes");
    }
}

#[test]
fn the_encoder_goes_when_the_connection_has_been_silent() {
    let after = Duration::from_secs(60);
    let deflate = Deflate { release_after: Some(after), ..full() };
    let agreed = params(12, true);
    let silent = || {
        let mut us = open(Role::Server, deflate.clone(), agreed);
        exchange(&mut us, &log(100));
        let mut now = Instant::now();
        while let Some(deadline) = us.poll_timeout() {
            assert!(deadline <= now + 2 * after);
            now = deadline;
            us.handle_timeout(now);
        }
        us
    };
    let held = held(silent, silent) - plain(Role::Server);
    let history_only = DeflateParams { server_context_takeover: false, ..agreed };
    assert!(held <= deflate.max_memory(Role::Server, history_only), "{held} bytes");
}
