//! The session manager driven by hand: its shards, zones, chat and master only listen, the store is
//! a real SQLite one. Whatever comes in which order, a session is with one connection or none, and
//! a player that nobody plays is told to leave.

mod drain;
mod faults;
mod lost_frames;
mod resuming;
mod rivals;
mod roles;
mod sessions;
mod zones;

use std::time::Duration;

use prost::Message;

use super::entry::Newcomer;
use super::outlet::ReliableLog;
use super::sessions::{Entering, Stage};
use super::talk::{Asked, How, Opening};
use super::*;
use crate::geometry::{Pose, Rect};
use crate::ids::{EntityId, Epoch, PlayerId, RequestId, ServerId};
use crate::link::{Switch, inbox};
use crate::msg::frame::{Descriptors, EncodedFrame, WireBytes};
use crate::msg::gateway::EnterRefusal;
use crate::names::Name;
use crate::net::{CloseReason, ConnId, FrameFault, Io, NetConfig, Peer, Service, spawn_shards};
use crate::proto::{DisconnectReason, ErrorCode, PacketType};
use crate::store::StoreConfig;
use crate::store::record::{NewCharacter, ResumeRecord};
use crate::tick::{Tick, unix_millis};
use crate::token::{ResumeToken, TicketSigner};
use crate::world::command::PlayerState;
use crate::world::entity::Handle;
use crate::world::frame::{Frame, PackedPosition};

const HERE: ServerId = ServerId(5);
const WEST: ZoneId = ZoneId(1);
const EAST: ZoneId = ZoneId(2);
const ANNA: PlayerId = PlayerId(7);
const PATIENCE: Duration = Duration::from_secs(20);

/// A shard that only passes on what it is told.
struct Listener(mpsc::Sender<ToShard>);

impl Service for Listener {
    type Msg = ToShard;

