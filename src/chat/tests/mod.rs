//! The whole role, driven through its inbox over a real SQLite store: each scenario once with
//! messages moved, once with each of them sent through its wire form.

mod guilds;
mod refusals;
mod talk;
mod wars;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use prost::Message;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{ChatConfig, Peers, run};
use crate::geometry::{Point, Pose};
use crate::ids::{
    GuildId, OperationId, PlayerId, RequestId, ServerId, SessionKey, SessionRef, ZoneId,
};
use crate::limits;
use crate::link::{Directory, Inbox, Outbox, inbox};
use crate::msg::chat::{Addressee, GuildAction, RoomAction};
use crate::msg::{ChatMsg, GatewayMsg, Outgoing, ZoneMsg};
use crate::names::{ChatText, Name, NamesConfig, Reserved};
use crate::proto::{self, ErrorCode, PacketType};
use crate::store::record::NewCharacter;
use crate::store::{Store, StoreConfig};

const GATEWAY: ServerId = ServerId(77);
const ZONE: ZoneId = ZoneId(3);
/// Long enough for a busy machine; nothing waits so long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes two tests of each scenario.
macro_rules! both_ways {
    ($($scenario:ident),* $(,)?) => {
        mod moved {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Hall::open(false, super::settings()).await).await;
            })*
        }
        mod encoded {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Hall::open(true, super::settings()).await).await;
            })*
        }
    };
}
use both_ways;

/// A running chat role with one gateway, one zone and a store.
struct Hall {
    loopback: bool,
    config: ChatConfig,
    folder: tempfile::TempDir,
    store: Store,
    stop: CancellationToken,
    role: JoinHandle<()>,
    chat: Outbox<ChatMsg>,
    peers: Peers,
    gateway: Inbox<GatewayMsg>,
    zone: Inbox<ZoneMsg>,
    /// What has come for whom and was not yet looked at.
    packets: BTreeMap<PlayerId, VecDeque<Outgoing>>,
    /// The rooms that the gateway was told of each player's session, one list after the other.
    rooms: BTreeMap<PlayerId, VecDeque<Vec<Name>>>,
    /// Every packet asked for has a number of its own.
    request: u64,
}

impl Hall {
    async fn open(loopback: bool, config: ChatConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(folder.path()).await;
        let peers = Peers { gateways: Directory::default(), zones: Directory::default() };
        let (gateway_outbox, gateway) = inbox(1_024, loopback);
        let (zone_outbox, zone) = inbox(1_024, loopback);
        peers.gateways.insert(GATEWAY, gateway_outbox);
        peers.zones.insert(ZONE, zone_outbox);
        let stop = CancellationToken::new();
        let (chat, role) = start(loopback, &config, peers.clone(), store.clone(), stop.clone());
        let packets = BTreeMap::new();
        let mut hall = Self {
            loopback,
            config,
            folder,
            store,
            stop,
            role,
            chat,
            peers,
            gateway,
            zone,
            packets,
            rooms: BTreeMap::new(),
            request: 0,
        };
        hall.loaded().await;
        hall
    }

    /// Zones hear of the wars as soon as the guilds are read.
    async fn loaded(&mut self) -> Vec<(GuildId, GuildId)> {
        loop {
            if let ZoneMsg::SetWars { wars } = self.told_zone().await {
                return wars;
            }
        }
    }

    /// The same world after a restart of the process; nobody has come yet.
    async fn restart(&mut self) -> Vec<(GuildId, GuildId)> {
        self.stop.cancel();
        (&mut self.role).await.unwrap();
        self.store.close().await;
        while self.zone.try_recv().is_some() {}
        self.store = open_store(self.folder.path()).await;
        self.stop = CancellationToken::new();
        let (store, stop) = (self.store.clone(), self.stop.clone());
        (self.chat, self.role) =
            start(self.loopback, &self.config, self.peers.clone(), store, stop);
        self.packets.clear();
        self.loaded().await
    }

