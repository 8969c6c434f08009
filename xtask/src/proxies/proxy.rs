//! A proxy of Debian's, run in the foreground by a user with no rights, in a folder of its own.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::template::{Values, fill_in, words};
use crate::outcome::{Context, Result, Stop};
use crate::peer::Certificates;
use crate::process::{self, Running};
use crate::tools::debian;
use crate::workspace::conformance;

/// For a proxy to be ready, or to have done what it was told.
const LIMIT: Duration = Duration::from_secs(20);
/// How often it is asked for that.
const PACE: Duration = Duration::from_millis(5);
/// How often a proxy is started anew when somebody else has taken one of its ports.
const ATTEMPTS: usize = 5;
/// Debian's user and group for those who shall have no rights.
const NOBODY: u32 = 65534;

/// Which proxy.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What has to be there, and the packages that have it.
    files: &'static [&'static str],
    packages: &'static [&'static str],
    configuration: &'static str,
    /// What follows the program, and then the file of the configuration.
    arguments: &'static [&'static str],
    /// How it tells the server of its clients, and how where TLS ends at the server.
    pub(super) way: &'static str,
    pub(super) tls_way: &'static str,
    /// The signal that makes it read its configuration again, and what it writes when it has.
    reload: (&'static str, &'static str),
}

pub(super) const NGINX: Kind = Kind {
    name: "nginx",
    files: &["/usr/sbin/nginx", "/usr/lib/nginx/modules/ngx_stream_module.so"],
    packages: &["nginx", "libnginx-mod-stream"],
    configuration: "nginx.conf",
    arguments: &["-c"],
    way: "x-forwarded-for",
    tls_way: "proxy-protocol",
    reload: ("HUP", "gracefully shutting down"),
};

pub(super) const APACHE: Kind = Kind {
    name: "Apache",
    files: &["/usr/sbin/apache2", "/usr/lib/apache2/modules/mod_proxy_http.so"],
    packages: &["apache2-bin"],
    configuration: "apache.conf",
    arguments: &["-D", "FOREGROUND", "-f"],
    way: "x-forwarded-for",
    tls_way: "x-forwarded-for",
    reload: ("USR1", "resuming normal operations"),
};

pub(super) const HAPROXY: Kind = Kind {
    name: "HAProxy",
    files: &["/usr/sbin/haproxy"],
    packages: &["haproxy"],
    configuration: "haproxy.cfg",
    arguments: &["-W", "-f"],
    way: "forwarded",
    tls_way: "proxy-protocol",
    reload: ("USR2", "Loading success"),
};

impl Kind {
    pub(super) fn install(&self) -> Result {
        if self.files.iter().all(|file| Path::new(file).exists()) {
            return Ok(());
        }
        debian::install(self.packages)?;
        match self.files.iter().find(|file| !Path::new(file).exists()) {
            None => Ok(()),
            Some(file) => Err(Stop::fail(format!("{} have no {file}", self.packages.join(" and ")))),
        }
    }
}

/// A running proxy: ended, and its folder removed, when dropped.
pub(super) struct Proxy {
    kind: &'static Kind,
    values: Values,
    /// The words that stand for addresses on which it listens.
    listeners: Vec<String>,
    folder: Folder,
    process: Option<Running>,
}

impl Proxy {
    /// Starts it with its listeners on free ports, before servers at these addresses.
    pub(super) fn start(
        kind: &'static Kind,
        certificates: &Certificates,
        servers: &[(&str, &str)],
    ) -> Result<Self> {
        let template = conformance("proxies").join(kind.configuration);
        let template = fs::read_to_string(&template).context(template.display())?;
        let folder = Folder::new()?;
        let mut values = files(&folder, certificates)?;
        for (word, address) in servers {
            let address = address.split_once("://").map_or(*address, |(_, address)| address);
            let address = address.replace("localhost", "127.0.0.1");
            if let Some((_, port)) = address.rsplit_once(':') {
                values.insert(word.replace("SERVER", "PORT"), port.to_owned());
            }
            values.insert((*word).to_owned(), address);
        }
        let listeners = words(&template).into_iter().filter(|word| !values.contains_key(*word));
        let listeners: Vec<_> = listeners.map(str::to_owned).collect();
        let mut proxy = Self { kind, values, listeners, folder, process: None };
        for attempt in 1.. {
            proxy.choose_ports()?;
            proxy.folder.write(kind.configuration, &fill_in(&template, &proxy.values)?)?;
            match proxy.start_again() {
                Err(_) if attempt < ATTEMPTS && proxy.log().contains("in use") => {}
                Err(stop) => return Err(stop),
                Ok(()) => break,
            }
        }
        Ok(proxy)
    }

    /// The address of a listener.
    pub(super) fn address(&self, listener: &str) -> Result<&str> {
        let address = self.values.get(listener).map(String::as_str);
        address.ok_or_else(|| Stop::fail(format!("{} has no @{listener}@", self.kind.configuration)))
    }

