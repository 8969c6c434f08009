//! The example `service` as systemd would run it: with the settings of its unit files, and a socket that is there
//! before it and after it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::outcome::{Context, Result, Stop};
use crate::process::{self, Running, Service};
use crate::workspace::{build, root};

/// Longer than anything here takes that is no setting.
const LIMIT: Duration = Duration::from_secs(20);

/// The notice that is given here, in place of the unit's, which would only be waited for.
const NOTICE: Duration = Duration::from_secs(1);

/// An opening handshake with the key of RFC 6455 §1.3, and the accept key that answers it.
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) fn run() -> Result {
    let program = build("stentor", &["--example", "service"])?;
    let units = Units::read()?;
    units.verify()?;
    activated(&program, &units)?;
    by_itself(&program)?;
    kernel()
}

/// What the unit files say.
struct Units {
    service: String,
    socket: String,
    folder: PathBuf,
}

impl Units {
    fn read() -> Result<Self> {
        let folder = root().join("examples/service");
        let read = |name: &str| fs::read_to_string(folder.join(name)).context(name);
        Ok(Self { service: read("stentor.service")?, socket: read("stentor.socket")?, folder })
    }

    /// The value of a setting of the service.
    fn setting<'a>(&'a self, name: &str) -> Result<&'a str> {
        let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix('=');
        self.service.lines().find_map(value).ok_or_else(|| Stop::fail(format!("the unit has no {name}=")))
    }

    fn number(&self, name: &str) -> Result<u64> {
        self.setting(name)?.parse().context(name)
    }

    /// systemd itself reads them, where it is installed. It looks for the program, too.
    fn verify(&self) -> Result {
        let seconds = Duration::from_secs(self.number("TimeoutStopSec")?);
        let notice = self.setting("ExecStart")?.rsplit(' ').next().unwrap_or_default();
        let notice = Duration::from_secs(notice.parse().context("the notice of ExecStart=")?);
        // The default of Drain::deadline.
        if seconds < notice + Duration::from_secs(30) {
            return Err(Stop::fail("TimeoutStopSec= is shorter than notice and deadline"));
        }
        let mut analyze = Command::new("systemd-analyze");
        analyze.arg("verify").args([self.folder.join("stentor.service"), self.folder.join("stentor.socket")]);
        let said = match analyze.output() {
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(_) => return Ok(()),
        };
        let about_us = |line: &&str| line.contains("stentor") && !line.contains("is not executable");
        match said.lines().find(about_us) {
            None => Ok(()),
            Some(line) => Err(Stop::fail(format!("systemd: {line}"))),
        }
    }
}

/// With a socket that is handed in, whose clients outlive the process.
fn activated(program: &Path, units: &Units) -> Result {
    let backlog = units.socket.lines().find_map(|line| line.strip_prefix("Backlog="));
    if backlog != Some("4096") {
        return Err(Stop::fail("the socket's backlog is not that of our own listeners"));
    }
    let listener = TcpListener::bind("127.0.0.1:0").context("a socket")?;
    let address = listener.local_addr().context("its address")?;
    let files = units.number("LimitNOFILE")?;
    let possible = open_files("self")?.1;
    if possible < files {
        println!("only {possible} open files are possible here, not {files}");
    }
    let files = files.min(possible);

    // Who comes before the service is there waits for it.
    let mut early = Client::ask(address)?;
    let mut first = Activated::start(program, &listener, files)?;
    early.is_upgraded()?;
    early.is_echoed()?;
    expect("LimitNOFILE=", open_files(&first.running.id().to_string())?.0, files)?;
    expect("ready", status(address, "/ready")?, 200)?;

    // The balancer is told first; everybody else is served meanwhile.
    first.terminate()?;
    let deadline = Instant::now() + NOTICE;
    while status(address, "/ready")? != 503 {
        if Instant::now() > deadline {
            return Err(Stop::fail("it says that it is ready while it leaves"));
        }
    }
    early.is_echoed()?;
    early.is_told("retry-after=5")?;
    first.has_left("1 of 1 left cleanly", Duration::from_secs(units.number("TimeoutStopSec")?))?;
    println!("ok a socket handed in: served, told to come back, and gone");

    // Who comes between two processes waits for the next.
    let mut between = Client::ask(address)?;
    let second = Activated::start(program, &listener, files)?;
    between.is_upgraded()?;
    between.is_echoed()?;
    drop(second);
    println!("ok a client that has come between two processes");
    Ok(())
}

/// On an address of its own, with a socket for each worker.
fn by_itself(program: &Path) -> Result {
    let service = Service::start(Command::new(program).args(["--listen", "127.0.0.1:0"]))?;
    let address = service.address().trim_start_matches("http://").parse().context("its address")?;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::ask(address)?;
        client.is_upgraded()?;
        clients.push(client);
    }
    for client in &mut clients {
        client.is_echoed()?;
    }
    let listening = |line: &&str| line.split_whitespace().nth(3) == Some("0A");
    let port = format!(":{:04X}", address.port());
    let sockets = fs::read_to_string("/proc/net/tcp").context("the sockets that listen")?;
    let own = |line: &&str| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port));
    let sockets = sockets.lines().filter(listening).filter(own).count();
    let workers = std::thread::available_parallelism().context("the cores")?.get();
    expect("sockets on its address", sockets, workers)?;
    println!("ok {workers} workers with a socket each");
    Ok(())
}

