//! How a server goes down: readiness, the spreading of farewells over a time, and who is left.
//!
//! ```text
//!  Idle ── serve ──► Serving ── begin ──► Draining ── everybody has left ──► Done
//!                    ▲  │                    │  deadline, abort ──► the rest is dropped ──┤
//!                    │  └──── the future of serve is dropped ─────────────────────────────┤
//!  Ready ─ request ──┘                                                                    │
//!    └────────────────────────── begin, abort ────────────────────────────────────────────┘
//! ```
//!
//! Inside another HTTP server there is no future of `serve`: that server takes the connections. So it
//! is `Ready` from the beginning, and the first request starts a task that sees everybody out.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use stentor_proto::{CloseCode, CloseFrame, Entropy as _, Misuse};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::connections::{ConnectionHandle, Connections, check_close};
use crate::entropy::OsEntropy;
use crate::limits::Limiter;
use crate::race::race;
use crate::shared::Shared;
use crate::trace;

/// How a server takes leave of its connections.
///
/// Every connection gets its turn at a moment within [`window`](Self::window), so that not all
/// clients come back at once. When its turn has come, a connection whose handler waits for the next
/// message is sent a Close frame as soon as there is none; one whose handler is busy with a message
/// is sent it when the handler asks for the next, so that the answer still arrives. A handler has
/// [`grace`](Self::grace) for that; then its connection is closed all the same. Whoever is left at
/// the [`deadline`](Self::deadline) is dropped, and its handler with it.
///
/// ```
/// use std::time::Duration;
/// use stentor::{CloseCode, Drain};
///
/// let quick = Drain { window: Duration::from_secs(1), ..Drain::default() };
/// assert_eq!(quick.code, CloseCode::GOING_AWAY);
/// let restart = Drain::restart(Duration::from_secs(15));
/// assert_eq!((restart.code, &*restart.reason), (CloseCode::SERVICE_RESTART, "retry-after=15"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The code of the Close frames. Default: 1001, going away.
    pub code: CloseCode,
    /// Their reason, at most 123 bytes. Default: none.
    pub reason: Cow<'static, str>,
    /// Over how long the Close frames are spread. Default: 10 s.
    pub window: Duration,
    /// How long a busy handler may go on when its connection's turn has come. Default: 10 s.
    pub grace: Duration,
    /// When whoever is left is dropped, counted from the beginning. Default: 30 s.
    pub deadline: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            code: CloseCode::GOING_AWAY,
            reason: Cow::Borrowed(""),
            window: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
        }
    }
}

impl Drain {
    /// For a server that will be back: code 1012, and as the reason the hint `retry-after=` with
    /// the seconds after which clients should come back.
    #[must_use]
    pub fn restart(back_in: Duration) -> Self {
        let reason = Cow::Owned(format!("retry-after={}", back_in.as_secs()));
        Self { code: CloseCode::SERVICE_RESTART, reason, ..Self::default() }
    }

    fn farewell(&self) -> Arc<CloseFrame> {
        Arc::new(CloseFrame { code: self.code, reason: (*self.reason).into() })
    }
}

/// What became of the connections of a server that has gone down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// How many there were when it began.
    pub connections: usize,
    /// How many have left after a closing handshake.
    pub cleanly: usize,
    /// How many have left in another way: the peer broke off, or did not answer the Close frame.
    pub otherwise: usize,
    /// How many were still there at the deadline, and were dropped.
    pub dropped: usize,
}

/// The switch of a [`Server`](crate::Server) or [`Upgrader`](crate::Upgrader). Clones turn the same one, from anywhere: another task,
/// a handler, a thread outside the runtime.
///
/// ```no_run
/// use stentor::{Drain, Server, WebSocket};
///
/// # async fn terminated() {}
/// #[tokio::main]
/// async fn main() -> stentor::Result<()> {
///     let server = Server::bind("127.0.0.1:8080").await?;
///     let shutdown = server.shutdown();
///     tokio::spawn(async move {
///         terminated().await; // such as tokio::signal::ctrl_c()
///         let left = shutdown.drain(Drain::default()).await?;
///         println!("{} of {} left cleanly", left.cleanly, left.connections);
///         Ok::<(), stentor::Error>(())
///     });
///     server.serve(async |mut socket: WebSocket| while let Ok(Some(_)) = socket.recv().await {}).await
/// }
/// ```
#[derive(Clone)]
pub struct Shutdown {
    phase: Arc<watch::Sender<Phase>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Idle,
    /// Requests are taken, and none has come.
    Ready,
    Serving,
    Draining(Arc<Drain>),
    /// What is left is dropped now.
    Aborting,
    Done(Drained),
}

