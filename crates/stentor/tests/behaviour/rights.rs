//! Nobody is let in whom the authorize hook does not know, and nobody stays for longer than his token
//! is good.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use stentor::csrf::Csrf;
use stentor::http::StatusCode;
use stentor::{Acceptor, CloseCode, ConnectionHandle, Rejection, UpgradeRequest, WebSocket};
use stentor_proto::Role;
use stentor_testkit::frame::{pong, text};
use stentor_testkit::peer::{Peer, request};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep, sleep_until};

use crate::hosts::{Host, Hosted, on_every_host_paused};
use crate::support::{Dial, at_once, echo, lasting};

on_every_host_paused![
    nobody_is_let_in_without_a_token_that_is_good,
    a_connection_ends_when_its_token_does,
    whose_token_is_not_renewed_is_closed_by_a_sweep_and_others_stay,
];

const LIFETIME: Duration = Duration::from_secs(60);

/// The time of day by the runtime's clock, which the test turns.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    day: SystemTime,
}

impl Clock {
    fn new() -> Self {
        Self { began: Instant::now(), day: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) }
    }

    fn now(self) -> SystemTime {
        self.day + self.began.elapsed()
    }
}

fn csrf() -> Csrf {
    Csrf::new(b"a key of 32 bytes that nobody has").unwrap().lifetime(LIFETIME)
}

/// Who is connected, and with which token: a later one may take its place.
#[derive(Clone)]
struct Session {
    user: String,
    token: Arc<Mutex<String>>,
    since: Instant,
}

/// Lets in who has a token for the user that he says he is: `/?user=token`.
fn by_token(clock: Clock) -> impl Fn(&UpgradeRequest) -> Result<Session, Rejection> {
    let csrf = csrf();
    move |request| {
        let refused = |why: &str| Rejection::new(StatusCode::FORBIDDEN, why.to_owned());
        let (user, token) = request
            .uri()
            .query()
            .and_then(|query| query.split_once('='))
            .ok_or_else(|| refused("who are you?"))?;
        csrf.verify(token, user, clock.now()).map_err(|error| refused(&error.to_string()))?;
        let token = Arc::new(Mutex::new(token.to_owned()));
        Ok(Session { user: user.to_owned(), token, since: Instant::now() })
    }
}

fn acceptor(clock: Clock) -> Acceptor {
    let decide = by_token(clock);
    Acceptor::new().authorize(move |request| std::future::ready(decide(&request)))
}

/// What the server answers to a request for `path`: its status, and what follows a 101 is the peer's.
async fn ask(dial: &Dial, path: &str) -> (String, Peer<DuplexStream>) {
    let mut peer = Peer::new(Role::Client, dial.up());
    peer.send_bytes(request(path, "").as_bytes()).await;
    let head = at_once(peer.head()).await;
    (head.split(' ').nth(1).unwrap().to_owned(), peer)
}

/// The Close frame that a peer gets which answers the keepalive's Pings.
async fn closed(peer: &mut Peer<DuplexStream>) -> (u16, String) {
    loop {
        let frame = peer.frame().await.expect("a Close frame");
        match frame.opcode {
            0x9 => peer.send(&pong(frame.payload)).await,
            _ => return frame.close_code_and_reason(),
        }
    }
}

async fn nobody_is_let_in_without_a_token_that_is_good(host: Host) {
    let clock = Clock::new();
    let Hosted { dial, connections, .. } = host.in_memory(acceptor(clock), echo);
    let token = csrf().issue("ann", clock.now());
    let foreign = Csrf::new(b"another key of 32 bytes, as it is").unwrap().issue("ann", clock.now());
    let forged = format!("{}1", &token[..token.len() - 1]);
    let refused = [
        "/".to_owned(),
        "/admin".to_owned(),
        "/?".to_owned(),
        "/?ann".to_owned(),
        "/?ann=".to_owned(),
        format!("/?bob={token}"),
        format!("/?={token}"),
        format!("/?ann={foreign}"),
        format!("/?ann={forged}0"),
    ];
    for path in refused {
        assert_eq!(ask(&dial, &path).await.0, "403", "{path}");
    }
    sleep(LIFETIME).await;
    assert_eq!(ask(&dial, &format!("/?ann={token}")).await.0, "403", "it has expired");
    assert!(connections.is_empty());
}

