//! What `MetricsObserver` counts: what was on the wire, by names and labels that are known beforehand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use stentor::http::StatusCode;
use stentor::{
    Client, CloseCode, Config, Deflate, MetricsObserver, Rejection, Server, SlowReader, WebSocket,
};
use stentor_proto::Role;
use stentor_testkit::frame::{Frame, binary, close, ping, pong, text};
use stentor_testkit::peer::{Peer, request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::recorder::Readings;
use crate::support::{ask, echo, lasting, serve, server, server_in_memory, settle, soon};

fn measured(server: Server) -> (Server, Readings) {
    let (readings, observer) = Readings::recording(MetricsObserver::new);
    (server.observe(observer), readings)
}

/// Waits until so many connections have ended.
async fn ended(readings: &Readings, connections: u64) {
    soon(async {
        let closed = |(key, count): (&String, &u64)| {
            if key.starts_with("stentor_connections_closed_total") { *count } else { 0 }
        };
        while readings.counted().iter().map(closed).sum::<u64>() < connections {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What a peer by hand has written or read, counted from its own frames.
fn on_the_wire(way: &str, frames: &[Frame], bytes: usize) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    let mut count = |what: &str, by: usize| {
        if by > 0 {
            *counted.entry(format!("stentor_{way}_{what}")).or_default() += by as u64;
        }
    };
    let mut kind = "";
    for frame in frames {
        match frame.opcode {
            1 => kind = "text",
            2 => kind = "binary",
            _ => {}
        }
        match frame.opcode {
            0..=2 => {
                count(&format!("messages_total{{kind={kind}}}"), usize::from(frame.fin));
                count(&format!("payload_bytes_total{{kind={kind}}}"), frame.payload.len());
            }
            9 => count("pings_total", 1),
            10 => count("pongs_total", 1),
            _ => {}
        }
    }
    count("frames_total", frames.len());
    count("bytes_total", bytes);
    counted
}

/// Over a real socket: every counter that has anything to do with bytes is what the peer has counted.
#[tokio::test]
async fn the_counters_are_what_was_on_the_wire() {
    let (server, readings) = measured(server().await);
    let addr = serve(server, echo);
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(request("/", "").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(tcp.read_u8()).await.unwrap());
    }
    assert_eq!(readings.gauge("stentor_connections").to_string(), "1");

    let sent = [
        text("a"),
        binary(vec![7; 70_000]),
        text("first ").more(),
        ping("between"),
        Frame { opcode: 0, ..text("and last") },
        pong("nobody has asked"),
        binary(vec![8; 200]),
        text(""),
        close(1000, "bye"),
    ];
    let written: Vec<u8> = sent.iter().flat_map(|frame| frame.encode(Role::Client)).collect();
    let (mut reading, mut writing) = tcp.split();
    let mut read = Vec::new();
    // In pieces that end anywhere, while the other way is read.
    let (done, rest) = tokio::join!(
        async {
            for piece in written.chunks(997) {
                writing.write_all(piece).await?;
            }
            Ok::<_, std::io::Error>(())
        },
        soon(reading.read_to_end(&mut read))
    );
    done.unwrap();
    rest.unwrap();
    ended(&readings, 1).await;

    let bytes = read.len();
    let mut answered = Vec::new();
    while !read.is_empty() {
        answered.push(Frame::decode_with(&mut read, Role::Server, false).expect("a whole frame"));
    }
    let mut expected = on_the_wire("received", &sent, written.len());
    expected.extend(on_the_wire("sent", &answered, bytes));
    expected.insert("stentor_connections_opened_total".to_owned(), 1);
    expected.insert("stentor_connections_closed_total{code=1000,by=peer}".to_owned(), 1);
    assert_eq!(readings.counted(), expected);
    // Five messages come back, a Pong and a Close frame.
    assert_eq!((answered.len(), expected["stentor_received_frames_total"]), (7, 9));
    assert_eq!(readings.gauge("stentor_connections").to_string(), "0");
    let handshakes = readings.histogram("stentor_handshake_duration_seconds");
    assert!(handshakes.len() == 1 && handshakes[0] > 0.0 && handshakes[0] < 30.0, "{handshakes:?}");
}

/// Many connections at once, compressed too: what one end has sent, the other has received.
#[tokio::test]
async fn both_ends_of_many_connections_count_the_same() {
    const CLIENTS: u64 = 20;
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let (server, ours) = measured(server().await.config(config.clone()));
    let (theirs, observer) = Readings::recording(|| MetricsObserver::with_labels([("end", "client")]));
    let client = Client::new().config(config).observe(observer);
    let addr = serve(server, echo);
    let talks = (0..CLIENTS).map(|number| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut socket = client.connect(format!("ws://{addr}/")).await.unwrap();
            for len in [1, 100, 10_000, 100_000] {
                socket.send("x".repeat(len)).await.unwrap();
                socket.send(vec![7; len]).await.unwrap();
                socket.recv().await.unwrap().unwrap();
                socket.recv().await.unwrap().unwrap();
            }
            socket.ping().await.unwrap();
            let code = if number % 2 == 0 { CloseCode::NORMAL } else { CloseCode::from(4321) };
            socket.close(code, "").await.unwrap();
        })
    });
    for talk in talks.collect::<Vec<_>>() {
        soon(talk).await.unwrap();
    }
    ended(&ours, CLIENTS).await;
    ended(&theirs, CLIENTS).await;
    for (what, labels) in [
        ("bytes_total", ""),
        ("frames_total", ""),
        ("messages_total", "kind=text"),
        ("messages_total", "kind=binary"),
        ("payload_bytes_total", "kind=text"),
        ("payload_bytes_total", "kind=binary"),
        ("pings_total", ""),
        ("pongs_total", ""),
    ] {
        let at_server = |way| match labels {
            "" => ours.counter(&format!("stentor_{way}_{what}")),
            labels => ours.counter(&format!("stentor_{way}_{what}{{{labels}}}")),
        };
        let at_client = |way| match labels {
            "" => theirs.counter(&format!("stentor_{way}_{what}{{end=client}}")),
            labels => theirs.counter(&format!("stentor_{way}_{what}{{end=client,{labels}}}")),
        };
        let (received, sent) = (at_server("received"), at_server("sent"));
        // A client's frames have a masking key of four bytes each.
        let there = (at_client("sent"), at_client("received"));
        assert_eq!((received, sent), there, "{what}{{{labels}}}");
        assert!(received + sent > 0, "{what}{{{labels}}}");
    }
    assert_eq!(ours.counter("stentor_received_messages_total{kind=text}"), 4 * CLIENTS);
    assert_eq!(ours.counter("stentor_connections_closed_total{code=1000,by=peer}"), CLIENTS / 2);
    assert_eq!(ours.counter("stentor_connections_closed_total{code=other,by=peer}"), CLIENTS / 2);
    assert_eq!(theirs.counter("stentor_connections_closed_total{end=client,code=1000,by=us}"), CLIENTS / 2);
    let round_trips = theirs.histogram("stentor_round_trip_seconds{end=client}");
    assert_eq!(round_trips.len() as u64, CLIENTS);
}

