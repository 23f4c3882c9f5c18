//! Who is linked, through which connection, and who is forgotten: one task that owns all that.
//!
//! Proven connections are offered to it, ended ones come back to it, and it tells the composition
//! what has become of each process. It never touches a message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::connection::{Connection, End, Order};
use super::dial::{Dial, GREETING_MAX, Target};
use super::greeting::{self, Failure, Proven};
use super::peer::Peer;
use super::stream::Stream;
use super::{Hold, Known, LinkEvent, Shared, Wishes};
use crate::ids::ServerId;
use crate::link::Identity;
use crate::link::codec::greeting::Refusal;
use crate::link::conversation::Said;
use crate::msg::Source;
use crate::net::gate::Admission;
use crate::tick::now;

/// Proven connections that wait to be looked at.
pub(super) const OFFERS_WAITING: usize = 64;
/// How long a connection may take to end after its goodbye.
pub(super) const GOODBYE_MAX: Duration = Duration::from_secs(1);
/// Between two looks at the queues, for metrics.
const LOOK: Duration = Duration::from_secs(1);

/// A connection whose other end has proven itself.
pub(super) struct Offer {
    pub proven: Proven,
    pub stream: Stream,
    /// Whether this process has dialed.
    pub dialed: bool,
    pub admission: Option<Admission>,
}

/// A process that is known.
pub(super) struct Link {
    pub peer: Arc<Peer>,
    pub live: Option<Live>,
    /// When it was last heard, if there is no connection.
    pub heard: Instant,
}

/// Its connection.
pub(super) struct Live {
    pub serial: u64,
    pub dialer: ServerId,
    pub order: watch::Sender<Order>,
    /// Cancelled when the connection's tasks have ended.
    pub ended: CancellationToken,
}

/// What a task of the switchboard's gives at its end.
pub(super) enum Done {
    Dialed(Target, Result<ServerId, Failure>),
    Ended { server: ServerId, serial: u64, end: End, heard: Instant },
}

pub(super) struct Switchboard {
    pub(super) shared: Arc<Shared>,
    offers: mpsc::Receiver<Offer>,
    offering: mpsc::Sender<Offer>,
    events: mpsc::Sender<LinkEvent>,
    pub(super) links: BTreeMap<ServerId, Link>,
    pub(super) dials: BTreeMap<Target, Dial>,
    running: JoinSet<Done>,
    serial: u64,
    look: Instant,
}

impl Switchboard {
    pub(super) fn new(
        shared: Arc<Shared>,
        (offering, offers): (mpsc::Sender<Offer>, mpsc::Receiver<Offer>),
        events: mpsc::Sender<LinkEvent>,
    ) -> Self {
        Self {
            shared,
            offers,
            offering,
            events,
            links: BTreeMap::new(),
            dials: BTreeMap::new(),
            running: JoinSet::new(),
            serial: 0,
            look: now(),
        }
    }

