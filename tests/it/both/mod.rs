//! One suite over two brokers: the one in memory that tests stand on, and RabbitMQ.
//!
//! Each test is written once. What holds in memory and not in RabbitMQ is a lie in everybody's
//! tests; what cannot be made equal stands in `docs/testing.md`.

mod dead_letters;
mod declare;
mod queues;
mod routing;
mod stage;
mod tasks;
mod unique;

use stage::Stage;

/// Runs each function over both brokers.
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::both::Stage::in_memory()).await;
            })*
        }
        mod rabbitmq {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::both::Stage::on_rabbitmq().await).await;
            })*
        }
    };
}
pub(crate) use both;