#[tokio::test(start_paused = true)]
async fn refusals_violations_and_dropped_messages_are_counted() {
    let (server, dial) = server_in_memory();
    let (server, readings) = measured(server);
    let config = Config { slow_reader: SlowReader::DropNewest, max_outbox_size: 10_000, ..Config::default() };
    let server = server.config(config).accept_filter(|peer: SocketAddr| peer.port() != 666).authorize(
        async |request| match request.request().uri().path() {
            "/teapot" => Err(Rejection::from(StatusCode::IM_A_TEAPOT)),
            "/no" => Err(Rejection::from(StatusCode::FORBIDDEN)),
            _ => Ok(()),
        },
    );
    tokio::spawn(server.serve(async |mut socket: WebSocket| {
        while let Some(message) = socket.recv().await? {
            for _ in 0..if message.as_bytes() == b"flood" { 1000 } else { 1 } {
                socket.send(vec![0; 1000]).await?;
            }
            if message.as_bytes() == b"flood" {
                return Ok(());
            }
        }
        Ok::<_, stentor::Error>(())
    }));
    for request in [
        request("/teapot", ""),
        request("/no", ""),
        request("/no", ""),
        request("/", "Origin: http://evil.example\r\n"),
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ] {
        let mut io = dial.up();
        io.write_all(request.as_bytes()).await.unwrap();
        lasting(Peer::new(Role::Client, io).rest()).await;
    }
    drop(dial.from("192.0.2.1:666"));
    for wrong in [&b"\xff\xff"[..], b"\x81\x81\0\0\0\0\xff"] {
        let mut peer = dial.peer().await;
        peer.send_bytes(wrong).await;
        lasting(peer.rest()).await;
    }
    let mut slow = dial.peer().await;
    slow.send(&text("flood")).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let read = lasting(slow.rest()).await;
    drop(slow);
    settle().await;

    let counted = readings.counted();
    let refused = |status: &str| counted[&format!("stentor_handshakes_refused_total{{status={status}}}")];
    assert_eq!([refused("other"), refused("403"), refused("426"), refused("none")], [1, 3, 1, 1]);
    let violated = |code: &str| counted[&format!("stentor_violations_total{{code={code}}}")];
    assert_eq!([violated("1002"), violated("1007")], [1, 1]);
    let sent = counted["stentor_sent_messages_total{kind=binary}"];
    assert_eq!(counted["stentor_dropped_messages_total"] + sent, 1000);
    assert!(read.len() as u64 > 1000 * sent, "{} bytes of {sent} messages", read.len());
}

