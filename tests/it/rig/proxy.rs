//! A TCP proxy in front of the broker, through which a network goes wrong on command.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::eventually;

/// Small enough for `slow` to be smooth and for a cut to fall into the middle of a frame.
const CHUNK: usize = 4096;

/// Forwards connections to one address until told otherwise. Ends, with its connections, when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
    _accepting: JoinSet<()>,
}

/// What happens to the bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flow {
    Free,
    /// At most this many bytes per second, each way, per connection.
    Slow(u32),
    Frozen,
}

/// What becomes of the connections that are open when it is said. Each word is said to the
/// connections of its time only: those made later wait for the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Word {
    Nothing,
    /// Both sides get a reset.
    Reset,
    /// The broker's side is closed; the client is told nothing and its bytes are swallowed.
    HalfOpen,
}

#[derive(Debug)]
struct Line {
    flow: watch::Sender<Flow>,
    word: watch::Sender<Word>,
    refusing: watch::Sender<bool>,
    /// Once a client has sent this, nothing from the broker comes through.
    mark: Mutex<Option<Vec<u8>>>,
    muted: watch::Sender<bool>,
    /// Bytes that clients may still send; at zero the connection that sends is reset.
    budget: AtomicU64,
    open: AtomicUsize,
    accepted: AtomicUsize,
    to_broker: AtomicU64,
    to_client: AtomicU64,
}

impl Proxy {
    /// Listens on a free port of the loopback interface and forwards to `target`, `host:port`.
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let line = Arc::new(Line {
            flow: watch::Sender::new(Flow::Free),
            word: watch::Sender::new(Word::Nothing),
            refusing: watch::Sender::new(false),
            mark: Mutex::new(None),
            muted: watch::Sender::new(false),
            budget: AtomicU64::new(u64::MAX),
            open: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            to_broker: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target.to_owned(), Arc::clone(&line)));
        Self { address, line, _accepting: accepting }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every open connection. New ones are served.
    pub fn cut(&self) {
        self.line.word.send_replace(Word::Reset);
    }

    /// Resets every open connection, and each new one as soon as it is made.
    pub fn refuse(&self) {
        self.line.refusing.send_replace(true);
        self.cut();
    }

    /// Ends [`Proxy::refuse`].
    pub fn admit(&self) {
        self.line.refusing.send_replace(false);
    }

    /// Stops forwarding, both ways; connections stay open, as behind a dead router.
    pub fn freeze(&self) {
        self.line.flow.send_replace(Flow::Frozen);
    }

    /// Ends [`Proxy::freeze`] and [`Proxy::slow`]. Nothing that was sent is missing.
    pub fn thaw(&self) {
        self.line.flow.send_replace(Flow::Free);
    }

    /// Forwards at most this many bytes per second, each way, per connection.
    pub fn slow(&self, bytes_per_second: u32) {
        self.line.flow.send_replace(Flow::Slow(bytes_per_second));
    }

    /// Forwards this many more bytes from clients, then resets the connection that sends the next
    /// one, wherever in a frame that is. Connections made later are served without a limit.
    pub fn cut_after(&self, bytes: u64) {
        self.line.budget.store(bytes, Ordering::SeqCst);
    }

    /// When a client next sends these bytes they are forwarded, and from then on nothing that the
    /// broker says comes through, to anybody: it has a message, and who sent it is never told.
    pub fn mute_after(&self, mark: &[u8]) {
        *self.line.mark.lock().expect("nobody panics with it") = Some(mark.to_vec());
    }

    /// Awaits that [`Proxy::mute_after`] has come to pass.
    pub async fn until_muted(&self) {
        eventually("the marked bytes to be sent", async || *self.line.muted.borrow()).await;
    }

    /// Ends [`Proxy::mute_after`]. What was held back comes through, unless its connection is gone.
    pub fn unmute(&self) {
        self.line.muted.send_replace(false);
    }

    /// Closes the broker's side of every open connection. Clients are told nothing: what they send
    /// goes nowhere, and nothing comes, until they give up.
    pub fn half_open(&self) {
        self.line.word.send_replace(Word::HalfOpen);
    }

    /// How many connections are open now.
    pub fn open(&self) -> usize {
        self.line.open.load(Ordering::SeqCst)
    }

    /// How many connections were ever made, refused ones included.
    pub fn accepted(&self) -> usize {
        self.line.accepted.load(Ordering::SeqCst)
    }

    /// Bytes forwarded from clients to the broker.
    pub fn sent(&self) -> u64 {
        self.line.to_broker.load(Ordering::SeqCst)
    }

    /// Bytes forwarded from the broker to clients.
    pub fn received(&self) -> u64 {
        self.line.to_client.load(Ordering::SeqCst)
    }

    /// Awaits that exactly `count` connections are open.
    pub async fn until_open(&self, count: usize) {
        let what = format!("{count} connections open through the proxy");
        eventually(&what, async || self.open() == count).await;
    }
}

