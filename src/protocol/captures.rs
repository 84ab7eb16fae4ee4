//! Messages that Celery has sent, for the tests. See `tests/captures/README.md`.

use super::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

#[derive(serde::Deserialize)]
pub(crate) struct Capture {
    #[serde(skip)]
    pub(crate) name: String,
    pub(crate) properties: Map<String, Value>,
    pub(crate) headers: Map<String, Value>,
    body_b64: String,
    #[serde(default)]
    body_decoded: Value,
    raw_header_b64: Option<String>,
}

impl Capture {
    /// All whose file names begin in one of these ways.
    pub(crate) fn load(prefixes: &[&str]) -> Vec<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");
        let mut captures = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                let text = std::fs::read(&path).unwrap();
                let capture: Self = serde_json::from_slice(&text).unwrap();
                captures.push(Self { name, ..capture });
            }
        }
        assert!(captures.len() >= 10, "captures are missing in {folder}");
        captures.sort_by(|a, b| a.name.cmp(&b.name));
        captures
    }

    /// All task messages.
    pub(crate) fn tasks() -> Vec<Self> {
        Self::load(&["task_", "flow_", "delayed_", "beat_"])
    }

    pub(crate) fn body(&self) -> Bytes {
        BASE64.decode(&self.body_b64).unwrap().into()
    }

    /// The properties as they were on the wire.
    pub(crate) fn raw_properties(&self) -> Option<Vec<u8>> {
        Some(BASE64.decode(self.raw_header_b64.as_ref()?).unwrap())
    }

    /// The body, with binary as Celery writes it into JSON. `None` where JSON cannot show it.
    pub(crate) fn decoded(&self) -> Option<Value> {
        (!self.body_decoded.is_null()).then(|| typed(&self.body_decoded))
    }

    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_str()
    }
}

fn typed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(typed).collect(),
        Value::Object(map) => match map.get("__b64__").and_then(Value::as_str) {
            Some(text) => match String::from_utf8(BASE64.decode(text).unwrap()) {
                Ok(text) => json!({ "__type__": "bytes", "__value__": text }),
                Err(_) => json!({ "__type__": "base64", "__value__": text }),
            },
            None => map.iter().map(|(key, value)| (key.clone(), typed(value))).collect(),
        },
        other => other.clone(),
    }
}
