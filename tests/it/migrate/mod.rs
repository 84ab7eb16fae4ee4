//! `celeriac migrate from-celery`, with a real Celery that tells how it is configured.

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;
use tokio::process::Command;

use crate::rig::Celery;

/// What must never be printed: the passwords in `app.py`.
const SECRETS: [&str; 4] = ["hunter2", "s3cret", "hunter3", "ana"];

async fn celeriac(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
    command.args(arguments).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("CLIPS_DATA", folder).output().await.unwrap()
}

async fn migrate(folder: &Path, app: &str, celery: &Celery) -> Output {
    let python = celery.interpreter().display().to_string();
    celeriac(folder, &["migrate", "from-celery", app, "--python", &python]).await
}

/// The text that came of an application, after `config check` has accepted it.
async fn migrated(folder: &Path, app: &str, celery: &Celery) -> String {
    let output = migrate(folder, app, celery).await;
    let (text, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    let file = TempDir::new().unwrap();
    std::fs::write(file.path().join("celeriac.toml"), &text).unwrap();
    let checked = celeriac(file.path(), &["config", "check", "-c", "celeriac.toml"]).await;
    assert!(checked.status.success(), "{}\n{text}", String::from_utf8_lossy(&checked.stderr));
    for secret in SECRETS {
        assert!(!text.contains(secret) && !errors.contains(secret), "{secret}:\n{text}{errors}");
    }
    text
}

#[tokio::test]
async fn a_celery_application_becomes_a_configuration_that_is_accepted() {
    let Some(celery) = Celery::find() else { return };
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("shop.py"), include_str!("app.py")).unwrap();
    let text = migrated(folder.path(), "shop", &celery).await;
    let read: toml::Table = text.parse().unwrap();
    assert_eq!(read["broker"]["url"].as_str(), Some("amqp://rabbit1:5672/shop"));
    assert_eq!(read["results"]["expires"].as_str(), Some("2h"));
    assert_eq!(read["worker"]["prefetch"].as_integer(), Some(8));
    assert_eq!(read["queues"]["fast"]["max_priority"].as_integer(), Some(9));
    assert_eq!(read["queues"]["safe"]["type"].as_str(), Some("quorum"));
    let routes: Vec<&String> = read["routes"].as_table().unwrap().keys().collect();
    assert!(routes.contains(&&"mail.*".to_owned()) && routes.contains(&&"*".to_owned()));
    let send = &read["tasks"]["mail.send"];
    assert_eq!(send["retries"].as_integer(), Some(7));
    assert_eq!(send["backoff"]["first"].as_str(), Some("5s"));
    assert_eq!(read["tasks"]["report.nightly"]["store_result"].as_bool(), Some(false));

    let schedules = read["schedules"].as_table().unwrap();
    let friday = &schedules["friday-13"];
    assert_eq!(friday["cron"].as_str(), Some("0 */2 13 * FRI"));
    assert_eq!(friday["days"].as_str(), Some("both"), "as Celery has it");
    assert_eq!(friday["timezone"].as_str(), Some("Europe/Rome"));
    assert_eq!(schedules["weekdays"]["cron"].as_str(), Some("0,30 * * JAN-MAR,DEC MON-FRI"));
    assert_eq!(schedules["nightly"]["kwargs"]["format"].as_str(), Some("pdf"));
    assert_eq!(schedules["td"]["every"].as_str(), Some("5m"));
    for note in [
        "- task_routes: a route by function",
        "- schedule bad: its arguments cannot be written",
        "- schedule none: its arguments hold None",
        "- worker_max_tasks_per_child: no process is kept",
        "- security_key: see [security]",
    ] {
        assert!(text.contains(note), "{note}:\n{text}");
    }
    assert!(!schedules.contains_key("bad") && !schedules.contains_key("none"));
}

#[tokio::test]
async fn the_settings_of_django_become_the_file_of_its_example() {
    let Some(celery) = Celery::find() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django");
    let text = migrated(&folder, "clips.settings", &celery).await;
    let migrated: toml::Table = text.parse().unwrap();
    let example = std::fs::read_to_string(folder.join("celeriac.toml")).unwrap();
    let example: toml::Table = example.parse().unwrap();
    for section in ["schedules", "results", "publisher"] {
        let ours = example[section].as_table().unwrap();
        for (key, value) in ours {
            assert_eq!(migrated[section].get(key), Some(value), "{section}.{key}:\n{text}");
        }
    }
    assert_eq!(migrated["worker"]["queues"], example["worker"]["queues"]);
    assert_eq!(migrated["routes"]["video.*"], example["routes"]["video.*"]);
    for task in example["tasks"].as_table().unwrap().keys().filter(|name| name.contains('.')) {
        assert!(migrated["tasks"].get(task).is_some(), "{task}:\n{text}");
    }
}

#[tokio::test]
async fn a_celeryconfig_is_enough() {
    let Some(celery) = Celery::find() else { return };
    let folder = TempDir::new().unwrap();
    let config = "task_acks_late = True\nresult_backend = 'rpc://'\nworker_pool = 'solo'\n";
    std::fs::write(folder.path().join("celeryconfig.py"), config).unwrap();
    let text = migrated(folder.path(), "celeryconfig.py", &celery).await;
    let read: toml::Table = text.parse().unwrap();
    assert_eq!(read["results"]["backend"].as_str(), Some("rpc"));
    assert!(read["tasks"].get("ack").is_none(), "late is the default");
    assert!(text.contains("- worker_pool: functions share one process"), "{text}");
}

#[tokio::test]
async fn what_python_cannot_import_is_said_in_one_line() {
    let Some(celery) = Celery::find() else { return };
    let folder = TempDir::new().unwrap();
    let output = migrate(folder.path(), "nowhere.app", &celery).await;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(65), "{complaint}");
    assert!(complaint.contains("No module named 'nowhere'"), "{complaint}");
    let arguments = ["migrate", "from-celery", "x", "--python", "./no-python"];
    let output = celeriac(folder.path(), &arguments).await;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{complaint}");
    assert!(complaint.contains("--python names another"), "{complaint}");
}
