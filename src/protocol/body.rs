//! The body of a task message: `[args, kwargs, embed]`.

/// The three parts of a body, found in its bytes but not yet built.
#[derive(Debug, Clone)]
pub struct Body;
