//! Tasks that are HTTP calls.
//!
//! One attempt is one request. Its status decides what follows, its body is the result.
//! `docs/tasks.md` has the details as the author of the service sees them.

mod address;
mod client;
mod reply;
#[cfg(test)]
mod tests;

pub use address::AddressError;
pub use client::{HttpClient, HttpClientError};

use super::call::{Call, Given};
use super::capture::Capture;
use super::{Failure, Handler, Output, TaskContext, TaskError};
use crate::clock::{Clock, SystemClock};
use crate::protocol::Body;
use crate::task::{HttpSettings, Method, Reply, RequestBody};
use address::Address;
use futures::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use std::sync::Arc;
use tokio::time::timeout;

/// Of the body of a failed reply, so much is kept to explain the failure.
const EXPLANATION: usize = 4096;

/// Redirections followed in one attempt.
const REDIRECTIONS: usize = 5;

/// The same for every attempt of a task, so that a service can tell a repetition from a new call.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A task that is an HTTP call.
#[derive(Debug, Clone)]
pub struct HttpCall(Arc<Checked>);

/// A call whose settings make sense.
#[derive(Debug)]
struct Checked {
    settings: HttpSettings,
    max_output: usize,
    address: Address,
    headers: HeaderMap,
    client: HttpClient,
    /// Method and address without anything secret or filled in.
    shown: String,
}

/// Why an HTTP call cannot be a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpCallError {
    /// The address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A header that HTTP does not allow.
    #[error("header `{0}` has a name or a value that HTTP does not allow")]
    Header(String),
    /// A header that every call already has.
    #[error("header `{0}` cannot be set: it always holds the id of the task")]
    Reserved(String),
}

/// Why there was no reply.
enum NoReply {
    /// Not in time.
    Late,
    /// Something between us and the server.
    Broken(reqwest::Error),
}

impl HttpCall {
    /// Checks settings without making a task of them.
    ///
    /// # Errors
    ///
    /// See [`HttpCallError`].
    pub fn check(settings: &HttpSettings) -> Result<(), HttpCallError> {
        Address::parse(settings.url.expose())?;
        headers(settings).map(drop)
    }

    /// Checks the settings. A result longer than `max_output` bytes is an error.
    ///
    /// # Errors
    ///
    /// See [`HttpCallError`].
    pub fn try_new(
        settings: HttpSettings,
        max_output: u64,
        client: HttpClient,
    ) -> Result<Self, HttpCallError> {
        let address = Address::parse(settings.url.expose())?;
        let url = settings.url.redacted();
        let shown = format!("{} {}", method(settings.method), url.split('?').next().unwrap_or(""));
        Ok(Self(Arc::new(Checked {
            headers: headers(&settings)?,
            settings,
            max_output: usize::try_from(max_output).unwrap_or(usize::MAX),
            address,
            client,
            shown,
        })))
    }
}

impl Handler for HttpCall {
    fn call(
        &self,
        cx: TaskContext,
        body: Arc<Body>,
    ) -> BoxFuture<'static, Result<Output, Failure>> {
        let call = Arc::clone(&self.0);
        Box::pin(async move {
            let arguments = Given::decode(&body)?;
            drop(body);
            call.run(&cx, &arguments).await
        })
    }
}

impl Checked {
    /// Makes one attempt. Dropping the future closes its connection.
    async fn run(&self, cx: &TaskContext, arguments: &Given) -> Result<Output, Failure> {
        let call = Call { cx, arguments };
        let url = self.address.fill(call)?;
        let attempt = timeout(self.settings.timeout, self.attempt(call, url));
        match cx.cancel.run_until_cancelled(attempt).await {
            Some(Ok(Ok(ended))) => ended,
            Some(Ok(Err(no_reply))) => Err(self.unanswered(&no_reply)),
            Some(Err(_late)) => Err(self.unanswered(&NoReply::Late)),
            None => {
                let message = format!("{} was given up while it waited", self.shown);
                Err(Failure::error("SoftTimeLimitExceeded", message))
            }
        }
    }

    /// Sends the request and reads the whole reply.
    async fn attempt(
        &self,
        call: Call<'_>,
        mut url: Url,
    ) -> Result<Result<Output, Failure>, NoReply> {
        let mut response = self.request(call, url.clone()).send().await?;
        for _ in 0..REDIRECTIONS {
            let Some(next) = self.redirection(&url, &response) else { break };
            url = next;
            response = self.request(call, url.clone()).send().await?;
        }
        if response.status().is_success() {
            return self.result(response).await;
        }
        Ok(Err(self.refused(response).await))
    }