impl Shutdown {
    pub(crate) fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Idle)) }
    }

    /// Begins to take the server down: it accepts nobody any more, and the connections take their
    /// leave. When that has begun already, nothing changes.
    ///
    /// # Errors
    ///
    /// [`Misuse`] when the code may not be sent (RFC 6455 §7.4) or the reason is longer than 123
    /// bytes; then nothing was done.
    pub fn begin(&self, drain: Drain) -> Result<(), Misuse> {
        check_close(drain.code, &drain.reason)?;
        self.phase.send_if_modified(|phase| {
            let begins = !phase.has_begun();
            if begins {
                *phase = match phase {
                    // There is nobody to be seen out, nor anybody to do it.
                    Phase::Ready => Phase::Done(Drained::default()),
                    _ => Phase::Draining(Arc::new(drain)),
                };
            }
            begins
        });
        Ok(())
    }

    /// Takes the server down and waits until everybody has left. When it is going down already,
    /// only waits.
    ///
    /// Of a [`Server`](crate::Server), somebody has to poll [`serve`](crate::Server::serve)
    /// meanwhile. A handler that waits for this
    /// is busy, and so is the last to leave.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    ///
    /// # Cancel safety
    ///
    /// Once polled, the server goes down even if this future is dropped.
    pub async fn drain(&self, drain: Drain) -> Result<Drained, Misuse> {
        self.begin(drain)?;
        Ok(self.done().await)
    }

    /// Drops all connections at once, or those that are left if the server is going down already.
    pub fn abort(&self) {
        self.phase.send_if_modified(|phase| {
            let aborts = !matches!(phase, Phase::Aborting | Phase::Done(_));
            if aborts {
                *phase = match phase {
                    Phase::Ready => Phase::Done(Drained::default()),
                    _ => Phase::Aborting,
                };
            }
            aborts
        });
    }

    /// Whether the server accepts connections: it is being served, and not going down. What a
    /// load balancer should be told.
    ///
    /// ```no_run
    /// use stentor::Server;
    /// use stentor::http::{Request, Response, StatusCode};
    ///
    /// # async fn example() -> stentor::Result<()> {
    /// let server = Server::bind("127.0.0.1:8080").await?;
    /// let shutdown = server.shutdown();
    /// let server = server.http(move |request: Request<_>| {
    ///     let ready = shutdown.is_ready() && request.uri().path() == "/ready";
    ///     let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    ///     async move { Response::builder().status(status).body("".into()).unwrap() }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Ready | Phase::Serving)
    }

    /// Until the server begins to go down, for a handler that has something to bring to an end.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn begun(&self) {
        self.until(Phase::has_begun).await;
    }

    /// Until the server is down: what became of its connections.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn done(&self) -> Drained {
        match self.until(|phase| matches!(phase, Phase::Done(_))).await {
            Phase::Done(drained) => drained,
            _ => Drained::default(),
        }
    }

    async fn until(&self, reached: impl FnMut(&Phase) -> bool) -> Phase {
        // This handle holds a sender, so the channel is open.
        let mut phase = self.phase.subscribe();
        phase.wait_for(reached).await.map_or(Phase::Aborting, |phase| phase.clone())
    }

    /// A connection is opened, maybe by somebody who has not noticed that the server is going down.
    pub(crate) fn late_comer(&self, shared: &Arc<Shared>) {
        match &*self.phase.borrow() {
            Phase::Draining(drain) => shared.retire(&drain.farewell()),
            Phase::Aborting => shared.kill(),
            Phase::Idle | Phase::Ready | Phase::Serving | Phase::Done(_) => {}
        }
    }

    /// Whether nobody is taken in any more.
    pub(crate) fn has_begun(&self) -> bool {
        self.phase.borrow().has_begun()
    }

    /// Requests come from another server, which is there already.
    pub(crate) fn ready(&self) {
        self.phase.send_if_modified(|phase| {
            let idle = matches!(phase, Phase::Idle);
            if idle {
                *phase = Phase::Ready;
            }
            idle
        });
    }

    /// A request has come from another server. With the first, a task begins to wait for the end, to
    /// see everybody out. It lives no longer than anybody who could bring that about.
    pub(crate) fn attend(&self, connections: &Connections, limiter: &Arc<Limiter>) {
        if !matches!(*self.phase.borrow(), Phase::Ready) {
            return;
        }
        let first = self.phase.send_if_modified(|phase| {
            let ready = matches!(phase, Phase::Ready);
            if ready {
                *phase = Phase::Serving;
            }
            ready
        });
        if first {
            let (mut phase, ours) = (self.phase.subscribe(), Arc::downgrade(&self.phase));
            let serving = Serving { phase: Weak::clone(&ours), connections: connections.clone() };
            let (connections, limiter) = (connections.clone(), Arc::clone(limiter));
            tokio::spawn(async move {
                let _serving = serving;
                let begun = phase.wait_for(Phase::has_begun).await.is_ok();
                if let (true, Some(phase)) = (begun, ours.upgrade()) {
                    Self { phase }.see_out(&connections, &limiter).await;
                }
            });
        }
    }

    /// The server is being served, until the guard is dropped.
    pub(crate) fn serving(&self, connections: &Connections) -> Serving {
        self.phase.send_if_modified(|phase| {
            let idle = matches!(phase, Phase::Idle);
            if idle {
                *phase = Phase::Serving;
            }
            idle
        });
        Serving { phase: Arc::downgrade(&self.phase), connections: connections.clone() }
    }
}

