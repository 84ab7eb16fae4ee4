//! The `celeriac` program.

fn main() -> std::process::ExitCode {
    celeriac::cli::run()
}
