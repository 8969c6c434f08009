//! The server of the checks about compression, which listens to its own wire.

use std::sync::Arc;

use stentor::proto::Role;
use stentor::{Acceptor, Config};
use stentor_testkit::deflate::terms;
use tokio::net::{TcpListener, TcpStream};

use super::tap::Tap;
use crate::page::page;
use crate::seen::{Query, Seen};
use crate::server::{echo, until_closed};
use crate::{Result, deflating};

/// Serves until the process is ended.
pub(crate) async fn run() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let reports = Arc::new(Seen::default());
    loop {
        let (tcp, _) = listener.accept().await?;
        let reports = Arc::clone(&reports);
        tokio::spawn(async move {
            if let Err(error) = serve(tcp, &reports).await {
                println!("{error}");
            }
        });
    }
}

async fn serve(tcp: TcpStream, reports: &Seen) -> Result {
    let (io, wire) = Tap::new(tcp);
    let Some(upgrade) = Acceptor::new().http(page).accept(io).await? else { return Ok(()) };
    let uri = upgrade.request().uri().clone();
    let query = Query(uri.query().unwrap_or_default());
    match uri.path() {
        "/deflate" => {
            let config = Config { fragment_size: Some(4096), ..deflating(&query.require("settings")?)? };
            let mut socket = upgrade.config(config).accept().await?;
            let terms = socket.deflate().map_or_else(|| "none".to_owned(), terms);
            socket.send(&*terms).await?;
            let echoed = echo(&mut socket).await;
            let (received, sent) = wire.traffic(Role::Server)?;
            if let Some(id) = query.get("id") {
                reports.tell(&id, format!("{{\"received\": {received}, \"sent\": {sent}}}"));
            }
            echoed
        }
        "/wire" => {
            let mut socket = upgrade.accept().await?;
            socket.send(reports.wait_for(&query.require("id")?).await?).await?;
            until_closed(&mut socket).await
        }
        unknown => Err(format!("no behaviour {unknown}").into()),
    }
}