    /// A free port for each listener. Somebody may take one before the proxy does.
    fn choose_ports(&mut self) -> Result {
        let mut held = Vec::new();
        for listener in &self.listeners {
            let socket = TcpListener::bind("127.0.0.1:0").context("a free port")?;
            let address = socket.local_addr().context("a free port")?;
            self.values.insert(listener.clone(), address.to_string());
            held.push(socket);
        }
        Ok(())
    }

    /// Starts it with the ports and the configuration that it has.
    pub(super) fn start_again(&mut self) -> Result {
        let mut command = Command::new(self.kind.files[0]);
        command.current_dir(&self.folder.path).args(self.kind.arguments);
        command.arg(self.folder.path.join(self.kind.configuration));
        if self.folder.is_nobodys {
            command.uid(NOBODY).gid(NOBODY);
        }
        self.process = Some(process::spawn_logged(&mut command, &self.folder.path.join("output"))?);
        for address in self.addresses()? {
            self.until("ready", |proxy| {
                let ended = proxy.process.as_mut().is_none_or(|process| process.ended() != Ok(None));
                if ended { Err(Stop::fail("it has ended")) } else { Ok(TcpStream::connect(address).is_ok()) }
            })?;
        }
        Ok(())
    }

    /// Has it read its configuration again.
    pub(super) fn reload(&mut self) -> Result {
        let (signal, sign) = self.kind.reload;
        let before = self.log().matches(sign).count();
        let id = self.process.as_ref().map(Running::id).ok_or_else(|| Stop::fail("the proxy has ended"))?;
        process::run(Command::new("sh").args(["-c", &format!("kill -{signal} {id}")]), LIMIT)?;
        self.until("reloaded", |proxy| Ok(proxy.log().matches(sign).count() > before))
    }

    /// Ends it at once, with everything that it does.
    pub(super) fn end(&mut self) -> Result {
        self.process = None;
        // Its children have got their signal, and listen until the system has seen to that.
        for address in self.addresses()? {
            self.until("gone", |_| Ok(TcpStream::connect(address).is_err()))?;
        }
        Ok(())
    }

    fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let addresses = self.listeners.iter().map(|listener| self.address(listener));
        addresses.map(|address| address.and_then(|address| address.parse().context(address))).collect()
    }

    /// Waits for something that the proxy does.
    fn until(&mut self, what: &str, is_so: impl Fn(&mut Self) -> Result<bool>) -> Result {
        let deadline = Instant::now() + LIMIT;
        loop {
            match is_so(self) {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() < deadline => thread::sleep(PACE),
                _ => return Err(Stop::fail(format!("{}: not {what}: {}", self.kind.name, self.log()))),
            }
        }
    }

    /// What it has written.
    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path.join(name)).unwrap_or_default();
        read("output") + &read("log")
    }
}

/// The folder, and the files in it that a configuration names.
fn files(folder: &Folder, certificates: &Certificates) -> Result<Values> {
    let read = |path: PathBuf| fs::read_to_string(&path).context(path.display());
    let [chain, key] = certificates.of_server();
    let (chain, key) = (read(chain)?, read(key)?);
    let mut values = Values::from([("FOLDER".to_owned(), folder.path.display().to_string())]);
    for (word, name, text) in [
        ("AUTHORITY", "ca.pem", read(certificates.authority())?),
        ("CHAIN_AND_KEY", "chain-and-key.pem", format!("{chain}{key}")),
        ("CHAIN", "chain.pem", chain),
        ("KEY", "key.pem", key),
    ] {
        folder.write(name, &text)?;
        values.insert(word.to_owned(), folder.path.join(name).display().to_string());
    }
    Ok(values)
}

/// A folder that whoever runs the proxy can write to, wherever the checkout is. Removed when dropped.
struct Folder {
    path: PathBuf,
    /// We are root, so that another has to run the proxy.
    is_nobodys: bool,
}

impl Folder {
    fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("stentor-proxy-{}-{number}", std::process::id()));
        fs::create_dir(&path).context(path.display())?;
        let is_nobodys = fs::metadata(&path).context(path.display())?.uid() == 0;
        let folder = Self { path, is_nobodys };
        folder.hand_over(&folder.path, 0o700)?;
        Ok(folder)
    }

    fn write(&self, name: &str, text: &str) -> Result {
        let path = self.path.join(name);
        fs::write(&path, text).context(path.display())?;
        self.hand_over(&path, 0o600)
    }

    fn hand_over(&self, path: &Path, mode: u32) -> Result {
        fs::set_permissions(path, Permissions::from_mode(mode)).context(path.display())?;
        if self.is_nobodys { chown(path, Some(NOBODY), Some(NOBODY)).context(path.display()) } else { Ok(()) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
