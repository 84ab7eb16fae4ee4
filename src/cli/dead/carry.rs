//! `celeriac dead export` and `celeriac dead import`

use super::super::exit::{Exit, OrExit, failed};
use super::super::global::Global;
use super::super::output::write;
use super::{find, open};
use crate::archive::{ArchiveError, ImportError};
use anyhow::{Context, anyhow};
use serde_json::json;
use std::io::{BufRead, BufReader};

pub(super) async fn export(global: &Global, filter: &[String]) -> anyhow::Result<Exit> {
    super::parse(filter)?;
    let (app, archive) = open(global).await?;
    let letters = find(&archive, filter).await?;
    let written = archive.each_message::<anyhow::Error>(&letters, |letter, message| {
        let mut line = serde_json::to_vec(&letter.to_record(&message))?;
        line.push(b'\n');
        write(&line)
    });
    written.await.map_err(|error| match error.downcast::<ArchiveError>() {
        Ok(error) => super::failed(error),
        Err(other) => other,
    })?;
    app.close().await;
    Ok(if letters.is_empty() { Exit::NotFound } else { Exit::Done })
}

pub(super) async fn import(global: &Global, file: &str) -> anyhow::Result<Exit> {
    let lines = lines(file)?;
    let (app, archive) = open(global).await?;
    let mut imported = 0_u64;
    for (number, line) in (1..).zip(lines) {
        let line = line.with_context(|| format!("reading {file}"))?;
        if line.trim().is_empty() {
            continue;
        }
        if let Err(error) = archive.import(&line).await {
            let exit = match &error {
                ImportError::Publish(_) => Exit::Unreachable,
                _ => Exit::Invalid,
            };
            let context = format!("{file}, line {number}; {imported} lines before it are imported");
            return Err(failed(exit, anyhow!(error).context(context)));
        }
        imported += 1;
    }
    app.close().await;
    global.output.one(&json!({ "imported": imported }), &format!("{imported} imported"))?;
    Ok(Exit::Done)
}

fn lines(file: &str) -> anyhow::Result<std::io::Lines<Box<dyn BufRead>>> {
    let reader: Box<dyn BufRead> = match file {
        "-" => Box::new(BufReader::new(std::io::stdin())),
        _ => {
            let opened = std::fs::File::open(file).with_context(|| format!("opening {file}"));
            Box::new(BufReader::new(opened.or_exit(Exit::Invalid)?))
        }
    };
    Ok(reader.lines())
}