    /// An account of that name whose player comes in through a session of the same number.
    async fn come(&mut self, name: &str) -> PlayerId {
        let pose = Pose { at: Point { x: 1.0, y: 1.0 }, rotation: 0.0 };
        let character = NewCharacter { zone: ZONE, pose, health: 1, power: 1, items: vec![] };
        let player =
            self.store.create_account(&named(name), "$argon2id$", character).await.unwrap();
        self.join(player, name).await;
        player
    }

    /// Comes in and waits until its zone was told its guild.
    async fn join(&mut self, player: PlayerId, name: &str) -> Option<String> {
        self.send(ChatMsg::Joined {
            player,
            name: name.into(),
            session: session(player),
            zone: ZONE,
            rooms: vec![],
            since: None,
        });
        self.packets.entry(player).or_default();
        self.guild_in_zone(player).await
    }

    /// The next guild that the zone is told of this player.
    async fn guild_in_zone(&mut self, wanted: PlayerId) -> Option<String> {
        loop {
            if let ZoneMsg::SetGuild { player, guild } = self.told_zone().await
                && player == wanted
            {
                return guild.map(|guild| guild.name.to_string());
            }
        }
    }

    /// The wars of which the zone is told next.
    async fn wars_in_zone(&mut self) -> Vec<(GuildId, GuildId)> {
        self.loaded().await
    }

    async fn told_zone(&mut self) -> ZoneMsg {
        let told = tokio::time::timeout(PATIENCE, self.zone.recv()).await;
        told.expect("the zone is told something").unwrap()
    }

    fn send(&self, message: ChatMsg) {
        self.chat.send(message).unwrap();
    }

