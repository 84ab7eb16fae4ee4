//! Revoking by Celery's control, which tells `REVOKED` at once where results are stored: Celery's
//! worker and ours.

use super::fleet::{Fleets, Queues, rows};

const REVOKE: &str = include_str!("revoke.py");

/// Prints how both workers call themselves.
const NAMES: &str = r#"
from app import app

names = []
while len(names) < 2:
    names = [name for reply in app.control.ping(timeout=2) for name in reply]
print(*names)
"#;

#[tokio::test]
async fn what_is_revoked_is_told_when_celery_tells_it() {
    let Some(fleets) = Fleets::start().await else { return };
    let mut ask = fleets.python(NAMES, &[], Queues::OURS);
    let line = ask.until("@").await;
    let name = |of: &str| {
        let mut names = line.split(' ');
        names.find(|name| name.starts_with("celery@") == (of == "theirs")).unwrap().to_owned()
    };
    let python = |run, queues| fleets.python(REVOKE, &[run, &name(run)], queues);
    let (mut theirs, mut ours) = (python("theirs", Queues::THEIRS), python("ours", Queues::OURS));
    let (theirs, ours) = tokio::join!(rows(&mut theirs), rows(&mut ours));
    assert_eq!(theirs.len(), 7, "{theirs:#?}");
    for (name, row) in &theirs {
        assert_eq!(&ours[name], row, "{name}");
    }
    assert_eq!(theirs["waits for an hour"]["state"], "REVOKED");
    fleets.stop().await;
}
