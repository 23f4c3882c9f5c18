//! Failures, registrations and too many at once.

use super::*;

/// Heavy enough that a queue builds up behind one.
const HEAVY: Argon2Config = Argon2Config { memory_kib: 65_536, passes: 4, lanes: 1 };

#[tokio::test]
async fn the_sixth_try_is_refused_even_with_the_right_secret() {
    let mut role = Role::start(tiny()).await;
    role.register("Anna_1", "right").await;
    for _ in 0..5 {
        let wrong = refusal(role.log_in("Anna_1", "wrong").await);
        assert_eq!(wrong.code, ErrorCode::ErrorBadCredentials);
    }
    let throttled = refusal(role.log_in("anna_1", "right").await);
    assert_eq!(throttled.code, ErrorCode::ErrorLoginThrottled);
    assert!((1..=60_000).contains(&throttled.retry_after_ms), "{}", throttled.retry_after_ms);
    assert!(matches!(role.register("Bert_2", "right").await, RegisterDecision::Created(_)));
    assert!(matches!(role.log_in("Bert_2", "right").await, LoginDecision::Accepted { .. }));
}

#[tokio::test]
async fn nobody_shuts_an_owner_out_who_comes_from_where_it_has_been() {
    let mut role = Role::start(tiny()).await;
    role.register("Anna_1", "right").await;
    let accepted = |decision| matches!(decision, LoginDecision::Accepted { .. });
    assert!(accepted(role.log_in("Anna_1", "right").await));
    let name = Name::parse("Anna_1").unwrap();
    let kept = async |role: &Role| role.store.login_record(&name).await.unwrap().unwrap().places;
    soon(async { while kept(&role).await.len() < 2 {} }).await;
    // Another login role knows it from the store.
    let mut role = role.again(tiny()).await;
    let mut throttled = 0;
    for from in 10..20 {
        for _ in 0..7 {
            role.send_login("Anna_1", "wrong", "stranger", [198, 51, 100, from]);
            let refused = refusal(role.decided().await.1);
            throttled += u32::from(refused.code == ErrorCode::ErrorLoginThrottled);
        }
    }
    assert!(throttled >= 20, "{throttled}");
    for (device, from) in [("phone", [203, 0, 113, 9]), ("new", [192, 0, 2, 1])] {
        role.send_login("Anna_1", "right", device, from);
        assert!(accepted(role.decided().await.1), "{device}");
    }
}

#[tokio::test]
async fn an_address_has_its_own_limit_over_all_names() {
    let mut role = Role::start(LoginConfig { failures_per_address: 3, ..tiny() }).await;
    for n in 0..3 {
        role.log_in(&format!("nobody{n}"), "wrong").await;
    }
    let throttled = refusal(role.log_in("nobody9", "wrong").await);
    assert_eq!(throttled.code, ErrorCode::ErrorLoginThrottled);
    role.send_login("nobody9", "wrong", "", [192, 0, 2, 2]);
    let elsewhere = refusal(role.decided().await.1);
    assert_eq!(elsewhere.code, ErrorCode::ErrorBadCredentials);
}

#[tokio::test]
async fn registrations_from_one_address_are_limited_but_for_this_machine() {
    let mut role = Role::start(LoginConfig { registrations_per_address: 2, ..tiny() }).await;
    for n in 0..4 {
        let far = role.register_from(&format!("far_{n}"), "x", [192, 0, 2, 1]).await;
        assert_eq!(matches!(far, RegisterDecision::Created(_)), n < 2, "{n}: {far:?}");
        let near = role.register_from(&format!("near_{n}"), "x", [127, 0, 0, 1]).await;
        assert!(matches!(near, RegisterDecision::Created(_)), "{n}: {near:?}");
    }
    let config = LoginConfig { registrations_per_address: 1, ..tiny() };
    let mut role = Role::start(LoginConfig { limit_local_registrations: true, ..config }).await;
    role.register_from("near_1", "x", [127, 0, 0, 1]).await;
    let second = role.register_from("near_2", "x", [127, 0, 0, 1]).await;
    let refused = registration_refusal(second);
    assert_eq!(refused.code, ErrorCode::ErrorLoginThrottled);
}

#[tokio::test]
async fn who_waits_is_told_its_place_and_too_many_are_sent_away() {
    let config = LoginConfig { argon2: HEAVY, queue_length: 3, ..LoginConfig::default() };
    let mut role = Role::start(config).await;
    for name in ["Anna_1", "Bert_2", "Carl_3", "Dora_4"] {
        role.send_login(name, "wrong", "", [192, 0, 2, 1]);
    }
    let (mut places, mut codes) = (Vec::new(), Vec::new());
    while codes.len() < 4 {
        match soon(role.gateway.recv()).await {
            Some(GatewayMsg::LoginQueued { request, place }) => places.push((request.0, place)),
            Some(GatewayMsg::LoginDecided { decision, .. }) => codes.push(refusal(decision).code),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(codes[0], ErrorCode::ErrorUnavailable, "the fourth does not wait for the others");
    assert_eq!(codes[1..], [ErrorCode::ErrorBadCredentials; 3]);
    assert!(places.iter().all(|(_, place)| (1..=3).contains(&place.position)), "{places:?}");
    assert!(places.iter().any(|(_, place)| place.position > 1 && place.wait_ms > 0), "{places:?}");
}

#[tokio::test]
async fn a_reserved_name_is_refused_before_it_costs_anything() {
    let mut role = Role::start(LoginConfig { registrations_per_address: 1, ..tiny() }).await;
    for name in ["System", "Admin_1"] {
        let RegisterDecision::Refused(refused) = role.register(name, "right").await else {
            panic!("{name} is taken");
        };
        assert_eq!(refused.code, ErrorCode::ErrorInvalidName);
    }
    let made = role.register("Sysiphos", "right").await;
    assert!(matches!(made, RegisterDecision::Created(_)), "the limit is untouched");
}
