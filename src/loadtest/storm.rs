//! The `login-storm`: log in with a password, enter, leave, over and over.
//!
//! What is measured is the time from the connection to the world; how many are at it at once is
//! the fleet's gate.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use super::bot::Desk;
use super::tally::{Phase, count, note};
use crate::client::ClientError;
use crate::tick::now;

/// One bot's storm, until the run is over.
pub(super) async fn rage(index: usize, desk: Rc<Desk>) {
    let run = desk.run.clone();
    run.live.arrived.fetch_add(1, Relaxed);
    let name = run.options.name(index);
    while run.live.phase() < Phase::Drain {
        let Ok(_place) = run.gate.acquire().await else { return };
        if run.live.phase() >= Phase::Drain {
            return;
        }
        let measured = run.live.phase() == Phase::Measure;
        let began = now();
        let outcome = enter_and_leave(&desk, &name).await;
        run.live.packets_out.fetch_add(4, Relaxed);
        if !measured {
            continue;
        }
        let mut tally = desk.tally.borrow_mut();
        tally.expected += 1;
        match outcome {
            Ok(()) => {
                tally.delivered += 1;
                note(&mut tally.latency, began.elapsed());
            }
            Err(error) => match error.code() {
                Some(code) => count(&mut tally.errors, code.as_str_name()),
                None => count(&mut tally.errors, &error.to_string()),
            },
        }
    }
}

async fn enter_and_leave(desk: &Desk, name: &str) -> Result<(), ClientError> {
    let (mut client, ticket) = desk.run.door.log_in(name).await?;
    client.enter(&ticket).await?;
    client.logout().await
}
