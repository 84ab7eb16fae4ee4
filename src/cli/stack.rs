//! Room on the stack for hostile headers.
//!
//! lapin reads nested header tables by recursion, on a thread of its own with Rust's default stack
//! of 2 MiB. A message of eight kilobytes can overflow that, which ends the process; the broker then
//! hands the message to the next worker. The only way to give that thread more is the variable
//! `RUST_MIN_STACK`, read when the first thread starts, so the program starts itself again with it.
//! Stacks take memory only as deep as they are used.

use std::os::unix::process::CommandExt;
use std::process::Command;

const VARIABLE: &str = "RUST_MIN_STACK";

/// Enough for lists in lists to the end of a frame of 128 KiB, 26,000 levels. Without optimization
/// each takes several times as much.
const BYTES: usize = if cfg!(debug_assertions) { 512 << 20 } else { 64 << 20 };

/// Replaces this process by the same program with enough stack, unless the variable says how much
/// there is to be. Must come first: before any thread, and before anything is read or printed.
pub(super) fn deepen() {
    let Ok(program) = std::env::current_exe() else { return };
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    again.args(arguments).env(VARIABLE, BYTES.to_string());
    // Returns only if it did not work. Then we go on with less, as most programs do.
    let _error = again.exec();
}
