//! The switchboard's losses: connections that end, processes that are gone, and the process's own
//! leave.

use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::time::timeout;
use tracing::{info, warn};

use super::LinkEvent;
use super::connection::{End, Order};
use super::switchboard::{GOODBYE_MAX, Live, Switchboard};
use crate::ids::ServerId;
use crate::link::Identity;
use crate::tick::now;

/// How long a stopping process waits for what it has sent to be acknowledged.
const FAREWELL: Duration = Duration::from_secs(2);

impl Switchboard {
    /// A connection has ended; one that was replaced before does not matter any more.
    pub(super) async fn on_ended(
        &mut self,
        server: ServerId,
        serial: u64,
        end: End,
        heard: Instant,
    ) {
        let Some(link) = self.links.get_mut(&server) else { return };
        if link.live.take_if(|live| live.serial == serial).is_none() {
            return;
        }
        link.heard = heard;
        self.count_links();
        match end {
            End::Goodbye => {
                self.forget_member(server);
                self.lose(server, true, "it has left").await;
            }
            End::Broken(problem) => {
                warn!(%server, %problem, "a link begins anew");
                self.redial(server);
                self.lose(server, false, "the conversation is broken").await;
            }
            end => {
                warn!(%server, reason = %end, "link down");
                self.redial(server);
                self.tell(LinkEvent::Down { server }).await;
            }
        }
    }

    /// Looks for connections that have ended without saying so.
    pub(super) async fn find_ended(&mut self) {
        let ended = |live: &Live| live.ended.is_cancelled().then_some(live.serial);
        let links = self.links.iter();
        let found: Vec<(ServerId, u64)> = links
            .filter_map(|(server, link)| Some((*server, link.live.as_ref().and_then(ended)?)))
            .collect();
        for (server, serial) in found {
            if let Some(link) = self.links.get(&server) {
                link.peer.detach();
            }
            self.on_ended(server, serial, End::Ordered, now()).await;
        }
    }

    /// Forgets a process and whatever was to be sent to it; tells the composition, if it knew it.
    pub(super) async fn lose(&mut self, server: ServerId, clean: bool, reason: &str) {
        let Some(link) = self.links.remove(&server) else { return };
        if let Some(live) = link.live {
            live.order.send_replace(Order::Cut);
            live.ended.cancelled().await;
        }
        link.peer.close();
        self.shared.known.lock().remove(&server);
        self.count_links();
        if clean {
            info!(%server, reason, "link ended");
        } else {
            warn!(%server, reason, "a process is taken for lost");
        }
        self.tell(LinkEvent::Lost { server, clean }).await;
    }

    /// Another process that had this one's address, and has no connection, is gone.
    pub(super) async fn lose_predecessor(&mut self, identity: &Identity) {
        let Identity { server, host, port, .. } = identity;
        let gone: Vec<ServerId> = {
            let known = self.shared.known.lock();
            let there = known.values().map(|known| &known.identity);
            let same = there.filter(|it| it.host == *host && it.port == *port);
            same.map(|it| it.server).filter(|it| it != server && !self.is_live(*it)).collect()
        };
        for server in gone {
            self.forget_member(server);
            self.lose(server, false, "another process is at its address").await;
        }
    }

    /// The process stops: what was sent is acknowledged or has had its time, goodbyes are said.
    pub(super) async fn take_leave(mut self) {
        let by = now() + FAREWELL;
        let live: Vec<Live> = self.links.values_mut().filter_map(|link| link.live.take()).collect();
        for live in &live {
            live.order.send_replace(Order::Leave(by));
        }
        let ending = async {
            for live in &live {
                live.ended.cancelled().await;
            }
        };
        if timeout(FAREWELL + GOODBYE_MAX, ending).await.is_err() {
            warn!("some links do not end; they are cut");
        }
        for link in self.links.values() {
            link.peer.close();
        }
        self.shared.known.lock().clear();
        gauge!("throng_links_up").set(0.0);
    }
}
