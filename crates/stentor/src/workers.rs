//! A server in threads of its own, each with a current-thread runtime.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::error::Result;
use crate::handler::HandlerOutput;
use crate::listener::{Detached, Listener};
use crate::race::{First, race};
use crate::service::Service;
use crate::trace;
use crate::upgrade::Upgrade;

/// Serves in so many threads until the server is shut down. They live as long as their connections.
pub(crate) async fn serve<H, F>(
    service: &Arc<Service<H>>,
    listeners: Vec<Listener>,
    threads: usize,
) -> Result<()>
where
    H: Fn(Upgrade) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    for listener in &listeners {
        trace::listening(listener.local_addr().ok());
    }
    let mut shares: Vec<Vec<Detached>> = (0..threads).map(|_| Vec::new()).collect();
    for listener in listeners {
        for (share, detached) in shares.iter_mut().zip(listener.spread(threads)?) {
            share.push(detached);
        }
    }
    let shutdown = service.settings.shutdown.clone();
    let _serving = shutdown.serving(&service.settings.connections);
    // Dropped with this future, which the threads learn.
    let (_stop, stopped) = watch::channel(());
    let (tell, mut told) = mpsc::unbounded_channel();
    for (index, share) in shares.into_iter().enumerate() {
        let (service, stopped, tell) = (Arc::clone(service), stopped.clone(), tell.clone());
        let thread = std::thread::Builder::new().name(format!("stentor-{index}"));
        thread.spawn(move || {
            if let Err(error) = work(&service, share, stopped) {
                // Whoever served is gone if nobody listens.
                let _ = tell.send(error);
            }
        })?;
    }
    drop(tell);
    match race(told.recv(), shutdown.begun()).await {
        First::Left(Some(error)) => Err(error),
        First::Left(None) | First::Right(()) => {
            service.see_out().await;
            Ok(())
        }
    }
}

/// One thread's part, until it is stopped and its connections are gone.
fn work<H, F>(service: &Arc<Service<H>>, share: Vec<Detached>, mut stopped: watch::Receiver<()>) -> Result<()>
where
    H: Fn(Upgrade) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listeners = share.into_iter().map(Detached::attach).collect::<io::Result<Vec<_>>>()?;
        let stop = race(stopped.changed(), service.settings.shutdown.begun());
        let result = match race(service.accept_all(&listeners), stop).await {
            First::Left(broken) => broken,
            First::Right(_) => Ok(()),
        };
        service.turn_away(listeners);
        if result.is_ok() {
            service.limiter.all_gone().await;
        }
        result
    })
}
