//! The switchboard's dialing: what is to be dialed now, and what became of it.

use std::io;
use std::time::{Duration, Instant};

use metrics::counter;
use tracing::{debug, error, info, warn};

use super::dial::{Dial, Target};
use super::greeting::Failure;
use super::switchboard::Switchboard;
use crate::ids::ServerId;
use crate::link::codec::greeting::Refusal;
use crate::tick::now;

/// A process whose port has refused connections for so long is gone.
const REFUSING_MAX: Duration = Duration::from_secs(1);

impl Switchboard {
    /// Dials this target from now on.
    pub(super) fn want(&mut self, target: Target, host: String, port: u16) {
        let time = now();
        let known = self.dials.get_mut(&target);
        if let Some(dial) = known.filter(|dial| dial.host == host && dial.port == port) {
            return dial.named(time);
        }
        let me = self.shared.greeter.me.server;
        let second = matches!(target, Target::Member(server) if me > server);
        self.dials.insert(target, Dial::new(host, port, second, time));
    }

    /// Gives up members that are not linked and were not named for long.
    pub(super) fn give_up(&mut self, time: Instant) {
        let hopeless = self.dials.iter().filter(|(target, dial)| match target {
            Target::Bootstrap(..) => false,
            Target::Member(server) => dial.until() <= time && !self.is_live(*server),
        });
        let hopeless: Vec<Target> = hopeless.map(|(target, _)| target.clone()).collect();
        for target in hopeless {
            debug!(?target, "it is not dialed any more");
            self.dials.remove(&target);
        }
    }

    /// Does not dial this process any more. Bootstrap addresses are dialed for ever.
    pub(super) fn forget_member(&mut self, server: ServerId) {
        self.dials.remove(&Target::Member(server));
        self.redial(server);
    }

    /// A connection was lost: whoever leads there is to be dialed again.
    pub(super) fn redial(&mut self, server: ServerId) {
        let time = now();
        for (target, dial) in &mut self.dials {
            if dial.leads_to == Some(server) || *target == Target::Member(server) {
                dial.lost(time, rand::random());
            }
        }
    }

    /// Whether a target needs no dialing now.
    fn is_reached(&self, target: &Target, dial: &Dial) -> bool {
        let live = |server: &ServerId| self.is_live(*server);
        match target {
            Target::Bootstrap(..) => dial.leads_to.as_ref().is_some_and(live),
            // One that was found at a bootstrap address is dialed there.
            Target::Member(server) => {
                let mut bootstrap = self.dials.iter().filter(|(target, dial)| {
                    matches!(target, Target::Bootstrap(..)) && dial.leads_to == Some(*server)
                });
                live(server) || bootstrap.next().is_some()
            }
        }
    }

    pub(super) fn next_dial(&self) -> Option<Instant> {
        let wanted = self.dials.iter().filter(|(target, dial)| !self.is_reached(target, dial));
        wanted.filter_map(|(_, dial)| dial.due()).min()
    }

    /// Those to be dialed now; they count as being dialed.
    pub(super) fn due_dials(&mut self, time: Instant) -> Vec<(Target, String, u16)> {
        let due = |dial: &Dial| dial.due().is_some_and(|due| due <= time);
        let wanted = self.dials.iter().filter(|(target, dial)| !self.is_reached(target, dial));
        let targets: Vec<Target> =
            wanted.filter(|(_, dial)| due(dial)).map(|(target, _)| target.clone()).collect();
        let mut found = Vec::new();
        for target in targets {
            if let Some(dial) = self.dials.get_mut(&target) {
                dial.start();
                found.push((target, dial.host.clone(), dial.port));
            }
        }
        found
    }

    pub(super) async fn on_dialed(&mut self, target: Target, result: Result<ServerId, Failure>) {
        let Some(dial) = self.dials.get_mut(&target) else { return };
        match result {
            Ok(server) => {
                dial.reached(server);
                // Another process is there by now, so the one that was meant is not.
                if matches!(target, Target::Member(meant) if meant != server) {
                    self.dials.remove(&target);
                }
            }
            Err(Failure::Itself | Failure::Refused(_, Refusal::Itself)) => {
                debug!(host = dial.host, port = dial.port, "this process itself is there");
                self.dials.remove(&target);
            }
            Err(failure) => self.on_dial_failed(&target, &failure).await,
        }
    }

    async fn on_dial_failed(&mut self, target: &Target, failure: &Failure) {
        let Some(dial) = self.dials.get_mut(target) else { return };
        let reason = failure.reason();
        counter!("throng_link_greetings_failed_total", "side" => "dialed", "reason" => reason)
            .increment(1);
        let refused = matches!(
            failure, Failure::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused
        );
        let time = now();
        let refusing = dial.failed(time, refused, rand::random());
        let (words, host, port) = (failure.to_string(), &dial.host, dial.port);
        let address = format!("{host}:{port}");
        let linked_already = matches!(failure, Failure::Refused(_, Refusal::Duplicate));
        if linked_already || !dial.is_news(&words, time) {
            debug!(address, problem = words, "no link");
        } else if failure.is_grave() {
            error!(address, problem = words, "no link");
        } else if matches!(target, Target::Bootstrap(..)) {
            warn!(address, problem = words, "no link; trying again");
        } else {
            info!(address, problem = words, "no link; trying again");
        }
        let server = match target {
            Target::Member(server) => Some(*server),
            Target::Bootstrap(..) => dial.leads_to,
        };
        if let Some(server) = server
            && refusing.is_some_and(|long| long >= REFUSING_MAX)
            && !self.is_live(server)
        {
            self.lose(server, false, "nobody is at its address any more").await;
        }
    }
}