    fn on_open(&mut self, _io: &mut Io<'_>, _conn: ConnId, _peer: Peer) {}
    fn on_frame(&mut self, _io: &mut Io<'_>, _conn: ConnId, _body: &[u8]) {}
    fn on_turn(&mut self, _io: &mut Io<'_>) {}
    fn on_paused(&mut self, _io: &mut Io<'_>, _conn: ConnId, _waiting: usize) {}
    fn on_stall(&mut self, _lost: Duration) {}
    fn on_fault(&mut self, _io: &mut Io<'_>, _conn: ConnId, _fault: FrameFault) {}
    fn on_close(&mut self, _io: &mut Io<'_>, _conn: ConnId, _reason: CloseReason) {}
    fn on_drained(&mut self, _io: &mut Io<'_>, _conn: ConnId) {}
    fn on_sweep(&mut self, _io: &mut Io<'_>, _now: std::time::Instant) {}

    fn on_msgs(&mut self, _io: &mut Io<'_>, msgs: &mut Vec<ToShard>) {
        for message in msgs.drain(..) {
            let _ = self.0.try_send(message);
        }
    }
}

/// The session manager and all who listen to it.
struct Desk {
    gateway: Gateway,
    shard: mpsc::Receiver<ToShard>,
    findings: mpsc::Receiver<Found>,
    zones: Directory<ZoneId, ZoneMsg>,
    west: Inbox<ZoneMsg>,
    east: Inbox<ZoneMsg>,
    login: Inbox<LoginMsg>,
    chat: Inbox<ChatMsg>,
    master: Inbox<MasterMsg>,
    /// Who plays these now.
    to_login: Switch<LoginMsg>,
    to_chat: Switch<ChatMsg>,
    to_master: Switch<MasterMsg>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn conn(id: u64) -> ConnRef {
    ConnRef { shard: 0, conn: ConnId(id) }
}

/// A wish to go on with a session over that connection.
fn asked(on: u64, token_hash: [u8; 32]) -> Asked {
    Asked { conn: conn(on), sequence: on, token_hash, last_sequence: 0 }
}

fn kicked(session: SessionKey) -> GatewayMsg {
    let reason = DisconnectReason::DisconnectLoggedInElsewhere;
    GatewayMsg::Kick { session, reason, message: "elsewhere".to_owned() }
}

fn packet(number: u8) -> Outgoing {
    let it = crate::proto::ChatMessage { text: number.to_string(), ..Default::default() };
    Outgoing { kind: PacketType::ChatMessage, payload: it.encode_to_vec().into() }
}

fn state() -> Box<PlayerState> {
    Box::new(PlayerState {
        id: ANNA,
        name: "Anna".into(),
        epoch: Epoch(1),
        zone: WEST,
        pose: Pose::default(),
        level: 1,
        experience: 0,
        health: 100,
        power: 100,
        gold: 0,
        inventory: vec![],
        quests: vec![],
        timers: vec![],
    })
}

/// A zone's state after a tick.
fn frame(zone: ZoneId, origin: u64, tick: u64, players: &[PlayerId]) -> Arc<EncodedFrame> {
    let bounds = Rect { min_x: 0.0, min_y: 0.0, max_x: 100.0, max_y: 100.0 };
    let place = |handle: usize| {
        let pose = Pose::default();
        (PackedPosition::pack(Handle(handle as u16), pose, &bounds), pose.at, false)
    };
    let entities: Vec<_> = (0..players.len()).map(place).collect();
    let ids = players.iter().map(|player| EntityId::from(*player)).collect();
    Arc::new(EncodedFrame {
        frame: Frame::assemble(zone, origin, Tick(tick), bounds, &entities, ids),
        descriptors: Descriptors::default(),
        entered: vec![],
        left: vec![],
        described: vec![],
        announced: vec![],
        events: vec![],
        wire: WireBytes::default(),
    })
}

impl Desk {
    /// `room`: messages that the zone in the west takes.
    async fn open(room: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let signer = TicketSigner::load_or_create(&folder.path().join("login.key")).unwrap();
        let (to_west, west) = inbox(room, false);
        let (to_east, east) = inbox(64, false);
        let (login_outbox, login) = inbox(64, false);
        let (chat_outbox, chat) = inbox(64, false);
        let (master_outbox, master) = inbox(64, false);
        let ((logins, to_login), (chats, to_chat), (masters, to_master)) =
            (Outbox::switched(), Outbox::switched(), Outbox::switched());
        to_login.set(Some(login_outbox));
        to_chat.set(Some(chat_outbox));
        to_master.set(Some(master_outbox));
        let zones = Directory::default();
        zones.insert(WEST, to_west);
        zones.insert(EAST, to_east);
        let peers = Peers { zones: zones.clone(), login: logins, chat: chats, master: masters };
        let (reports, _) = mpsc::channel(64);
        let shared = Shared {
            server: HERE,
            config: GatewayConfig::default(),
            rates: NetConfig::default().rate,
            content: Arc::new(Content::standard()),
            peers,
            verifier: signer.verifier(),
            minimum_version: (0, 0, 0),
            reports,
        };
        let (told, shard) = mpsc::channel(1_024);
        let stop = CancellationToken::new();
        let limits = NetConfig::default().connection_limits();
        let shards = spawn_shards(1, 64, limits, stop.clone(), move |_| Listener(told.clone()));
        let (found, findings) = mpsc::channel(64);
        let gateway = Gateway::new(shared, shards, store, found);
        Self {
            gateway,
            shard,
            findings,
            zones,
            west,
            east,
            login,
            chat,
            master,
            to_login,
            to_chat,
            to_master,
            stop,
            _folder: folder,
        }
    }

    /// A client whose ticket was good comes; its session asks the master.
    fn ask_to_enter(&mut self, from: ConnRef) -> SessionKey {
        self.ask_to_enter_as(ANNA, from)
    }

    fn ask_to_enter_as(&mut self, player: PlayerId, from: ConnRef) -> SessionKey {
        let entering = Entering::new(from, 9, None, None);
        let newcomer = Newcomer {
            player,
            name: Name::parse("Anna").unwrap(),
            device: String::new(),
            session_id: uuid::Uuid::new_v4(),
            token_hash: None,
        };
        self.gateway.begin(newcomer, entering);
        self.gateway.sessions.keys().into_iter().max().unwrap_or(SessionKey(0))
    }

    /// A client whose ticket was good comes; its session asks the zone in the west.
    fn come(&mut self, from: ConnRef) -> SessionKey {
        let key = self.ask_to_enter(from);
        self.gateway.on_presence(RequestId(key.0), Some(WEST));
        key
    }

    fn entered(&mut self, key: SessionKey, zone: ZoneId) {
        let (session, guild) = (key, "".into());
        self.gateway.on_message(GatewayMsg::Entered { session, state: state(), zone, guild });
    }

    /// A session that plays over connection 1, and its resume token's hash.
    async fn play(&mut self) -> (SessionKey, [u8; 32]) {
        let key = self.come(conn(1));
        self.entered(key, WEST);
        let opening = self.opened().await;
        (key, ResumeToken::hash(opening.token.as_str()))
    }

    async fn told(&mut self) -> ToShard {
        tokio::time::timeout(PATIENCE, self.shard.recv()).await.unwrap().unwrap()
    }

    async fn opened(&mut self) -> Opening {
        loop {
            if let ToShard::Open(opening) = self.told().await {
                return *opening;
            }
        }
    }

    fn lost(&mut self, session: SessionKey, conn: ConnRef) {
        let log = Box::<ReliableLog>::default();
        self.gateway.on_report(FromShard::Lost { session, conn, log, received: 3 });
    }

    /// Messages in the west but those about frames.
    fn heard_in_west(&mut self) -> Vec<ZoneMsg> {
        let about_frames =
            |message: &ZoneMsg| matches!(message, ZoneMsg::Watch { .. } | ZoneMsg::Unwatch { .. });
        let heard = std::iter::from_fn(|| self.west.try_recv());
        heard.filter(|message| !about_frames(message)).collect()
    }

    /// The first of what the shard is told that `wanted` takes.
    async fn told_of<T>(&mut self, mut wanted: impl FnMut(ToShard) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.told().await) {
                return found;
            }
        }
    }

    /// What a client is told that was not let in now, and when it may try again.
    async fn put_off(&mut self) -> (ConnId, u64, &'static str, u32) {
        self.told_of(|told| match told {
            ToShard::NotNow { conn, sequence, message, retry_after_ms } => {
                Some((conn, sequence, message, retry_after_ms))
            }
            _ => None,
        })
        .await
    }

    /// What the store has found is taken in.
    async fn find(&mut self) {
        let found = tokio::time::timeout(PATIENCE, self.findings.recv()).await;
        self.gateway.on_found(found.unwrap().unwrap());
    }

    /// A tick of a zone in which these stand.
    fn tick(&mut self, zone: ZoneId, origin: u64, tick: u64, players: &[PlayerId]) {
        self.gateway.on_message(GatewayMsg::Frame(frame(zone, origin, tick, players)));
    }

    fn leaves(messages: &[ZoneMsg]) -> usize {
        messages.iter().filter(|message| matches!(message, ZoneMsg::Leave { .. })).count()
    }
}
