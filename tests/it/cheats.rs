//! Well-formed packets that ask for what cannot be: impossible moves, texts that have broken other
//! servers, targets that are none, things that are another's.

use std::time::Duration;

use throng::client::{ClientError, Event};
use throng::ids::{EntityId, ItemId};
use throng::proto::{self, ChatChannel, DisconnectReason, ErrorCode};

use crate::malformed::{all_is_well, witness};
use crate::player::{PASSWORD, Player, refusal};
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED, within};
use crate::wire::Raw;

scenarios![moves_that_cannot_be, strings_that_bite, targets_that_are_none, what_belongs_to_others,];

async fn moves_that_cannot_be(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut witness = witness(&server).await;
    let mut cheat = Player::new(&server, "Cheat").await;
    let mut raw = cheat.place();
    for (x, y) in [
        (f32::NAN, 0.0),
        (0.0, f32::INFINITY),
        (f32::NEG_INFINITY, f32::NAN),
        (1.0e9, 0.0),
        (70_000.0, 0.0),
        (-301.0, 0.0),
    ] {
        let sequence = cheat.move_to(x, y).await.unwrap();
        let code = cheat
            .until("a refusal", |event| match event {
                Event::Error(e) if e.in_reply_to == sequence => Some(e.code()),
                _ => None,
            })
            .await;
        assert_eq!(code, ErrorCode::ErrorBadPosition, "MOVE_TO {x} {y}");
        let back = corrected(&mut cheat, x, y).await;
        assert!((back.x - raw.x).abs() < 0.05 && (back.y - raw.y).abs() < 0.05, "{back:?}");
    }
    corrected(&mut cheat, raw.x + 200.0, raw.y).await;
    // Faster than one may, though each step alone is none too long.
    for _ in 0..15 {
        raw.x -= 3.0;
        cheat.walk(raw.x, raw.y, 0.0).await.unwrap();
    }
    let reason = cheat
        .until("a correction", |event| match event {
            Event::Correction(correction) => Some(correction.reason.clone()),
            _ => None,
        })
        .await;
    assert_eq!(reason, "too fast");
    // Until the server has enough of it.
    let kicked = within("the end of its patience", async {
        loop {
            if cheat.walk(raw.x + 300.0, raw.y, 0.0).await.is_err() {
                break;
            }
            // No quicker than the rate of moves lets it.
            match tokio::time::timeout(Duration::from_millis(55), cheat.next()).await {
                Ok(Err(error)) => return Some(error),
                _ => continue,
            }
        }
        cheat.next().await.err()
    });
    match kicked.await {
        Some(ClientError::Disconnected { reason, .. }) => {
            assert_eq!(reason, DisconnectReason::DisconnectKicked);
        }
        other => panic!("{other:?}"),
    }
    all_is_well(&server, &mut witness).await;
}

/// Streams an impossible place and gives where the server puts the player instead.
async fn corrected(cheat: &mut Player, x: f32, y: f32) -> proto::PositionCorrection {
    cheat.walk(x, y, 0.0).await.unwrap();
    cheat
        .until("a correction", |event| match event {
            Event::Correction(correction) => Some(correction.clone()),
            _ => None,
        })
        .await
}

/// Texts that have broken other servers.
const BITING: &[&str] = &[
    "'; DROP TABLE accounts; --",
    "\" OR \"\"=\"",
    "a\0b",
    "line\nbreak",
    "\u{202e}drow",
    "zero\u{200b}width",
    "%s%n{}$(id)",
    "../../etc/passwd",
    "раураl_mix",
    "\u{1f4a3}\u{1f4a3}\u{1f4a3}",
    "<script>alert(1)</script>",
];

async fn strings_that_bite(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut witness = witness(&server).await;
    let mut mallory = Player::new(&server, "Mallory").await;
    let long = "x".repeat(300);
    let texts = || BITING.iter().copied().chain([long.as_str(), ""]);
    for text in texts() {
        let mut fresh = server.connect().await;
        let refused = fresh.register(text, PASSWORD).await;
        assert_eq!(refusal(refused), ErrorCode::ErrorInvalidName, "{text:?} as a name");
        let refused = fresh.login(text, PASSWORD).await;
        assert_eq!(refusal(refused), ErrorCode::ErrorInvalidName, "{text:?} as a name");

        let names = [
            refusal(mallory.create_room(text).await),
            refusal(mallory.guild(&proto::GuildCreateRequest { name: text.into() }).await),
            refusal(mallory.chat(ChatChannel::ChatWhisper, text, "hello").await),
        ];
        assert_eq!(names, [ErrorCode::ErrorInvalidName; 3], "{text:?}");
        let quest = refusal(mallory.accept_quest(text).await);
        let skill = refusal(mallory.use_skill(text, None).await);
        for code in [quest, skill] {
            let fits = [
                ErrorCode::ErrorNoSuchQuest,
                ErrorCode::ErrorNoSuchSkill,
                ErrorCode::ErrorInvalidArgument,
                ErrorCode::ErrorTooLarge,
            ];
            assert!(fits.contains(&code), "{text:?}: {code:?}");
        }
    }
    for text in ["", "   ", "a\u{7}b", "\u{202e}drow", "line\nbreak", "a\0", &long] {
        for channel in [ChatChannel::ChatNear, ChatChannel::ChatWorld] {
            let refused = mallory.chat(channel, "", text).await;
            assert_eq!(refusal(refused), ErrorCode::ErrorTextRefused, "{text:?}");
        }
    }
    // As talk, what is no control character is only data.
    for text in ["'; DROP TABLE accounts; --", "<script>alert(1)</script>", "%s%n{}$(id)"] {
        mallory.say(text).await.unwrap();
        assert_eq!(witness.hears(text).await.text, text);
    }
    let wrong = proto::LoginRequest {
        username: "Mallory".into(),
        password_hash: "not a hash".into(),
        client_version: "0.1.0\n".into(),
        device_id: "\"".into(),
    };
    let mut raw = Raw::open(&server.endpoint()).await;
    assert_eq!(raw.refused(&wrong).await.code(), ErrorCode::ErrorInvalidArgument);
    mallory.client.logout().await.unwrap();
    Player::again(&server, "Mallory").await;
    all_is_well(&server, &mut witness).await;
}