    /// Runs until the process stops, then takes leave of all.
    pub(super) async fn run(mut self) {
        let stop = self.shared.stop.clone();
        loop {
            let until = self.next_time();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(offer) = self.offers.recv() => self.on_offer(offer).await,
                Some(done) = self.running.join_next() => match done {
                    Ok(done) => self.on_done(done).await,
                    Err(problem) => {
                        error!(%problem, "a link's task has failed");
                        self.find_ended().await;
                    }
                },
                () = self.shared.wished.notified() => self.on_wishes().await,
                () = sleep_until(until.into()) => self.on_time().await,
            }
        }
        self.take_leave().await;
    }

    fn me(&self) -> ServerId {
        self.shared.greeter.me.server
    }

    fn new_peer(&self, server: ServerId) -> Arc<Peer> {
        let counts = self.shared.counts.clone();
        Arc::new(Peer::new(self.me(), server, self.shared.bounds, counts))
    }

    /// A process has proven itself over a new connection.
    async fn on_offer(&mut self, offer: Offer) {
        let server = offer.proven.identity.server;
        let dialer = if offer.dialed { self.me() } else { server };
        let first = self.me().min(server);
        let live = self.links.get_mut(&server).and_then(|link| {
            link.live.take_if(|live| {
                // Whoever dials again has lost the connection it had; of two that dialed each other
                // the one with the lower id has dialed the one that stays.
                live.dialer == dialer || dialer == first
            })
        });
        if let Some(replaced) = &live {
            replaced.order.send_replace(Order::Cut);
            replaced.ended.cancelled().await;
        } else if self.links.get(&server).is_some_and(|link| link.live.is_some()) {
            debug!(%server, "a second connection is not needed");
            return self.refuse(offer);
        }
        self.open(offer, dialer, live.is_some()).await;
    }

    /// Goes on with the conversation over a new connection, or begins anew.
    async fn open(&mut self, offer: Offer, dialer: ServerId, seamless: bool) {
        let Offer { proven, stream, dialed, admission } = offer;
        let Proven { identity, theirs, mine, anew, frames } = proven;
        let server = identity.server;
        let known = self.links.get(&server).map(|link| link.peer.clone());
        let mine = mine.unwrap_or_else(|| known.as_ref().map_or(Said::default(), |p| p.said()));
        let peer = match known.filter(|_| mine.agrees(theirs)) {
            Some(peer) => peer,
            None => {
                self.lose(server, false, "it has begun anew").await;
                self.new_peer(server)
            }
        };
        let opened = match peer.open(mine, theirs, anew) {
            Ok(opened) => opened,
            Err(problem) => {
                warn!(%server, %problem, "a link begins anew");
                return self.lose(server, false, "the conversation is broken").await;
            }
        };
        let fresh = opened == crate::link::conversation::Opened::Fresh;
        let greeting = (!dialed).then(|| greeting::ready(mine));
        peer.attach(greeting.as_deref());
        let (hold, held) = oneshot::channel();
        let (order, orders) = watch::channel(Order::Go);
        let connection = Connection {
            stream,
            frames,
            peer: peer.clone(),
            source: Source { server, roles: identity.roles.clone() },
            hosted: self.shared.hosted.clone(),
            pulse: self.shared.pulse,
            order: orders,
            hold: held,
            admission,
        };
        let ended = self.start(server, connection);
        let live = Some(Live { serial: self.serial, dialer, order, ended });
        self.links.insert(server, Link { peer: peer.clone(), live, heard: now() });
        let entry = Known { identity: identity.clone(), peer };
        self.shared.known.lock().insert(server, entry);
        // Either of the two may find out first that the other one's process is gone.
        self.want(Target::Member(server), identity.host.clone(), identity.port);
        self.lose_predecessor(&identity).await;
        self.on_up(identity, fresh, seamless && !fresh, Hold::new(hold)).await;
    }

    async fn on_up(&mut self, identity: Identity, fresh: bool, seamless: bool, hold: Hold) {
        let Identity { server, roles, host, port, version } = &identity;
        if !seamless {
            info!(%server, %roles, address = %format_args!("{host}:{port}"), version, fresh, "link up");
            self.tell(LinkEvent::Up { identity, fresh, hold }).await;
        }
        self.count_links();
    }

    fn start(&mut self, server: ServerId, connection: Connection) -> CancellationToken {
        self.serial += 1;
        let (serial, ended) = (self.serial, CancellationToken::new());
        let guard = ended.clone().drop_guard();
        self.running.spawn(async move {
            let (end, heard) = connection.run().await;
            drop(guard);
            Done::Ended { server, serial, end, heard }
        });
        ended
    }

    /// Tells a dialer that it is not needed; a connection dialed from here is just closed.
    fn refuse(&self, offer: Offer) {
        if !offer.dialed {
            self.shared.tasks.spawn(async move {
                let (mut stream, words) = (offer.stream, "another connection goes before this one");
                // If it cannot be told in time it is closed without.
                let telling = greeting::refuse(&mut stream, Refusal::Duplicate, words);
                let _ = timeout(GREETING_MAX, telling).await;
            });
        }
    }

    async fn on_done(&mut self, done: Done) {
        // What a dial has led to was offered before it ended.
        while let Ok(offer) = self.offers.try_recv() {
            self.on_offer(offer).await;
        }
        match done {
            Done::Dialed(target, result) => self.on_dialed(target, result).await,
            Done::Ended { server, serial, end, heard } => {
                self.on_ended(server, serial, end, heard).await;
            }
        }
    }

    /// Whether there is a connection.
    pub(super) fn is_live(&self, server: ServerId) -> bool {
        self.links.get(&server).is_some_and(|link| link.live.is_some())
    }

    async fn on_wishes(&mut self) {
        let Wishes { dial, forget } = std::mem::take(&mut *self.shared.wishes.lock());
        for server in forget {
            self.forget_member(server);
            if let Some(live) = self.links.get(&server).and_then(|link| link.live.as_ref()) {
                live.order.send_replace(Order::Leave(now()));
                // It ends soon after its goodbye; `lose` cuts it in any case.
                let _ = timeout(GOODBYE_MAX, live.ended.cancelled()).await;
            }
            self.lose(server, true, "it is to be forgotten").await;
        }
        for (target, (host, port)) in dial {
            self.want(target, host, port);
        }
    }

    async fn on_time(&mut self) {
        let time = now();
        let dead = self.shared.dead;
        let silent = |(server, link): (&ServerId, &Link)| {
            (link.live.is_none() && time - link.heard >= dead).then_some(*server)
        };
        let lost: Vec<ServerId> = self.links.iter().filter_map(silent).collect();
        for server in lost {
            self.lose(server, false, "it was silent for too long").await;
        }
        self.give_up(time);
        for (target, host, port) in self.due_dials(time) {
            let (shared, offers) = (self.shared.clone(), self.offering.clone());
            self.running.spawn(async move {
                let result = super::dial::dial(&shared, &host, port, offers).await;
                Done::Dialed(target, result)
            });
        }
        if self.look <= time {
            self.look = time + LOOK;
            let queues = self.links.values().map(|link| link.peer.queues());
            let bytes: usize = queues.map(|(unsent, _, logged)| unsent.max(logged)).sum();
            gauge!("throng_link_queue_bytes").set(bytes as f64);
        }
    }

    fn next_time(&self) -> Instant {
        let down = self.links.values().filter(|link| link.live.is_none());
        let deaths = down.map(|link| link.heard + self.shared.dead);
        deaths.chain(self.next_dial()).fold(self.look, Instant::min)
    }

    pub(super) fn count_links(&self) {
        let live = self.links.values().filter(|link| link.live.is_some()).count();
        gauge!("throng_links_up").set(live as f64);
    }

    pub(super) async fn tell(&self, event: LinkEvent) {
        tokio::select! {
            // Whoever would hear of it is ending too.
            () = self.shared.stop.cancelled() => {}
            told = self.events.send(event) => {
                if told.is_err() {
                    debug!("nobody hears of links any more");
                }
            }
        }
    }
}
