//! What a test of the program looks like.

use crate::signup::{Mailer, returned, sign_up, welcome};
use celeriac::prelude::*;
use celeriac::testing::TestWorker;
use std::sync::atomic::Ordering;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn worker(app: &App, mailer: &Mailer) -> TestWorker {
    TestWorker::new(app).state(mailer.clone()).register::<welcome>().register::<returned>()
}

#[tokio::test]
async fn whoever_signs_up_is_sent_a_welcome() {
    let app = App::in_memory();
    sign_up(&app, 42).await.unwrap();
    assert_eq!(app.sent::<welcome>(), [(42, None)]); // typed arguments, decoded from the message
    assert_eq!(app.sent_named("mail.welcome")[0].routing_key, "mail");
}

#[tokio::test]
async fn a_busy_mail_server_is_tried_again() {
    let app = App::in_memory();
    let mailer = Mailer { failures: 2, ..Mailer::default() };
    let worker = worker(&app, &mailer);
    sign_up(&app, 42).await.unwrap();

    let report = worker.drain().await; // runs what is due, at this moment
    assert_eq!(report.of::<welcome>().attempts(), 1);
    worker.advance(10 * MINUTE).await; // the retries, each at its own time
    assert_eq!(report.of::<welcome>().attempts(), 3);
    assert_eq!(mailer.sent.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_broken_mail_server_leaves_the_mail_in_the_archive() {
    let app = App::in_memory();
    let mailer = Mailer { failures: u32::MAX, ..Mailer::default() };
    let worker = worker(&app, &mailer);
    sign_up(&app, 42).await.unwrap();
    let report = worker.advance(60 * MINUTE).await;
    assert_eq!(report.of::<welcome>().attempts(), 6);
    let letters = app.dead_letters().await;
    assert_eq!(letters[0].task.as_deref(), Some("mail.welcome"));
}

#[tokio::test]
async fn after_a_week_we_look_whether_the_user_came_back() {
    let app = App::in_memory();
    let worker = worker(&app, &Mailer::default());
    sign_up(&app, 42).await.unwrap();
    let report = worker.advance(WEEK - MINUTE).await;
    assert_eq!(report.of::<returned>().attempts(), 0);
    worker.advance(MINUTE).await;
    assert_eq!(report.of::<returned>().succeeded(), 1);
}

#[tokio::test]
async fn a_task_is_a_function() {
    assert!(returned::run(42).await.unwrap()); // no framework at all
}