async fn targets_that_are_none(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut witness = witness(&server).await;
    let mut ann = Player::new(&server, "Ann").await;
    let (me, other) = (ann.id, witness.id);
    ann.sees(other).await;
    let flower = ann.nearest("flower").await;
    for (target, code) in [
        (me, ErrorCode::ErrorNotAllowed),
        (other, ErrorCode::ErrorNotAllowed),
        (flower, ErrorCode::ErrorNotAllowed),
        (EntityId(0), ErrorCode::ErrorNoSuchTarget),
        (EntityId(999_999), ErrorCode::ErrorNoSuchTarget),
        (EntityId(u64::MAX), ErrorCode::ErrorNoSuchTarget),
    ] {
        assert_eq!(refusal(ann.attack(target).await), code, "a blow at {target}");
        let skill = refusal(ann.use_skill("power_strike", Some(target)).await);
        if target != EntityId(0) {
            assert_eq!(skill, code, "a skill at {target}");
        }
    }
    for thing in [me, other, EntityId(0), EntityId(u64::MAX)] {
        let code = refusal(ann.pick_up(thing).await);
        let fits = [ErrorCode::ErrorNoSuchTarget, ErrorCode::ErrorNotAllowed];
        assert!(fits.contains(&code), "picking {thing} up: {code:?}");
    }
    let wolf = ann.nearest("wolf").await;
    ann.kill(wolf).await;
    let dead = refusal(ann.attack(wolf).await);
    let fits = [ErrorCode::ErrorTargetDead, ErrorCode::ErrorNoSuchTarget];
    assert!(fits.contains(&dead), "{dead:?}");
    ann.go(20.0, 0.0).await;
    let wolf = ann.nearest("wolf").await;
    assert_eq!(refusal(ann.attack(wolf).await), ErrorCode::ErrorOutOfRange);
    assert_eq!(refusal(ann.pick_up(flower).await), ErrorCode::ErrorOutOfRange);
    all_is_well(&server, &mut witness).await;
}

async fn what_belongs_to_others(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut ann = Player::new(&server, "Ann").await;
    let mut thief = Player::new(&server, "Thief").await;
    let potions = ItemId(ann.entered.inventory[0].item_id);
    for item in [potions, ItemId(0), ItemId(u64::MAX)] {
        let code = refusal(thief.use_item(item).await);
        assert_eq!(code, ErrorCode::ErrorNoSuchItem, "{item}");
    }
    assert_eq!(ann.carries("healing_potion").await, 3);
    let wolf = ann.nearest("wolf").await;
    let death = ann.kill(wolf).await;
    thief.go(death.x, death.y).await;
    let pelt = thief.nearest("wolf_pelt").await;
    assert_eq!(refusal(thief.pick_up(pelt).await), ErrorCode::ErrorNotAllowed);
    ann.go(death.x, death.y).await;
    // One thing, many hands: one of these gets it, once.
    ann.pick_up(pelt).await.unwrap();
    refusal(ann.pick_up(pelt).await);
    assert_eq!((ann.carries("wolf_pelt").await, thief.carries("wolf_pelt").await), (1, 0));
    let flower = ann.nearest("flower").await;
    let at = ann.view().get(flower).unwrap().newest.at;
    tokio::join!(ann.go(at.x, at.y), thief.go(at.x, at.y));
    let both = tokio::join!(ann.pick_up(flower), thief.pick_up(flower));
    assert_eq!([both.0.is_ok(), both.1.is_ok()].iter().filter(|ok| **ok).count(), 1, "{both:?}");
    let carried = ann.carries("flower").await + thief.carries("flower").await;
    assert_eq!(carried, 1);
    let kinds = ann.inventory().await.unwrap().items;
    let pelts = kinds.iter().find(|item| item.kind == "wolf_pelt").unwrap().item_id;
    assert_eq!(refusal(ann.use_item(ItemId(pelts)).await), ErrorCode::ErrorNotUsable);
}
