//! Transports that split and cut: whatever the pieces, the messages are the same; wherever the cut,
//! both ends learn of it at once, as an error that says so.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use stentor::{Acceptor, Client, Config, Error, HandshakeFailure, Message, Phase, Result, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{close, ping, text};
use stentor_testkit::peer::{Peer, request};
use stentor_testkit::transport::{End, Rig, pipe, rig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use crate::support::{
    at_once, connect, echo, echo_server, raw_client, self_driven_over, serve, server, soon, text_of,
};

/// Our client and our server over transports that the rigs control, up to the end of both.
async fn session(prepare: impl FnOnce(&Rig, &Rig)) -> (Result<Vec<Message>>, Result<()>, (Rig, Rig)) {
    let (client, server) = pipe(300);
    let ((client, client_rig), (server, server_rig)) = (rig(client), rig(server));
    prepare(&client_rig, &server_rig);
    let serving = tokio::spawn(async move { Acceptor::new().serve_connection(server, echo).await });
    let received = at_once(converse(client)).await;
    let served = at_once(serving).await.unwrap();
    (received, served, (client_rig, server_rig))
}

fn said() -> [Message; 4] {
    ["hello".into(), text_of(130).into(), vec![7; 20].into(), "".into()]
}

async fn converse(io: impl stentor::Io) -> Result<Vec<Message>> {
    let mut socket = Client::new().connect_over("ws://server/", io).await?;
    let mut received = Vec::new();
    let outcome = async {
        for message in said() {
            socket.send(message).await?;
            received.extend(socket.recv().await?);
        }
        socket.ping().await?;
        socket.close(1000.into(), "bye").await
    }
    .await;
    // Even where it was cut, what came before is right.
    assert!(said().starts_with(&received), "{received:?}");
    outcome.map(|()| received)
}

#[tokio::test(start_paused = true)]
async fn pieces_of_every_size_make_no_difference() {
    for size in 1..=64 {
        let prepare = |client: &Rig, server: &Rig| {
            for rig in [client, server] {
                rig.stutter();
                rig.read_at_most(size);
                rig.write_at_most(65 - size);
            }
        };
        let (received, served, _) = session(prepare).await;
        assert_eq!(received.unwrap(), said());
        served.unwrap();
    }
}

/// An end that a cut may lead to: the peer is gone, or was gone before the handshake was done. No
/// cut looks like a violation, a time-out or a mistake of the caller.
fn is_cut(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Closed(_) => true,
        Error::Handshake(failure) => matches!(&**failure, HandshakeFailure::Response(_)),
        _ => false,
    }
}

/// How a rig cuts.
type Cut = fn(&Rig, usize, End);

#[tokio::test(start_paused = true)]
async fn a_cut_at_every_byte_is_noticed_by_both_ends() {
    let (_, _, (client, server)) = session(|_, _| {}).await;
    let (client, server) = (client.counts(), server.counts());
    assert!(client.bytes_written > 300 && server.bytes_written > 300);
    let cuts: [(&str, Cut, [usize; 2]); 2] = [
        ("reading", Rig::cut_reading_after, [client.bytes_read, server.bytes_read]),
        ("writing", Rig::cut_writing_after, [client.bytes_written, server.bytes_written]),
    ];
    let (mut sessions, mut failed) = (0, 0);
    for (what, cut, lens) in cuts {
        for (whose, len) in lens.into_iter().enumerate() {
            for end in [End::Quiet, End::Error(ErrorKind::ConnectionReset)] {
                for at in 0..len {
                    let (received, served, _) =
                        session(|client, server| cut([client, server][whose], at, end)).await;
                    sessions += 1;
                    for error in [received.err(), served.err()].into_iter().flatten() {
                        failed += 1;
                        assert!(is_cut(&error), "{what} of {whose} cut after {at}, {end:?}: {error:?}");
                    }
                }
            }
        }
    }
    println!("{sessions} sessions were cut, {failed} ends failed");
    assert!(failed > sessions, "{failed} of {sessions}");
}

/// A transport that is never empty and knows nothing of the runtime's budget.
struct Endless {
    frame: Vec<u8>,
    at: usize,
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = buffer.remaining().min(1000);
        for _ in 0..len {
            buffer.put_slice(&[self.frame[self.at]]);
            self.at = (self.at + 1) % self.frame.len();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The end of time for such a peer is a deadline of ours, and the others of the thread go on.
#[tokio::test]
async fn a_peer_that_never_pauses_holds_up_neither_deadlines_nor_others() {
    let config = Config {
        close_timeout: Duration::from_millis(20),
        max_control_frames_per_second: u32::MAX,
        ..Config::default()
    };
    for frame in [text("again"), ping("again"), text("").more()] {
        let frame = frame.encode(Role::Client);
        let mut socket = self_driven_over(Role::Server, &config, Endless { frame, at: 0 });
        let error = soon(socket.close(1000.into(), "")).await.unwrap_err();
        let fits = matches!(error, Error::Timeout(Phase::Close) | Error::Protocol(_));
        assert!(fits, "{error:?}");
    }
    // It never comes to a message; the others have their turns all the same.
    let frame = ping("again").encode(Role::Client);
    let mut socket = self_driven_over(Role::Server, &config, Endless { frame, at: 0 });
    let receiving = tokio::spawn(async move { socket.recv().await });
    for _ in 0..10 {
        soon(tokio::task::yield_now()).await;
    }
    receiving.abort();
}

/// The connection is reset by the kernel, in the middle of a message.
#[tokio::test]
async fn a_reset_is_an_error_of_one_connection() {
    let (told, mut ends) = mpsc::unbounded_channel();
    let addr = serve(server().await, move |mut socket: WebSocket| {
        let told = told.clone();
        async move {
            let end = loop {
                match socket.recv().await {
                    Ok(Some(message)) => socket.send(message).await.unwrap(),
                    end => break end,
                }
            };
            told.send(end).unwrap();
        }
    });
    let mut bystander = connect(addr).await;
    let mut client = raw_client(addr).await;
    client.send(&text("hello")).await;
    soon(client.expect(text("hello"))).await;
    client.send(&text("half a mess").more()).await;
    let tcp = client.into_inner();
    socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
    drop(tcp);
    let error = soon(ends.recv()).await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionReset), "{error:?}");
    bystander.send("still here").await.unwrap();
    assert_eq!(soon(bystander.recv()).await.unwrap(), Some("still here".into()));
}

/// What arrives in one segment with the handshake belongs to the connection.
#[tokio::test]
async fn frames_behind_the_handshake_are_not_lost() {
    let addr = echo_server(Config::default()).await;
    let mut peer = Peer::new(Role::Client, tokio::net::TcpStream::connect(addr).await.unwrap());
    let mut segment = request("/", "").into_bytes();
    for i in 0..20 {
        segment.extend(text(format!("early {i}")).encode(Role::Client));
    }
    segment.extend(close(1000, "").encode(Role::Client));
    peer.send_bytes(&segment).await;
    soon(peer.head()).await;
    for i in 0..20 {
        soon(peer.expect(text(format!("early {i}")))).await;
    }
    soon(peer.expect(close(1000, ""))).await;
    soon(peer.expect_end()).await;
}
