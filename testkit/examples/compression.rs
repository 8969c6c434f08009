//! What compression saves and what it costs: the tables of `docs/compression.md`.
//!
//! `cargo run --release -p stentor-testkit --example compression`
//!
//! A server sends JSON to a client in memory. Times are of the fastest of many batches, because
//! everything else that a machine does makes them longer; they hold for one busy connection, whose
//! tables are in the cache.

use std::fmt::Write;
use std::time::{Duration, Instant};

use stentor_proto::bytes::{Buf, BytesMut};
use stentor_proto::{Compress, Config, Connection, Deflate, DeflateParams, Event, Message, Role};
use stentor_testkit::script::connection;

const BATCHES: usize = 60;

/// Messages in a batch.
const BATCH: usize = 100;

fn main() {
    println!("Bytes for each connection, at most, between messages\n");
    memory();
    println!("\nOne message, level and window (mem level 5)\n");
    cost();
    println!("\nA thousand connections in turn, messages of 200 B, window 12\n");
    in_turn();
}

/// The usual settings but for these.
fn settings(level: u8, takeover: bool, bits: u8) -> Deflate {
    Deflate {
        level,
        threshold: Some(0),
        server_context_takeover: takeover,
        client_context_takeover: takeover,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
        ..Deflate::default()
    }
}

/// What two sides with these settings agree on.
fn agreed(settings: &Deflate) -> DeflateParams {
    DeflateParams {
        server_context_takeover: settings.server_context_takeover,
        client_context_takeover: settings.client_context_takeover,
        server_max_window_bits: settings.server_max_window_bits,
        client_max_window_bits: settings.client_max_window_bits,
    }
}

fn open(role: Role, settings: &Deflate) -> Connection {
    let config = Config { deflate: Some(settings.clone()), keepalive: None, ..Config::default() };
    connection(role, config, Instant::now()).with_deflate(agreed(settings))
}

fn memory() {
    println!("| window | mem level | both remember | only the server | only the client | neither |");
    println!("|---|---|---|---|---|---|");
    for (bits, mem_level) in [(9, 1), (10, 3), (12, 5), (13, 6), (15, 8)] {
        print!("| {bits} | {mem_level} |");
        for (server, client) in [(true, true), (true, false), (false, true), (false, false)] {
            let settings = Deflate {
                mem_level,
                server_context_takeover: server,
                client_context_takeover: client,
                ..settings(2, true, bits)
            };
            print!(" {} |", grouped(settings.max_memory(Role::Server, agreed(&settings))));
        }
        println!();
    }
}

fn cost() {
    println!("| message | level | window | takeover | sent | compress | decompress |");
    println!("|---|---|---|---|---|---|---|");
    for size in [200, 1 << 10, 16 << 10] {
        for takeover in [true, false] {
            for (level, bits) in [(1, 12), (2, 12), (6, 12), (6, 15)] {
                let settings = settings(level, takeover, bits);
                let (mut server, mut client) = (open(Role::Server, &settings), open(Role::Client, &settings));
                let (mut fastest, mut fastest_back, mut sent) = (Duration::MAX, Duration::MAX, 0);
                for batch in 0..BATCHES {
                    let messages: Vec<Message> =
                        (0..BATCH).map(|seed| json(batch * BATCH + seed, size)).collect();
                    let start = Instant::now();
                    let mut wire = BytesMut::new();
                    for message in &messages {
                        send(&mut server, message, &mut wire);
                    }
                    fastest = fastest.min(start.elapsed());
                    sent = wire.len();
                    let start = Instant::now();
                    assert_eq!(receive(&mut client, &mut wire), BATCH);
                    fastest_back = fastest_back.min(start.elapsed());
                }
                println!(
                    "| {} B | {level} | {bits} | {} | {:.0} % | {} ns | {} ns |",
                    grouped(size),
                    if takeover { "yes" } else { "no" },
                    100.0 * ratio(sent, BATCH * size),
                    each(fastest, BATCH),
                    each(fastest_back, BATCH),
                );
            }
        }
    }
}