impl Phase {
    /// Whether nobody is taken in any more.
    fn has_begun(&self) -> bool {
        !matches!(self, Self::Idle | Self::Ready | Self::Serving)
    }
}

impl Shutdown {
    /// Sees everybody out, once nobody is accepted any more.
    pub(crate) async fn see_out(&self, connections: &Connections, limiter: &Limiter) {
        let began = Instant::now();
        connections.registry().count_from_here();
        let drain = match &*self.phase.borrow() {
            Phase::Draining(drain) => Some(Arc::clone(drain)),
            _ => None,
        };
        // Those who have not even finished their requests.
        limiter.end_handshakes(false);
        let mut drained = Drained { connections: connections.len(), ..Drained::default() };
        trace::shutting_down(drained.connections);
        if let Some(drain) = drain {
            let farewells = say_farewell(turns(connections, drain.window), &drain, began);
            let aborted = self.until(|phase| matches!(phase, Phase::Aborting));
            let too_late = race(sleep_since(began, drain.deadline), aborted);
            race(race(farewells, limiter.all_gone()), too_late).await;
        }
        let left = connections.registry().left();
        (drained.cleanly, drained.otherwise) = (left.cleanly, left.otherwise);
        for connection in connections.iter() {
            drained.dropped += 1;
            connection.abort();
        }
        limiter.end_handshakes(true);
        // Their tasks end as soon as they are polled, unless one blocks its thread.
        let _ = tokio::time::timeout(Duration::from_secs(1), limiter.all_gone()).await;
        trace::drained(drained.connections, drained.cleanly, drained.otherwise, drained.dropped);
        self.phase.send_replace(Phase::Done(drained));
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shutdown").field(&*self.phase.borrow()).finish()
    }
}

/// A turn to leave: when, and whose.
struct Turn {
    /// Counted from the beginning.
    at: Duration,
    connection: ConnectionHandle,
}

/// Puts the connections in a random order, and their turns evenly over the window, each at a random
/// moment of its part.
fn turns(connections: &Connections, window: Duration) -> Vec<Turn> {
    let mut waiting: Vec<_> = connections.iter().collect();
    let part = window.checked_div(u32::try_from(waiting.len()).unwrap_or(u32::MAX)).unwrap_or_default();
    let mut turns = Vec::with_capacity(waiting.len());
    for begins in std::iter::successors(Some(Duration::ZERO), |begins| begins.checked_add(part)) {
        if waiting.is_empty() {
            break;
        }
        let mut random = [0; 8];
        OsEntropy.fill(&mut random);
        let [a, b, c, d, choice @ ..] = random;
        // A remainder favours the first ones by less than one in a thousand.
        let connection = waiting.swap_remove(u32::from_ne_bytes(choice) as usize % waiting.len());
        let within = f64::from(u32::from_ne_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0);
        turns.push(Turn { at: begins + part.mul_f64(within), connection });
    }
    turns
}

/// Sleeps for so long from `began` on; for ever, if that is beyond all time.
async fn sleep_since(began: Instant, duration: Duration) {
    match began.checked_add(duration) {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Gives everybody his turn, and does not end.
async fn say_farewell(turns: Vec<Turn>, drain: &Drain, began: Instant) {
    let farewell = drain.farewell();
    let (mut retired, mut closed) = (turns.iter().peekable(), turns.iter().peekable());
    loop {
        let elapsed = began.elapsed();
        while let Some(turn) = retired.next_if(|turn| turn.at <= elapsed) {
            if let Some(shared) = turn.connection.shared() {
                shared.retire(&farewell);
            }
        }
        while let Some(turn) = closed.next_if(|turn| turn.at.saturating_add(drain.grace) <= elapsed) {
            // Code and reason were checked, and that it has ended already is as it should be.
            let _ = turn.connection.close(drain.code, &drain.reason);
        }
        let grace_ends = closed.peek().map(|turn| turn.at.saturating_add(drain.grace));
        let next = retired.peek().map(|turn| turn.at).into_iter().chain(grace_ends).min();
        sleep_since(began, next.unwrap_or(Duration::MAX)).await;
    }
}

/// Dropped when nobody serves any more, which those who wait for the end learn.
#[derive(Debug)]
pub(crate) struct Serving {
    phase: Weak<watch::Sender<Phase>>,
    connections: Connections,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let Some(phase) = self.phase.upgrade() else { return };
        let left = self.connections.registry().left();
        phase.send_if_modified(|phase| {
            let early = !matches!(phase, Phase::Done(_));
            if early {
                let (cleanly, otherwise) = (left.cleanly, left.otherwise);
                *phase = Phase::Done(Drained { cleanly, otherwise, ..Drained::default() });
            }
            early
        });
    }
}
