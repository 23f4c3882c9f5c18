//! The end of a gateway: with others to go to, and without.

use super::*;

fn server(id: u64) -> GameServer {
    GameServer {
        id: ServerId(id),
        name: String::new(),
        host: format!("host-{id}"),
        port: 81,
        text_port: 82,
        players: 0,
        capacity: 100,
    }
}

impl Desk {
    /// Anna has an account, so that the store takes her tokens.
    pub(super) async fn enlist(&mut self) -> PlayerId {
        let character =
            NewCharacter { zone: WEST, pose: Pose::default(), health: 1, power: 1, items: vec![] };
        let name = Name::parse("Anna").unwrap();
        self.gateway.store.create_account(&name, "$argon2id$", character).await.unwrap()
    }

    /// A session of that player that plays over a connection; its token's hash.
    pub(super) async fn play_as(
        &mut self,
        player: PlayerId,
        from: ConnRef,
    ) -> (SessionKey, [u8; 32]) {
        let key = self.ask_to_enter_as(player, from);
        self.gateway.on_presence(RequestId(key.0), Some(WEST));
        self.entered(key, WEST);
        let opening = self.opened().await;
        (key, ResumeToken::hash(opening.token.as_str()))
    }

    /// Beats until a client is sent off; who, and where to.
    async fn sent_off(&mut self) -> (SessionKey, ConnId, String) {
        let wait = async {
            loop {
                self.gateway.send_off_some().await;
                match self.shard.try_recv() {
                    Ok(ToShard::SendOff { session, conn, to }) => {
                        return (session, conn, to.host.clone());
                    }
                    Ok(_) => {}
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }

    fn released(&mut self) -> bool {
        Desk::leaves(&self.heard_in_west()) > 0
            || std::iter::from_fn(|| self.master.try_recv())
                .any(|message| matches!(message, MasterMsg::Released { .. }))
            || std::iter::from_fn(|| self.chat.try_recv())
                .any(|message| matches!(message, ChatMsg::Left { .. }))
    }
}

#[tokio::test]
async fn a_client_is_sent_to_another_gateway_and_its_character_stays() {
    let mut desk = Desk::open(64).await;
    let anna = desk.enlist().await;
    let (key, hash) = desk.play_as(anna, conn(1)).await;
    desk.gateway.on_message(GatewayMsg::Servers(vec![server(HERE.0), server(6)]));
    desk.gateway.begin_to_drain();
    assert!(!desk.gateway.has_drained(now()));
    assert_eq!(desk.sent_off().await, (key, ConnId(1), "host-6".into()));
    let record = desk.gateway.store.find_resume(hash, unix_millis()).await.unwrap();
    assert_eq!(record.map(|record| record.player), Some(anna), "its token was stored before");
    assert!(!desk.gateway.has_drained(now()), "its shard has not told it yet");
    desk.lost(key, conn(1));
    assert!(desk.gateway.has_drained(now()));
    assert!(!desk.released(), "it stands there still, and goes on elsewhere");
}

#[tokio::test]
async fn who_speaks_lines_leaves_and_logs_in_again() {
    let mut desk = Desk::open(64).await;
    let anna = desk.enlist().await;
    let (key, _) = desk.play_as(anna, conn(1)).await;
    desk.gateway.on_message(GatewayMsg::Servers(vec![server(6)]));
    desk.gateway.begin_to_drain();
    desk.sent_off().await;
    desk.gateway.on_report(FromShard::Logout { session: key });
    assert!(desk.gateway.has_drained(now()) && desk.released());
}

#[tokio::test]
async fn nobody_new_is_let_in_by_a_gateway_that_goes() {
    let mut desk = Desk::open(64).await;
    let waiting = desk.ask_to_enter(conn(1));
    desk.gateway.on_message(GatewayMsg::Servers(vec![server(6)]));
    desk.gateway.begin_to_drain();
    let (who, sequence, message, retry) = desk.put_off().await;
    assert_eq!((who, sequence), (ConnId(1), 9));
    assert!(message.contains("another") && retry > 0, "{message}");
    assert!(desk.gateway.sessions.get(waiting).is_none());
    let (conn, token_hash) = (conn(2), [7; 32]);
    desk.gateway.on_resume(Asked { conn, sequence: 3, token_hash, last_sequence: 0 });
    assert_eq!(desk.put_off().await.1, 3);
    let question = |_, request| LoginMsg::Presence { request, device: None };
    desk.gateway.ask_login(conn, 4, false, question);
    assert_eq!(desk.put_off().await.1, 4);
    assert!(desk.gateway.has_drained(now()));
}

#[tokio::test]
async fn whose_token_is_looked_up_when_the_drain_begins_goes_on_elsewhere() {
    let mut desk = Desk::open(64).await;
    let (_, asked) = desk.crashed_elsewhere().await;
    let (conn, token_hash) = (asked.conn, asked.token_hash);
    desk.gateway.on_resume(asked);
    desk.gateway.on_message(GatewayMsg::Servers(vec![server(6)]));
    desk.gateway.begin_to_drain();
    assert!(!desk.gateway.has_drained(now()), "its client waits for an answer");
    desk.find().await;
    let (who, _, message, retry) = desk.put_off().await;
    assert!(who == conn.conn && message.contains("another") && retry > 0, "{message}");
    let there = desk.gateway.store.find_resume(token_hash, unix_millis()).await.unwrap();
    assert!(there.is_some(), "another gateway finds it");
    assert!(desk.gateway.has_drained(now()));
}

#[tokio::test]
async fn without_another_gateway_clients_are_told_and_players_leave() {
    let mut desk = Desk::open(64).await;
    desk.play().await;
    desk.gateway.on_message(GatewayMsg::Servers(vec![server(HERE.0)]));
    desk.gateway.begin_to_drain();
    assert!(desk.gateway.has_drained(now()));
    assert!(desk.released());
    let reason = desk.told_of(|told| match told {
        ToShard::EndAll { reason, to: None, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await, DisconnectReason::DisconnectShutdown);
}

#[tokio::test]
async fn a_drain_ends_in_time_whatever_does_not() {
    let mut desk = Desk::open(64).await;
    // No such account: her token cannot be stored.
    desk.play().await;
    desk.gateway.on_message(GatewayMsg::Servers(vec![server(6)]));
    desk.gateway.begin_to_drain();
    desk.gateway.send_off_some().await;
    assert!(!desk.gateway.has_drained(now()));
    assert!(desk.gateway.has_drained(now() + Duration::from_secs(30)));
}
