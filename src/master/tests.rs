//! The role as its peers see it: a real store, inboxes in place of gateways and login roles.

use std::time::Duration;

use super::query::KickOutcome;
use super::*;
use crate::ids::{Epoch, PlayerId, RequestId, SessionKey, SessionRef};
use crate::link::{Outbox, inbox};
use crate::names::{ChatText, Name};
use crate::proto::DisconnectReason;
use crate::store::StoreConfig;
use crate::store::record::NewCharacter;

mod cluster;
mod entries;

/// A master's state without its task, and what it says to two processes that play everything else.
struct Bench {
    master: Master,
    /// When it was made; the tests say how much later it is.
    start: Instant,
    gateways: [Inbox<GatewayMsg>; 2],
    nodes: [Inbox<NodeMsg>; 2],
    hosts: [Inbox<HostMsg>; 2],
    login: Inbox<LoginMsg>,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// A whole world by itself.
    async fn new() -> Self {
        Self::with(16, true).await
    }

    /// The master of a cluster that has just started.
    async fn new_in_cluster() -> Self {
        Self::with(16, false).await
    }

    async fn with(gateway_inbox: usize, alone: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let peers = Peers::default();
        let gateways = linked(&peers.gateways, gateway_inbox);
        let nodes = linked(&peers.nodes, 16);
        let hosts = linked(&peers.hosts, 16);
        let (outbox, login) = inbox(16, false);
        peers.login.insert(ServerId(1), outbox);
        let config = MasterConfig::default();
        let parts = Parts { config, zones: vec![ZoneId(1), ZoneId(2)], alone, peers, store };
        let start = tick::now();
        let master = Master::new(parts, start);
        Self { master, start, gateways, nodes, hosts, login, _folder: folder }
    }

    /// The master hears `message`, so many milliseconds after its start.
    fn hear_at(&mut self, millis: u64, message: MasterMsg) {
        self.master.on_message(message, self.start + Duration::from_millis(millis));
    }

    fn hear(&mut self, message: MasterMsg) {
        self.hear_at(0, message);
    }

    fn second_at(&mut self, millis: u64) {
        self.master.on_second(self.start + Duration::from_millis(millis));
        self.master.post.send_again();
    }

    fn claim(&mut self, request: u64, player: u64, session: SessionRef) {
        self.hear(claimed(request, player, session));
    }
}

/// Inboxes of the servers 1 and 2.
fn linked<M: crate::link::Wire>(to: &Directory<ServerId, M>, capacity: usize) -> [Inbox<M>; 2] {
    [1, 2].map(|id| {
        let (outbox, inbox) = inbox(capacity, false);
        to.insert(ServerId(id), outbox);
        inbox
    })
}

fn claimed(request: u64, player: u64, session: SessionRef) -> MasterMsg {
    MasterMsg::Claim {
        request: RequestId(request),
        player: PlayerId(player),
        name: "Anna_1".into(),
        session,
        device: "phone".into(),
    }
}

/// What has come in since the last look.
fn all<M>(inbox: &mut Inbox<M>) -> Vec<M> {
    std::iter::from_fn(|| inbox.try_recv()).collect()
}

fn session(gateway: u64, key: u64) -> SessionRef {
    SessionRef { gateway: ServerId(gateway), key: SessionKey(key) }
}

fn status(server: u64, players: u32) -> MasterMsg {
    MasterMsg::Status(Box::new(super::registry::tests::status(server, players)))
}

fn located(player: PlayerId, session: SessionRef, zone: ZoneId) -> MasterMsg {
    MasterMsg::Located { player, session, zone, epoch: Epoch(1) }
}