fn in_turn() {
    const CONNECTIONS: usize = 1000;
    println!("| level | takeover | sent | compress | decompress |");
    println!("|---|---|---|---|---|");
    for (level, takeover) in [(1, true), (2, true), (2, false)] {
        let settings = settings(level, takeover, 12);
        let open = |role| (0..CONNECTIONS).map(|_| open(role, &settings)).collect::<Vec<_>>();
        let (mut servers, mut clients) = (open(Role::Server), open(Role::Client));
        let mut wires = vec![BytesMut::new(); CONNECTIONS];
        let (mut fastest, mut fastest_back, mut sent) = (Duration::MAX, Duration::MAX, 0);
        for round in 0..20 {
            let message = |connection: usize| json(round * CONNECTIONS + connection, 200);
            let messages: Vec<Message> = (0..CONNECTIONS).map(message).collect();
            let start = Instant::now();
            for ((server, message), wire) in servers.iter_mut().zip(&messages).zip(&mut wires) {
                send(server, message, wire);
            }
            fastest = fastest.min(start.elapsed());
            sent = wires.iter().map(BytesMut::len).sum();
            let start = Instant::now();
            let received = clients.iter_mut().zip(&mut wires).map(|(client, wire)| receive(client, wire));
            assert_eq!(received.sum::<usize>(), CONNECTIONS);
            fastest_back = fastest_back.min(start.elapsed());
        }
        println!(
            "| {level} | {} | {:.0} % | {} ns | {} ns |",
            if takeover { "yes" } else { "no" },
            100.0 * ratio(sent, CONNECTIONS * 200),
            each(fastest, CONNECTIONS),
            each(fastest_back, CONNECTIONS),
        );
    }
}

fn send(server: &mut Connection, message: &Message, wire: &mut BytesMut) {
    server.send_with(message.clone(), Compress::ByThreshold).expect("there is room");
    while server.has_transmit() {
        while let Some(mut out) = server.poll_transmit() {
            let len = out.chunk().len();
            wire.extend_from_slice(out.chunk());
            out.advance(len);
        }
    }
}

fn receive(client: &mut Connection, wire: &mut BytesMut) -> usize {
    let now = Instant::now();
    let mut messages = 0;
    loop {
        match client.receive(wire, now) {
            Some(Event::Message(_)) => messages += 1,
            Some(other) => panic!("{other:?}"),
            None if client.has_work() => {}
            None => return messages,
        }
    }
}

/// An order book entry or the like, again and again up to `size` bytes; no two alike.
fn json(seed: usize, size: usize) -> Message {
    let mut state = seed as u64 ^ 0x5eed_5eed;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = String::from("[");
    while text.len() < size {
        let side = if next(2) == 0 { "buy" } else { "sell" };
        let _ = write!(
            text,
            r#"{{"id":{},"symbol":"{}","side":"{side}","price":{}.{:02},"size":{},"trader":"user-{}"}},"#,
            next(1 << 31),
            ["ACME", "INIT", "HOOL", "UMBR"][usize::try_from(next(4)).expect("below four")],
            90 + next(20),
            next(100),
            next(5000),
            next(2000),
        );
    }
    text.truncate(size);
    text.into()
}

#[allow(clippy::cast_precision_loss)] // Per cent, without decimals.
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

fn each(time: Duration, messages: usize) -> String {
    let nanos = usize::try_from(time.as_nanos()).expect("less than a century") / messages;
    grouped(nanos)
}

/// With a comma between thousands.
fn grouped(number: usize) -> String {
    match number.checked_div(1000) {
        Some(thousands) if thousands > 0 => format!("{},{:03}", grouped(thousands), number % 1000),
        _ => number.to_string(),
    }
}
