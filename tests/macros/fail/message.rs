//! What cannot be a message.

use celeriac::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
enum Several {
    One,
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "a", kwargs)]
struct Kwargs {
    a: u8,
}

#[derive(Message)]
#[message(name = "b")]
struct NoSerde {
    a: u8,
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "c", retry_on = [String])]
struct NoError {
    a: u8,
}

fn main() {}