#[tokio::test]
async fn the_newest_claim_wins_and_the_old_session_is_told_to_go() {
    let mut bench = Bench::new().await;
    let (old, new) = (session(1, 7), session(2, 9));
    bench.claim(5, 42, old);
    let granted = bench.gateways[0].try_recv();
    assert!(
        matches!(granted, Some(GatewayMsg::PresenceGranted { request: RequestId(5), zone: None })),
        "{granted:?}"
    );
    let at = ZoneId(3);
    bench.hear(located(PlayerId(42), old, at));
    bench.claim(6, 42, new);
    let kicked = bench.gateways[0].try_recv();
    let Some(GatewayMsg::Kick { session: SessionKey(7), reason, .. }) = kicked else {
        panic!("{kicked:?}");
    };
    assert_eq!(reason, DisconnectReason::DisconnectLoggedInElsewhere);
    let granted = bench.gateways[1].try_recv();
    assert!(
        matches!(granted, Some(GatewayMsg::PresenceGranted { zone: Some(ZoneId(3)), .. })),
        "{granted:?}"
    );
}

#[tokio::test]
async fn login_learns_from_which_device_a_player_plays() {
    let mut bench = Bench::new().await;
    bench.claim(5, 42, session(1, 7));
    for (player, wanted) in [(42, Some("phone".to_owned())), (43, None)] {
        let request = RequestId(player);
        bench.hear(MasterMsg::WhereIs { request, player: PlayerId(player) });
        let answer = bench.login.try_recv();
        assert_eq!(answer, Some(LoginMsg::Presence { request, device: wanted }));
    }
}

#[tokio::test]
async fn a_new_gateway_is_told_at_once_and_a_dead_one_no_longer() {
    let mut bench = Bench::new().await;
    bench.hear(status(1, 900));
    bench.hear(status(2, 100));
    bench.login.try_recv();
    let Some(LoginMsg::Servers(servers)) = bench.login.try_recv() else { panic!() };
    let ids: Vec<u64> = servers.iter().map(|server| server.id.0).collect();
    assert_eq!(ids, [2, 1], "the least loaded first");
    assert_eq!((servers[0].port, servers[0].text_port, servers[0].capacity), (8081, 8082, 1_000));
    let told = std::iter::from_fn(|| bench.gateways[0].try_recv());
    assert!(told.last().is_some_and(|m| matches!(m, GatewayMsg::Servers(s) if s.len() == 2)));
    bench.hear(status(1, 1_000));
    bench.second_at(0);
    let Some(LoginMsg::Servers(servers)) = bench.login.try_recv() else { panic!() };
    assert_eq!(servers.len(), 1, "the full one is left out");
}

/// An account of that name.
async fn account(store: &Store, name: &str) -> PlayerId {
    let (zone, pose, items) = (ZoneId(1), Default::default(), vec![]);
    let character = NewCharacter { zone, pose, health: 100, power: 100, items };
    store.create_account(&Name::parse(name).unwrap(), "hash", character).await.unwrap()
}

impl Bench {
    /// The master has looked for bans and new passwords.
    async fn look(&mut self) {
        self.master.bans.ask(&self.master.store);
        let answer = self.master.bans.answered().await.unwrap();
        self.master.on_bans(answer);
    }
}

