//! The `#[task]` attribute of `celeriac`. Use it through that crate, which re-exports it.
