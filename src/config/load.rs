//! Finds the sources, merges them, and reads and checks the whole.

use super::layer::{self, Layer, Source};
use super::problem::{Place, Problem, Report, Severity};
use super::tree::{DUPLICATE, Node, Path, SyntaxError};
use super::{Config, check, complaint, environment, read, schema, secrets};
use std::fs;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

/// Finds and reads a configuration.
///
/// Later sources win: built-in defaults, the files, the environment, the command line.
#[derive(Debug, Default)]
pub struct Loader {
    files: Vec<PathBuf>,
    standard_files: bool,
    variables: Variables,
    overrides: Vec<Layer>,
}

/// The environment. Its `Debug` shows names only, because a value may be a secret.
#[derive(Default)]
struct Variables(Vec<(String, String)>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

/// A configuration that may be used, and how it came about.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Warnings; no errors.
    pub report: Report,
    pub(super) layers: Vec<Layer>,
}

impl Loaded {
    /// The files that were read.
    pub fn files(&self) -> impl Iterator<Item = &FilePath> {
        self.layers.iter().filter_map(|layer| match &layer.source {
            Source::File(path) => Some(path.as_path()),
            _ => None,
        })
    }
}

impl Loader {
    /// Reads nothing yet: the built-in defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads these files, later ones on top. A folder stands for its `*.toml`, sorted by name.
    #[must_use]
    pub fn files(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files.extend(files);
        self
    }

    /// If no file is named, reads those of the usual places: `/etc/celeriac/celeriac.toml` with
    /// `/etc/celeriac/conf.d/*.toml`, else `./celeriac.toml`, else
    /// `$XDG_CONFIG_HOME/celeriac/celeriac.toml`.
    #[must_use]
    pub fn standard_files(mut self) -> Self {
        self.standard_files = true;
        self
    }

