//! Videos: made, and looked at again when they have been through the system.

use crate::tools::output;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// Heights of the renditions, in pixels.
pub const HEIGHTS: [u16; 3] = [480, 360, 240];

/// A rendition is as long as its video to within this many seconds, or this share of it.
const TOLERANCE: (f64, f64) = (0.2, 0.01);

/// A video that somebody uploaded.
#[derive(Debug, Clone)]
pub struct Video {
    /// Counted from 1.
    pub number: usize,
    /// The file.
    pub path: PathBuf,
    /// How long it is.
    pub seconds: f64,
}

impl Video {
    /// A video that is there already.
    pub async fn given(number: usize, path: PathBuf) -> anyhow::Result<Self> {
        let seconds = seconds(&path).await?;
        Ok(Self { number, path, seconds })
    }

    /// Makes a video of 12 seconds: a test picture that moves, and a tone.
    pub async fn made(number: usize, path: PathBuf) -> anyhow::Result<Self> {
        let tone = format!("sine=frequency={}:duration=12", 220 * number);
        let command = format!(
            "-nostdin -y -loglevel error -f lavfi -i testsrc2=size=1280x720:rate=30:duration=12 \
             -f lavfi -i {tone} -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -shortest"
        );
        let arguments = command.split_ascii_whitespace().map(str::to_owned);
        output("ffmpeg", arguments.chain([path.display().to_string()])).await?;
        Self::given(number, path).await
    }

    /// Whether a file is this video at another height, whole.
    pub async fn is_rendered(&self, rendition: &Path, height: u16) -> bool {
        let as_long = seconds(rendition).await.is_ok_and(|seconds| {
            let (least, share) = TOLERANCE;
            (seconds - self.seconds).abs() <= least.max(self.seconds * share)
        });
        as_long
            && probe(rendition, "stream=height").await.is_ok_and(|text| text == height.to_string())
    }
}

/// Whether a file is a picture that can be shown.
pub async fn is_picture(path: &Path) -> bool {
    let path = path.display().to_string();
    let decoded =
        output("ffmpeg", ["-nostdin", "-v", "error", "-xerror", "-i", &path, "-f", "null", "-"]);
    decoded.await.is_ok()
}

async fn seconds(path: &Path) -> anyhow::Result<f64> {
    let text = probe(path, "format=duration").await?;
    text.parse().with_context(|| format!("{} has no duration", path.display()))
}

async fn probe(path: &Path, entry: &str) -> anyhow::Result<String> {
    let path = path.display().to_string();
    let form =
        ["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0", "-show_entries", entry, &path];
    output("ffprobe", form).await
}
