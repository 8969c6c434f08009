//! The checks about compression of `conformance/README.md`, with us as the client.

use stentor::proto::{DeflateParams, Role};
use stentor::{Client, Config};
use stentor_testkit::deflate::{settings, terms};
use tokio::net::TcpStream;

use super::content::messages;
use super::tap::Tap;
use crate::checks::Checks;
use crate::client::{close, expect_message};
use crate::{Result, deflating};

/// Each choice about what the two compressors may remember.
const TAKEOVER: [&str; 4] = [
    "",
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_no_context_takeover; client_no_context_takeover",
];

/// Runs all checks against the server at `http://ADDRESS`, whose compressor can have windows from `smallest` bits on.
pub(crate) async fn run(address: &str, smallest: &str) -> Result {
    let address = address.trim_start_matches("http://");
    let smallest: u8 = smallest.parse()?;
    let mut checks = Checks::default();
    for takeover in TAKEOVER {
        let what = if takeover.is_empty() { "windows only" } else { takeover };
        let asked = windows(8, 8).map(|windows| join(takeover, &windows));
        let name = format!("asked by the client: {what}");
        checks.check(&name, exchanges(address, asked.map(|ours| (ours, String::new())))).await;
        let asked = windows(smallest, 8).map(|windows| join(takeover, &windows));
        let name = format!("asked by the server: {what}");
        checks.check(&name, exchanges(address, asked.map(|theirs| (String::new(), theirs)))).await;
    }
    checks.finish()
}

/// Every pair of windows, named or not.
fn windows(smallest_of_server: u8, smallest_of_client: u8) -> impl Iterator<Item = String> {
    let named = |name: &'static str, smallest: u8| {
        std::iter::once(String::new()).chain((smallest..=15).map(move |bits| format!("{name}={bits}")))
    };
    named("server_max_window_bits", smallest_of_server).flat_map(move |server| {
        named("client_max_window_bits", smallest_of_client).map(move |client| join(&server, &client))
    })
}

fn join(some: &str, more: &str) -> String {
    [some, more].into_iter().filter(|terms| !terms.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Exchanges messages on all of these settings, ours and theirs.
async fn exchanges(address: &str, settings: impl Iterator<Item = (String, String)>) -> Result {
    for (ours, theirs) in settings {
        exchange(address, &ours, &theirs)
            .await
            .map_err(|error| format!("with {ours:?} here and {theirs:?} there: {error}"))?;
    }
    Ok(())
}

async fn exchange(address: &str, ours: &str, theirs: &str) -> Result {
    let (io, wire) = Tap::new(TcpStream::connect(address).await?);
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("settings", theirs).finish();
    let config = Config { fragment_size: Some(4096), ..deflating(ours)? };
    let uri = format!("ws://{address}/deflate?{query}");
    let mut socket = Client::new().config(config).connect_over(&uri, io).await?;

    let agreed = socket.deflate().ok_or("compression was declined")?;
    check(agreed, ours, theirs)?;
    expect_message(&mut socket, &terms(agreed).into()).await?;
    for message in messages() {
        socket.send(message.clone()).await?;
        expect_message(&mut socket, &message).await?;
    }
    close(socket).await?;

    let (received, sent) = wire.traffic(Role::Client)?;
    sent.check("sent", 0)?;
    // The first that is received tells the terms.
    received.check("received", 1)
}

/// Fails if something was agreed on that one side has ruled out, except for what a server may ignore (RFC 7692 §7.1.1.2,
/// §7.1.2.2): what we rule out for our own compressor.
fn check(agreed: DeflateParams, ours: &str, theirs: &str) -> Result {
    let (ours, theirs) = (settings(ours)?, settings(theirs)?);
    let takeover = (!agreed.server_context_takeover
        || ours.server_context_takeover && theirs.server_context_takeover)
        && (!agreed.client_context_takeover || theirs.client_context_takeover);
    let windows = agreed.server_max_window_bits <= theirs.server_max_window_bits
        && agreed.client_max_window_bits <= theirs.client_max_window_bits
        && (!agreed.server_context_takeover || agreed.server_max_window_bits <= ours.server_max_window_bits);
    if takeover && windows { Ok(()) } else { Err(format!("agreed on {agreed:?}").into()) }
}
