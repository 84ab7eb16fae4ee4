//! Logging in, and staying so.

use super::super::http::Pages;
use super::super::pages::login;
use super::super::settings::{Auth, Role};
use super::token::{Tokens, TokensError};
use super::{Means, Person};
use crate::clock::Clock;
use axum::Form;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// How long one stays logged in.
const STAY: Duration = Duration::from_secs(12 * 3600);

/// So many may be logged in at once; then the oldest is logged out.
const MOST: usize = 10_000;

const COOKIE: &str = "celeriac";

/// Who may come in.
#[derive(Debug, Clone)]
pub(in super::super) struct Login(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Auth,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
    /// By what the cookie says.
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Debug)]
struct Session {
    person: Person,
    until: SystemTime,
}

impl Login {
    /// As the settings have it.
    ///
    /// # Errors
    /// When the file of tokens cannot be read.
    pub(in super::super) fn new(
        settings: &Auth,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TokensError> {
        let tokens = match settings.tokens_file.as_str() {
            "" => Tokens::default(),
            path => Tokens::read(path)?,
        };
        let (settings, sessions) = (settings.clone(), Mutex::default());
        Ok(Self(Arc::new(Inner { settings, tokens, clock, sessions })))
    }

    /// Who asks, and how that is known.
    pub(super) fn who(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<(Person, Means)> {
        let inner = &*self.0;
        if !inner.settings.is_on() {
            let person = Person { name: "local".to_owned(), role: Role::Admin };
            return Some((person, Means::Here));
        }
        let authorization = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        if let Some(token) = authorization.and_then(|it| it.strip_prefix("Bearer ")) {
            return inner.tokens.who(token.trim()).map(|person| (person, Means::Bearer));
        }
        if let Some(person) = inner.settings.proxy.who(headers, peer) {
            return Some((person, Means::Proxy));
        }
        self.session(headers).map(|person| (person, Means::Cookie))
    }

    fn session(&self, headers: &HeaderMap) -> Option<Person> {
        let now = self.0.clock.now();
        let id = cookie(headers)?;
        let sessions = self.sessions();
        let session = sessions.get(id).filter(|session| session.until > now)?;
        Some(session.person.clone())
    }

    /// Begins a session for whose token this is: the cookie.
    fn enter(&self, token: &str) -> Option<String> {
        let person = self.0.tokens.who(token.trim())?;
        let now = self.0.clock.now();
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut sessions = self.sessions();
        sessions.retain(|_, session| session.until > now);
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, it)| it.until).map(|(id, _)| id.clone());
            oldest.map(|oldest| sessions.remove(&oldest));
        }
        sessions.insert(id.clone(), Session { person, until: now + STAY });
        let seconds = STAY.as_secs();
        Some(format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}"))
    }

    fn leave(&self, headers: &HeaderMap) {
        if let Some(id) = cookie(headers) {
            self.sessions().remove(id);
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let own = |cookie: &str| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('=').map(str::len);
    cookies.split(';').find_map(|cookie| {
        let length = own(cookie)?;
        let cookie = cookie.trim();
        Some(&cookie[cookie.len() - length..])
    })
}

/// Whether everybody may ask for this: where one logs in, and how it looks there.
pub(super) fn is_open(path: &str) -> bool {
    path == "/login" || path.starts_with("/assets/")
}

/// Where one logs in and out.
pub(in super::super) fn router() -> Router<Pages> {
    Router::new()
        .route("/login", get(show).post(enter))
        .route("/logout", axum::routing::post(leave))
}

#[derive(Deserialize)]
struct Given {
    token: String,
}

async fn show(State(pages): State<Pages>) -> Response {
    login::form(&pages.settings.title)
}

/// A page elsewhere that sends this form can only log somebody in whose token it has.
async fn enter(State(pages): State<Pages>, Form(Given { token }): Form<Given>) -> Response {
    match pages.login.enter(&token) {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        None => {
            let form = login::form_again(&pages.settings.title);
            (StatusCode::UNAUTHORIZED, form).into_response()
        }
    }
}

async fn leave(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    pages.login.leave(&headers);
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    ([(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        [(name, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_token_lets_in_and_a_session_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens").display().to_string();
        let token = Tokens::add(&path, "ana", Role::Operator).unwrap().token;
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        let settings = Auth { tokens_file: path, ..Auth::default() };
        let login = Login::new(&settings, Arc::new(clock.clone())).unwrap();
        assert_eq!(login.who(&HeaderMap::new(), None), None);

        let bearer = headers(header::AUTHORIZATION, &format!("Bearer {token}"));
        let (person, means) = login.who(&bearer, None).unwrap();
        assert_eq!((&*person.name, person.role, means), ("ana", Role::Operator, Means::Bearer));

        assert_eq!(login.enter("celeriac_wrong"), None);
        let cookie = login.enter(&token).unwrap();
        let pair = cookie.split(';').next().unwrap();
        let cookies = headers(header::COOKIE, &format!("theme=dark; {pair}"));
        assert_eq!(login.who(&cookies, None).unwrap().1, Means::Cookie);
        clock.advance(STAY);
        assert_eq!(login.who(&cookies, None), None, "it is over");
    }
}
