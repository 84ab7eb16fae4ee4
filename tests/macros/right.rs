//! What the attribute takes, without a warning, in a crate that forbids unsafe code.

use celeriac::prelude::*;

mod inner {
    use celeriac::prelude::*;

    /// With a keyword for a name.
    #[task(retry_on = [std::io::Error], give_up_on = [std::fmt::Error, std::num::ParseIntError])]
    pub(crate) async fn r#move(
        CancelTokenOf(_token): CancelTokenOf,
        r#type: String,
        mut count: u8,
        #[arg(default = 2 + 3, rename = "userId", alias = "uid", secret)] user_id: u64,
    ) -> Result<Vec<u8>, std::io::Error> {
        count += 1;
        Ok(vec![count; r#type.len() + user_id as usize])
    }

    pub(crate) struct CancelTokenOf(pub(crate) CancelToken);

    impl celeriac::handler::Extract for CancelTokenOf {
        fn extract(from: &celeriac::handler::Invocation) -> Result<Self, Failure> {
            from.extract().map(Self)
        }
    }
}

#[task(kwargs, ack = "late", max_retries = "forever", backoff = "5s")]
fn blocking() {}

#[task]
#[cfg(any())]
fn nowhere(missing: Missing) {}

#[task]
async fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8) {
    let _ = (a, b, c, d, e, f, g, h, i);
}

#[test]
fn every_form_is_taken() {
    assert_eq!(<inner::r#move as Task>::NAME, "macros.right.inner.move");
    let names: Vec<_> = <inner::r#move as Task>::PARAMS.iter().map(|param| param.name).collect();
    assert_eq!(names, ["type", "count", "userId"]);
    let _ = (tasks![inner::r#move, blocking, many], inner::r#move::partial(1, 2));
}
