//! What is wrong with an address.

use reqwest::Url;

/// What is wrong with a broker URL; `None` if nothing is.
pub(super) fn wrong_broker_url(text: &str) -> Option<String> {
    const FORM: &str = "write amqp://user:password@host:5672/vhost, or amqps:// for TLS";
    let Ok(url) = Url::parse(text) else { return Some(FORM.to_owned()) };
    if !matches!(url.scheme(), "amqp" | "amqps") {
        return Some(format!("the scheme is `{}`; {FORM}", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Some(format!("there is no host; {FORM}"));
    }
    if url.path().trim_start_matches('/').contains('/') {
        return Some("a `/` within the vhost is written %2f".to_owned());
    }
    None
}

/// What is wrong with an HTTP URL; `None` if nothing is. `{name}` stands for any word.
pub(super) fn wrong_http_url(text: &str) -> Option<String> {
    const FORM: &str = "write http://host/path or https://host/path";
    match Url::parse(&text.replace(['{', '}'], "x")) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => None,
        Ok(url) => Some(format!("the scheme is `{}`; {FORM}", url.scheme())),
        Err(_) => Some(FORM.to_owned()),
    }
}

/// What is wrong with an address to listen on; `None` if nothing is.
pub(super) fn wrong_listen(text: &str) -> Option<&'static str> {
    let port = text.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    match port {
        Some((host, Ok(_))) if !host.is_empty() => None,
        _ => Some(r#"write HOST:PORT such as "127.0.0.1:9540", or "" for none"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_url_names_scheme_and_host() {
        for good in [
            "amqp://h",
            "amqp://u:p@h:5672/%2f",
            "amqps://h/vhost",
            "amqp://[::1]:5672/",
            "amqp://h/?heartbeat=5",
        ] {
            assert_eq!(wrong_broker_url(good), None, "{good}");
        }
        for bad in ["h:5672", "http://h", "amqp://", "", "amqp://h:port", "amqp://h/a/b"] {
            assert!(wrong_broker_url(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn an_http_url_may_have_placeholders() {
        assert_eq!(wrong_http_url("http://h/push/{user}?x={y}"), None);
        for bad in ["ftp://h", "h/push", "http://"] {
            assert!(wrong_http_url(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["127.0.0.1:9540", "[::]:0", "localhost:80"] {
            assert_eq!(wrong_listen(good), None, "{good}");
        }
        for bad in ["9540", ":9540", "localhost", "h:99999"] {
            assert!(wrong_listen(bad).is_some(), "{bad}");
        }
    }
}