#[tokio::test]
async fn who_came_in_with_an_older_password_is_sent_away_and_nobody_else() {
    let mut bench = Bench::new().await;
    let store = bench.master.store.clone();
    let (anna, bert) = (account(&store, "Anna_1").await, account(&store, "Bert_2").await);
    let before = SessionKey::made_at(tick::unix_millis() - 1_000);
    bench.claim(5, anna.0, session(1, before.0));
    bench.claim(6, bert.0, session(1, before.0 + 1));
    store.set_secret(anna, "new").await.unwrap();
    all(&mut bench.gateways[0]);
    bench.look().await;
    let told = all(&mut bench.gateways[0]);
    let [GatewayMsg::Kick { session: gone, reason, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((*gone, *reason), (before, DisconnectReason::DisconnectKicked));
    let after = SessionKey::made_at(tick::unix_millis() + 1_000);
    bench.claim(7, anna.0, session(2, after.0));
    all(&mut bench.gateways[1]);
    bench.look().await;
    assert!(all(&mut bench.gateways[1]).is_empty(), "it has proven the new one");
}

#[tokio::test]
async fn a_ban_that_was_made_while_there_was_no_master_is_carried_out_by_the_next() {
    let mut bench = Bench::new_in_cluster().await;
    let store = bench.master.store.clone();
    let anna = account(&store, "Anna_1").await;
    store.set_ban(anna, Some("cheating")).await.unwrap();
    // As if it were hours ago.
    bench.master.bans.pass(Duration::from_hours(5));
    let since = SessionKey::made_at(tick::unix_millis() - 6 * 3_600_000);
    let present = crate::msg::master::PresentSession {
        player: anna,
        name: "Anna_1".into(),
        session: session(1, since.0),
        device: String::new(),
        zone: Some(ZoneId(1)),
        since: since.time(),
    };
    bench.hear(MasterMsg::Present { sessions: vec![present] });
    all(&mut bench.gateways[0]);
    bench.look().await;
    let told = all(&mut bench.gateways[0]);
    assert!(
        matches!(&told[..], [GatewayMsg::Kick { reason, .. }]
            if *reason == DisconnectReason::DisconnectBanned),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_player_that_is_banned_while_it_plays_is_sent_away() {
    let mut bench = Bench::new().await;
    let store = bench.master.store.clone();
    let player = account(&store, "Anna_1").await;
    bench.claim(5, player.0, session(1, 7));
    bench.gateways[0].try_recv();
    store.set_ban(player, Some("cheating")).await.unwrap();
    bench.look().await;
    let kicked = bench.gateways[0].try_recv();
    let Some(GatewayMsg::Kick { reason, message, .. }) = kicked else { panic!("{kicked:?}") };
    assert_eq!(reason, DisconnectReason::DisconnectBanned);
    assert!(message.contains("cheating"), "{message}");
}

#[tokio::test]
async fn a_database_that_is_away_only_warns() {
    let mut bench = Bench::new().await;
    bench.master.store.close().await;
    let before = bench.master.bans.seen_at();
    bench.master.bans.ask(&bench.master.store);
    let bans = bench.master.bans.answered().await.unwrap();
    bench.master.on_bans(bans);
    assert_eq!(bench.master.bans.seen_at(), before, "the next look reaches as far back");
    bench.claim(5, 42, session(1, 7));
    assert!(matches!(bench.gateways[0].try_recv(), Some(GatewayMsg::PresenceGranted { .. })));
}

#[tokio::test]
async fn operators_kick_by_name_whatever_its_case() {
    let mut bench = Bench::new().await;
    bench.claim(5, 42, session(1, 7));
    bench.gateways[0].try_recv();
    let mut kick = |name: &str| bench.master.on_kick(&Name::parse(name).unwrap(), "bye".to_owned());
    assert_eq!(kick("nobody"), KickOutcome::NotThere);
    assert_eq!(kick("ANNA_1"), KickOutcome::Told);
    let kicked = bench.gateways[0].try_recv();
    assert!(matches!(kicked, Some(GatewayMsg::Kick { session: SessionKey(7), .. })), "{kicked:?}");
    let text = ChatText::parse("the server restarts soon").unwrap();
    assert_eq!(bench.master.on_announce(&text), 2);
    for gateway in &mut bench.gateways {
        assert!(matches!(gateway.try_recv(), Some(GatewayMsg::Broadcast { .. })));
    }
}

#[tokio::test]
async fn the_task_answers_and_ends_when_it_is_told_to() {
    let Bench { master, _folder, .. } = Bench::new().await;
    let (outbox, messages): (Outbox<MasterMsg>, _) = inbox(16, true);
    let (ask, queries) = mpsc::channel(query::QUERIES_WAITING);
    let stop = CancellationToken::new();
    let parts = Parts {
        config: MasterConfig::default(),
        zones: vec![],
        alone: true,
        peers: master.peers.clone(),
        store: master.store.clone(),
    };
    let task = tokio::spawn(run(parts, messages, queries, stop.clone()));
    outbox.send(status(9, 0)).unwrap();
    let snapshot = loop {
        let (reply, answer) = tokio::sync::oneshot::channel();
        ask.send(Query::Snapshot { reply }).await.unwrap();
        let snapshot = tokio::time::timeout(Duration::from_secs(10), answer).await;
        let snapshot = snapshot.unwrap().unwrap();
        if !snapshot.servers.is_empty() {
            break snapshot;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(snapshot.servers[0].server_id, ServerId(9));
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
}
