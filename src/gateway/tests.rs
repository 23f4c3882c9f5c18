//! The session manager driven by hand: its shards, zones, chat and master only listen, the store is
//! a real SQLite one. Whatever comes in which order, a session is with one connection or none, and
//! a player that nobody plays is told to leave.

use std::time::Duration;

use prost::Message;

use super::outlet::ReliableLog;
use super::talk::{How, Opening};
use super::*;
use crate::geometry::Pose;
use crate::ids::{Epoch, PlayerId, RequestId};
use crate::link::inbox;
use crate::msg::gateway::EnterRefusal;
use crate::names::Name;
use crate::net::{CloseReason, ConnId, FrameFault, Io, NetConfig, Peer, Service, spawn_shards};
use crate::proto::{DisconnectReason, PacketType};
use crate::store::StoreConfig;
use crate::token::{ResumeToken, TicketSigner};
use crate::world::command::PlayerState;

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
    west: Inbox<ZoneMsg>,
    east: Inbox<ZoneMsg>,
    chat: Inbox<ChatMsg>,
    master: Inbox<MasterMsg>,
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
        let (login, _) = inbox(64, false);
        let (to_chat, chat) = inbox(64, false);
        let (to_master, master) = inbox(64, false);
        let zones = Directory::default();
        zones.insert(WEST, to_west);
        zones.insert(EAST, to_east);
        let peers = Peers { zones, login, chat: to_chat, master: to_master };
        let (reports, _) = mpsc::channel(64);
        let shared = Shared {
            server: ServerId(5),
            config: GatewayConfig::default(),
            rates: NetConfig::default().rate,
            content: Arc::new(Content::default()),
            peers: peers.clone(),
            verifier: signer.verifier(),
            minimum_version: (0, 0, 0),
            reports,
        };
        let (told, shard) = mpsc::channel(1_024);
        let stop = CancellationToken::new();
        let limits = NetConfig::default().connection_limits();
        let shards = spawn_shards(1, 64, limits, stop.clone(), move |_| Listener(told.clone()));
        let (found, _) = mpsc::channel(64);
        let gateway = Gateway {
            post: Post::new(peers, shards),
            shared,
            store,
            sessions: Sessions::default(),
            questions: Pending::new(64),
            mirrors: BTreeMap::new(),
            heard: BTreeMap::new(),
            found,
            servers: Arc::default(),
        };
        Self { gateway, shard, west, east, chat, master, stop, _folder: folder }
    }

    /// A client whose ticket was good comes; its session asks the zone in the west.
    fn come(&mut self, from: ConnRef) -> SessionKey {
        let entering =
            sessions::Entering { conn: from, since: now(), ticket: None, resumes: None, tries: 0 };
        self.gateway.begin(ANNA, Name::parse("Anna").unwrap(), String::new(), entering);
        let key = self.gateway.sessions.keys().into_iter().max().unwrap();
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

    /// Messages in the west, entries and leaves only.
    fn heard_in_west(&mut self) -> Vec<ZoneMsg> {
        std::iter::from_fn(|| self.west.try_recv()).collect()
    }

    fn leaves(messages: &[ZoneMsg]) -> usize {
        messages.iter().filter(|message| matches!(message, ZoneMsg::Leave { .. })).count()
    }
}

#[tokio::test]
async fn a_late_word_about_an_old_connection_does_not_detach_the_new_one() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    desk.gateway.on_report(FromShard::Resume {
        conn: conn(2),
        token_hash: token,
        last_sequence: 0,
    });
    desk.lost(key, conn(1));
    assert_eq!(desk.opened().await.conn, ConnId(2));
    desk.lost(key, conn(1));
    let stage = &desk.gateway.sessions.get(key).unwrap().stage;
    assert!(matches!(stage, sessions::Stage::Attached { conn } if conn.conn == ConnId(2)));
}

#[tokio::test]
async fn packets_that_come_while_a_session_changes_connections_come_again() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    desk.gateway.on_report(FromShard::Resume {
        conn: conn(2),
        token_hash: token,
        last_sequence: 0,
    });
    desk.gateway.on_message(GatewayMsg::Deliver { session: key, packet: packet(1) });
    desk.gateway.on_message(GatewayMsg::DeliverMany { sessions: vec![key], packet: packet(2) });
    desk.lost(key, conn(1));
    let How::Resumed { log, last_sequence, .. } = desk.opened().await.how else { panic!() };
    assert_eq!(log.missed(last_sequence), (vec![packet(1), packet(2)], false));
}

#[tokio::test]
async fn a_packet_that_missed_its_connection_waits_for_the_resume() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    desk.lost(key, conn(1));
    desk.gateway.on_report(FromShard::Undelivered { session: key, packet: packet(1) });
    desk.gateway.on_report(FromShard::Resume {
        conn: conn(2),
        token_hash: token,
        last_sequence: 9,
    });
    let How::Resumed { log, last_sequence, .. } = desk.opened().await.how else { panic!() };
    assert_eq!(log.missed(last_sequence), (vec![packet(1)], false));
}

