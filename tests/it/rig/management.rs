//! RabbitMQ's HTTP interface, as far as tests need it: tens of milliseconds where `rabbitmqctl`,
//! which starts an Erlang VM, takes half a second and more.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::node::blocking;

/// Where it answers, and as whom we ask.
#[derive(Debug, Clone)]
pub struct Management {
    host: String,
    authorization: String,
}

impl Management {
    /// `address` is `user:password@host:port`.
    pub fn at(address: &str) -> Self {
        let (user, host) = address.rsplit_once('@').unwrap_or(("guest:guest", address));
        Self { host: host.to_owned(), authorization: format!("Basic {}", STANDARD.encode(user)) }
    }

    /// What is at `path`; `None` when there is nothing.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = self.ask("GET", path, "").await;
        (status != 404).then(|| {
            assert_eq!(status, 200, "GET {path}: {body}");
            serde_json::from_str(&body)
                .unwrap_or_else(|error| panic!("GET {path}: {error}: {body}"))
        })
    }

    /// Makes or replaces what is at `path`.
    pub async fn put(&self, path: &str, value: &Value) {
        let (status, body) = self.ask("PUT", path, &value.to_string()).await;
        assert!((200..300).contains(&status), "PUT {path}: {status} {body}");
    }

    /// Hands `value` to what is at `path`.
    pub async fn post(&self, path: &str, value: &Value) {
        let (status, body) = self.ask("POST", path, &value.to_string()).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {body}");
    }

    /// Removes what is at `path`; it may be gone already.
    pub async fn delete(&self, path: &str) {
        let (status, body) = self.ask("DELETE", path, "").await;
        assert!((200..300).contains(&status) || status == 404, "DELETE {path}: {status} {body}");
    }

    /// As [`Management::delete`], for destructors, which cannot wait and must not panic.
    pub fn delete_blocking(&self, path: &str) {
        let _ = self.exchange("DELETE", path, "");
    }

    async fn ask(&self, method: &'static str, path: &str, body: &str) -> (u16, String) {
        let (this, path, body) = (self.clone(), path.to_owned(), body.to_owned());
        match blocking(move || this.exchange(method, &path, &body)).await {
            Ok(answer) => answer,
            Err(error) => panic!(
                "management interface at {}: {error}; set RABBITMQ_MANAGEMENT_URL",
                self.host
            ),
        }
    }

    /// One request on a connection of its own, ended by the server: HTTP 1.0 needs no more than this.
    fn exchange(&self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        let request = format!(
            "{method} /api/{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            self.authorization,
            body.len(),
        );
        let mut stream = TcpStream::connect(&self.host)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok((status, body.to_owned()))
    }
}
