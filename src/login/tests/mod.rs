//! The login role as gateways and clients of its port see it: a real store, a real hashing thread,
//! real sockets for the port.

mod limits;
mod port;
mod through_gateway;

use std::collections::BTreeMap;
use std::time::Duration;

use super::hashing::Argon2Config;
use super::hashing::tests::TINY;
use super::*;
use crate::geometry::{Point, Rect};
use crate::ids::ZoneId;
use crate::link::inbox;
use crate::names::NamesConfig;
use crate::proto::ErrorCode;
use crate::store::StoreConfig;
use crate::token::TicketVerifier;
use crate::world::content::{ItemKind, Rules, ZoneKind};

const GATEWAY: ServerId = ServerId(1);
/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits, but not for ever.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it happens in time")
}

/// A running login role and everything around it.
struct Role {
    outbox: Outbox<LoginMsg>,
    gateway: Inbox<GatewayMsg>,
    master: Inbox<MasterMsg>,
    store: Store,
    verifier: TicketVerifier,
    requests: mpsc::Sender<PortRequest>,
    answers: mpsc::Receiver<(usize, PortMsg)>,
    stop: CancellationToken,
    next: u64,
    folder: tempfile::TempDir,
}

fn tiny() -> LoginConfig {
    LoginConfig { argon2: TINY, ..LoginConfig::default() }
}

fn content() -> Content {
    let bounds = Rect { min_x: 0.0, min_y: 0.0, max_x: 100.0, max_y: 100.0 };
    let zone = ZoneKind {
        id: ZoneId(7),
        name: "Meadow".into(),
        bounds,
        spawn: Point { x: 12.0, y: 34.0 },
        pvp: false,
        npcs: vec![],
        items: vec![],
    };
    let item = |stackable| ItemKind {
        name: "Thing".into(),
        stackable,
        on_use: None,
        cooldown_ms: None,
        cooldown_group: None,
    };
    Content {
        rules: Rules {
            starting_items: BTreeMap::from([("potion".into(), 3), ("sword".into(), 1)]),
            base_health: 120,
            ..Rules::default()
        },
        zones: vec![zone],
        items: BTreeMap::from([("potion".into(), item(true)), ("sword".into(), item(false))]),
        ..Content::default()
    }
}

fn game_server() -> GameServer {
    GameServer {
        id: GATEWAY,
        name: "gateway-1".into(),
        host: "127.0.0.1".into(),
        port: 8081,
        text_port: 8082,
        players: 3,
        capacity: 100,
    }
}

fn credentials(name: &str, secret: &str) -> Credentials {
    Credentials { name: Name::parse(name).unwrap(), secret: secret.to_owned() }
}

impl Role {
    async fn start(config: LoginConfig) -> Self {
        Self::start_in(config, tempfile::tempdir().unwrap()).await
    }

    /// Another process plays the role from now on.
    async fn again(mut self, config: LoginConfig) -> Self {
        self.stop.cancel();
        let elsewhere = tempfile::tempdir().unwrap();
        Self::start_in(config, std::mem::replace(&mut self.folder, elsewhere)).await
    }

    async fn start_in(config: LoginConfig, folder: tempfile::TempDir) -> Self {
        let store = Store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let signer = TicketSigner::load_or_create(&folder.path().join("login.key")).unwrap();
        let (outbox, messages) = inbox(64, false);
        let (to_gateway, gateway) = inbox(1_024, false);
        let (to_master, master) = inbox(64, false);
        let peers = Peers { gateways: Directory::default(), master: to_master };
        peers.gateways.insert(GATEWAY, to_gateway);
        let (requests, from_port) = mpsc::channel(64);
        let (to_port, answers) = mpsc::channel(64);
        let answer = Box::new(move |shard, message| {
            to_port.try_send((shard, message)).map_err(|error| error.into_inner().1)
        });
        let verifier = signer.verifier();
        let port = PortLink { requests: from_port, answer };
        let reserved = Reserved::new(&NamesConfig::default());
        let content = Arc::new(content());
        let parts = Parts { store: store.clone(), signer, content, reserved, port };
        let stop = CancellationToken::new();
        let running = run(config, messages, peers, parts, stop.clone());
        tokio::spawn(async move { running.await.unwrap() });
        outbox.send(LoginMsg::Servers(vec![game_server()])).unwrap();
        Self { outbox, gateway, master, store, verifier, requests, answers, stop, next: 0, folder }
    }

    fn send_login(&mut self, name: &str, secret: &str, device: &str, from: [u8; 4]) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        let message = LoginMsg::Login {
            from: GATEWAY,
            request,
            credentials: credentials(name, secret),
            device: device.to_owned(),
            address: from.into(),
        };
        self.outbox.send(message).unwrap();
        request
    }

    fn send_registration(&mut self, name: &str, secret: &str, from: [u8; 4]) {
        self.next += 1;
        let message = LoginMsg::Register {
            from: GATEWAY,
            request: RequestId(self.next),
            credentials: credentials(name, secret),
            address: from.into(),
        };
        self.outbox.send(message).unwrap();
    }

    /// The next decision about a log-in; queue places on the way are passed over.
    async fn decided(&mut self) -> (RequestId, LoginDecision) {
        loop {
            match soon(self.gateway.recv()).await {
                Some(GatewayMsg::LoginDecided { request, decision }) => return (request, decision),
                Some(GatewayMsg::LoginQueued { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn log_in(&mut self, name: &str, secret: &str) -> LoginDecision {
        let asked = self.send_login(name, secret, "phone", [192, 0, 2, 1]);
        let (request, decision) = self.decided().await;
        assert_eq!(request, asked);
        decision
    }

    async fn register_from(&mut self, name: &str, secret: &str, from: [u8; 4]) -> RegisterDecision {
        self.send_registration(name, secret, from);
        match soon(self.gateway.recv()).await {
            Some(GatewayMsg::RegisterDecided { decision, .. }) => decision,
            other => panic!("{other:?}"),
        }
    }

    async fn register(&mut self, name: &str, secret: &str) -> RegisterDecision {
        self.register_from(name, secret, [192, 0, 2, 1]).await
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[track_caller]
fn refusal(decision: LoginDecision) -> LoginRefusal {
    match decision {
        LoginDecision::Refused(refusal) => refusal,
        accepted => panic!("{accepted:?}"),
    }
}

#[track_caller]
fn registration_refusal(decision: RegisterDecision) -> LoginRefusal {
    match decision {
        RegisterDecision::Refused(refusal) => refusal,
        created => panic!("{created:?}"),
    }
}
