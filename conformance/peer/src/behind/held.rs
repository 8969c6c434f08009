//! A connection that lives while its proxy is reloaded, and sees it end.

use std::io::BufRead;

use super::client::Proxy;
use super::server::is_cut;
use crate::Result;
use crate::checks::Checks;
use crate::client::{close, expect_message, unique_id};

/// Runs the checks through the proxy at `http://ADDRESS`. Whoever starts this does with the proxy what is asked for by a
/// line, and answers with a line when it is done; an `end` needs no answer.
pub(crate) async fn run(address: &str) -> Result {
    let proxy = Proxy::new(address, None)?;
    let mut checks = Checks::default();
    let id = unique_id();
    let mut socket = proxy.connect(&format!("/held?id={id}")).await?;
    socket.send("before").await?;
    expect_message(&mut socket, &"before".into()).await?;

    please("reload").await?;
    checks
        .check("reload: a connection lives on", async {
            socket.send("after").await?;
            expect_message(&mut socket, &"after".into()).await
        })
        .await;
    checks.check("reload: another can be opened", async { close(proxy.connect("/echo").await?).await }).await;

    println!("please end");
    checks
        .check("end: the client says so", async {
            match socket.recv().await {
                Err(error) if is_cut(&error) => Ok(()),
                other => Err(format!("{other:?} instead of an end without a Close frame").into()),
            }
        })
        .await;
    please("start").await?;
    checks.check("start: another can be opened", async { close(proxy.connect("/echo").await?).await }).await;
    checks.check("end: the server said so", proxy.expect_end(&id, "cut")).await;
    checks.finish()
}

/// Asks for something and waits until it is done.
async fn please(what: &str) -> Result {
    println!("please {what}");
    let done = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    match done.await??.trim() {
        "done" => Ok(()),
        other => Err(format!("{other:?} instead of done").into()),
    }
}
