//! How much a peer may send in a second, and for how long nothing may happen: what a peer by hand sees of
//! these limits, whoever has read its request (RFC 6455 §10.4).

use std::time::Duration;

use stentor::{Acceptor, CloseCode, Config, WebSocket};
use stentor_testkit::frame::{binary, close, continuation, ping, pong, text};
use stentor_testkit::peer::Peer;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

use crate::hosts::{Host, Hosted, on_every_host_paused};
use crate::support::{at_once, echo, lasting};

on_every_host_paused![
    a_message_too_many_within_a_second_is_closed_with_1008,
    a_byte_too_many_within_a_second_is_closed_with_1008,
    a_control_frame_too_many_within_a_second_is_closed_with_1008,
    others_may_go_on_when_one_has_sent_too_much,
    without_messages_a_connection_is_closed_at_its_idle_time,
    a_server_that_sends_is_not_idle,
];

const SECOND: Duration = Duration::from_secs(1);

/// A client by hand of a server that echoes.
async fn peer_of(host: Host, config: Config) -> Peer<DuplexStream> {
    host.in_memory(Acceptor::new().config(config), echo).dial.peer().await
}

/// Expects to be closed for a violation, and that the server then goes, too.
async fn expect_refusal(mut peer: Peer<DuplexStream>, reason: &str) {
    assert_eq!(at_once(peer.expect_close(1008)).await, reason);
    peer.send(&close(1008, "")).await;
    at_once(peer.expect_end()).await;
}

async fn a_message_too_many_within_a_second_is_closed_with_1008(host: Host) {
    let config = Config { max_messages_per_second: Some(3), ..Config::default() };
    let mut peer = peer_of(host, config).await;
    // As many as are allowed, second after second. A fragment is no message, nor is a control frame.
    for _ in 0..10 {
        for _ in 0..2 {
            peer.send(&text("one")).await;
            at_once(peer.expect(text("one"))).await;
        }
        peer.send(&text("t").more()).await;
        peer.send(&ping("between")).await;
        at_once(peer.expect(pong("between"))).await;
        peer.send(&continuation("wo")).await;
        at_once(peer.expect(text("two"))).await;
        sleep(SECOND).await;
    }
    for _ in 0..3 {
        peer.send(&text("again")).await;
        at_once(peer.expect(text("again"))).await;
    }
    sleep(Duration::from_millis(990)).await;
    peer.send(&text("one too many")).await;
    expect_refusal(peer, "too many messages in a second").await;
}

async fn a_byte_too_many_within_a_second_is_closed_with_1008(host: Host) {
    let config = Config { max_bytes_per_second: Some(1000), ..Config::default() };
    let mut peer = peer_of(host, config).await;
    for _ in 0..10 {
        peer.send(&binary([1; 600])).await;
        at_once(peer.expect(binary([1; 600]))).await;
        peer.send(&binary([2; 200]).more()).await;
        peer.send(&continuation([2; 200])).await;
        at_once(peer.expect(binary([2; 400]))).await;
        peer.send(&text("")).await;
        at_once(peer.expect(text(""))).await;
        sleep(SECOND).await;
    }
    peer.send(&binary([1; 1000])).await;
    at_once(peer.expect(binary([1; 1000]))).await;
    peer.send(&binary([1])).await;
    expect_refusal(peer, "too many bytes in a second").await;
}

/// With the defaults: 1,000.
async fn a_control_frame_too_many_within_a_second_is_closed_with_1008(host: Host) {
    let mut peer = peer_of(host, Config::default()).await;
    let thousand = ping("x").encode(stentor_proto::Role::Client).repeat(1000);
    for _ in 0..3 {
        peer.send_bytes(&thousand).await;
        peer.send(&text("behind them")).await;
        // A Pong for each, or for the last of those that came together.
        let mut pongs = 0;
        while let Some(frame) = at_once(peer.frame()).await {
            if frame == text("behind them") {
                break;
            }
            assert_eq!(frame, pong("x"));
            pongs += 1;
        }
        assert!((1..=1000).contains(&pongs), "{pongs}");
        sleep(SECOND).await;
    }
    // Pongs that nobody has asked for count as well.
    for frame in [pong("x"), ping("x")] {
        peer.send_bytes(&frame.encode(stentor_proto::Role::Client).repeat(500)).await;
    }
    peer.send(&pong("one too many")).await;
    let refusal = loop {
        let frame = at_once(peer.frame()).await.expect("a Close frame");
        if frame.opcode == 8 {
            break frame;
        }
        assert_eq!(frame, pong("x"));
    };
    assert_eq!(refusal.close_code_and_reason(), (1008, "too many control frames".to_owned()));
}

