//! A panic inside the store's work, as an answer like others.
//!
//! Used by the two ways into the store. Whoever asked hears that the database is not available, and
//! what it counts on an answer for goes on; a lane of the writer lives on for those behind. Must
//! never hide anything else: whatever the work gives is passed on as it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::StoreError;

/// Runs `work` to its end. None: it has panicked, and what it was about is in doubt.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        // After a panic it is never polled again, so nobody sees what it left half done.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// What is told of it.
pub(super) fn broken_off() -> StoreError {
    metrics::counter!("throng_database_errors_total", "kind" => "panic").increment(1);
    StoreError::Unavailable("the work broke off".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_before_and_after_waiting() {
        assert_eq!(caught(async { 7 }).await, Some(7));
        assert_eq!(caught(async { panic!("at once") }).await, None::<()>);
        let later = async {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert_eq!(caught(later).await, None::<()>);
    }
}