#[tokio::test]
async fn a_token_that_was_replaced_is_refused_even_if_the_store_still_has_it() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    let record = crate::store::record::ResumeRecord {
        player: ANNA,
        name: Name::parse("Anna").unwrap(),
        session_id: uuid::Uuid::nil(),
        session: desk.gateway.session_ref(key),
        device: String::new(),
        expires_at: u64::MAX,
    };
    desk.gateway.on_token_found(conn(2), 0, Ok(Some(record)));
    assert!(matches!(desk.told().await, ToShard::Refused { conn: ConnId(2), .. }));
    assert_eq!(desk.gateway.sessions.len(), 1);
}

#[tokio::test]
async fn who_waits_for_a_session_that_ends_is_told() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    desk.gateway.on_report(FromShard::Resume {
        conn: conn(2),
        token_hash: token,
        last_sequence: 0,
    });
    desk.gateway.on_report(FromShard::Logout { session: key });
    loop {
        if let ToShard::Refused { conn, packet } = desk.told().await {
            assert_eq!((conn, packet.kind), (ConnId(2), PacketType::ResumeResponse));
            break;
        }
    }
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
}

#[tokio::test]
async fn a_player_that_comes_in_for_an_ended_session_leaves_again() {
    let mut desk = Desk::open(64).await;
    let key = desk.come(conn(1));
    desk.gateway.end_overdue(now() + Duration::from_secs(11));
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
    desk.entered(key, WEST);
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
    desk.gateway.on_message(GatewayMsg::Moved { session: key, player: ANNA, zone: WEST });
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
}

#[tokio::test]
async fn a_leave_that_finds_no_room_is_sent_again() {
    let mut desk = Desk::open(1).await;
    let (key, _) = desk.play().await;
    // The entry still fills the inbox.
    desk.gateway.on_report(FromShard::Logout { session: key });
    assert_eq!(desk.heard_in_west().len(), 1);
    desk.gateway.post.send_again();
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
    let chat = std::iter::from_fn(|| desk.chat.try_recv());
    assert_eq!(chat.filter(|message| matches!(message, ChatMsg::Left { .. })).count(), 1);
    let mut master = std::iter::from_fn(|| desk.master.try_recv());
    assert!(master.any(|message| matches!(message, MasterMsg::Released { .. })));
}

#[tokio::test]
async fn players_of_a_zone_that_runs_anew_are_brought_in_wherever_they_were() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    desk.heard_in_west();
    desk.gateway.on_zone_restarted(WEST);
    assert!(matches!(desk.heard_in_west()[..], [ZoneMsg::Enter { ticket: None, .. }]));
    // Its last save says that it stood in the east.
    let reason = EnterRefusal::Elsewhere(EAST);
    desk.gateway.on_message(GatewayMsg::EnterRefused { session: key, reason });
    assert!(matches!(desk.east.try_recv(), Some(ZoneMsg::Enter { .. })));
    desk.entered(key, EAST);
    loop {
        if let ToShard::Moved { session, zone } = desk.told().await {
            assert_eq!((session, zone), (key, EAST));
            break;
        }
    }
    assert!(desk.gateway.sessions.get(key).unwrap().absence.is_none());
}

#[tokio::test]
async fn a_player_that_is_nowhere_is_looked_for_and_given_up_in_the_end() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    desk.heard_in_west();
    desk.gateway.on_report(FromShard::Missing { session: key });
    desk.gateway.on_report(FromShard::Missing { session: key });
    assert_eq!(desk.heard_in_west().len(), 1, "it is asked for once");
    let reason = EnterRefusal::Unavailable;
    desk.gateway.on_message(GatewayMsg::EnterRefused { session: key, reason });
    desk.gateway.tend_absent(now() + Duration::from_secs(3));
    assert_eq!(desk.heard_in_west().len(), 1, "and again");
    desk.gateway.tend_absent(now() + Duration::from_secs(31));
    assert!(desk.gateway.sessions.get(key).is_none());
    loop {
        if let ToShard::End { session, reason, .. } = desk.told().await {
            assert_eq!((session, reason), (key, DisconnectReason::DisconnectInternal));
            break;
        }
    }
}

#[tokio::test]
async fn a_displaced_session_leaves_its_player_to_the_new_one() {
    let mut desk = Desk::open(64).await;
    let (old, _) = desk.play().await;
    let reason = DisconnectReason::DisconnectLoggedInElsewhere;
    let message = "elsewhere".to_owned();
    desk.gateway.on_message(GatewayMsg::Kick { session: old, reason, message });
    let new = desk.come(conn(2));
    desk.entered(new, WEST);
    assert_eq!(desk.opened().await.session, new);
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 0);
    desk.gateway.end_overdue(now() + Duration::from_secs(13));
    assert_eq!((desk.gateway.sessions.len(), Desk::leaves(&desk.heard_in_west())), (1, 1));
}
