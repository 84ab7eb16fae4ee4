//! A Celery fleet and ours on one broker and one Redis, doing the same work.

mod calls;
mod fleet;
mod revoke;
mod shapes;
mod shared;
mod theirs;
