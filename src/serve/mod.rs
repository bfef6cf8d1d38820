//! A page on this machine that shows what a network sees in a picture, and the same for programs.
//!
//! | request | is answered by |
//! |---|---|
//! | `GET /` | the page |
//! | `GET /model` | what the network is, as JSON |
//! | `POST /predict`, a picture's file as the body | what it sees in it, as JSON |
//!
//! Everything else is refused. No request names a file, so that none can be reached.

mod http;
mod neighbours;
mod shown;
mod sight;

pub use http::Limits;
pub use sight::Sight;

use crate::{Error, Result};
use http::{Answer, Request};
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// Shows pictures to a network, one after the other, for whoever asks at `listener`, for as long as
/// the process lives.
///
/// # Errors
/// If the listener is none.
pub fn serve(listener: &TcpListener, sight: &Sight, limits: Limits) -> Result<()> {
    // A picture may take half a gigabyte while it is decoded, and all threads then.
    let one_by_one = Mutex::new(());
    let see = |picture: Vec<u8>| {
        let _alone = one_by_one.lock().unwrap_or_else(PoisonError::into_inner);
        sight.see(picture)
    };
    let answer = |Request { method, path, body }: Request| match (&*method, &*path) {
        ("GET", "/") => Answer {
            status: 200,
            kind: "text/html; charset=utf-8",
            body: include_str!("page.html").into(),
        },
        ("GET", "/model") => Answer::json(200, &sight.about(limits.body)),
        ("POST", "/predict") => match see(body) {
            Ok(seen) => Answer::json(200, &seen),
            Err(error) => Answer::refusal(422, &error.to_string()),
        },
        (_, "/" | "/model") => Answer::refusal(405, "expected GET"),
        (_, "/predict") => Answer::refusal(405, "expected POST, with a picture's file as the body"),
        _ => Answer::refusal(404, "there are /, /model and /predict"),
    };
    http::serve(listener, limits, &answer).map_err(Error::io("listen at", "127.0.0.1"))
}
