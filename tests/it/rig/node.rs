//! A RabbitMQ node of our own, run by `rabbitmq/node.sh` and gone when we are.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::management::Management;

static SHARED: OnceLock<Node> = OnceLock::new();
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A broker: one that we started, or the one that `AMQP_URL` names.
#[derive(Debug)]
pub struct Node {
    address: String,
    management: Management,
    own: Option<Own>,
}

/// What we hold of a node that we started.
///
/// `holder` is `node.sh hold`: it wipes the node when its standard input ends, which happens at the
/// latest when the kernel closes our files, so no node outlives a test run that panics or is killed.
#[derive(Debug)]
struct Own {
    name: String,
    holder: Child,
}

impl Node {
    /// The node that all tests of this run share; started by the first that asks.
    pub async fn shared() -> &'static Self {
        let node = || Self::from_environment().unwrap_or_else(|| Self::launch(""));
        blocking(move || SHARED.get_or_init(node)).await
    }

    /// A node for one test, which may do with it what it likes; `configuration` is added to its
    /// `rabbitmq.conf`.
    pub async fn dedicated(configuration: &str) -> Self {
        let configuration = configuration.to_owned();
        blocking(move || Self::launch(&configuration)).await
    }

    /// `user:password@host:port`, the middle of every URL of this node.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its HTTP interface.
    pub fn management(&self) -> &Management {
        &self.management
    }

    /// Stops it in order, as an operator would.
    pub async fn stop(&self) {
        self.run(&["stop"]).await;
    }

    /// Kills its process with SIGKILL.
    ///
    /// What was declared in the last two seconds is written to disk before: RabbitMQ 3 confirms a
    /// declaration, virtual hosts included, when it is in Mnesia's memory only, and a kill then takes
    /// the queue together with the messages confirmed into it.
    pub async fn kill(&self) {
        self.ctl(&["eval", "catch mnesia:sync_log()."]).await;
        self.run(&["kill"]).await;
    }

    /// Starts it again, on the same port and with its data.
    pub async fn start(&self) {
        // `start` would make a new node when we are killed right now and the holder wipes this one.
        self.run(&["restart"]).await;
    }

    /// Stops it in order and starts it again.
    pub async fn restart(&self) {
        self.run(&["restart"]).await;
    }

    /// Runs `rabbitmqctl` and gives what it printed.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        self.run(&[&["ctl"], arguments].concat()).await
    }

    /// Makes it believe that it is short of memory: it stops reading from whoever publishes.
    pub async fn raise_memory_alarm(&self) {
        self.ctl(&["set_vm_memory_high_watermark", "0.000001"]).await;
    }

    /// Ends [`Node::raise_memory_alarm`].
    pub async fn clear_memory_alarm(&self) {
        self.ctl(&["set_vm_memory_high_watermark", "0.4"]).await;
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let own = self.own.as_ref().expect(
            "this test stops, kills or commands its broker, and AMQP_URL names one that is not ours: \
             take Rig::alone()",
        );
        let mut command = script();
        command.arg(arguments[0]).arg(&own.name).args(&arguments[1..]).stdin(Stdio::null());
        let output = blocking(move || command.output().expect("bash runs rabbitmq/node.sh")).await;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "node.sh {arguments:?}: {complaint}{printed}");
        printed
    }

    fn from_environment() -> Option<Self> {
        let url = std::env::var("AMQP_URL").ok()?;
        let address = address_of(&url);
        let management = match std::env::var("RABBITMQ_MANAGEMENT_URL") {
            Ok(url) => Management::at(&address_of(&url)),
            Err(_) => Management::at(&format!("{}:15672", without_port(&address))),
        };
        Some(Self { address, management, own: None })
    }

    fn launch(configuration: &str) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("it-{}-{number}", std::process::id());
        // Its own process group: ^C in a terminal is for the tests, and the holder is to outlive them.
        let mut holder = script()
            .args(["hold", &name])
            .env("NODE_CONF", configuration)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("bash runs rabbitmq/node.sh");
        let printed = BufReader::new(holder.stdout.take().expect("piped"));
        let urls: Vec<String> = printed
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.split_once('=').map(|(_, url)| address_of(url)))
            .take(2)
            .collect();
        let [address, management] = urls.as_slice() else {
            panic!(
                "no RabbitMQ to test against, see above; `rabbitmq/install.sh` installs it, \
                 and AMQP_URL in the environment names another one to use"
            );
        };
        Self {
            address: address.clone(),
            management: Management::at(management),
            own: Some(Own { name, holder }),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own {
            drop(own.holder.stdin.take());
            // It wipes the node; nothing is to be done about it if it cannot.
            let _ = own.holder.wait();
        }
    }
}

fn script() -> Command {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("rabbitmq/node.sh"));
    command.env("CELERIAC_WORK", concat!(env!("CARGO_TARGET_TMPDIR"), "/rabbitmq"));
    command
}

/// `amqp://user:password@host:port/vhost` without its ends.
fn address_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

fn without_port(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => address,
    }
}

/// Runs what blocks away from the threads that the test's own tasks need.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
