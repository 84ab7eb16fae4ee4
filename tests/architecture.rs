//! Imports point down: a module uses the rows below it, and modules of one row are strangers.
//!
//! The rows are those of ARCHITECTURE.md. Names are read from the source text: what stands behind
//! `crate::`, in code and in `use`, comments and strings aside.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// From the ground up. Modules of one row do not know each other.
const ROWS: &[&[&str]] = &[
    &[
        "clock",
        "ids",
        "backoff",
        "shutdown",
        "units",
        "secret",
        "in_flight",
        "inherit",
        "metrics",
        "traces",
        "bundle",
    ],
    &["protocol", "filter"],
    &["task", "canvas", "topology"],
    &["broker", "store", "security"],
    &["results", "events", "control", "archive"],
    &["publisher"],
    &["handler", "outbox"],
    &["worker", "scheduler", "monitor", "client"],
];

/// Above the rows: each uses all rows, and those after it in this chain. `config` stands above what
/// it configures.
const CHAIN: &[&str] = &["cli", "app", "config", "ops", "telemetry"];

/// Names what only some module may name, and which one.
const RESERVED: &[(&str, &str, &str)] = &[
    ("lapin", "broker", "lapin's types stay behind `broker`"),
    ("println!", "cli", "only the command line prints; the rest logs or returns"),
    ("print!", "cli", "only the command line prints; the rest logs or returns"),
    ("eprintln!", "cli", "only the command line prints; the rest logs or returns"),
    ("eprint!", "cli", "only the command line prints; the rest logs or returns"),
    ("opentelemetry", "traces", "the types of the tracer stay behind `traces`"),
];

/// A line that breaks a rule.
#[derive(Debug, PartialEq)]
struct Breach {
    file: PathBuf,
    line: usize,
    rule: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.rule)
    }
}

/// Where a module stands; greater is higher. `None` for one that has no place yet.
fn height(module: &str) -> Option<usize> {
    let row = ROWS.iter().position(|row| row.contains(&module));
    let link = CHAIN.iter().position(|link| *link == module);
    row.or_else(|| link.map(|link| ROWS.len() + CHAIN.len() - link))
}

/// What is wrong with `from` using `to`, if anything.
fn judge(from: &str, to: &str) -> Option<String> {
    let above =
        |module: &str| format!("`{module}` has no row: give it one in tests/architecture.rs");
    let (Some(high), Some(low)) = (height(from), height(to)) else {
        return Some(above(if height(from).is_none() { from } else { to }));
    };
    match high.cmp(&low) {
        _ if from == to => None,
        std::cmp::Ordering::Greater => None,
        std::cmp::Ordering::Equal => Some(format!("`{from}` and `{to}` are strangers of one row")),
        std::cmp::Ordering::Less => Some(format!("`{from}` is below `{to}` and must not know it")),
    }
}

/// Checks one file. `module` is the top-level module it belongs to.
fn check(file: &Path, module: &str, source: &str) -> Vec<Breach> {
    let code = blank(source);
    let breach = |at: usize, rule: String| Breach {
        file: file.to_owned(),
        line: 1 + code[..at].matches('\n').count(),
        rule,
    };
    let imports = crate_paths(&code)
        .into_iter()
        .filter_map(|(at, to)| judge(module, &to).map(|rule| breach(at, rule)));
    let reserved = RESERVED.iter().filter(|(_, owner, _)| *owner != module);
    let named = reserved.flat_map(|(name, _, rule)| {
        words(&code, name).into_iter().map(|at| breach(at, (*rule).to_owned()))
    });
    imports.chain(named).collect()
}

/// The modules named behind `crate::`, with where: `crate::a::b`, `crate::{a::b, c}`.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    words(code, "crate::")
        .into_iter()
        .filter(|at| !code[..*at].ends_with('$'))
        .flat_map(|at| {
            let start = at + "crate::".len();
            heads(code, start)
        })
        .collect()
}

/// The first names of the path, or of the group of paths, that begins at `start`.
fn heads(code: &str, start: usize) -> Vec<(usize, String)> {
    let rest = &code[start..];
    let blank = rest.len() - rest.trim_start().len();
    if !rest.trim_start().starts_with('{') {
        let name = identifier(rest.trim_start());
        return vec![(start + blank, name.to_owned())];
    }
    let mut found = Vec::new();
    let (mut depth, mut expects) = (0, false);
    for (offset, character) in rest.char_indices() {
        match character {
            '{' => (depth, expects) = (depth + 1, depth == 0),
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => expects = depth == 1,
            _ if expects && (character.is_alphabetic() || character == '_') => {
                found.push((start + offset, identifier(&rest[offset..]).to_owned()));
                expects = false;
            }
            _ => {}
        }
    }
    found
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Where `word` stands, not as the end of a longer name.
fn words(code: &str, word: &str) -> Vec<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |at: usize| {
        let after = code[at + word.len()..].chars().next();
        let begins = !code[..at].ends_with(part);
        let ends = !word.ends_with(part) || !after.is_some_and(part);
        begins && ends
    };
    code.match_indices(word).map(|(at, _)| at).filter(|at| whole(*at)).collect()
}

