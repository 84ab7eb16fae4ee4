//! The style sheet, the script and the icon: in the program, under names that change with them, so
//! that a browser asks for each once.

use super::trouble::Trouble;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A file that pages refer to.
struct Asset {
    stem: &'static str,
    kind: &'static str,
    mime: &'static str,
    bytes: &'static [u8],
}

const ASSETS: [Asset; 3] = [
    Asset {
        stem: "monitor",
        kind: "css",
        mime: "text/css; charset=utf-8",
        bytes: include_bytes!("../assets/monitor.css"),
    },
    Asset {
        stem: "monitor",
        kind: "js",
        mime: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../assets/monitor.js"),
    },
    Asset {
        stem: "icon",
        kind: "svg",
        mime: "image/svg+xml",
        bytes: include_bytes!("../assets/icon.svg"),
    },
];

/// The assets' names, in order: style sheet, script, icon.
static NAMES: LazyLock<[String; 3]> = LazyLock::new(|| ASSETS.each_ref().map(Asset::name));

impl Asset {
    fn name(&self) -> String {
        let digest = Sha256::digest(self.bytes);
        let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("{}.{hash}.{}", self.stem, self.kind)
    }
}

/// Where the style sheet is.
pub(super) fn css() -> String {
    format!("/assets/{}", NAMES[0])
}

/// Where the script is.
pub(super) fn js() -> String {
    format!("/assets/{}", NAMES[1])
}

/// Where the icon is.
pub(super) fn icon() -> String {
    format!("/assets/{}", NAMES[2])
}

/// Serves one of them. A name never has other bytes, so that it is kept for a year.
pub(super) async fn serve(Path(name): Path<String>) -> Result<Response, Trouble> {
    let found = NAMES.iter().position(|it| *it == name).ok_or(Trouble::Missing("file"))?;
    let asset = &ASSETS[found];
    let headers = [
        (header::CONTENT_TYPE, asset.mime),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.bytes).into_response())
}
