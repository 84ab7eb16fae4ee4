//! Wrong programs are refused with messages that say what to do: `tests/macros/fail/*.stderr`. Right
//! ones are `tests/macros/right.rs`.
//!
//! After a change of the messages, or of the compiler's own words: `TRYBUILD=overwrite cargo test
//! --test macros`, and read the difference. The first run checks all dependencies once more, in a
//! folder of its own.

#![forbid(unsafe_code)]
#![deny(warnings)]

#[path = "macros/right.rs"]
mod right;

#[test]
fn wrong_programs_are_refused_with_advice() {
    trybuild::TestCases::new().compile_fail("tests/macros/fail/*.rs");
}
