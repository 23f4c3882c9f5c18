//! The role as its peers see it: a real store, inboxes in place of gateways and login roles.

use std::time::Duration;

use super::*;
use crate::ids::{SessionKey, ZoneId};
use crate::link::{Outbox, inbox};
use crate::store::StoreConfig;
use crate::store::record::NewCharacter;

/// A master's state without its task, and what it says to two gateways and a login role.
struct Bench {
    master: Master,
    gateways: [Inbox<GatewayMsg>; 2],
    login: Inbox<LoginMsg>,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::with_gateway_inbox(16).await
    }

    async fn with_gateway_inbox(capacity: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let peers = Peers::default();
        let gateways = [1, 2].map(|id| {
            let (outbox, inbox) = inbox(capacity, false);
            peers.gateways.insert(ServerId(id), outbox);
            inbox
        });
        let (outbox, login) = inbox(16, false);
        peers.login.insert(ServerId(1), outbox);
        let master = Master::new(MasterConfig::default(), peers, store);
        Self { master, gateways, login, _folder: folder }
    }

    fn claim(&mut self, request: u64, player: u64, session: SessionRef) {
        self.master.on_message(MasterMsg::Claim {
            request: RequestId(request),
            player: PlayerId(player),
            name: "Anna_1".into(),
            session,
            device: "phone".into(),
        });
    }
}

fn session(gateway: u64, key: u64) -> SessionRef {
    SessionRef { gateway: ServerId(gateway), key: SessionKey(key) }
}

fn status(server: u64, players: u32) -> MasterMsg {
    MasterMsg::Status(Box::new(super::registry::tests::status(server, players)))
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
    bench.master.on_message(MasterMsg::Located { player: PlayerId(42), session: old, zone: at });
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
async fn nothing_is_granted_while_the_old_session_cannot_be_told() {
    let mut bench = Bench::with_gateway_inbox(1).await;
    bench.claim(5, 42, session(1, 7));
    // That grant fills the first gateway's inbox.
    bench.claim(6, 42, session(2, 9));
    assert!(bench.gateways[1].try_recv().is_none());
    assert!(matches!(bench.gateways[0].try_recv(), Some(GatewayMsg::PresenceGranted { .. })));
    bench.claim(7, 42, session(2, 9));
    assert!(matches!(bench.gateways[0].try_recv(), Some(GatewayMsg::Kick { .. })));
    assert!(matches!(bench.gateways[1].try_recv(), Some(GatewayMsg::PresenceGranted { .. })));
}

#[tokio::test]
async fn login_learns_from_which_device_a_player_plays() {
    let mut bench = Bench::new().await;
    bench.claim(5, 42, session(1, 7));
    for (player, wanted) in [(42, Some("phone".to_owned())), (43, None)] {
        let request = RequestId(player);
        bench.master.on_message(MasterMsg::WhereIs { request, player: PlayerId(player) });
        let answer = bench.login.try_recv();
        assert_eq!(answer, Some(LoginMsg::Presence { request, device: wanted }));
    }
}

#[tokio::test]
async fn a_new_gateway_is_told_at_once_and_a_dead_one_no_longer() {
    let mut bench = Bench::new().await;
    bench.master.on_message(status(1, 900));
    bench.master.on_message(status(2, 100));
    bench.login.try_recv();
    let Some(LoginMsg::Servers(servers)) = bench.login.try_recv() else { panic!() };
    let ids: Vec<u64> = servers.iter().map(|server| server.id.0).collect();
    assert_eq!(ids, [2, 1], "the least loaded first");
    assert_eq!((servers[0].port, servers[0].text_port, servers[0].capacity), (8081, 8082, 1_000));
    let told = std::iter::from_fn(|| bench.gateways[0].try_recv());
    assert!(told.last().is_some_and(|m| matches!(m, GatewayMsg::Servers(s) if s.len() == 2)));
    bench.master.on_message(status(1, 1_000));
    bench.master.on_second();
    let Some(LoginMsg::Servers(servers)) = bench.login.try_recv() else { panic!() };
    assert_eq!(servers.len(), 1, "the full one is left out");
}

#[tokio::test]
async fn a_player_that_is_banned_while_it_plays_is_sent_away() {
    let mut bench = Bench::new().await;
    let character = NewCharacter {
        zone: ZoneId(1),
        pose: Default::default(),
        health: 100,
        power: 100,
        items: vec![],
    };
    let store = bench.master.store.clone();
    let name = Name::parse("Anna_1").unwrap();
    let player = store.create_account(&name, "hash", character).await.unwrap();
    bench.claim(5, player.0, session(1, 7));
    bench.gateways[0].try_recv();
    store.set_ban(player, Some("cheating")).await.unwrap();
    bench.master.ask_for_bans();
    let bans = bench.master.bans.join_next().await.unwrap();
    bench.master.on_bans(bans);
    let kicked = bench.gateways[0].try_recv();
    let Some(GatewayMsg::Kick { reason, message, .. }) = kicked else { panic!("{kicked:?}") };
    assert_eq!(reason, DisconnectReason::DisconnectBanned);
    assert!(message.contains("cheating"), "{message}");
}

#[tokio::test]
async fn a_database_that_is_away_only_warns() {
    let mut bench = Bench::new().await;
    bench.master.store.close().await;
    let before = bench.master.bans_seen_at;
    bench.master.ask_for_bans();
    let bans = bench.master.bans.join_next().await.unwrap();
    bench.master.on_bans(bans);
    assert_eq!(bench.master.bans_seen_at, before, "the next look reaches as far back");
    bench.claim(5, 42, session(1, 7));
    assert!(matches!(bench.gateways[0].try_recv(), Some(GatewayMsg::PresenceGranted { .. })));
}

#[tokio::test]
async fn operators_kick_by_name_whatever_its_case() {
    let mut bench = Bench::new().await;
    bench.claim(5, 42, session(1, 7));
    bench.gateways[0].try_recv();
    let kick = |name: &str| bench.master.on_kick(&Name::parse(name).unwrap(), "bye".to_owned());
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
    let task = tokio::spawn(run(
        MasterConfig::default(),
        messages,
        queries,
        master.peers.clone(),
        master.store.clone(),
        stop.clone(),
    ));
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
