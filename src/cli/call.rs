//! `celeriac call`

use super::exit::{Exit, OrExit};
use super::global::Global;
use super::send::{self, CallArguments};
use crate::client::ResultError;
use std::time::Duration;

/// Publish a task and wait for its result
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac call shop.add --args '[1, 2]'
  celeriac call video.thumbnail --kwargs '{\"path\": \"a.mp4\"}' --timeout 2m -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    call: CallArguments,

    /// How long to wait for the result
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = send::duration)]
    timeout: Duration,
}

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    let call = arguments.call.call(global)?;
    let (app, traces) = send::connect_traced(global).await?;
    let sent = app.client().call(&call.task, &call.args, &call.kwargs, call.options).await;
    let result = sent.map_err(send::failed)?.timeout(arguments.timeout).await;
    app.close().await;
    traces.close().await;
    match result {
        Ok(value) => {
            let value: serde_json::Value = value;
            let text = match &value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            global.output.one(&value, &text)?;
            Ok(Exit::Done)
        }
        Err(error @ ResultError::TimedOut { .. }) => Err(error).or_exit(Exit::TimedOut),
        Err(error) => Err(error).or_exit(Exit::No),
    }
}
