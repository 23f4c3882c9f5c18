//! What a gateway is answered.

use super::*;

#[tokio::test]
async fn who_registers_can_log_in_and_stands_where_the_world_begins() {
    let mut role = Role::start(tiny()).await;
    let RegisterDecision::Created(player) = role.register("Anna_1", "right").await else {
        panic!();
    };
    let LoginDecision::Accepted { player: who, name, ticket, servers } =
        role.log_in("anna_1", "right").await
    else {
        panic!();
    };
    assert_eq!((who, name.as_str()), (player, "Anna_1"), "the name as registered");
    assert_eq!(servers, [game_server()]);
    let ticket = role.verifier.verify(&ticket, tick::unix_millis()).unwrap();
    assert_eq!((ticket.player, ticket.device.as_str()), (player, "phone"));
    let state = role.store.player(player).await.unwrap().unwrap();
    assert_eq!(state.zone, ZoneId(7));
    assert_eq!((state.pose.at.x, state.pose.at.y, state.health), (12.0, 34.0, 120));
    let mut items: Vec<_> =
        state.inventory.iter().map(|stack| (stack.kind.to_string(), stack.quantity)).collect();
    items.sort();
    assert_eq!(items, [("potion".to_owned(), 3), ("sword".to_owned(), 1)]);
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_name_are_told_alike() {
    let mut role = Role::start(tiny()).await;
    role.register("Anna_1", "right").await;
    let wrong = refusal(role.log_in("Anna_1", "wrong").await);
    let unknown = refusal(role.log_in("Bert_2", "right").await);
    assert_eq!(wrong.code, ErrorCode::ErrorBadCredentials);
    assert_eq!(wrong, unknown);
}

#[tokio::test]
async fn a_name_is_taken_in_any_case() {
    let mut role = Role::start(tiny()).await;
    role.register("Anna_1", "right").await;
    let taken = registration_refusal(role.register("ANNA_1", "other").await);
    assert_eq!(taken.code, ErrorCode::ErrorNameTaken);
    // Two at once: both pass the look-up, only one makes the account.
    role.send_registration("Bert_2", "one", [192, 0, 2, 1]);
    role.send_registration("bert_2", "two", [192, 0, 2, 1]);
    let mut made = 0;
    for _ in 0..2 {
        match soon(role.gateway.recv()).await {
            Some(GatewayMsg::RegisterDecided { decision, .. }) => {
                made += u32::from(matches!(decision, RegisterDecision::Created(_)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn only_the_owner_learns_of_a_ban() {
    let mut role = Role::start(tiny()).await;
    let RegisterDecision::Created(player) = role.register("Anna_1", "right").await else {
        panic!();
    };
    role.store.set_ban(player, Some("cheating")).await.unwrap();
    let wrong = refusal(role.log_in("Anna_1", "wrong").await);
    assert_eq!(wrong.code, ErrorCode::ErrorBadCredentials);
    let right = refusal(role.log_in("Anna_1", "right").await);
    assert_eq!(right.code, ErrorCode::ErrorBanned);
    assert!(right.message.contains("cheating"));
    role.store.set_ban(player, None).await.unwrap();
    assert!(matches!(role.log_in("Anna_1", "right").await, LoginDecision::Accepted { .. }));
}

#[tokio::test]
async fn a_hash_that_is_none_lets_nobody_in() {
    let mut role = Role::start(tiny()).await;
    let name = Name::parse("Anna_1").unwrap();
    let character = stages::new_character(&content()).unwrap();
    role.store.create_account(&name, "not a hash", character).await.unwrap();
    let refusal = refusal(role.log_in("Anna_1", "not a hash").await);
    assert_eq!(refusal.code, ErrorCode::ErrorInternal);
}

#[tokio::test]
async fn without_a_database_nobody_waits_long() {
    let mut role = Role::start(tiny()).await;
    role.store.close().await;
    let refused = refusal(role.log_in("Anna_1", "right").await);
    assert_eq!(refused.code, ErrorCode::ErrorUnavailable);
    assert!(refused.retry_after_ms > 0);
    let refused = registration_refusal(role.register("Anna_1", "right").await);
    assert_eq!(refused.code, ErrorCode::ErrorUnavailable);
}

/// Answers the master's question that comes next.
async fn answer(role: &mut Role, device: Option<&str>) {
    let question = soon(role.master.recv()).await;
    let Some(MasterMsg::WhereIs { request, .. }) = question else { panic!("{question:?}") };
    let device = device.map(str::to_owned);
    role.outbox.send(LoginMsg::Presence { request, device }).unwrap();
}

#[tokio::test]
async fn a_second_log_in_is_refused_where_that_is_the_rule() {
    let mut role = Role::start(LoginConfig { duplicate: Duplicate::Reject, ..tiny() }).await;
    role.register("Anna_1", "right").await;
    for (playing, device, lets_in) in [
        (None, "phone", true),
        (Some("phone"), "phone", true),
        (Some("tablet"), "phone", false),
        (Some(""), "", false),
    ] {
        role.send_login("Anna_1", "right", device, [192, 0, 2, 1]);
        answer(&mut role, playing).await;
        match role.decided().await.1 {
            LoginDecision::Accepted { .. } => assert!(lets_in, "{playing:?} {device}"),
            LoginDecision::Refused(refusal) => {
                assert!(!lets_in, "{playing:?} {device}");
                assert_eq!(refusal.code, ErrorCode::ErrorAlreadyLoggedIn);
            }
        }
    }
}

#[tokio::test]
async fn a_master_that_is_silent_is_not_waited_for() {
    let mut role = Role::start(LoginConfig { duplicate: Duplicate::Reject, ..tiny() }).await;
    role.register("Anna_1", "right").await;
    let refusal = refusal(role.log_in("Anna_1", "right").await);
    assert_eq!(refusal.code, ErrorCode::ErrorUnavailable);
    // Its answer comes too late and changes nothing.
    answer(&mut role, None).await;
    role.send_login("Bert_2", "x", "", [192, 0, 2, 1]);
    assert!(matches!(role.decided().await.1, LoginDecision::Refused(_)));
}