async fn others_may_go_on_when_one_has_sent_too_much(host: Host) {
    let config = Config { max_messages_per_second: Some(1), ..Config::default() };
    let Hosted { dial, connections, .. } = host.in_memory(Acceptor::new().config(config), echo);
    let (mut loud, mut quiet) = (dial.peer().await, dial.peer().await);
    for said in ["one", "two"] {
        loud.send(&text(said)).await;
    }
    quiet.send(&text("hi")).await;
    at_once(quiet.expect(text("hi"))).await;
    let end = loop {
        // The echo of the first is here or not: it depends on how many came in one read.
        let frame = at_once(loud.frame()).await.expect("a Close frame");
        if frame != text("one") {
            break frame;
        }
    };
    assert_eq!(end.close_code_and_reason().0, 1008);
    drop(loud);
    sleep(SECOND).await;
    assert_eq!(connections.len(), 1);
    quiet.send(&text("still here")).await;
    at_once(quiet.expect(text("still here"))).await;
}

/// What the peer gets until it is closed, if it answers every Ping: how long that takes, and why it is.
async fn until_closed(peer: &mut Peer<DuplexStream>) -> (f64, (u16, String)) {
    let began = Instant::now();
    loop {
        let frame = lasting(peer.frame()).await.expect("a Close frame");
        match frame.opcode {
            0x8 => return (began.elapsed().as_secs_f64(), frame.close_code_and_reason()),
            0x9 => peer.send(&pong(frame.payload)).await,
            _ => {}
        }
    }
}

async fn without_messages_a_connection_is_closed_at_its_idle_time(host: Host) {
    let config = Config { idle_timeout: Some(60 * SECOND), ..Config::default() };
    let listen = async |mut socket: WebSocket| while let Ok(Some(_)) = socket.recv().await {};
    let acceptor = Acceptor::new().config(config);
    let mut peer = host.in_memory(acceptor, listen).dial.peer().await;
    for _ in 0..5 {
        // Less than the keepalive's 20 s, so that it has nothing to ask.
        for _ in 0..3 {
            sleep(19 * SECOND).await;
            peer.send(&ping("no message")).await;
            at_once(peer.expect(pong("no message"))).await;
        }
        peer.send(&text("still here")).await;
        sleep(Duration::from_millis(10)).await;
    }
    // The keepalive asks, and is answered: signs of life, and no messages.
    let (took, why) = until_closed(&mut peer).await;
    assert_eq!(why, (3008, "idle for too long".to_owned()));
    assert!((59.9..60.1).contains(&took), "{took} s");
}

async fn a_server_that_sends_is_not_idle(host: Host) {
    let config = Config { idle_timeout: Some(60 * SECOND), ..Config::default() };
    let lecture = async |mut socket: WebSocket| {
        for _ in 0..5 {
            sleep(50 * SECOND).await;
            socket.send("news").await?;
        }
        while socket.recv().await?.is_some() {}
        assert_eq!(socket.closed().map(|closed| closed.code), Some(CloseCode::from(3008)));
        Ok::<_, stentor::Error>(())
    };
    let acceptor = Acceptor::new().config(config);
    let mut peer = host.in_memory(acceptor, lecture).dial.peer().await;
    let (took, why) = until_closed(&mut peer).await;
    assert_eq!(why.0, 3008);
    // From the last news, at 250 s, once or twice the idle time.
    assert!((310.0..370.1).contains(&took), "{took} s");
}
