//! Links over real sockets, all in one process.

mod cuts;
mod delivery;
mod greeting;
mod lives;
mod proxy;
mod sources;
mod strangers;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::ids::{PlayerId, ZoneId};
use crate::link::{Inbox, SendError, inbox};
use crate::msg::ChatMsg;

/// No event that is awaited takes longer.
const LONG: Duration = Duration::from_secs(20);

const SECRET: &str = "a secret that all of these tests share";

/// One process's links, with a chat role that only listens.
struct Node {
    links: Links,
    hosted: Hosted,
    events: mpsc::Receiver<LinkEvent>,
    chat: Inbox<ChatMsg>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// As it is by default: nothing but a broken link is cut while a test lasts, on a busy machine too.
fn config() -> LinkConfig {
    LinkConfig { dead_seconds: 3_600, ..LinkConfig::default() }
}

/// Gives up soon.
fn hasty() -> LinkConfig {
    LinkConfig { heartbeat_ms: 200, dead_seconds: 1, ..LinkConfig::default() }
}

fn identity(server: u64) -> Identity {
    Identity {
        server: ServerId(server),
        roles: "chat,gateway".parse().unwrap(),
        host: "127.0.0.1".into(),
        port: 0,
        version: "0.1.0".into(),
    }
}

impl Node {
    fn start(server: u64) -> Self {
        Self::with(server, config(), SECRET, 1_024)
    }

    fn with(server: u64, config: LinkConfig, secret: &str, room: usize) -> Self {
        Self::known_as(identity(server), config, secret, room)
    }

    fn known_as(identity: Identity, config: LinkConfig, secret: &str, room: usize) -> Self {
        let (outbox, chat) = inbox(room, false);
        let hosted = Hosted::default();
        hosted.insert(Address::Chat, outbox);
        let (sender, events) = mpsc::channel(64);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (links, _) = start(Parts {
            config,
            bind: "127.0.0.1:0".parse().unwrap(),
            secret: ClusterSecret::new(secret),
            identity,
            hosted: hosted.clone(),
            events: sender,
            tasks: tasks.clone(),
            stop: stop.clone(),
        })
        .unwrap();
        Self { links, hosted, events, chat, stop, tasks }
    }

    fn server(&self) -> ServerId {
        self.links.identity().server
    }

    fn address(&self) -> String {
        self.links.local_addr().to_string()
    }

    fn member(&self) -> Member {
        let Identity { server, roles, host, port, .. } = self.links.identity();
        Member { server: *server, roles: roles.iter().collect(), host: host.clone(), port: *port }
    }

    async fn event(&mut self) -> LinkEvent {
        let event = timeout(LONG, self.events.recv()).await;
        event.expect("something becomes of a link").expect("links run")
    }

    /// The next event is that a link is up; gives whether it is a new one.
    async fn up(&mut self, server: ServerId) -> bool {
        match self.event().await {
            LinkEvent::Up { identity, fresh, .. } if identity.server == server => fresh,
            other => panic!("not up: {other:?}"),
        }
    }

    async fn down(&mut self, server: ServerId) {
        let event = self.event().await;
        assert!(matches!(event, LinkEvent::Down { server: it } if it == server), "{event:?}");
    }

    /// The next event is a loss; gives whether it was clean.
    async fn lost(&mut self, server: ServerId) -> bool {
        match self.event().await {
            LinkEvent::Lost { server: it, clean } if it == server => clean,
            other => panic!("not lost: {other:?}"),
        }
    }

    /// The way to another's chat.
    fn chat_of(&self, server: ServerId) -> Outbox<ChatMsg> {
        self.links.outbox(server, Address::Chat).expect("the link is known")
    }

    /// The next word for this one's chat.
    async fn word(&mut self) -> u64 {
        match timeout(LONG, self.chat.recv()).await.expect("a word comes") {
            Some(ChatMsg::Moved { player, .. }) => player.0,
            other => panic!("not a word: {other:?}"),
        }
    }

    /// Stops it and waits until all of it has ended.
    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        timeout(LONG, self.tasks.wait()).await.expect("links end");
    }
}

/// A reliable message with a number in it.
fn word(number: u64) -> ChatMsg {
    ChatMsg::Moved { player: PlayerId(number), zone: ZoneId(1) }
}

/// Two that are linked; the first has dialed.
async fn linked() -> (Node, Node) {
    let (mut one, mut two) = (Node::start(1), Node::start(2));
    one.links.dial(&two.address()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    (one, two)
}
