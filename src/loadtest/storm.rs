//! The storms: come in and leave, over and over. `login-storm` logs in with a password each time,
//! `entry-storm` has a ticket and resumes once, so that hashing is out of it.
//!
//! What is measured is the time from the connection to the world; how many are at it at once is
//! the fleet's gate. Accounts are made before measuring begins.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::bot::Desk;
use super::entry::pause_after;
use super::options::Scenario;
use super::tally::Phase;
use crate::client::ClientError;
use crate::tick::now;

/// Between two looks whether it is time, and after a log-in that failed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One bot's storm, until the run is over.
pub(super) async fn rage(index: usize, desk: Rc<Desk>) {
    let run = desk.run.clone();
    let name = run.options.name(index);
    if let Err(error) = make_account(&desk, &name).await {
        run.live.failed.fetch_add(1, Relaxed);
        return desk.fault(&format!("registration: {error}"));
    }
    run.live.inside.fetch_add(1, Relaxed);
    run.live.arrived.fetch_add(1, Relaxed);
    while run.live.phase() < Phase::Drain {
        let Ok(_place) = run.gate.acquire().await else { return };
        if run.live.phase() >= Phase::Drain {
            return;
        }
        let measured = run.live.phase() == Phase::Measure;
        let began = now();
        let outcome = enter_and_leave(&desk, &name).await;
        run.live.packets_out.fetch_add(3, Relaxed);
        let took = began.elapsed();
        if let Err(error) = &outcome {
            desk.fault(&error.code().map_or(error.to_string(), |code| code.as_str_name().into()));
        }
        if measured {
            let mut tally = desk.tally.borrow_mut();
            tally.expected += 1;
            tally.delivered += u64::from(outcome.is_ok());
            run.live.slowest.fetch_max(took.as_nanos() as u64, Relaxed);
            tally.note_latency(took, run.live.second_half.load(Relaxed));
        }
    }
}

/// One of `--storm`: logs in over and over while the others play, in the second half of the time,
/// so that their latency shows what hashing does to it.
pub(super) async fn log_in_beside(index: usize, desk: Rc<Desk>) {
    let run = desk.run.clone();
    let name = run.options.name(index);
    while !run.live.second_half.load(Relaxed) && run.live.phase() < Phase::Drain {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    while run.live.phase() < Phase::Drain {
        match run.door.only_log_in(&name).await {
            Ok(()) => desk.tally.borrow_mut().log_ins += 1,
            Err(error) => {
                desk.fault(&format!("log-in beside: {error}"));
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

async fn make_account(desk: &Desk, name: &str) -> Result<(), ClientError> {
    let run = &desk.run;
    if run.door.knows(name) {
        return Ok(());
    }
    loop {
        let place = run.gate.acquire().await;
        let outcome = run.door.register(name).await;
        drop(place);
        match outcome.as_ref().err().and_then(pause_after) {
            Some(wait) if run.live.phase() == Phase::Settle => tokio::time::sleep(wait).await,
            _ => {
                if let Some(player) = outcome? {
                    run.door.know(name, player);
                }
                return Ok(());
            }
        }
    }
}

async fn enter_and_leave(desk: &Desk, name: &str) -> Result<(), ClientError> {
    let door = &desk.run.door;
    let inside = match desk.run.options.scenario {
        Scenario::EntryStorm => door.enter_and_resume(name).await?,
        _ => door.log_in(name).await?,
    };
    inside.client.logout().await
}