    fn request(&self, call: Call<'_>, url: Url) -> RequestBuilder {
        let client = &self.client.0;
        let request = client.request(method(self.settings.method), url);
        let request = match self.settings.body() {
            RequestBody::Call => request.json(&call.document()),
            RequestBody::Kwargs => request.json(&call.arguments.kwargs),
            RequestBody::None => request,
        };
        let key = idempotency_key(call.cx.id().as_str());
        let request = request.headers(self.headers.clone()).header(IDEMPOTENCY_KEY, key);
        let trace = call.cx.trace_headers().into_iter();
        trace.fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Where to ask instead, if that is on the same host and the same request is wanted there.
    fn redirection(&self, url: &Url, response: &Response) -> Option<Url> {
        let keeps_method = match response.status() {
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
                self.settings.method == Method::Get
            }
            _ => false,
        };
        let location = response.headers().get(LOCATION)?.to_str().ok()?;
        let next = url.join(location).ok()?;
        (keeps_method && next.origin() == url.origin()).then_some(next)
    }

    async fn result(&self, response: Response) -> Result<Result<Output, Failure>, NoReply> {
        let answer = read(response, self.max_output).await?;
        if answer.overflowed() {
            let message = format!(
                "{} was answered with more than {} bytes; raise max_output if that is meant",
                self.shown, self.max_output
            );
            return Ok(Err(Failure::error("OutputTooLarge", message)));
        }
        Ok(Ok(answer.into_output()))
    }

    /// The failure that a reply without success is.
    async fn refused(&self, response: Response) -> Failure {
        let status = response.status();
        let header = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
        let after = header.and_then(|header| reply::retry_after(header, SystemClock.now()));
        let elsewhere = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let elsewhere = elsewhere.map_or(String::new(), |to| format!(", and sent on to {to}"));
        let message = format!("{} was answered with {status}{elsewhere}", self.shown);
        let mut error = TaskError::new(format!("HttpStatus({})", status.as_u16()), message);
        // The status is what counts; a body that breaks off explains nothing.
        let explanation = read(response, EXPLANATION).await.map(|body| body.text());
        if let Some(explanation) = explanation.ok().filter(|text| !text.is_empty()) {
            error = error.with_detail(explanation);
        }
        reply::failure(&self.settings, Reply::Status(status.as_u16()), after, error)
    }

    /// The failure that a missing reply is.
    fn unanswered(&self, no_reply: &NoReply) -> Failure {
        let (ending, error) = match no_reply {
            NoReply::Late => {
                let message =
                    format!("{} was not answered within {:?}", self.shown, self.settings.timeout);
                (Reply::Timeout, TaskError::new("HttpTimeout", message))
            }
            NoReply::Broken(error) => {
                let message = format!("{} was not answered: {}", self.shown, cause(error));
                (Reply::Connect, TaskError::new("HttpConnect", message))
            }
        };
        reply::failure(&self.settings, ending, None, error)
    }
}

impl From<reqwest::Error> for NoReply {
    fn from(error: reqwest::Error) -> Self {
        Self::Broken(error)
    }
}

/// Reads a reply until its end, or until it is longer than `limit`.
async fn read(mut response: Response, limit: usize) -> Result<Capture, NoReply> {
    let mut answer = Capture::new(limit);
    while let Some(chunk) = response.chunk().await? {
        answer.push(&chunk);
        if answer.overflowed() {
            break;
        }
    }
    Ok(answer)
}

/// The innermost cause: the outer ones repeat the URL, which may hold secrets.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

/// The configured headers. A configured content type replaces ours.
fn headers(settings: &HttpSettings) -> Result<HeaderMap, HttpCallError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let wrong = || HttpCallError::Header(name.clone());
        let header = HeaderName::try_from(name).map_err(|_| wrong())?;
        if header == IDEMPOTENCY_KEY {
            return Err(HttpCallError::Reserved(name.clone()));
        }
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

/// Ids may be any text; what a header cannot hold is percent-encoded.
fn idempotency_key(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).unwrap_or_else(|_| {
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        HeaderValue::from_str(&encoded).expect("percent signs and digits are allowed in headers")
    })
}
