//! What a proxy says of who asks.

use super::super::settings::{Proxy, Role};
use super::Person;
use axum::http::HeaderMap;
use std::net::IpAddr;

impl Proxy {
    /// Who the proxy at `peer` says that asks.
    pub(super) fn who(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<Person> {
        let peer = peer?;
        if !self.trusted.contains(&peer.to_canonical()) {
            return None;
        }
        let name = headers.get(self.user_header.as_str())?.to_str().ok()?.trim();
        (!name.is_empty()).then(|| Person { name: name.to_owned(), role: self.role(name) })
    }

    fn role(&self, name: &str) -> Role {
        let is_in = |names: &[String]| names.iter().any(|it| it == name);
        if is_in(&self.admins) {
            Role::Admin
        } else if is_in(&self.operators) {
            Role::Operator
        } else {
            self.others
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_says_who_asks() {
        let proxy = Proxy {
            trusted: vec!["10.0.0.1".parse().unwrap()],
            admins: vec!["ana".to_owned()],
            ..Proxy::default()
        };
        let who = |name: &'static str, peer: &str| {
            let headers = [("x-forwarded-user".parse().unwrap(), name.parse().unwrap())];
            let person = proxy.who(&headers.into_iter().collect(), peer.parse().ok())?;
            Some((person.name, person.role))
        };
        assert_eq!(who("ana", "10.0.0.1"), Some(("ana".to_owned(), Role::Admin)));
        assert_eq!(who("ana", "::ffff:10.0.0.1"), Some(("ana".to_owned(), Role::Admin)));
        assert_eq!(who("bo", "10.0.0.1"), Some(("bo".to_owned(), Role::Viewer)));
        assert_eq!(who("", "10.0.0.1"), None);
        assert_eq!(who("ana", "10.0.0.2"), None, "somebody else");
    }
}