/// The source with comments, strings and everything from `#[cfg(test)] mod` on made blank. Keeps the
/// number of every line.
///
/// Tests of a module may print and may use what the module must not.
fn blank(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if is_raw_string(rest) && !ends_in_name(&code) => raw_string(rest),
            '"' => string(rest),
            '\'' => quoted(rest),
            _ => 0,
        };
        if length == 0 {
            code.push(character);
            rest = &rest[character.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    let tests = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
    code.truncate(tests);
    code
}

fn ends_in_name(code: &str) -> bool {
    code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn is_raw_string(text: &str) -> bool {
    text[1..].trim_start_matches('#').starts_with('"')
}

fn raw_string(text: &str) -> usize {
    let fence = text[1..].len() - text[1..].trim_start_matches('#').len();
    let open = 1 + fence + 1;
    let close = format!("\"{}", "#".repeat(fence));
    text[open..].find(&close).map_or(text.len(), |end| open + end + close.len())
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            '"' if !escaped => return at + 1,
            _ => escaped = character == '\\' && !escaped,
        }
    }
    text.len()
}

/// The length of a character literal; zero for a lifetime.
fn quoted(text: &str) -> usize {
    let mut inside = text[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => text[3..].find('\'').map_or(0, |end| 3 + end + 1),
        (Some(only), Some('\'')) => 2 + only.len_utf8(),
        _ => 0,
    }
}

/// Every file under `src` with its top-level module, `lib.rs` and `main.rs` aside: they join all.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("src is there") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = module_of(path.strip_prefix(folder).expect("found below it"));
                found.push((path, module));
            }
        }
    }
    found.retain(|(_, module)| module != "lib" && module != "main");
    found.sort();
    found
}

fn module_of(path: &Path) -> String {
    let first = path.iter().next().expect("a path has a part");
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

#[test]
fn imports_point_down_and_reserved_names_stay_at_home() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = sources(&folder);
    assert!(sources.len() > 10, "found {} files only", sources.len());
    let breaches: Vec<String> = sources
        .iter()
        .flat_map(|(file, module)| {
            let source = std::fs::read_to_string(file).expect("a source file is text");
            let shown = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(file);
            check(shown, module, &source)
        })
        .map(|breach| breach.to_string())
        .collect();
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn every_module_has_one_place() {
    let all: Vec<&str> = ROWS.iter().flat_map(|row| row.iter()).chain(CHAIN).copied().collect();
    assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, module) in sources(&folder) {
        assert!(height(&module).is_some(), "{}: `{module}` has no row", file.display());
    }
}

/// The checker on a file that breaks every rule, so that it is known to see them.
#[test]
fn a_bad_file_is_found_out_line_by_line() {
    let bad = r##"//! A comment may name crate::cli and lapin.
use crate::topology::names;
use crate::{
    ids::TaskId,
    worker::{Attempt, cli},
    store::Pools,
};
const TEXT: &str = "crate::cli, println!(\"lapin\")";
const RAW: &str = r#"crate::cli "quoted" lapin"#;
const QUOTE: char = '"';
fn f<'a>(x: &'a crate::publisher::Publisher) -> u8 {
    println!("{x}");
    /* crate::cli */ let lapin_like = 1; b'\''
}
use lapin::Channel;
use crate::nowhere::Thing;
#[cfg(test)]
mod tests {
    use crate::cli;
}
"##;
    let found: Vec<(usize, String)> = check(Path::new("bad.rs"), "broker", bad)
        .into_iter()
        .map(|breach| (breach.line, breach.rule))
        .collect();
    let below = |module: &str| format!("`broker` is below `{module}` and must not know it");
    assert_eq!(
        found,
        [
            (5, below("worker")),
            (6, "`broker` and `store` are strangers of one row".to_owned()),
            (11, below("publisher")),
            (16, "`nowhere` has no row: give it one in tests/architecture.rs".to_owned()),
            (12, RESERVED[1].2.to_owned()),
        ]
    );
    let lapin = check(Path::new("bad.rs"), "worker", "use lapin::Channel;\n");
    assert_eq!(lapin.len(), 1);
    assert_eq!(lapin[0].to_string(), "bad.rs:1: lapin's types stay behind `broker`");
}

#[test]
fn the_chain_is_used_from_left_to_right() {
    assert_eq!(judge("cli", "telemetry"), None);
    assert_eq!(judge("app", "worker"), None);
    assert!(judge("config", "app").is_some());
    assert!(judge("worker", "config").is_some());
}
