//! Passwords: where they may stand, and that none is shown.

use super::*;

#[test]
fn a_bad_url_is_shown_without_its_password() {
    assert_eq!(
        report("[broker]\nurl = \"http://celeriac:hunter2@rabbit/\"\n"),
        "\
error: this is no broker URL
 --> celeriac.toml:2:7
  |
2 | url = \"http://celeriac:*******@rabbit/\"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the scheme is `http`; write amqp://user:password@host:5672/vhost, or amqps:// for TLS

1 error in 1 file"
    );
}

#[test]
fn a_secret_is_read_from_a_file_or_a_credential() {
    let folder = Folder::new(&[("amqp", "amqp://u:from-file@h/\n"), ("key", "from-credential\n")]);
    let text = format!(
        "[broker]\nurl_file = \"{}\"\n[tasks.push.http]\nurl = \"http://h/\"\nheaders = {{ Authorization_credential = \"key\" }}\n",
        folder.path("amqp").display()
    );
    let folder_name = folder.0.display().to_string();
    let loaded = load_with(&text, &[("CREDENTIALS_DIRECTORY", &folder_name)]).unwrap();
    assert_eq!(loaded.config.broker.url.expose(), "amqp://u:from-file@h/");
    let push = loaded.config.tasks.get("push").http.unwrap();
    assert_eq!(push.headers["Authorization"].expose(), "from-credential");
    assert_eq!(
        report("[broker]\nurl_credential = \"amqp\"\n"),
        "\
error: the credential `amqp` was not passed to this program
 --> celeriac.toml:2:18
  |
2 | url_credential = \"amqp\"
  |                  ^^^^^^ needs LoadCredential= in its systemd unit

1 error in 1 file"
    );
    assert!(report("[broker]\nurl_file = \"/nonexistent\"\n").contains("there is no such file"));
}

#[test]
fn no_password_is_shown_anywhere() {
    const SECRETS: [&str; 4] = ["hunter2", "swordfish", "abracadabra", "sesame"];
    let text = "[broker]\nurl = \"amqp://u:hunter2@h/\"\nfailover = [\"amqp://u:swordfish@h/\"]\n\
                [tasks.p]\nhttp = { url = \"http://u:abracadabra@h/\", headers = { X-Key = \"sesame\" } }\n";
    let hides = |shown: &str| {
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    };
    let variables = [("CELERIAC_BROKER_URL", "amqp://v:hunter2@h/")];
    let loaded = load_with(text, &variables).unwrap();
    assert_eq!(loaded.config.broker.url.expose(), "amqp://v:hunter2@h/");
    hides(&format!("{loaded:?}"));
    hides(&format!("{:?}", loaded.settings()));
    hides(&toml::to_string(&loaded.config).unwrap());
    hides(&format!(
        "{:?}",
        Loader::new().environment(variables.map(|(n, v)| (n.into(), v.into())))
    ));
    let broken = text.replace("h/\"", "h:x/\"");
    let folder = Folder::new(&[("celeriac.toml", &broken)]);
    let report = folder.loader(&["celeriac.toml"]).load().unwrap_err();
    assert_eq!(report.errors(), 3);
    hides(&format!("{report:?}"));
    hides(&report.render(Style::Coloured));
    hides(&format!("{:?}", load(&format!("{text}\n]")).unwrap_err()));
}

#[test]
fn what_others_read_has_no_secret_and_nothing_that_tasks_are_given() {
    let text = "[broker]\nurl = \"amqp://u:hunter2@h/?heartbeat=5\"\n\
        failover = [\"amqp://u:hunter2@h/\"]\n\
        [results]\nbackend = \"redis\"\nurl = \"redis://:hunter2@h/0\"\n\
        [tasks.p]\nexec = [\"curl\", \"-u\", \"u:hunter2\"]\nenv = { KEY = \"hunter2\" }\n\
        [tasks.q.http]\nurl = \"http://u:hunter2@h/?key=hunter2\"\nheaders = { X-Key = \"hunter2\" }\n\
        [schedules.s]\ntask = \"p\"\nevery = \"1h\"\nargs = [\"hunter2\", [\"hunter2\"]]\n\
        kwargs = { a = { b = \"hunter2\" } }\nheaders = { tenant = \"hunter2\" }\n";
    let shown = load(text).unwrap().config.masked();
    assert!(!shown.contains("hunter2"), "{shown}");
    for kept in ["amqp://u:••••@h/?••••", "exec = [\"curl\", \"••••\"", "every = \"1h\""]
    {
        assert!(shown.contains(kept), "{kept} in {shown}");
    }
}

#[test]
fn a_password_in_a_file_that_everyone_may_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let text = "[broker]\nurl = \"amqp://u:hunter2@h/\"\n";
    assert_eq!(warnings(text), "");
    let folder = Folder::new(&[("celeriac.toml", text)]);
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(folder.path("celeriac.toml"), open).unwrap();
    let report = folder.loader(&["celeriac.toml"]).load().unwrap().report;
    assert_eq!(
        folder.without_path(&report.to_string()),
        "warning: celeriac.toml holds a secret and is readable by everyone (0644)\n |\n = the secret \
         is broker.url; chmod 640 celeriac.toml, or use broker.url_file\n\n1 warning in 1 file"
    );
}

#[test]
fn a_changed_password_is_a_change_and_stays_masked() {
    let load = |password: &str| load(&format!("broker.url = \"amqp://u:{password}@h/\"")).unwrap();
    assert_eq!(load("hunter2").changes(&load("hunter2")), []);
    let changes = load("hunter2").changes(&load("swordfish"));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].old, Some("amqp://u:••••@h/".into()));
    assert_eq!(changes[0].new, Some("amqp://u:••••@h/".into()));
}