async fn accept(listener: TcpListener, target: String, line: Arc<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                line.accepted.fetch_add(1, Ordering::SeqCst);
                if *line.refusing.borrow() {
                    reset(client);
                    continue;
                }
                // Subscribed here and not in the task, so that a word spoken right now reaches it.
                let words = line.word.subscribe();
                connections.spawn(serve(client, target.clone(), Arc::clone(&line), words));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(
    client: TcpStream,
    target: String,
    line: Arc<Line>,
    mut words: watch::Receiver<Word>,
) {
    let Ok(broker) = TcpStream::connect(&target).await else { return reset(client) };
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    line.open.fetch_add(1, Ordering::SeqCst);
    match forward(client, broker, &line, &mut words).await {
        Ending::Closed(client, broker) => drop((client, broker)),
        Ending::Reset(client, broker) => {
            reset(client);
            reset(broker);
        }
        Ending::HalfOpen(client, broker) => {
            drop(broker);
            swallow(client, &mut words).await;
        }
    }
    line.open.fetch_sub(1, Ordering::SeqCst);
}

enum Ending {
    Closed(TcpStream, TcpStream),
    Reset(TcpStream, TcpStream),
    HalfOpen(TcpStream, TcpStream),
}

/// Why a direction stopped.
#[derive(Debug, PartialEq)]
enum Stop {
    Ended,
    OverBudget,
}

async fn forward(
    client: TcpStream,
    broker: TcpStream,
    line: &Line,
    words: &mut watch::Receiver<Word>,
) -> Ending {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_broker, mut to_broker) = broker.into_split();
    let stop = {
        let up = pump(&mut from_client, &mut to_broker, line, Some(&line.budget), &line.to_broker);
        let down = pump(&mut from_broker, &mut to_client, line, None, &line.to_client);
        tokio::select! {
            stop = up => Ok(stop),
            stop = down => Ok(stop),
            _ = words.changed() => Err(*words.borrow()),
        }
    };
    let whole = "halves of one stream";
    let client = from_client.reunite(to_client).expect(whole);
    let broker = from_broker.reunite(to_broker).expect(whole);
    match stop {
        Ok(Stop::Ended) | Err(Word::Nothing) => Ending::Closed(client, broker),
        Ok(Stop::OverBudget) | Err(Word::Reset) => Ending::Reset(client, broker),
        Err(Word::HalfOpen) => Ending::HalfOpen(client, broker),
    }
}

/// Forwards one direction until it ends or its budget is spent.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    line: &Line,
    budget: Option<&AtomicU64>,
    count: &AtomicU64,
) -> Stop {
    let (mut flow, mut muted) = (line.flow.subscribe(), line.muted.subscribe());
    let mut buffer = [0; CHUNK];
    let mut before = Vec::new();
    loop {
        let size = match *flow.borrow() {
            Flow::Slow(rate) => (rate as usize / 10).clamp(1, CHUNK),
            Flow::Free | Flow::Frozen => CHUNK,
        };
        let Ok(read @ 1..) = from.read(&mut buffer[..size]).await else { return Stop::Ended };
        pass(&mut flow, read).await;
        match budget {
            Some(_) => line.listen(&mut before, &buffer[..read]),
            None if muted.wait_for(|muted| !muted).await.is_err() => return Stop::Ended,
            None => {}
        }
        let allowed = budget.map_or(read, |budget| spend(budget, read));
        if to.write_all(&buffer[..allowed]).await.is_err() {
            return Stop::Ended;
        }
        count.fetch_add(allowed as u64, Ordering::SeqCst);
        if allowed < read {
            return Stop::OverBudget;
        }
    }
}

impl Line {
    /// Mutes when the mark is in what was sent `before` and `now`, which may cut it in two.
    fn listen(&self, before: &mut Vec<u8>, now: &[u8]) {
        let mut mark = self.mark.lock().expect("nobody panics with it");
        let Some(wanted) = mark.as_ref() else { return before.clear() };
        before.extend_from_slice(now);
        if before.windows(wanted.len()).any(|part| part == wanted) {
            self.muted.send_replace(true);
            *mark = None;
            return before.clear();
        }
        let kept = before.len().min(wanted.len() - 1);
        before.drain(..before.len() - kept);
    }
}

/// Holds `bytes` back for as long as the flow demands it.
async fn pass(flow: &mut watch::Receiver<Flow>, bytes: usize) {
    loop {
        let now = *flow.borrow_and_update();
        let time = match now {
            Flow::Free => return,
            Flow::Slow(rate) => Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1))),
            Flow::Frozen => Duration::MAX,
        };
        tokio::select! {
            () = tokio::time::sleep(time) => return,
            changed = flow.changed() => if changed.is_err() { return },
        }
    }
}

/// How many of `wanted` bytes the budget allows. A spent budget is lifted for those who come later.
fn spend(budget: &AtomicU64, wanted: usize) -> usize {
    let before = budget.load(Ordering::SeqCst);
    if before == u64::MAX {
        return wanted;
    }
    let allowed = before.min(wanted as u64);
    let left = if allowed < wanted as u64 { u64::MAX } else { before - allowed };
    budget.store(left, Ordering::SeqCst);
    allowed as usize
}

/// Reads what the client sends and forgets it, until the client gives up or a word is said.
async fn swallow(mut client: TcpStream, words: &mut watch::Receiver<Word>) {
    let mut buffer = [0; CHUNK];
    loop {
        tokio::select! {
            read = client.read(&mut buffer) => if !matches!(read, Ok(1..)) { return },
            changed = words.changed() => {
                if changed.is_err() || *words.borrow() == Word::Reset {
                    return reset(client);
                }
            }
        }
    }
}

/// Ends a connection as a crashed peer does: no goodbye, and unsent data is lost.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}
