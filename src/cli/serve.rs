//! Runs the server: telemetry, runtime, signals around `run`.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::role::Roles;
use crate::run::run;
use crate::telemetry::Telemetry;

/// Plays `roles` until a signal asks for the end, then drains.
pub(super) fn serve(config: Config, roles: Roles) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("worker")
        .build()
        .context("no threads can be started")?;
    let stop = CancellationToken::new();
    let done = runtime.block_on(async {
        telemetry.keep();
        stop_on_signal(stop.clone())?;
        run(config, roles, &telemetry, stop).await
    });
    // What still runs now had its time to end; it must not hold the process.
    runtime.shutdown_background();
    done
}

/// The first SIGINT or SIGTERM cancels `stop`, the second ends the process at once.
fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be taken")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be taken")?;
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                warn!("a second signal: stopping at once");
                std::process::exit(1);
            }
            asked = true;
            info!("a signal asks for the end");
            stop.cancel();
        }
    });
    Ok(())
}
