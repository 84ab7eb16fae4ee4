//! Celeriac, the task runner for RabbitMQ: it speaks Celery's protocol and loses nothing.

pub mod backoff;
pub mod clock;
pub mod handler;
pub mod ids;
pub mod protocol;
pub mod shutdown;
pub mod task;
pub mod topology;
