//! What the echo servers share, so that they differ in nothing but the library: one thread, a free
//! port of this machine, its address on standard output.

mod corked;
pub mod handshake;

use std::future::poll_fn;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};

pub use corked::Corked;

/// What a server is asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which of the forms that a program has; the plain one without.
    pub variant: Option<String>,
    /// Messages of so many bytes have to be taken, if the library's own limit is lower.
    pub max_message: Option<usize>,
    /// Accept permessage-deflate.
    pub deflate: bool,
}

impl Options {
    /// Reads the command line: `[VARIANT] [--max-message BYTES] [--deflate]`.
    ///
    /// # Errors
    ///
    /// When there is anything else.
    pub fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::{Long, Value, ValueExt};

        let mut options = Self::default();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(variant) if options.variant.is_none() => options.variant = Some(variant.string()?),
                Long("max-message") => options.max_message = Some(arguments.value()?.parse()?),
                Long("deflate") => options.deflate = true,
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(options)
    }
}

/// Lets this process have as many connections as the system allows.
///
/// # Errors
///
/// When the system refuses.
pub fn prepare() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}

/// Tells the runner where the server listens.
///
/// # Errors
///
/// When nobody reads it.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}

/// Runs a server on one thread.
///
/// # Errors
///
/// When there is no runtime or no listener, and what the server returns.
pub fn run<F>(server: impl FnOnce(TcpListener) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    prepare()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?)?;
        server(listener).await
    })
}

/// Accepts for ever and gives each connection a task. How a connection ends is of no interest: a
/// measurement ends by dropping them.
///
/// # Errors
///
/// As [`run`].
pub fn serve<F>(connection: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output: Send> + Send + 'static,
{
    run(async move |listener| {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(stream));
        }
    })
}

/// What a poll function gives if it gives something at once.
pub async fn ready_now<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
