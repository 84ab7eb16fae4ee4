//! AMQP spoken by hand, for what no client library can send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection with one open channel.
#[derive(Debug)]
pub struct RawAmqp {
    stream: TcpStream,
}

impl RawAmqp {
    /// Connects to `host:port` as guest.
    pub async fn connect(host: &str, vhost: &str) -> Self {
        let mut amqp = Self { stream: TcpStream::connect(host).await.unwrap() };
        amqp.stream.write_all(b"AMQP\0\0\x09\x01").await.unwrap();
        amqp.answered().await;
        // start-ok: no properties, PLAIN, guest and guest.
        let login = [&b"\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US"[..]].concat();
        amqp.method(0, 10, 11, &login).await;
        amqp.answered().await;
        // tune-ok: channels, frames of 128 KiB, no heartbeat.
        amqp.method(0, 10, 31, &[0, 10, 0, 2, 0, 0, 0, 0]).await;
        amqp.method(0, 10, 40, &[&short(vhost)[..], &[0, 0]].concat()).await;
        amqp.answered().await;
        amqp.method(1, 20, 10, &[0]).await;
        amqp.answered().await;
        amqp.method(1, 85, 10, &[0]).await;
        amqp.answered().await;
        amqp
    }

    /// Publishes to a queue, with a content type, persistent, and a header table as bytes; mandatory and
    /// confirmed.
    pub async fn publish(&mut self, queue: &str, content_type: &str, table: &[u8], body: &[u8]) {
        self.method(1, 60, 40, &[&[0, 0, 0][..], &short(queue), &[1]].concat()).await;
        let header = [
            &[0, 60, 0, 0][..],
            &(body.len() as u64).to_be_bytes(),
            // Flags: content type, headers, delivery mode.
            &0b1011_0000_0000_0000_u16.to_be_bytes(),
            &short(content_type),
            &(table.len() as u32).to_be_bytes(),
            table,
            &[2],
        ];
        self.frame(2, 1, &header.concat()).await;
        self.frame(3, 1, body).await;
        self.answered().await;
    }

    async fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
        self.frame(1, channel, &payload).await;
    }

    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let frame = [&[kind][..], &channel.to_be_bytes(), &length, payload, &[0xce]].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Reads one frame; it is what was hoped for, or the next step fails.
    async fn answered(&mut self) {
        let mut head = [0; 7];
        self.stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut rest = vec![0; length as usize + 1];
        self.stream.read_exact(&mut rest).await.unwrap();
        // Either side of a connection or channel closed, or a message returned.
        let refused = [[0, 10, 0, 50], [0, 20, 0, 40], [0, 60, 0, 50]];
        let refused = refused.iter().any(|method| rest.starts_with(method));
        assert!(!refused, "refused: {}", String::from_utf8_lossy(&rest[4..]));
    }
}

/// A short string.
fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8][..], text.as_bytes()].concat()
}