/// The settings for the kernel are settings that it has.
fn kernel() -> Result {
    let settings = fs::read_to_string(root().join("examples/service/sysctl.conf")).context("sysctl.conf")?;
    for line in settings.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(" = ").next().unwrap_or_default();
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::metadata(&path).context(format!("the kernel has no {name}"))?;
    }
    println!("ok the kernel knows its settings");
    Ok(())
}

/// The service, started with a socket by the protocol of systemd.
struct Activated {
    running: Running,
    said: Receiver<String>,
}

impl Activated {
    fn start(program: &Path, listener: &TcpListener, files: u64) -> Result<Self> {
        // The sockets are those from descriptor 3 on, and meant for the process with this id.
        let script = format!(
            "ulimit -n {files} || exit 1; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null"
        );
        let socket = OwnedFd::from(listener.try_clone().context("the socket")?);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(program).args(["--notice", &NOTICE.as_secs().to_string()]);
        let mut running = Running::spawn(command.stdin(Stdio::from(socket)).stdout(Stdio::piped()))?;
        let said = process::shown_lines(running.stdout());
        let this = Self { running, said };
        this.says("listening on http://", LIMIT)?;
        Ok(this)
    }

    fn says(&self, expected: &str, limit: Duration) -> Result {
        let line = self.said.recv_timeout(limit).context("the service says nothing")?;
        if line.contains(expected) { Ok(()) } else { Err(Stop::fail(format!("not {expected:?} but {line}"))) }
    }

    fn terminate(&self) -> Result {
        process::run(Command::new("sh").args(["-c", &format!("kill -TERM {}", self.running.id())]), LIMIT)
    }

    /// Says this last, and ends well in time.
    fn has_left(&mut self, expected: &str, limit: Duration) -> Result {
        let deadline = Instant::now() + limit;
        self.says(expected, limit)?;
        loop {
            match self.running.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(Stop::fail(format!("the service: {status}"))),
                None if Instant::now() > deadline => return Err(Stop::fail("systemd would have killed it")),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// How many files a process may open, and to how many it may raise that.
fn open_files(process: &str) -> Result<(u64, u64)> {
    let path = format!("/proc/{process}/limits");
    let limits = fs::read_to_string(&path).context(&path)?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [soft, hard] => Ok((soft, hard)),
        _ => Err(Stop::fail(format!("{path}: {line}"))),
    }
}

/// A client by hand.
struct Client(TcpStream);

impl Client {
    fn ask(address: SocketAddr) -> Result<Self> {
        let mut stream = connect(address)?;
        stream.write_all(REQUEST.as_bytes()).context("a request")?;
        Ok(Self(stream))
    }

    fn is_upgraded(&mut self) -> Result {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.read::<1>()?);
        }
        let head = String::from_utf8_lossy(&head);
        if head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT) {
            return Ok(());
        }
        Err(Stop::fail(format!("not upgraded: {head}")))
    }

    /// A text of two bytes, masked with zeros, and its echo (RFC 6455 §5.2).
    fn is_echoed(&mut self) -> Result {
        self.0.write_all(b"\x81\x82\0\0\0\0hi").context("a message")?;
        expect("an echo", self.read()?, *b"\x81\x02hi")
    }

    /// A Close frame with code 1012, and answers it: the server then ends the connection.
    fn is_told(&mut self, reason: &str) -> Result {
        let [first, len] = self.read()?;
        let mut body = vec![0; usize::from(len)];
        self.0.read_exact(&mut body).context("a Close frame")?;
        expect(
            "a Close frame",
            (first, &body[..]),
            (0x88, &[&1012_u16.to_be_bytes(), reason.as_bytes()].concat()[..]),
        )?;
        self.0.write_all(b"\x88\x82\0\0\0\0\x03\xf4").context("a Close frame")?;
        expect("the end", self.0.read(&mut [0]).context("the end")?, 0)
    }

    fn read<const LEN: usize>(&mut self) -> Result<[u8; LEN]> {
        let mut bytes = [0; LEN];
        self.0.read_exact(&mut bytes).context("reading")?;
        Ok(bytes)
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).context("connecting")?;
    stream.set_read_timeout(Some(LIMIT)).context("a time-out")?;
    Ok(stream)
}

/// The status of a page.
fn status(address: SocketAddr, path: &str) -> Result<u16> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").context("a request")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("an answer")?;
    answer.split(' ').nth(1).unwrap_or_default().parse().context(answer)
}

fn expect<T: Copy + PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result {
    if found == expected {
        return Ok(());
    }
    Err(Stop::fail(format!("{what}: {found:?}, not {expected:?}")))
}