    fn next_request(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    fn say(&mut self, player: PlayerId, to: Addressee, text: &str) {
        let (request, text) = (self.next_request(), ChatText::parse(text).unwrap());
        self.send(ChatMsg::Say { player, request, to, text });
    }

    fn room(&mut self, player: PlayerId, action: RoomAction) {
        let request = self.next_request();
        self.send(ChatMsg::Room { player, request, action });
    }

    fn guild(&mut self, player: PlayerId, action: GuildAction) {
        let request = self.next_request();
        self.send(ChatMsg::Guild { player, request, action });
    }

    /// The next packet of a player.
    async fn packet(&mut self, player: PlayerId) -> Outgoing {
        loop {
            if let Some(packet) = self.packets.entry(player).or_default().pop_front() {
                return packet;
            }
            let message = tokio::time::timeout(PATIENCE, self.gateway.recv()).await;
            self.sort(message.expect("a packet comes").unwrap());
        }
    }

    fn sort(&mut self, message: GatewayMsg) {
        let mut give = |key: SessionKey, packet: Outgoing| {
            self.packets.entry(PlayerId(key.0)).or_default().push_back(packet);
        };
        match message {
            GatewayMsg::Deliver { session, packet } => give(session, packet),
            GatewayMsg::DeliverMany { sessions, packet } => {
                sessions.into_iter().for_each(|session| give(session, packet.clone()));
            }
            GatewayMsg::Broadcast { packet } => {
                self.packets.values_mut().for_each(|packets| packets.push_back(packet.clone()));
            }
            GatewayMsg::Rooms { session, rooms } => {
                self.rooms.entry(PlayerId(session.0)).or_default().push_back(rooms);
            }
            other => panic!("chat does not send {other:?}"),
        }
    }

    /// The next list of rooms that the gateway is told for a player.
    async fn rooms_told(&mut self, player: PlayerId) -> Vec<Name> {
        loop {
            if let Some(rooms) = self.rooms.entry(player).or_default().pop_front() {
                return rooms;
            }
            let message = tokio::time::timeout(PATIENCE, self.gateway.recv()).await;
            self.sort(message.expect("rooms come").unwrap());
        }
    }

    /// Its gateway tells of a player anew.
    fn rejoin(&mut self, player: PlayerId, name: &str, rooms: &[Name]) {
        self.send(ChatMsg::Joined {
            player,
            name: name.into(),
            session: session(player),
            zone: ZONE,
            rooms: rooms.to_vec(),
            since: Some(1),
        });
        self.packets.entry(player).or_default();
    }

    /// The next packet of a player, which is of this kind.
    async fn expect<M: Message + Default>(&mut self, player: PlayerId, kind: PacketType) -> M {
        let packet = self.packet(player).await;
        assert_eq!(packet.kind, kind, "{:?}", proto::Error::decode(packet.payload.clone()));
        M::decode(packet.payload).unwrap()
    }

    /// The next packet of a player, which refuses its last request.
    async fn expect_error(&mut self, player: PlayerId, code: ErrorCode) {
        let request = self.request;
        let error: proto::Error = self.expect(player, PacketType::Error).await;
        assert_eq!((error.code(), error.in_reply_to), (code, request), "{}", error.message);
        assert!(!error.message.is_empty());
    }

    async fn expect_chat(&mut self, player: PlayerId) -> (proto::ChatChannel, String, String) {
        let it: proto::ChatMessage = self.expect(player, PacketType::ChatMessage).await;
        (it.channel(), it.sender, it.text)
    }

    /// Nothing more has come for this player: what it asks now is answered next.
    async fn expect_nothing(&mut self, player: PlayerId) {
        let request = self.next_request();
        self.send(ChatMsg::Who { player, request });
        let _: proto::RoomMembers = self.expect(player, PacketType::RoomMembers).await;
    }

    /// A guild of the one player `leader`.
    async fn found(&mut self, leader: PlayerId, name: &str) -> GuildId {
        self.guild(leader, GuildAction::Create(named(name)));
        let made: proto::GuildResponse = self.expect(leader, PacketType::GuildResponse).await;
        assert_eq!((made.success, made.name.as_str()), (true, name));
        assert_eq!(self.guild_in_zone(leader).await.as_deref(), Some(name));
        GuildId(made.guild_id)
    }

    /// Brings a player into a guild by an invitation; the joiner's and the inviter's packets are
    /// taken.
    async fn bring_in(&mut self, by: PlayerId, guild: &str, player: PlayerId, name: &str) {
        self.guild(by, GuildAction::Invite(named(name)));
        let _: proto::GuildResponse = self.expect(by, PacketType::GuildResponse).await;
        let invited: proto::GuildInvite = self.expect(player, PacketType::GuildInvite).await;
        assert_eq!(invited.guild, guild);
        self.guild(player, GuildAction::Join(named(guild)));
        let _: proto::GuildResponse = self.expect(player, PacketType::GuildResponse).await;
        for member in [player, by] {
            let joined: proto::GuildJoin = self.expect(member, PacketType::GuildJoin).await;
            assert_eq!((joined.guild.as_str(), joined.player.as_str()), (guild, name));
        }
        assert_eq!(self.guild_in_zone(player).await.as_deref(), Some(guild));
    }
}

fn start(
    loopback: bool,
    config: &ChatConfig,
    peers: Peers,
    store: Store,
    stop: CancellationToken,
) -> (Outbox<ChatMsg>, JoinHandle<()>) {
    let (chat, chat_inbox) = inbox(limits::CHAT_INBOX, loopback);
    let reserved = Reserved::new(&NamesConfig::default());
    (chat, tokio::spawn(run(config.clone(), reserved, chat_inbox, peers, store, stop)))
}

/// A busy machine must not fail a test that is not about time.
fn settings() -> ChatConfig {
    ChatConfig { guild_wait_ms: 60_000, war_victim_seconds: 0, ..ChatConfig::default() }
}

async fn open_store(folder: &std::path::Path) -> Store {
    let config = StoreConfig { timeout_ms: 60_000, ..StoreConfig::default() };
    Store::open(&config, folder).await.unwrap()
}

/// Each player's session has the player's number.
fn session(player: PlayerId) -> SessionRef {
    SessionRef { gateway: GATEWAY, key: SessionKey(player.0) }
}

fn named(text: &str) -> Name {
    Name::parse(text).unwrap()
}
