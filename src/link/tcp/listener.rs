//! The links' port: accepts connections and greets whoever is there, many at once, bounded in
//! number and time.
//!
//! Strangers cost a place for five seconds and one read's room at most, and hold up no process of
//! the cluster. Who has proven itself is offered to the switchboard.

use std::net::SocketAddr;
use std::sync::Arc;

use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Shared;
use super::dial::GREETING_MAX;
use super::greeting::{self, Failure};
use super::switchboard::Offer;
use crate::limits;
use crate::net::Gate;
use crate::net::gate::Admission;
use crate::net::listener::AcceptBackoff;
use crate::seldom::Seldom;

/// The port's label in metrics.
const LABEL: &str = "link";

/// What greets those who come.
pub(super) struct Port {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    greetings: Arc<Semaphore>,
    offers: mpsc::Sender<Offer>,
    complaints: Seldom,
}

impl Port {
    pub(super) fn new(shared: Arc<Shared>, offers: mpsc::Sender<Offer>) -> Self {
        Self {
            shared,
            gate: Gate::new(limits::LINK_CONNECTIONS_MAX, limits::LINK_GREETINGS_PER_ADDRESS),
            greetings: Arc::new(Semaphore::new(limits::LINK_GREETINGS_MAX)),
            offers,
            complaints: Seldom::default(),
        }
    }

    /// Accepts until the process stops.
    pub(super) async fn run(self, listener: TcpListener) {
        let port = Arc::new(self);
        let stop = port.shared.stop.clone();
        let mut backoff = AcceptBackoff::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, from)) => {
                    backoff.reset();
                    port.on_accepted(socket, from);
                }
                Err(error) => tokio::select! {
                    () = stop.cancelled() => return,
                    () = backoff.wait(&error, &listener) => {}
                },
            }
        }
    }

    fn on_accepted(self: &Arc<Self>, socket: TcpStream, from: SocketAddr) {
        let Ok(place) = self.greetings.clone().try_acquire_owned() else {
            crate::net::gate::Refusal::Handshakes.count();
            return;
        };
        let Ok(admission) = self.gate.admit(from.ip(), LABEL) else { return };
        let port = self.clone();
        self.shared.tasks.spawn(async move {
            let greet = timeout(GREETING_MAX, port.greet(socket, admission));
            let greeted = tokio::select! {
                () = port.shared.stop.cancelled() => return,
                greeted = greet => greeted.unwrap_or(Err(Failure::Late)),
            };
            if let Err(failure) = greeted {
                port.on_failure(from, &failure);
            }
            drop(place);
        });
    }

    async fn greet(&self, socket: TcpStream, admission: Admission) -> Result<(), Failure> {
        let mut stream = self.shared.security.accept(socket).await?;
        let proven = greeting::answer(&mut stream, &self.shared.greeter).await?;
        admission.authenticated();
        let offer = Offer { proven, stream, dialed: false, admission: Some(admission) };
        // Fails only when links are stopping, and then nobody is let in.
        let _ = self.offers.send(offer).await;
        Ok(())
    }

    fn on_failure(&self, from: SocketAddr, failure: &Failure) {
        let reason = failure.reason();
        counter!("throng_link_greetings_failed_total", "side" => "accepted", "reason" => reason)
            .increment(1);
        let address = from.ip();
        match failure.is_grave().then(|| self.complaints.allow()).flatten() {
            Some(unsaid) => {
                warn!(%address, problem = %failure, unsaid, "a process that wants a link is not let in");
            }
            None => debug!(%address, problem = %failure, "no link"),
        }
    }
}
