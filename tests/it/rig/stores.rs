//! A Redis and a PostgreSQL of the test's own, from Debian's packages: on free ports, in the test's
//! folder, gone with the test. No service of the machine is touched.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::geteuid;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::PATIENCE;

/// A store that runs, or was stopped by the test.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    port: u16,
    folder: TempDir,
    child: Option<Child>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Redis,
    Postgres,
}

impl Server {
    /// A Redis that writes everything to disk before it answers, so that a kill loses nothing it
    /// has confirmed. `None` when none is installed, after saying so.
    ///
    /// # Panics
    ///
    /// When none is installed and `CI` is set.
    pub async fn redis() -> Option<Self> {
        installed("redis-server", Path::new("/usr/bin/redis-server"))?;
        Some(Self::launch(Kind::Redis).await)
    }

    /// A PostgreSQL with a database `celeriac`.
    ///
    /// # Panics
    ///
    /// As [`Server::redis`].
    pub async fn postgres() -> Option<Self> {
        let programs = postgres_programs();
        installed("postgresql", programs.as_deref().unwrap_or(Path::new("/usr/lib/postgresql")))?;
        Some(Self::launch(Kind::Postgres).await)
    }

    async fn launch(kind: Kind) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut server = Self { kind, port: free_port().await, folder, child: None };
        if kind == Kind::Postgres {
            give_to_postgres(server.folder.path());
            let mut initdb = server.postgres_command("initdb");
            initdb.args(["--auth=trust", "--username=celeriac", "--encoding=UTF8", "--no-sync"]);
            initdb.arg("-D").arg(server.folder.path().join("data"));
            let made = initdb.output().await.expect("initdb runs");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        server.start().await;
        if kind == Kind::Postgres {
            let mut createdb = server.postgres_command("createdb");
            let address = ["-h", "127.0.0.1", "-U", "celeriac", "-p"];
            createdb.args(address).arg(server.port.to_string()).arg("celeriac");
            let made = createdb.output().await.expect("createdb runs");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        server
    }

    /// Where to connect, for `results.url`.
    pub fn url(&self) -> String {
        self.url_at(&format!("127.0.0.1:{}", self.port))
    }

    /// The same at another address, such as that of a proxy.
    pub fn url_at(&self, address: &str) -> String {
        match self.kind {
            Kind::Redis => format!("redis://{address}/0"),
            Kind::Postgres => format!("postgres://celeriac@{address}/celeriac"),
        }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, with the data it had, and awaits that it answers.
    ///
    /// # Panics
    ///
    /// With its log, when it does not.
    pub async fn start(&mut self) {
        self.spawn();
        let starting = async {
            while !self.answers().await {
                // PostgreSQL refuses to start before the last process of a killed one is gone.
                let child = self.child.as_mut().expect("just spawned");
                if child.try_wait().expect("our own child").is_some() {
                    self.spawn();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, starting).await.is_err() {
            panic!("{:?} does not answer:\n{}", self.kind, self.log());
        }
    }

    fn spawn(&mut self) {
        let mut command = match self.kind {
            Kind::Redis => self.redis_command(),
            Kind::Postgres => self.postgres_server(),
        };
        let log = std::fs::File::create(self.folder.path().join("log")).expect("our own folder");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("an open file")).stderr(log);
        self.child = Some(command.kill_on_drop(true).spawn().expect("it is installed"));
    }

    /// Kills it with SIGKILL, as the kernel would.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().await.expect("our own child can be killed");
    }

    /// Kills it and starts it again, with the data it had.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.start().await;
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn answers(&self) -> bool {
        match self.kind {
            Kind::Redis => TcpStream::connect(self.address()).await.is_ok(),
            Kind::Postgres => {
                let mut ready = self.postgres_command("pg_isready");
                ready.args(["-q", "-h", "127.0.0.1", "-p"]).arg(self.port.to_string());
                ready.status().await.is_ok_and(|status| status.success())
            }
        }
    }

    fn redis_command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        command.arg("--port").arg(self.port.to_string()).arg("--dir").arg(self.folder.path());
        command
    }

    fn postgres_server(&self) -> Command {
        let mut command = self.postgres_command("postgres");
        let folder = self.folder.path();
        command.arg("-D").arg(folder.join("data")).arg("-p").arg(self.port.to_string());
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=50", "-k"]);
        command.arg(folder);
        command
    }

    /// A program of PostgreSQL, as a user that it accepts: it refuses to run as root.
    fn postgres_command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if geteuid().is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        }
        let programs = postgres_programs().expect("it is installed");
        command.args(["--pdeathsig", "KILL"]).arg(programs.join(program));
        command.current_dir(self.folder.path());
        command
    }
}

/// The programs of the newest PostgreSQL that is installed.
fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let bins = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("postgres").exists()).max()
}

fn installed(package: &str, program: &Path) -> Option<()> {
    if program.exists() {
        return Some(());
    }
    let missing = format!("no {}; package {package} has it", program.display());
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("SKIPPED: {missing}");
    None
}

/// Gives a folder to the user that runs PostgreSQL when we are root.
fn give_to_postgres(folder: &Path) {
    if !geteuid().is_root() {
        return;
    }
    let accounts = std::fs::read_to_string("/etc/passwd").expect("accounts");
    let account = accounts.lines().find_map(|line| line.strip_prefix("postgres:"));
    let mut numbers = account.expect("its package makes the account").split(':').skip(1);
    let mut number = || numbers.next().and_then(|number| number.parse().ok());
    chown(folder, number(), number()).expect("we are root");
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
