//! What the guide, the README and `config/` show is right.

use super::*;

#[test]
fn the_schedules_in_the_guide_and_the_readme_have_no_problems() {
    for guide in [include_str!("../../../docs/schedules.md"), include_str!("../../../README.md")] {
        let blocks = guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let schedules: Vec<&str> = blocks.filter(|block| block.contains("[schedules.")).collect();
        assert!(!schedules.is_empty());
        for block in schedules {
            let loaded = load(block).unwrap_or_else(|report| panic!("{report}"));
            assert!(loaded.config.schedules.names().count() >= 2);
        }
    }
}

#[test]
fn the_usual_schedules_are_due_when_their_comments_say() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/schedules.toml");
    let config = Loader::new().files([PathBuf::from(file)]).load().unwrap().config;
    let after = crate::clock::parse_iso("2026-11-25T12:00:00Z").unwrap();
    let entries = crate::scheduler::Entries::of(&config.schedules, after).unwrap();
    let due = entries.iter().map(|entry| {
        let due = crate::clock::to_iso(entry.schedule.next_after(after).unwrap());
        (entry.name.as_str(), due[..16].to_owned())
    });
    let expected = [
        ("analytics-aggregation", "2026-11-25T12:05"),
        ("backup", "2026-11-25T13:20"),
        ("daily-mails", "2026-11-26T06:00"),
        ("database-cleanup", "2026-11-26T02:30"),
        ("log-rotation", "2026-11-25T23:00"),
        ("monthly-report", "2026-11-30T17:00"),
        ("street-lights", "2026-11-25T15:01"),
        ("subscription-reminders", "2026-11-25T12:15"),
        ("weekly-report", "2026-11-30T05:00"),
    ];
    let expected = expected.map(|(name, due)| (name, due.to_owned()));
    assert_eq!(due.collect::<Vec<_>>(), expected);
}

#[test]
fn the_examples_have_no_problems() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples"));
    let examples: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(examples.len() >= 3);
    for example in examples {
        let loaded = Loader::new().files([example.clone()]).load();
        let report = loaded.map_or_else(|report| report, |loaded| loaded.report);
        assert_eq!(report.to_string(), "", "{}", example.display());
    }
}
