//! A monitor, asked over its API: the past, which only a monitor knows.

use super::exit::{Exit, OrExit, failed};
use super::global::Global;
use crate::config::Config;
use crate::handler::http::HttpClient;
use anyhow::{Context, anyhow};
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::time::Duration;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// The variable that has what the monitor wants to see before it answers.
const TOKEN: &str = "CELERIAC_TOKEN";

/// Which monitor is asked.
#[derive(Debug, clap::Args)]
pub(super) struct At {
    /// The monitor to ask, instead of the configured one; CELERIAC_TOKEN has its token
    #[arg(long = "monitor", value_name = "URL", env = "CELERIAC_MONITOR_URL")]
    monitor: Option<String>,
}

/// A monitor that is asked.
#[derive(Debug)]
pub(super) struct Api {
    base: Url,
    client: HttpClient,
    token: Option<String>,
}

/// Part of a list, as the API gives it.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next part begins.
    pub(super) next: Option<String>,
    /// Only so many of the newest were looked at.
    #[serde(default)]
    pub(super) searched: Option<u64>,
}

/// What the API says when it has no answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    detail: String,
    /// What was answered for by each of those who had to do something.
    results: Vec<Problem>,
}

impl At {
    /// Whether one is named.
    pub(super) fn is_given(&self) -> bool {
        self.monitor.is_some()
    }

    /// The monitor of the configuration of this command, unless another is named.
    pub(super) fn open(&self, global: &Global) -> anyhow::Result<Api> {
        match &self.monitor {
            Some(_) => self.open_for(&Config::default()),
            None => self.open_for(&global.load(global.loader())?.config),
        }
    }

    /// The monitor of `config`, unless another is named.
    pub(super) fn open_for(&self, config: &Config) -> anyhow::Result<Api> {
        let url = match &self.monitor {
            Some(url) => url.clone(),
            None => address_of(&config.monitor.listen),
        };
        let base = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base
            .ok_or_else(|| anyhow!("`{url}` is no address of a monitor; write http://host:5555"))
            .or_exit(Exit::Used)?;
        let client = HttpClient::try_new().or_exit(Exit::Internal)?;
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        Ok(Api { base, client, token })
    }
}

/// Where to ask a monitor on this machine that listens at `listen`.
fn address_of(listen: &str) -> String {
    let local = listen.parse::<SocketAddr>().ok().filter(|it| it.ip().is_unspecified());
    match local {
        Some(any) if any.is_ipv6() => format!("http://[::1]:{}", any.port()),
        Some(any) => format!("http://127.0.0.1:{}", any.port()),
        None => format!("http://{listen}"),
    }
}

impl Api {
    /// Where it is, as it is shown.
    pub(super) fn address(&self) -> String {
        let mut shown = self.base.clone();
        // Cannot fail: it is http.
        let _ = shown.set_password(None);
        let _ = shown.set_username("");
        shown.as_str().trim_end_matches('/').to_owned()
    }

    /// What it answers to a call, such as `["tasks"]`, with these parameters.
    ///
    /// # Errors
    /// It does not answer, does not know us, or says what is wrong; each with its exit code.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        call: &[&str],
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<T> {
        self.ask(self.client.get(self.url(call, parameters))).await
    }

    /// Does something by a call, such as `["operations", id, "cancel"]`.
    ///
    /// # Errors
    /// As [`Api::get`], and when the answer is no.
    pub(super) async fn post<T: DeserializeOwned>(&self, call: &[&str]) -> anyhow::Result<T> {
        self.ask(self.client.post(self.url(call, &[])).header("x-celeriac", "1")).await
    }

    /// What it answers to a call that answers with a file.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub(super) async fn bytes(&self, call: &[&str]) -> anyhow::Result<Vec<u8>> {
        self.answer(self.client.get(self.url(call, &[]))).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let body = self.answer(request).await?;
        serde_json::from_slice(&body)
            .with_context(|| format!("what answers at {} is no monitor of ours", self.address()))
            .or_exit(Exit::Unreachable)
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Vec<u8>> {
        let mut request = request.timeout(PATIENCE);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answered = request.send().await.map_err(reqwest::Error::without_url);
        let answer = answered.with_context(|| self.silent()).or_exit(Exit::Unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(reqwest::Error::without_url);
        let body = body.with_context(|| self.silent()).or_exit(Exit::Unreachable)?;
        if !status.is_success() {
            return Err(self.refusal(status, &body));
        }
        Ok(body.into())
    }

    fn url(&self, call: &[&str], parameters: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1"]).extend(call);
        }
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }

    fn silent(&self) -> String {
        format!(
            "the monitor at {} does not answer; start it with `celeriac monitor`, or name another \
             with --monitor",
            self.address()
        )
    }

    /// Why it has no answer, and how the command ends.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> anyhow::Error {
        let problem = serde_json::from_slice::<Problem>(body).unwrap_or_default();
        let results = problem.results.into_iter().map(|result| result.detail);
        let details: Vec<_> = [problem.detail].into_iter().chain(results).collect();
        let detail = match details.concat().as_str() {
            "" => format!("the monitor at {} answers {status}", self.address()),
            detail => detail.to_owned(),
        };
        match status {
            StatusCode::UNAUTHORIZED => {
                let error = anyhow!(
                    "the monitor at {} wants a login; put a token into {TOKEN}, which \
                     `celeriac token new` makes, or NAME:PASSWORD@ before the host in \
                     CELERIAC_MONITOR_URL",
                    self.address()
                );
                failed(Exit::Refused, error)
            }
            StatusCode::FORBIDDEN => failed(Exit::Refused, anyhow!(detail)),
            StatusCode::NOT_FOUND => failed(Exit::NotFound, anyhow!(detail)),
            StatusCode::SERVICE_UNAVAILABLE => failed(Exit::Unreachable, anyhow!(detail)),
            status if status.is_client_error() => failed(Exit::Invalid, anyhow!(detail)),
            _ => failed(Exit::Internal, anyhow!(detail)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_that_listens_everywhere_is_asked_here() {
        for (listen, asked) in [
            ("127.0.0.1:5555", "http://127.0.0.1:5555"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("shop.example:5555", "http://shop.example:5555"),
        ] {
            assert_eq!(address_of(listen), asked);
        }
    }

    #[test]
    fn a_monitor_may_live_below_a_path_and_its_password_is_not_shown() {
        let at = At { monitor: Some("https://ana:secret@ops.example/monitor/".to_owned()) };
        let api = at.open_for(&Config::default()).unwrap();
        let url = api.url(&["tasks", "a/b"], &[("q", "name:x y")]);
        assert_eq!(url.path(), "/monitor/api/v1/tasks/a%2Fb");
        assert_eq!(url.query(), Some("q=name%3Ax+y"));
        assert_eq!(api.address(), "https://ops.example/monitor");
    }

    #[test]
    fn what_is_no_address_is_said() {
        for url in ["shop", "ftp://x", ""] {
            let at = At { monitor: Some(url.to_owned()) };
            let error = at.open_for(&Config::default()).unwrap_err();
            assert!(error.to_string().contains("is no address of a monitor"), "{url}");
        }
    }
}
