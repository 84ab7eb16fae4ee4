//! Calls that do not fit.

use celeriac::prelude::*;

#[task]
async fn send_email(user_id: u64, template: Option<String>) -> anyhow::Result<u64> {
    Ok(user_id + template.map_or(0, |text| text.len() as u64))
}

fn main() {
    let _ = send_email("42", None);
    let _ = send_email(42);
}