/// By the handler: what it waits for has a deadline.
async fn a_connection_ends_when_its_token_does(host: Host) {
    let clock = Clock::new();
    let handler = async |mut socket: WebSocket| {
        let session: &Session = socket.context().expect("the hook has let it in");
        let expired = sleep_until(session.since + LIFETIME);
        tokio::pin!(expired);
        loop {
            tokio::select! {
                () = &mut expired => {
                    return socket.close(CloseCode::POLICY_VIOLATION, "the token has expired").await;
                }
                message = socket.recv() => match message? {
                    Some(message) => socket.send(message).await?,
                    None => return Ok(()),
                },
            }
        }
    };
    let Hosted { dial, connections, .. } = host.in_memory(acceptor(clock), handler);
    let token = csrf().issue("ann", clock.now());
    let began = Instant::now();
    let (status, mut peer) = ask(&dial, &format!("/?ann={token}")).await;
    assert_eq!(status, "101");
    // However busy it is.
    for _ in 0..59 {
        sleep(Duration::from_secs(1)).await;
        peer.send(&text("hi")).await;
        at_once(peer.expect(text("hi"))).await;
    }
    assert_eq!(lasting(peer.expect_close(1008)).await, "the token has expired");
    let took = began.elapsed().as_secs_f64();
    assert!((60.0..60.1).contains(&took), "{took} s");
    drop(peer);
    lasting(async {
        while !connections.is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// From outside: a task looks every second at what each has shown last.
async fn whose_token_is_not_renewed_is_closed_by_a_sweep_and_others_stay(host: Host) {
    let clock = Clock::new();
    // Each message is a new token.
    let handler = async |mut socket: WebSocket| {
        while let Some(message) = socket.recv().await? {
            let session: &Session = socket.context().expect("the hook has let it in");
            message.as_text().unwrap_or_default().clone_into(&mut session.token.lock().unwrap());
        }
        Ok::<_, stentor::Error>(())
    };
    let Hosted { dial, connections, .. } = host.in_memory(acceptor(clock), handler);
    tokio::spawn(async move {
        let csrf = csrf();
        let has_expired = |connection: &ConnectionHandle| {
            connection.context::<Session>().is_none_or(|session| {
                let token = session.token.lock().unwrap();
                csrf.verify(&token, &session.user, clock.now()).is_err()
            })
        };
        loop {
            connections
                .close_where(CloseCode::POLICY_VIOLATION, "the token has expired", has_expired)
                .unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    });
    let began = Instant::now();
    let mut peers = Vec::new();
    for user in ["ann", "bob", "eve"] {
        let token = csrf().issue(user, clock.now());
        let (status, peer) = ask(&dial, &format!("/?{user}={token}")).await;
        assert_eq!(status, "101");
        peers.push(peer);
    }
    let [mut ann, mut bob, mut eve] = <[_; 3]>::try_from(peers).unwrap();
    sleep(Duration::from_secs(30)).await;
    let renewed = csrf().issue("ann", clock.now());
    ann.send(&text(&renewed)).await;
    // What is good for another is good for nothing.
    eve.send(&text(&renewed)).await;
    for (peer, ends) in [(&mut eve, 30), (&mut bob, 60), (&mut ann, 90)] {
        assert_eq!(lasting(closed(peer)).await, (1008, "the token has expired".to_owned()));
        let took = began.elapsed().as_secs();
        assert!((ends..=ends + 2).contains(&took), "{took} s, not {ends}");
    }
}
