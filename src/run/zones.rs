//! Keeps the zones of a process running.
//!
//! Part of the composition; the zones themselves are threads of `zone/`.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Wiring;
use crate::ids::{ServerId, ZoneId};
use crate::link::inbox;
use crate::store::Store;
use crate::{limits, zone};

/// A zone that has panicked starts again after this.
const ZONE_RESTART: Duration = Duration::from_secs(1);

/// What a zone's thread is made of, time and again.
pub(super) struct ZoneParts {
    pub(super) wiring: Wiring,
    pub(super) server: ServerId,
    pub(super) config: zone::ZoneConfig,
    pub(super) content: Arc<crate::world::content::Content>,
    pub(super) store: Store,
    pub(super) stop: CancellationToken,
}

/// Runs a zone until the process stops; one that panics is started again, empty, and its players
/// are brought in anew by their gateways.
pub(super) async fn keep_zone(parts: ZoneParts, id: ZoneId, phase: Duration) {
    loop {
        let (outbox, inbox) = inbox(limits::ZONE_INBOX, parts.wiring.loopback);
        parts.wiring.zones.insert(id, outbox);
        let started = zone::spawn(zone::Start {
            zone: id,
            server: parts.server,
            config: parts.config.clone(),
            content: parts.content.clone(),
            inbox,
            peers: zone::Peers {
                gateways: parts.wiring.gateways.clone(),
                zones: parts.wiring.zones.clone(),
                chat: parts.wiring.chat.clone(),
                master: parts.wiring.master.clone(),
            },
            store: parts.store.clone(),
            phase,
            stop: parts.stop.clone(),
        });
        let ended = match started {
            Ok(thread) => tokio::task::spawn_blocking(move || thread.join().is_ok()).await,
            Err(problem) => {
                error!(zone = %id, %problem, "a zone has no thread");
                Ok(false)
            }
        };
        if parts.stop.is_cancelled() {
            return;
        }
        error!(zone = %id, clean = ended.unwrap_or(false), "a zone has ended; it starts again");
        tokio::time::sleep(ZONE_RESTART).await;
    }
}
