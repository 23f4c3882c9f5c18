//! What a running process takes anew: the certificate of its client ports, when its files change or
//! an operator asks by SIGHUP. Everything else of the configuration needs a restart, and the log
//! says so.
//!
//! Part of the composition; one task, under the supervisor.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::net::renewal::Renewal;
use crate::net::tls::{Tls, TlsError};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Keeps what can be renewed as it is on disk, until `stop`; `asked` has it read at once.
///
/// # Errors
/// If reading has panicked.
pub(super) async fn keep(
    tls: Option<Tls>,
    asked: Arc<Notify>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut renewal = tls.map(Renewal::new);
    loop {
        let at_once = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = asked.notified() => true,
            () = tokio::time::sleep(LOOK_EVERY), if renewal.is_some() => false,
        };
        if at_once {
            info!(
                "asked to reload: only the certificate in net.tls is read again; all else of the configuration needs a restart"
            );
        }
        let Some(mut certificate) = renewal.take() else { continue };
        let (certificate, read) = spawn_blocking(move || {
            let read = if at_once { Some(certificate.reread()) } else { certificate.look() };
            (certificate, read)
        })
        .await?;
        renewal = Some(certificate);
        if let Some(read) = read {
            tell(read);
        }
    }
}

fn tell(read: Result<(), TlsError>) {
    let result = match read {
        Ok(()) => {
            info!("the certificate in net.tls was read again; new connections get it");
            "taken"
        }
        Err(problem) => {
            error!(%problem, "the new certificate cannot be used; the one before is served on");
            "refused"
        }
    };
    counter!("throng_tls_renewals_total", "result" => result).increment(1);
}
