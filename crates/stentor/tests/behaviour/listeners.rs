//! What a server listens on: several addresses, unix sockets, sockets handed in.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use stentor::{Client, Listener, Server, WebSocket};
use tokio::net::UnixStream;

use crate::support::{connect, echo, server, soon};

async fn is_served(mut socket: WebSocket) {
    socket.send("hi").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some("hi".into()));
}

/// A path for a socket in a folder of its own, which is removed in the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("stentor-{}-{name}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn a_server_listens_on_several_addresses() {
    let folder = Folder::new("several");
    let server = server()
        .await
        .listen_on(Listener::bind("127.0.0.1:0").await.unwrap())
        .listen_on(Listener::bind_unix(folder.socket()).unwrap());
    let addrs: Vec<SocketAddr> =
        server.listeners().iter().filter_map(|listener| listener.local_addr().ok()).collect();
    assert_eq!((addrs.len(), server.listeners().len()), (2, 3));
    assert_eq!(addrs[0], server.local_addr().unwrap());
    tokio::spawn(server.serve(echo));
    for _ in 0..3 {
        for addr in &addrs {
            is_served(connect(*addr).await).await;
        }
        let unix = UnixStream::connect(folder.socket()).await.unwrap();
        is_served(Client::new().connect_over("ws://unix.socket/", unix).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_client_of_a_unix_socket_has_no_address() {
    let folder = Folder::new("address");
    let server = Server::from_listener(Listener::bind_unix(folder.socket()).unwrap());
    assert!(server.local_addr().is_err());
    tokio::spawn(server.accept_filter(|_| false).serve(async |mut socket: WebSocket| {
        socket.send(format!("{:?} {:?}", socket.peer_addr(), socket.client_ip())).await
    }));
    let unix = UnixStream::connect(folder.socket()).await.unwrap();
    let mut client = Client::new().connect_over("ws://unix.socket/", unix).await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), Some("None None".into()));
}

#[tokio::test]
async fn a_stale_socket_file_is_replaced_and_a_living_one_is_not() {
    let folder = Folder::new("stale");
    // Dropped without a trace by the standard library, the file stays.
    drop(std::os::unix::net::UnixListener::bind(folder.socket()).unwrap());
    assert!(folder.socket().exists());
    let first = Listener::bind_unix(folder.socket()).unwrap();
    Listener::bind_unix(folder.socket()).unwrap_err();
    drop(first);
    assert!(!folder.socket().exists());
    // What is no socket stays as it is.
    std::fs::write(folder.socket(), "precious").unwrap();
    Listener::bind_unix(folder.socket()).unwrap_err();
    assert_eq!(std::fs::read(folder.socket()).unwrap(), b"precious");
}

#[tokio::test]
async fn the_file_of_a_successor_is_left_alone() {
    let folder = Folder::new("successor");
    let first = Listener::bind_unix(folder.socket()).unwrap();
    std::fs::remove_file(folder.socket()).unwrap();
    let _second = Listener::bind_unix(folder.socket()).unwrap();
    drop(first);
    assert!(folder.socket().exists());
}

#[tokio::test]
async fn sockets_of_the_standard_library_may_be_handed_in() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = tcp.local_addr().unwrap();
    let server = Server::from_listener(Listener::try_from(tcp).unwrap());
    assert_eq!(server.local_addr().unwrap(), addr);
    tokio::spawn(server.serve(echo));
    is_served(connect(addr).await).await;
}

/// What runs in the process that the sockets are handed to.
#[tokio::test]
#[ignore = "started by the test below, with sockets"]
async fn served_from_the_environment() {
    let listeners = Listener::from_env().unwrap();
    assert_eq!(listeners.len(), 1);
    assert!(Listener::from_env().unwrap().is_empty(), "the variables are still there");
    let server = Server::from_listener(listeners.into_iter().next().unwrap());
    let shutdown = server.shutdown();
    server
        .serve(move |mut socket: WebSocket| {
            let shutdown = shutdown.clone();
            async move {
                let message = socket.recv().await.unwrap().unwrap();
                socket.send(message).await.unwrap();
                socket.close(1000.into(), "").await.unwrap();
                shutdown.abort();
            }
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn sockets_are_taken_over_from_who_starts_the_process() {
    let folder = Folder::new("activated");
    let unix = std::os::unix::net::UnixListener::bind(folder.socket()).unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = tcp.local_addr().unwrap();
    for (socket, is_tcp) in [
        (Stdio::from(std::os::fd::OwnedFd::from(tcp)), true),
        (std::os::fd::OwnedFd::from(unix).into(), false),
    ] {
        // As systemd does it: the sockets from descriptor 3 on, for this process alone.
        let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3<&0 </dev/null"#;
        let name = "listeners::served_from_the_environment";
        let mut activated = Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", name])
            .stdin(socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        if is_tcp {
            is_served(connect(addr).await).await;
        } else {
            let unix = UnixStream::connect(folder.socket()).await.unwrap();
            is_served(Client::new().connect_over("ws://unix.socket/", unix).await.unwrap()).await;
        }
        let ended = tokio::task::spawn_blocking(move || activated.wait());
        assert!(soon(ended).await.unwrap().unwrap().success());
    }
}
