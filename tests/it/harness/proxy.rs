//! Each fault of the proxy, against a server that sends back what it gets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::rig::Proxy;

/// Long enough for an echo on the loopback interface, a thousand times over.
const SILENCE: Duration = Duration::from_millis(300);

struct Echo {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Self { address, _serving: serving }
    }
}

async fn connected() -> (Echo, Proxy, TcpStream) {
    let echo = Echo::start().await;
    let proxy = Proxy::to(&echo.address.to_string()).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut client, b"hello").await, b"hello");
    (echo, proxy, client)
}

async fn ask(client: &mut TcpStream, text: &[u8]) -> Vec<u8> {
    client.write_all(text).await.unwrap();
    let mut answer = vec![0; text.len()];
    client.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_goes_through_is_counted() {
    let (_echo, proxy, _client) = connected().await;
    assert_eq!((proxy.open(), proxy.accepted()), (1, 1));
    assert_eq!((proxy.sent(), proxy.received()), (5, 5));
}

#[tokio::test]
async fn a_frozen_connection_stalls_and_loses_nothing_when_it_thaws() {
    let (_echo, proxy, mut client) = connected().await;
    proxy.freeze();
    client.write_all(b"anyone there?").await.unwrap();
    let mut answer = [0; 13];
    assert!(timeout(SILENCE, client.read_exact(&mut answer)).await.is_err());
    proxy.thaw();
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"anyone there?");
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_serves_what_comes_after() {
    let (_echo, proxy, mut client) = connected().await;
    proxy.cut();
    let error = client.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    proxy.until_open(0).await;
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut next, b"again").await, b"again");
}

#[tokio::test]
async fn a_refusing_proxy_resets_every_new_connection() {
    let (_echo, proxy, _client) = connected().await;
    proxy.refuse();
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(next.read(&mut [0; 1]).await.is_err());
    proxy.admit();
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut next, b"again").await, b"again");
}

#[tokio::test]
async fn a_budget_ends_in_the_middle_of_what_is_sent() {
    let (_echo, proxy, mut client) = connected().await;
    proxy.cut_after(7);
    client.write_all(b"ten bytes!").await.unwrap();
    let mut answer = Vec::new();
    let error = client.read_to_end(&mut answer).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(proxy.sent(), 5 + 7);
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut next, b"ten bytes!").await, b"ten bytes!");
}

#[tokio::test]
async fn a_slow_connection_takes_the_time_its_rate_says() {
    let (_echo, proxy, mut client) = connected().await;
    proxy.slow(20_000);
    let start = Instant::now();
    assert_eq!(ask(&mut client, &[7; 10_000]).await, [7; 10_000]);
    assert!(start.elapsed() > Duration::from_millis(450), "took {:?}", start.elapsed());
}

#[tokio::test]
async fn a_half_open_connection_is_closed_for_the_server_and_silent_for_the_client() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(&server.local_addr().unwrap().to_string()).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut accepted, _) = server.accept().await.unwrap();
    proxy.until_open(1).await;
    proxy.half_open();
    assert_eq!(accepted.read(&mut [0; 1]).await.unwrap(), 0);
    client.write_all(&[0; 100_000]).await.unwrap();
    assert!(timeout(SILENCE, client.read(&mut [0; 1])).await.is_err());
}
