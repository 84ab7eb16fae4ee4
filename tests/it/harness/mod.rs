//! The rig does what it says: a fault that does not happen would prove nothing about surviving it.

mod celery;
mod node;
mod process;
mod proxy;
