//! `url_file = "path"` and `url_credential = "name"`: secrets that do not stand in the file.

use super::layer::Layer;
use super::problem::Problem;
use super::schema;
use super::tree::{Entry, Node, Path, Step, Tree};
use std::path::{Path as FilePath, PathBuf};
use std::{fs, io};

/// Where systemd puts credentials, from `$CREDENTIALS_DIRECTORY`.
pub(super) type Credentials<'a> = Option<&'a FilePath>;

/// Replaces every `x_file` and `x_credential` of a secret `x` by its content.
pub(super) fn resolve(layer: &mut Layer, credentials: Credentials<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut root = layer.root.clone();
    resolve_table(&mut root, &mut Path::new(), &mut |entry, path| {
        secret_at(entry, path, credentials).map_err(|problem| {
            let place = layer.place(entry.node.span.clone(), problem.label);
            let mut problem = Problem::error(problem.title).at(place);
            if problem.place.is_none() {
                problem = problem.note(format!("in {}", layer.source));
            }
            problems.push(problem);
        })
    });
    layer.root = root;
    problems
}

struct Unreadable {
    title: String,
    label: String,
}

fn resolve_table(
    node: &mut Node,
    path: &mut Path,
    secret: &mut impl FnMut(&Entry, &Path) -> Result<Option<(String, String)>, ()>,
) {
    let Tree::Table(entries) = &mut node.value else { return };
    let mut index = 0;
    while index < entries.len() {
        let entry = &mut entries[index];
        path.push(Step::Key(entry.key.clone()));
        let found = secret(entry, path);
        match found {
            Ok(Some((key, content))) => {
                entry.key = key;
                entry.node.value = Tree::Scalar(content.into());
                index += 1;
            }
            Ok(None) => {
                resolve_table(&mut entry.node, path, secret);
                index += 1;
            }
            Err(()) => drop(entries.remove(index)),
        }
        path.pop();
    }
}

/// The key and the content of the secret that `entry` names, if it names one.
fn secret_at(
    entry: &Entry,
    path: &Path,
    credentials: Credentials<'_>,
) -> Result<Option<(String, String)>, Unreadable> {
    let Tree::Scalar(toml::Value::String(name)) = &entry.node.value else { return Ok(None) };
    let (key, file) = if let Some(key) = entry.key.strip_suffix("_file") {
        (key, Ok(PathBuf::from(name)))
    } else if let Some(key) = entry.key.strip_suffix("_credential") {
        (key, credential(name, credentials))
    } else {
        return Ok(None);
    };
    if !is_secret_key(path, key) {
        return Ok(None);
    }
    let file = file?;
    match fs::read_to_string(&file) {
        Ok(content) => Ok(Some((key.to_owned(), trimmed(content)))),
        Err(error) => Err(Unreadable {
            title: format!("cannot read the secret file {}", file.display()),
            label: reason(&error),
        }),
    }
}

fn is_secret_key(path: &Path, key: &str) -> bool {
    let mut target = path.clone();
    target.pop();
    target.push(Step::Key(key.to_owned()));
    schema::at(&target).is_some_and(schema::holds_secret)
}

fn credential(name: &str, credentials: Credentials<'_>) -> Result<PathBuf, Unreadable> {
    match credentials {
        Some(folder) if !name.contains('/') => Ok(folder.join(name)),
        Some(_) => Err(Unreadable {
            title: format!("`{name}` is not the name of a credential"),
            label: "a name has no `/`".to_owned(),
        }),
        None => Err(Unreadable {
            title: format!("the credential `{name}` was not passed to this program"),
            label: "needs LoadCredential= in its systemd unit".to_owned(),
        }),
    }
}

fn trimmed(mut content: String) -> String {
    if content.ends_with('\n') {
        content.pop();
        if content.ends_with('\r') {
            content.pop();
        }
    }
    content
}

/// What the system said, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        io::ErrorKind::InvalidData => "it is not text in UTF-8".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
