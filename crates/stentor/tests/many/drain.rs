//! A server goes down with thousands of clients that are in the middle of asking.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stentor::{Drain, Drained, Server, WebSocket};

use crate::{Clients, as_clients, how_many};

/// How often each asks.
const PAUSE: Duration = Duration::from_secs(1);

/// In the other process: each asks and asks until it is told that it is over.
#[test]
#[ignore = "started by the test below"]
fn clients_that_ask() {
    let (addr, many) = as_clients();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let uri = format!("ws://{addr}/");
        let mut clients = Vec::with_capacity(many);
        for index in 0..many {
            let mut client = stentor::connect(&*uri).await.unwrap();
            let wait = PAUSE / 101 * (u32::try_from(index).unwrap() % 101);
            clients.push(tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let mut answers = 0_usize;
                loop {
                    if client.send("question").await.is_err() {
                        break;
                    }
                    match client.recv().await {
                        Ok(Some(_)) => answers += 1,
                        Ok(None) => break,
                        Err(error) => panic!("broken off: {error}"),
                    }
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        end = client.recv() => {
                            assert_eq!(end.unwrap(), None, "an answer to no question");
                            break;
                        }
                    }
                }
                (answers, client.closed().map(|closed| u16::from(closed.code)))
            }));
        }
        println!("opened");
        let (mut answers, mut told) = (0, 0);
        for client in clients {
            let (answered, code) = client.await.unwrap();
            answers += answered;
            told += usize::from(code == Some(1001));
        }
        println!("ended {answers} {told}");
    });
}

#[test]
fn none_that_was_answering_is_lost() {
    let many = how_many(1000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let addr = server.local_addr().unwrap();
        let shutdown = server.shutdown();
        let received = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&received);
        let serving = tokio::spawn(server.serve(move |mut socket: WebSocket| {
            let received = Arc::clone(&count);
            async move {
                while let Some(message) = socket.recv().await? {
                    received.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    socket.send(message).await?;
                }
                Ok::<_, stentor::Error>(())
            }
        }));
        let mut clients = Clients::start("drain::clients_that_ask", addr, many);
        let mut clients = tokio::task::spawn_blocking(move || {
            clients.expect("opened");
            clients
        })
        .await
        .unwrap();
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        let window = Duration::from_secs(3);
        let drained = shutdown.drain(Drain { window, ..Drain::default() }).await.unwrap();
        println!("{drained:?} in {:.1} s", began.elapsed().as_secs_f64());
        serving.await.unwrap().unwrap();
        assert_eq!(drained, Drained { connections: many, cleanly: many, otherwise: 0, dropped: 0 });
        let ended = tokio::task::spawn_blocking(move || clients.expect("ended")).await.unwrap();
        let (answers, told) = ended.split_once(' ').unwrap();
        assert_eq!(told.parse(), Ok(many), "clients that were told 1001");
        assert_eq!(answers.parse(), Ok(received.load(Ordering::Relaxed)), "answers that arrived");
        println!("{many} clients were told, and {answers} questions answered");
    });
}
