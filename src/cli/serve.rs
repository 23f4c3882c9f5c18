//! Runs the server: telemetry, runtime, signals around `run`.

use std::io::IsTerminal as _;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
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
        let reload = Arc::new(Notify::new());
        take_signals(stop.clone(), reload.clone())?;
        run(config, roles, &telemetry, stop, reload).await
    });
    // What still runs now had its time to end; it must not hold the process.
    runtime.shutdown_background();
    done
}

/// The first SIGINT or SIGTERM cancels `stop`, the second ends the process at once. SIGHUP asks to
/// reload, or, where it tells that the terminal is closed, cancels `stop`. No other signal that
/// means something to other programs ends the process; the runtime ignores SIGPIPE.
fn take_signals(stop: CancellationToken, reload: Arc<Notify>) -> anyhow::Result<()> {
    let take = |kind| signal(kind).context("signals cannot be taken");
    let mut interrupt = take(SignalKind::interrupt())?;
    let mut terminate = take(SignalKind::terminate())?;
    let mut hangup = take(SignalKind::hangup())?;
    let mut user = (take(SignalKind::user_defined1())?, take(SignalKind::user_defined2())?);
    let at_start = terminals();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {
                    if terminals() == at_start {
                        reload.notify_one();
                    } else {
                        info!("the terminal is closed: stopping");
                        stop.cancel();
                    }
                    continue;
                }
                _ = user.0.recv() => {
                    info!("SIGUSR1 means nothing to this server");
                    continue;
                }
                _ = user.1.recv() => {
                    info!("SIGUSR2 means nothing to this server");
                    continue;
                }
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

/// Which of the standard streams are a terminal: one that is closed is none any more.
fn terminals() -> [bool; 3] {
    [
        std::io::stdin().is_terminal(),
        std::io::stdout().is_terminal(),
        std::io::stderr().is_terminal(),
    ]
}