/// Whatever peers do: the metrics and their labels are those that there were at the beginning.
#[tokio::test]
async fn nothing_that_a_peer_sends_makes_a_metric() {
    let (server, readings) = measured(server().await);
    let addr = serve(server, echo);
    let before = readings.keys();
    for code in [1000, 3999, 4000, 4999] {
        let mut peer = Peer::connect(TcpStream::connect(addr).await.unwrap()).await;
        peer.send(&close(code, "who knows")).await;
        soon(peer.rest()).await;
    }
    soon(ask(addr, &request("/", "Sec-WebSocket-Version: 99\r\n"))).await;
    ended(&readings, 4).await;
    assert_eq!(readings.counter("stentor_connections_closed_total{code=other,by=peer}"), 3);
    assert_eq!(readings.keys(), before);
    assert!(before.len() < 100, "{} of them", before.len());
}

/// The table in the chapter on observability: a row for each metric, and no other.
#[test]
fn the_chapter_lists_the_metrics_as_they_are() {
    let (readings, _) = Readings::recording(MetricsObserver::new);
    let chapter =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/observability.md"));
    let chapter = chapter.unwrap();
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in readings.keys() {
        let (name, values) = key.split_once('{').unwrap_or((&key, ""));
        let names = values.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
        labels.entry(name.to_owned()).or_default().extend(names.map(|(name, _)| format!("`{name}`")));
    }
    let described = readings.described();
    for (name, kind, unit) in &described {
        let labels = labels[name].iter().cloned().collect::<Vec<_>>().join(", ");
        let row = format!("| `{name}` | {kind} | {unit} | {labels} |").replace("|  |", "| |");
        assert!(chapter.contains(&row), "no row {row}");
    }
    assert_eq!(chapter.matches("\n| `stentor_").count(), described.len());
    assert_eq!(labels.len(), described.len(), "every metric is described");
}