    /// Reads `CELERIAC__…` and the short names from these variables.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.0.extend(variables);
        self
    }

    /// Sets one key, such as `worker.concurrency`, on behalf of an option of the command line.
    #[must_use]
    pub fn set(mut self, option: &str, key: &str, value: impl Into<toml::Value>) -> Self {
        let keys: Vec<String> = key.split('.').map(str::to_owned).collect();
        self.overrides.push(Layer::single(Source::Option(option.to_owned()), &keys, value.into()));
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// Everything that is wrong, in all sources at once.
    pub fn load(mut self) -> Result<Loaded, Report> {
        let mut problems = Vec::new();
        let files = self.find_files(&mut problems);
        let count = files.len();
        let mut layers = Vec::new();
        let mut readable = problems.is_empty();
        for file in files {
            match read_file(&file) {
                Ok((layer, warnings)) => {
                    layers.push(layer);
                    problems.extend(warnings);
                }
                Err(errors) => {
                    readable = false;
                    problems.extend(errors);
                }
            }
        }
        let (variables, wrong) = environment::layers(&self.variables.0, &merged(&layers));
        problems.extend(wrong);
        layers.extend(variables);
        layers.append(&mut self.overrides);
        let credentials = self.variables.get("CREDENTIALS_DIRECTORY").map(FilePath::new);
        for layer in &mut layers {
            problems.extend(secrets::resolve(layer, credentials));
        }
        let (config, complaints) = read::read(merged(&layers));
        problems.extend(complaints.iter().map(|wrong| complaint::explain(wrong, &layers)));
        // A file that could not be read may define what the others refer to.
        if readable {
            problems.extend(check::check(&config, &layers));
        }
        let report = sorted(problems, count);
        if report.errors() > 0 {
            return Err(report);
        }
        Ok(Loaded { config, report, layers })
    }

    fn find_files(&self, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        if self.files.is_empty() {
            return if self.standard_files { self.usual_places() } else { Vec::new() };
        }
        let mut found = Vec::new();
        for path in &self.files {
            if !path.is_dir() {
                found.push(path.clone());
                continue;
            }
            match toml_files(path) {
                files if files.is_empty() => problems.push(Problem::error(format!(
                    "the folder {} has no *.toml file",
                    path.display()
                ))),
                files => found.extend(files),
            }
        }
        found
    }

    fn usual_places(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            existing([PathBuf::from("/etc/celeriac/celeriac.toml")]).collect();
        found.extend(toml_files(FilePath::new("/etc/celeriac/conf.d")));
        if found.is_empty() {
            let home = self.variables.get("HOME").map(|home| FilePath::new(home).join(".config"));
            let user = self.variables.get("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
            let user = user.map(|folder| folder.join("celeriac/celeriac.toml"));
            found
                .extend(existing([PathBuf::from("celeriac.toml")].into_iter().chain(user)).take(1));
        }
        found
    }
}

fn existing(paths: impl IntoIterator<Item = PathBuf>) -> impl Iterator<Item = PathBuf> {
    paths.into_iter().filter(|path| path.is_file())
}

/// The `*.toml` of a folder, sorted by name; none if there is no such folder.
fn toml_files(folder: &FilePath) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

/// The layer of a file, and what is wrong or doubtful about it.
fn read_file(file: &FilePath) -> Result<(Layer, Vec<Problem>), Vec<Problem>> {
    let text = fs::read_to_string(file).map_err(|error| {
        let title = format!("cannot read {}", file.display());
        vec![Problem::error(title).note(secrets::reason(&error))]
    })?;
    let told = |errors: Vec<SyntaxError>| {
        let shown: Arc<str> = layer::masked_urls(&text).into();
        errors.iter().map(|error| syntax_problem(file, &shown, error)).collect::<Vec<_>>()
    };
    let (root, twice) = Node::parse(&text).map_err(told)?;
    let layer = Layer::new(Source::File(file.to_owned()), &text, root);
    let problems = told(twice).into_iter().chain(open_secret(file, &layer)).collect();
    Ok((layer, problems))
}

fn syntax_problem(file: &FilePath, shown: &Arc<str>, error: &SyntaxError) -> Problem {
    let mut lines = error.message.lines();
    let title = lines.next().unwrap_or("not TOML");
    let mut label = lines.collect::<Vec<_>>().join(", ");
    if title == DUPLICATE {
        label = "there is one of this name above; rename one of them".to_owned();
    }
    Problem::error(title).at(Some(Place {
        file: file.display().to_string(),
        text: Arc::clone(shown),
        span: error.span.clone(),
        label,
        also: None,
    }))
}

/// A warning if the file holds a password and everybody may read it.
#[cfg(unix)]
fn open_secret(file: &FilePath, layer: &Layer) -> Option<Problem> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file).ok()?.permissions().mode() & 0o777;
    if mode & 0o004 == 0 {
        return None;
    }
    let key = secret_key(layer)?;
    Some(
        Problem::warning(format!(
            "{} holds a secret and is readable by everyone ({mode:04o})",
            file.display()
        ))
        .note(format!("the secret is {key}; chmod 640 {}, or use {key}_file", file.display())),
    )
}

#[cfg(not(unix))]
fn open_secret(_: &FilePath, _: &Layer) -> Option<Problem> {
    None
}

/// The first key that holds a secret. RabbitMQ's built-in account is none.
fn secret_key(layer: &Layer) -> Option<String> {
    let mut found = None;
    layer.root.scalars(&mut Path::new(), &mut |path, _, value| {
        let text = value.as_str().unwrap_or_default();
        let url = schema::at(path).is_some_and(schema::holds_secret)
            && crate::secret::redact_url(text) != text
            && !text.contains("://guest:guest@");
        let named =
            matches!(path.last(), Some(super::tree::Step::Key(key)) if layer::sounds_secret(key));
        if found.is_none() && (url || named) {
            found = Some(super::tree::write_path(path));
        }
    });
    found
}

fn merged(layers: &[Layer]) -> toml::Table {
    layer::merge(layers).expect("the layers are tables of TOML values, which always merge")
}

/// Errors first, in the order of the files and their lines.
fn sorted(mut problems: Vec<Problem>, files: usize) -> Report {
    problems.sort_by_key(|problem| {
        let place = problem.place.as_ref().map(|place| (place.file.clone(), place.span.start));
        (problem.severity == Severity::Warning, place.is_none(), place)
    });
    // What is of the wrong type is also out of range: say the first only.
    problems.dedup_by(|later, earlier| {
        let start = |problem: &Problem| {
            problem.place.as_ref().map(|place| (place.file.clone(), place.span.start))
        };
        later == earlier || (later.place.is_some() && start(later) == start(earlier))
    });
    Report { problems, files }
}
