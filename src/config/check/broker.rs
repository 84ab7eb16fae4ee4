//! `[broker]`, `[ops]` and `[monitor]`.

use super::super::tree::{Step, path_of};
#[cfg(feature = "monitor")]
use super::super::{complaint::at_part, problem::Problem};
use super::Checks;
use super::addresses::{wrong_broker_url, wrong_http_url, wrong_listen};
use crate::telemetry::Otlp;

impl Checks<'_> {
    pub(super) fn broker(&mut self) {
        let broker = &self.config.broker;
        if let Some(wrong) = wrong_broker_url(broker.url.expose()) {
            self.error("this is no broker URL", &path_of(["broker", "url"]), &wrong);
        }
        for (index, url) in broker.failover.iter().enumerate() {
            if let Some(wrong) = wrong_broker_url(url.expose()) {
                let mut path = path_of(["broker", "failover"]);
                path.push(Step::Index(index));
                self.error("this is no broker URL", &path, &wrong);
            }
        }
        if broker.heartbeat.subsec_nanos() != 0
            || !(1..=65_535).contains(&broker.heartbeat.as_secs())
        {
            let path = path_of(["broker", "heartbeat"]);
            self.error(
                "a heartbeat is a number of whole seconds",
                &path,
                "from \"1s\" to \"65535s\"",
            );
        }
        self.reconnect();
        self.tls();
    }

    fn reconnect(&mut self) {
        let reconnect = &self.config.broker.reconnect;
        if reconnect.min > reconnect.max {
            let min = path_of(["broker", "reconnect", "min"]);
            let max = path_of(["broker", "reconnect", "max"]);
            let title = "reconnect.min must not be longer than reconnect.max".to_owned();
            self.pair(title, (&min, reconnect.min), (&max, reconnect.max));
        }
    }

    fn tls(&mut self) {
        let broker = &self.config.broker;
        let tls = &broker.tls;
        let path = |key| path_of(["broker", "tls", key]);
        match (&tls.cert_file, &tls.key_file) {
            (Some(_), None) => {
                self.error("cert_file needs key_file", &path("cert_file"), "its private key");
            }
            (None, Some(_)) => {
                self.error("key_file needs cert_file", &path("key_file"), "its certificate");
            }
            _ => {}
        }
        let encrypted = broker.urls().any(|url| url.expose().starts_with("amqps:"));
        if *tls != Default::default() && !encrypted {
            self.error(
                "certificates are of use only with an amqps:// URL",
                &path_of(["broker", "tls"]),
                "no broker URL begins with amqps://",
            );
        }
    }

    pub(super) fn ops(&mut self) {
        let listen = self.config.ops.listen.as_str();
        if !listen.is_empty()
            && let Some(wrong) = wrong_listen(listen)
        {
            self.error("this is no address to listen on", &path_of(["ops", "listen"]), wrong);
        }
    }

    pub(super) fn traces(&mut self) {
        let otlp = &self.config.log.otlp;
        if otlp.endpoint.is_empty() {
            return;
        }
        let path = path_of(["log", "otlp", "endpoint"]);
        if !Otlp::IS_BUILT_IN {
            let label = "build it with `--features otel`, or write \"\"";
            return self.error("this build cannot trace", &path, label);
        }
        if let Some(wrong) = wrong_http_url(&otlp.endpoint) {
            self.error("this is no OTLP endpoint", &path, &wrong);
        }
    }

    /// Filters of the monitor that cannot be read.
    #[cfg(feature = "monitor")]
    pub(super) fn views(&mut self) {
        for (name, filter) in &self.config.monitor.views {
            let Err(error) = crate::filter::parse(filter, &crate::monitor::TASK_FIELDS) else {
                continue;
            };
            let byte = |at: usize| filter.char_indices().nth(at).map_or(filter.len(), |it| it.0);
            let part = byte(error.at)..byte(error.at + error.length);
            let problem = Problem::error(format!("view `{name}` is no filter of tasks"));
            let path = path_of(["monitor", "views", name]);
            self.problems.push(at_part(problem, self.layers, &path, part, &error.message));
        }
    }

    pub(super) fn monitor(&mut self) {
        let monitor = &self.config.monitor;
        let (listen, folder) = (monitor.listen.as_str(), monitor.data_dir.as_str());
        if wrong_listen(listen).is_some() {
            let path = path_of(["monitor", "listen"]);
            let form = r#"write HOST:PORT such as "127.0.0.1:5555""#;
            self.error("this is no address to listen on", &path, form);
        }
        if folder.is_empty() {
            let path = path_of(["monitor", "data_dir"]);
            self.error("the monitor needs a folder", &path, "a path, or \"auto\"");
        }
        let auth = &self.config.monitor.auth;
        if !auth.users_file.is_empty() && auth.users_file == auth.tokens_file {
            let path = path_of(["monitor", "auth", "users_file"]);
            self.error("users and tokens cannot be in one file", &path, "also tokens_file");
        }
    }
}
