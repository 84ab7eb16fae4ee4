//! A mail server that keeps what it gets: one `.eml` file for each mail.

use anyhow::Context;
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A mail server on this machine.
#[derive(Debug)]
pub struct Smtp {
    address: SocketAddr,
    mailbox: Arc<Mailbox>,
    /// Empty while it is closed.
    serving: JoinSet<()>,
}

/// The mail that a server took.
#[derive(Debug)]
pub struct Mailbox {
    folder: PathBuf,
    begun: AtomicUsize,
    taken: AtomicUsize,
}

impl Smtp {
    /// Opens a server on a free port.
    pub async fn open(folder: PathBuf) -> anyhow::Result<Self> {
        let mailbox =
            Arc::new(Mailbox { folder, begun: AtomicUsize::new(0), taken: AtomicUsize::new(0) });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut smtp = Self { address, mailbox, serving: JoinSet::new() };
        smtp.reopen().await?;
        Ok(smtp)
    }

    /// Opens it again, where it was.
    pub async fn reopen(&mut self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.address).await;
        let listener =
            listener.with_context(|| format!("opening a mail server at {}", self.address))?;
        self.address = listener.local_addr()?;
        self.serving.spawn(serve(listener, Arc::clone(&self.mailbox)));
        Ok(())
    }

    /// Closes it: conversations break off, and who connects is refused.
    pub async fn close(&mut self) {
        self.serving.shutdown().await;
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What it took.
    pub fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.mailbox)
    }
}

async fn serve(listener: TcpListener, mailbox: Arc<Mailbox>) {
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                conversations.spawn(converse(stream, Arc::clone(&mailbox)));
            }
            // A conversation that breaks off is the client's to repeat.
            Some(_) = conversations.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, mailbox: Arc<Mailbox>) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    say(&mut stream, "220 demo.example ESMTP").await?;
    let mut line = Vec::new();
    while read_line(&mut stream, &mut line).await? {
        let verb: Vec<u8> = line.iter().take(4).map(u8::to_ascii_uppercase).collect();
        let reply = match verb.as_slice() {
            b"EHLO" | b"HELO" | b"MAIL" | b"RCPT" | b"RSET" | b"NOOP" => "250 OK",
            b"DATA" => {
                say(&mut stream, "354 End with a dot on a line of its own").await?;
                let Some(mail) = read_mail(&mut stream).await? else { return Ok(()) };
                mailbox.keep(&mail).await?;
                "250 Kept"
            }
            b"QUIT" => return say(&mut stream, "221 Bye").await,
            _ => "500 What?",
        };
        say(&mut stream, reply).await?;
    }
    Ok(())
}

impl Mailbox {
    /// How many mails there are.
    pub fn len(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// The distinct `Message-ID`s in its files.
    pub fn message_ids(&self) -> anyhow::Result<HashSet<String>> {
        let mut ids = HashSet::new();
        for file in std::fs::read_dir(&self.folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "eml") {
                let mail = std::fs::read_to_string(&path)?;
                let id = mail.lines().find_map(|line| line.strip_prefix("Message-ID: "));
                ids.extend(id.map(str::to_owned));
            }
        }
        Ok(ids)
    }

    /// Keeps a mail under its final name only when all of it is there.
    async fn keep(&self, mail: &[u8]) -> io::Result<()> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let part = self.folder.join(format!("{number:04}.part"));
        tokio::fs::write(&part, mail).await?;
        tokio::fs::rename(&part, part.with_extension("eml")).await?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

async fn say(stream: &mut BufStream<TcpStream>, reply: &str) -> io::Result<()> {
    stream.write_all(reply.as_bytes()).await?;
    stream.write_all(b"\r\n").await?;
    stream.flush().await
}

/// The next line without its end; `false` when there is none.
async fn read_line(stream: &mut BufStream<TcpStream>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = stream.read_until(b'\n', line).await?;
    while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        line.pop();
    }
    Ok(read > 0)
}

/// A mail up to the dot that ends it; `None` when it breaks off.
async fn read_mail(stream: &mut BufStream<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let (mut mail, mut line) = (Vec::new(), Vec::new());
    while read_line(stream, &mut line).await? {
        match line.as_slice() {
            b"." => return Ok(Some(mail)),
            // A line that begins with a dot is sent with one more.
            [b'.', rest @ ..] => mail.extend_from_slice(rest),
            line => mail.extend_from_slice(line),
        }
        mail.push(b'\n');
    }
    Ok(None)
}
