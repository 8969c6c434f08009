//! What a proxy does with connections that are silent for longer than it likes, which is a second here.

use std::time::{Duration, Instant};

use stentor::Config;

use super::client::Proxy;
use super::server::{is_cut, often};
use crate::checks::Checks;
use crate::client::{close, expect_message, unique_id};
use crate::{Result, config};

/// The proxy's patience.
const PATIENCE: Duration = Duration::from_secs(1);
/// Far beyond it, in milliseconds.
const SILENT: u64 = 3000;
/// Far below it.
const OFTEN: u64 = 200;

/// Runs the checks through the proxy at `http://ADDRESS`, all at the same time, because they do nothing but wait.
pub(crate) async fn run(address: &str) -> Result {
    let proxy = Proxy::new(address, None)?;
    let (alone, by_server, by_client) =
        tokio::join!(proxy.cuts_the_silent(), proxy.keeps_alive(true), proxy.keeps_alive(false));
    let mut checks = Checks::default();
    checks.check("silence: cut, and both sides say so", async { alone }).await;
    checks.check("silence: kept alive by the server", async { by_server }).await;
    checks.check("silence: kept alive by the client", async { by_client }).await;
    checks.finish()
}

impl Proxy {
    async fn cuts_the_silent(&self) -> Result {
        let id = unique_id();
        let mut socket = self.connect(&format!("/held?id={id}")).await?;
        let start = Instant::now();
        match socket.recv().await {
            Err(error) if is_cut(&error) => {}
            other => return Err(format!("{other:?} instead of an end without a Close frame").into()),
        }
        if start.elapsed() < PATIENCE * 9 / 10 {
            return Err(format!("ended after {:?}, before the proxy's time", start.elapsed()).into());
        }
        self.expect_end(&id, "cut").await
    }

    /// The server says nothing for a while, and neither does the client but for Pings of one of them.
    async fn keeps_alive(&self, by_server: bool) -> Result {
        let (pings, config) = if by_server {
            (format!("&keepalive={OFTEN}"), config())
        } else {
            (String::new(), Config { keepalive: Some(often(OFTEN)), ..config() })
        };
        let path = format!("/held?id={}&silent={SILENT}{pings}", unique_id());
        let mut socket = self.connect_with(&path, config).await?;
        let start = Instant::now();
        expect_message(&mut socket, &"still here".into()).await?;
        if start.elapsed() < PATIENCE * 2 {
            return Err(format!("silent for {:?} only", start.elapsed()).into());
        }
        close(socket).await
    }
}
