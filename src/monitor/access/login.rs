//! Logging in, and staying so.

use super::super::MonitorError;
use super::super::http::Pages;
use super::super::pages::login::{self, Form as Shown, Trouble};
use super::super::settings::{Auth, Role};
use super::passwords::{Denied, Passwords};
use super::peer::Peer;
use super::token::Tokens;
use super::users::Users;
use super::{LoginsError, Means, Person};
use crate::clock::Clock;
use axum::Form;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
    passwords: Passwords,
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
    /// When a file of tokens or users cannot be read.
    pub(in super::super) fn new(
        settings: &Auth,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MonitorError> {
        let tokens = read(&settings.tokens_file, "tokens_file", Tokens::read)?;
        let users = read(&settings.users_file, "users_file", Users::read)?;
        let passwords = Passwords::new(users, Arc::clone(&clock));
        let (settings, sessions) = (settings.clone(), Mutex::default());
        Ok(Self(Arc::new(Inner { settings, tokens, passwords, clock, sessions })))
    }

    /// Who asks, and how that is known.
    pub(super) async fn who(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<(Person, Means), Denied> {
        let inner = &*self.0;
        if !inner.settings.is_on() {
            let person = Person { name: "local".to_owned(), role: Role::Admin };
            return Ok((person, Means::Here));
        }
        let authorization = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        if let Some(token) = authorization.and_then(|it| scheme(it, "Bearer")) {
            let person = inner.tokens.who(token).ok_or(Denied::Unknown)?;
            return Ok((person, Means::Bearer));
        }
        if let Some(person) = inner.settings.proxy.who(headers, peer) {
            return Ok((person, Means::Proxy));
        }
        if let Some(person) = self.session(headers) {
            return Ok((person, Means::Cookie));
        }
        let given = authorization.and_then(|it| scheme(it, "Basic"));
        let (name, password) = given.and_then(name_and_password).ok_or(Denied::Unknown)?;
        let person = inner.passwords.who(&name, &password, peer).await?;
        Ok((person, Means::Password))
    }

    /// Whether people may come in with a password.
    pub(super) fn takes_passwords(&self) -> bool {
        !self.0.settings.users_file.is_empty()
    }

    fn form<'a>(&self, title: &'a str) -> Shown<'a> {
        let takes_passwords = self.takes_passwords();
        let takes_tokens = !takes_passwords || !self.0.settings.tokens_file.is_empty();
        Shown { title, takes_tokens, takes_passwords, trouble: None }
    }

    fn session(&self, headers: &HeaderMap) -> Option<Person> {
        let now = self.0.clock.now();
        let id = cookie(headers)?;
        let sessions = self.sessions();
        let session = sessions.get(id).filter(|session| session.until > now)?;
        Some(session.person.clone())
    }

    /// Whose token or password was written into the form.
    async fn check(&self, given: &Given, peer: Option<IpAddr>) -> Result<Person, Denied> {
        match given {
            Given { token: Some(token), .. } => {
                self.0.tokens.who(token.trim()).ok_or(Denied::Unknown)
            }
            Given { name: Some(name), password: Some(password), .. } => {
                self.0.passwords.who(name.trim(), password, peer).await
            }
            _ => Err(Denied::Unknown),
        }
    }

    /// Begins a session: the cookie.
    fn enter(&self, person: Person) -> String {
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
        format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}")
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

/// What the file at `path` says, if there is to be one.
fn read<T: Default>(
    path: &str,
    file: &'static str,
    read: fn(&str) -> Result<T, LoginsError>,
) -> Result<T, MonitorError> {
    match path {
        "" => Ok(T::default()),
        path => read(path).map_err(|why| MonitorError::Logins { file, why }),
    }
}

/// What stands behind the name of a scheme, in which upper and lower case are the same.
fn scheme<'a>(authorization: &'a str, name: &str) -> Option<&'a str> {
    let (scheme, rest) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case(name).then(|| rest.trim())
}

/// As RFC 7617 has them.
fn name_and_password(basic: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
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

/// A token, or a name and a password.
#[derive(Deserialize)]
struct Given {
    token: Option<String>,
    name: Option<String>,
    password: Option<String>,
}

async fn show(State(pages): State<Pages>) -> Response {
    login::show(pages.login.form(&pages.settings.title))
}

/// A page elsewhere that sends this form can only log somebody in whose token or password it has.
async fn enter(State(pages): State<Pages>, Peer(peer): Peer, Form(given): Form<Given>) -> Response {
    let denied = match pages.login.check(&given, peer).await {
        Ok(person) => {
            let cookie = pages.login.enter(person);
            return ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response();
        }
        Err(denied) => denied,
    };
    let trouble = match denied {
        Denied::TooMany(_) => Trouble::TooMany,
        Denied::Unknown if given.token.is_some() => Trouble::Token,
        Denied::Unknown => Trouble::Password,
    };
    let form = Shown { trouble: Some(trouble), ..pages.login.form(&pages.settings.title) };
    (denied.status(), denied.headers(), login::show(form)).into_response()
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

    fn given(token: &str) -> Given {
        Given { token: Some(token.to_owned()), name: None, password: None }
    }

    #[tokio::test]
    async fn a_token_lets_in_and_a_session_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens").display().to_string();
        let token = Tokens::add(&path, "ana", Role::Operator).unwrap();
        let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
        let settings = Auth { tokens_file: path, ..Auth::default() };
        let login = Login::new(&settings, Arc::new(clock.clone())).unwrap();
        assert_eq!(login.who(&HeaderMap::new(), None).await, Err(Denied::Unknown));

        let bearer = headers(header::AUTHORIZATION, &format!("Bearer {token}"));
        let (person, means) = login.who(&bearer, None).await.unwrap();
        assert_eq!((&*person.name, person.role, means), ("ana", Role::Operator, Means::Bearer));

        assert!(login.check(&given("celeriac_wrong"), None).await.is_err());
        let cookie = login.enter(login.check(&given(&token), None).await.unwrap());
        let pair = cookie.split(';').next().unwrap();
        let cookies = headers(header::COOKIE, &format!("theme=dark; {pair}"));
        assert_eq!(login.who(&cookies, None).await.unwrap().1, Means::Cookie);
        clock.advance(STAY);
        assert!(login.who(&cookies, None).await.is_err(), "it is over");
    }

    #[test]
    fn a_name_and_a_password_come_out_as_they_went_in() {
        for (name, password) in [("ana", "a:b"), ("ana", ""), ("bo", "größer")] {
            let sent = format!("basic {}", STANDARD.encode(format!("{name}:{password}")));
            let found = name_and_password(scheme(&sent, "Basic").unwrap()).unwrap();
            assert_eq!(found, (name.to_owned(), password.to_owned()));
        }
        for wrong in ["", "%", &*STANDARD.encode("no colon"), &*STANDARD.encode(b"\xff:x")] {
            assert_eq!(name_and_password(wrong), None, "{wrong}");
        }
        assert_eq!(scheme("Basically x", "Basic"), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_named_by_its_key() {
        let clock = Arc::new(VirtualClock::starting_at(SystemTime::UNIX_EPOCH));
        let users = Auth { users_file: "/no/users".to_owned(), ..Auth::default() };
        let error = Login::new(&users, clock).unwrap_err().to_string();
        assert!(error.starts_with("monitor.auth.users_file: /no/users: "), "{error}");
    }
}
