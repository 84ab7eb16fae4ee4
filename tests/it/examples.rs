//! The examples do what they say.

use crate::rig::{PATIENCE, Process, Rig};
use std::path::Path;
use tokio::process::Command;

#[tokio::test]
async fn a_program_runs_its_own_worker_and_gets_the_result() {
    let rig = Rig::start().await;
    // `cargo test` builds the examples; with `--test it` alone, `cargo build --examples` comes first.
    let celeriac = Path::new(env!("CARGO_BIN_EXE_celeriac"));
    let mut command = Command::new(celeriac.with_file_name("examples").join("embed"));
    command.env("CELERIAC_BROKER_URL", rig.url()).current_dir(rig.folder());
    let mut example = Process::spawn(command);
    example.until("2 + 3 = 5").await;
    assert!(example.ended(PATIENCE).await.success());
}
