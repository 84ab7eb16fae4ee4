//! An HTTP proxy that gathers: of an answer nothing goes on before all of it is there. So are proxies that
//! buffer and do not know `X-Accel-Buffering`; what never ends never comes through them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A proxy in front of one server. Ends, with its connections, when dropped.
#[derive(Debug)]
pub struct Gathering {
    address: SocketAddr,
    held: Arc<AtomicUsize>,
    _accepting: JoinSet<()>,
}

impl Gathering {
    /// Listens on a free port and asks `target`, `host:port`.
    pub async fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let held = Arc::new(AtomicUsize::new(0));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target.to_owned(), Arc::clone(&held)));
        Self { address, held, _accepting: accepting }
    }

    /// Where `path` is behind it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many bytes of server-sent events it has held back so far.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, target: String, held: Arc<AtomicUsize>) {
    let mut serving = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (target, held) = (target.clone(), Arc::clone(&held));
        serving.spawn(async move { serve(client, &target, &held).await.unwrap_or_default() });
        while serving.try_join_next().is_some() {}
    }
}

/// One question and its answer; then both connections are closed.
async fn serve(mut client: TcpStream, target: &str, held: &AtomicUsize) -> std::io::Result<()> {
    let question = question(&mut client).await?;
    let mut server = TcpStream::connect(target).await?;
    server.write_all(&question).await?;
    let (mut answer, mut chunk, mut more) = (Vec::new(), [0; 4096], [0; 1]);
    loop {
        tokio::select! {
            read = server.read(&mut chunk) => match read? {
                0 => break,
                length => answer.extend_from_slice(&chunk[..length]),
            },
            // It asks nothing more on this connection: it has gone.
            _ = client.read(&mut more) => return Ok(()),
        }
        if String::from_utf8_lossy(&answer).contains("text/event-stream") {
            held.fetch_max(answer.len(), Ordering::SeqCst);
        }
    }
    client.write_all(&answer).await?;
    client.shutdown().await
}

/// Head and body, such that the answer ends with the connection.
async fn question(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let kept = text.lines().filter(|line| !line.to_lowercase().starts_with("connection:"));
    let kept = kept.take_while(|line| !line.is_empty()).flat_map(|line| [line, "\r\n"]);
    let mut question = kept.collect::<String>().into_bytes();
    question.extend_from_slice(b"connection: close\r\n\r\n");
    let mut body = vec![0; length];
    client.read_exact(&mut body).await?;
    question.extend_from_slice(&body);
    Ok(question)
}
