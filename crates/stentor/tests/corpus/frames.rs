//! The frame cases: a peer by hand plays the trace over TCP against our server and our client, and
//! the application says what it is told.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_util::{future, poll};
use stentor::{Client, CloseFrame, Closed, Error, Message, Upgrade, WebSocket};
use stentor_proto::Role;
use stentor_testkit::corpus::frames::{self, Case, Command, Ended, Event, Fed, Sent, Step};
use stentor_testkit::frame::Frame;
use stentor_testkit::peer::Peer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::support::{raw_listener, server, soon};

/// What the application is told.
#[derive(Debug)]
enum Told {
    Message(Message),
    End { failure: Option<Error>, received: Option<CloseFrame>, closed: Closed },
}

/// A call for the application to make, and whom to tell that it has been made.
type Call = (Command, oneshot::Sender<()>);

/// The application of one case.
struct Application {
    told: UnboundedSender<Told>,
    /// The calls it is asked to make; `None` in a case without any.
    calls: Option<UnboundedReceiver<Call>>,
}

impl Application {
    async fn run(self, socket: WebSocket) {
        match self.calls {
            None => listen(socket, &self.told).await,
            Some(calls) => listen_and_call(socket, &self.told, calls).await,
        }
    }
}

async fn listen(mut socket: WebSocket, told: &UnboundedSender<Told>) {
    let failure = loop {
        match socket.recv().await {
            Ok(Some(message)) => told.send(Told::Message(message)).unwrap(),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    told.send(Told::End {
        failure,
        received: socket.close_frame(),
        closed: socket.closed().expect("the end"),
    })
    .unwrap();
}

async fn listen_and_call(
    socket: WebSocket,
    told: &UnboundedSender<Told>,
    mut calls: UnboundedReceiver<Call>,
) {
    let (sender, mut receiver) = socket.split();
    let listening = async {
        let failure = loop {
            match receiver.recv().await {
                Ok(Some(message)) => told.send(Told::Message(message)).unwrap(),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        told.send(Told::End {
            failure,
            received: receiver.close_frame(),
            closed: receiver.closed().expect("the end"),
        })
        .unwrap();
    };
    let calling = async {
        while let Some((command, made)) = calls.recv().await {
            match command {
                Command::SendText(text) => sender.send(text).await.unwrap(),
                Command::SendBinary(bytes) => sender.send(bytes).await.unwrap(),
                Command::Close(code, reason) => {
                    // It has begun when it has been polled; how it ends is what the receiver sees.
                    let mut closing = pin!(sender.close(code.into(), &reason));
                    assert!(poll!(closing.as_mut()).is_pending());
                    made.send(()).unwrap();
                    let _ = closing.await;
                    continue;
                }
            }
            made.send(()).unwrap();
        }
    };
    future::join(listening, calling).await;
}

/// Both ends of a case: the peer's stream, and what the application says.
struct Run {
    peer: Peer<TcpStream>,
    told: UnboundedReceiver<Told>,
    calls: UnboundedSender<Call>,
    /// We have begun to close, so messages are dropped.
    closing: bool,
    ended: Option<Closed>,
}

/// The applications of the cases under way, by the path that the client asks for.
type Waiting = Arc<Mutex<HashMap<String, (Application, stentor::Config)>>>;

#[tokio::test]
async fn every_case_for_a_server() {
    let waiting = Waiting::default();
    let server = server().await;
    let addr = server.local_addr().unwrap();
    let applications = Arc::clone(&waiting);
    tokio::spawn(server.serve_upgrades(move |upgrade: Upgrade| {
        let path = upgrade.request().uri().path().to_owned();
        let (application, config) = applications.lock().unwrap().remove(&path).expect("a case");
        async move {
            let socket = upgrade.config(config).accept().await.unwrap();
            application.run(socket).await;
        }
    }));
    every_case(Role::Server, async |case, application| {
        let path = format!("/{}", case.name);
        waiting.lock().unwrap().insert(path.clone(), (application, case.config.clone()));
        Peer::connect_to(TcpStream::connect(addr).await.unwrap(), &path, "").await.0
    })
    .await;
}

#[tokio::test]
async fn every_case_for_a_client() {
    let (listener, uri) = raw_listener().await;
    every_case(Role::Client, async |case, application| {
        let client = Client::new().config(case.config.clone());
        let uri = uri.clone();
        tokio::spawn(async move { application.run(client.connect(uri).await.unwrap()).await });
        accept(&listener).await
    })
    .await;
}

async fn accept(listener: &TcpListener) -> Peer<TcpStream> {
    Peer::accept(listener.accept().await.unwrap().0).await.0
}

/// Plays all cases for `role`, with the peers that `open` makes.
async fn every_case(role: Role, open: impl AsyncFn(&Case, Application) -> Peer<TcpStream>) {
    let mut failures = Vec::new();
    let mut played = 0;
    for case in frames::load().iter().filter(|case| case.roles.contains(&role)) {
        let (told, when_told) = unbounded_channel();
        let (calls, to_make) = unbounded_channel();
        let fed = case.fed(role);
        let any_calls = fed.iter().flatten().any(|fed| matches!(fed, Fed::Command(_)));
        let application = Application { told, calls: any_calls.then_some(to_make) };
        let peer = soon(open(case, application)).await;
        let mut run = Run { peer, told: when_told, calls, closing: false, ended: None };
        if let Err(what) = soon(run.play(case, role, fed)).await {
            failures.push(format!("{case}: {what}"));
        }
        played += 1;
    }
    println!("{played} frame cases for a {role:?} over TCP, {} failed", failures.len());
    assert!(played >= 300, "only {played} cases were found");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

impl Run {
    async fn play(&mut self, case: &Case, role: Role, fed: Vec<Vec<Fed>>) -> Result<(), String> {
        let mut at_eof = false;
        for (step, fed) in case.steps.iter().zip(fed) {
            for fed in fed {
                at_eof |= fed == Fed::Eof;
                self.feed(fed).await;
            }
            self.check(step, at_eof).await.map_err(|what| format!("{what} (line {})", step.line))?;
        }
        self.end(role, at_eof).await
    }

    async fn feed(&mut self, fed: Fed) {
        match fed {
            Fed::Bytes(bytes) => self.peer.send_bytes(&bytes).await,
            Fed::Eof => self.peer.finish_writing().await,
            Fed::Command(command) => {
                self.closing |= matches!(command, Command::Close(..));
                let (made, when_made) = oneshot::channel();
                self.calls.send((command, made)).expect("the application runs");
                when_made.await.expect("the application runs");
            }
        }
    }

    async fn check(&mut self, step: &Step, at_eof: bool) -> Result<(), String> {
        for sent in &step.frames {
            let frame = self.peer.frame().await;
            if !frame.as_ref().is_some_and(|frame| is_frame(frame, sent)) {
                return Err(format!("sent {frame:?} instead of {sent:?}"));
            }
        }
        for event in &step.events {
            match event {
                // What is answered or swallowed below the application shows in the frames.
                Event::Ping(_) | Event::Pong(_) => {}
                Event::Text(_) | Event::Binary(_) if self.closing => {}
                Event::Text(text) => self.expect_message(&Message::from(text.as_str())).await?,
                Event::Binary(bytes) => self.expect_message(&Message::from(bytes.clone())).await?,
                Event::Close(code, reason) => {
                    let (failure, received) = self.expect_end().await?;
                    let received = received.map(|frame| (frame.code.into(), frame.reason.to_string()));
                    if failure.is_some() || received != Some((*code, reason.clone())) {
                        return Err(format!("{failure:?}, {received:?} instead of {event:?}"));
                    }
                }
                Event::Violation(expected) => match self.expect_end().await? {
                    (Some(Error::Protocol(error)), None) if error == *expected => {}
                    other => return Err(format!("{other:?} instead of {event:?}")),
                },
            }
        }
        if at_eof && self.ended.is_none() {
            match self.expect_end().await? {
                (Some(Error::Closed(_)), None) => {}
                other => return Err(format!("{other:?} at the end of the stream")),
            }
        }
        match (&step.closed, &self.ended) {
            (Some(expected), Some(closed)) if !is_end(closed, expected) => {
                Err(format!("closed {closed:?} instead of {expected:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Expects that nothing else is sent, and that the stream and the application end.
    async fn end(&mut self, role: Role, at_eof: bool) -> Result<(), String> {
        let clean = matches!(&self.ended, Some(closed) if u16::from(closed.code) != 1006);
        // A client waits for the server to end the stream (RFC 6455 §7.1.1); a connection that is
        // open, or waits for our answer to its Close frame, ends with it.
        if !at_eof && (self.ended.is_none() || (clean && role == Role::Client)) {
            self.peer.finish_writing().await;
        }
        if let Some(frame) = self.peer.frame().await {
            return Err(format!("more was sent: {frame:?}"));
        }
        if self.ended.is_none() {
            self.expect_end().await?;
        }
        match self.told.recv().await {
            None => Ok(()),
            Some(told) => Err(format!("told of more: {told:?}")),
        }
    }

    async fn expect_message(&mut self, expected: &Message) -> Result<(), String> {
        match self.told.recv().await {
            Some(Told::Message(message)) if message == *expected => Ok(()),
            told => Err(format!("told {told:.300?} instead of {expected:.300?}")),
        }
    }

    async fn expect_end(&mut self) -> Result<(Option<Error>, Option<CloseFrame>), String> {
        match self.told.recv().await {
            Some(Told::End { failure, received, closed }) => {
                self.ended = Some(closed);
                // The application makes no more calls.
                self.calls = unbounded_channel().0;
                Ok((failure, received))
            }
            told => Err(format!("told {told:.300?} instead of the end")),
        }
    }
}

fn is_frame(frame: &Frame, sent: &Sent) -> bool {
    match sent {
        Sent::Frame(expected) => frame == expected,
        Sent::Close(code) => frame.opcode == 0x8 && frame.close_code_and_reason().0 == *code,
    }
}

fn is_end(closed: &Closed, ended: &Ended) -> bool {
    u16::from(closed.code) == ended.code
        && closed.by == ended.by
        && ended.reason.as_ref().is_none_or(|reason| closed.reason == *reason)
}
