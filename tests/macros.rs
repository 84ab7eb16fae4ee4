//! Wrong programs are refused with messages that say what to do: `tests/macros/fail/*.stderr`. Right
//! ones are `tests/macros/right.rs`.
//!
//! After a change of the messages, or of the compiler's own words: `TRYBUILD=overwrite cargo test
//! --test macros`, and read the difference. The first run checks all dependencies once more, in a
//! folder of its own. Each compiler has words of its own, so the messages are compared with one only:
//! the same that `make check` has in `RUST`.

#![forbid(unsafe_code)]
#![deny(warnings)]

#[path = "macros/right.rs"]
mod right;

/// The compiler whose words the messages hold.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn wrong_programs_are_refused_with_advice() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    if !version.starts_with(COMPILER) {
        return eprintln!("the messages are those of {COMPILER}x, not compared with {version}");
    }
    trybuild::TestCases::new().compile_fail("tests/macros/fail/*.rs");
}
