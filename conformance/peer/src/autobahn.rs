//! The client that Autobahn's fuzzing server puts through its cases.

use stentor::{Client, WebSocket};

use crate::{Result, deflating};

const AGENT: &str = "stentor";

pub(crate) async fn run(url: &str) -> Result {
    let mut socket = connect(&format!("{url}/getCaseCount")).await?;
    let count = socket.recv().await?.ok_or("no count of the cases")?;
    let count: usize = count.as_text().ok_or("the count of the cases is no text")?.parse()?;
    while socket.recv().await?.is_some() {}
    for case in 1..=count {
        let socket = connect(&format!("{url}/runCase?case={case}&agent={AGENT}")).await?;
        // The suite breaks rules on purpose: that the connection fails then is for it to judge.
        let _ = echo(socket).await;
    }
    let mut socket = connect(&format!("{url}/updateReports?agent={AGENT}")).await?;
    while socket.recv().await?.is_some() {}
    Ok(())
}

async fn connect(url: &str) -> Result<WebSocket> {
    Ok(Client::new().config(deflating("")?).connect(url).await?)
}

async fn echo(mut socket: WebSocket) -> Result {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}
