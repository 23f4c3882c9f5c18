//! Blows over a border and what comes of them, on the wire.

use parking_lot::Mutex;

use super::DecodeError;
use super::reading::{self, At, each, present};
use super::shared::{self, NOTHING, put_guild, put_key, put_point};
use crate::ids::{EntityId, PlayerId};
use crate::msg::ZoneMsg;
use crate::proto::link as wire;
use crate::world::command::{Credit, Refusal, Strike};
use wire::combat::Combat;
use wire::envelope::Body;
use wire::refusal::Refusal as RefusalWire;

/// Different reasons that a process learns from its peers; far more than the world's code has.
const PHRASES_MAX: usize = 256;
/// Bytes of one of them.
const PHRASE_LENGTH_MAX: usize = 200;
/// What stands for a reason past these bounds.
const UNNAMED: &str = "not possible";

/// Reasons are words of the program, `&'static str` in the domain. Those that came over a link are
/// kept once each, for ever, within the bounds above.
static PHRASES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

fn phrase(text: &str) -> &'static str {
    let mut phrases = PHRASES.lock();
    if let Some(known) = phrases.iter().find(|known| **known == text) {
        return known;
    }
    if phrases.len() >= PHRASES_MAX || text.len() > PHRASE_LENGTH_MAX {
        return UNNAMED;
    }
    let kept: &'static str = Box::leak(text.into());
    phrases.push(kept);
    kept
}

fn body(combat: Combat) -> Body {
    Body::Combat(wire::Combat { combat: Some(combat) })
}

pub(super) fn read(combat: Combat) -> Result<ZoneMsg, DecodeError> {
    match combat {
        Combat::Strike(strike) => Ok(ZoneMsg::Strike(Box::new(read_strike(strike)?))),
        Combat::Refused(wire::StrikeRefused { player_id, request, refusal }) => {
            const NAME: &str = "StrikeRefused";
            let wire::Refusal { refusal } = present(At(NAME, "refusal"), refusal)?;
            Ok(ZoneMsg::StrikeRefused {
                player: reading::player(At(NAME, "player_id"), player_id)?,
                request,
                refusal: read_refusal(present(At("Refusal", "refusal"), refusal)?),
            })
        }
        Combat::Credit(wire::Credit { player_id, experience, gold, npc }) => Ok(ZoneMsg::Credit {
            player: reading::player(At("Credit", "player_id"), player_id)?,
            credit: Credit { experience, gold, npc: npc.map(Into::into) },
        }),
    }
}

pub(super) fn put_strike(strike: &Strike) -> Body {
    let Strike {
        attacker,
        attacker_name,
        from_zone,
        level,
        guild,
        at,
        target,
        skill,
        from_pvp,
        request,
        ask_next,
        passes,
    } = strike;
    body(Combat::Strike(wire::Strike {
        attacker: attacker.0,
        attacker_name: put_key(attacker_name),
        from_zone_id: from_zone.0.into(),
        level: *level,
        guild: guild.as_ref().map(put_guild),
        at: Some(put_point(*at)),
        target: target.0,
        skill: skill.as_ref().map(put_key),
        from_pvp: *from_pvp,
        request: *request,
        ask_next: ask_next.iter().map(|zone| zone.0.into()).collect(),
        passes: *passes,
    }))
}

fn read_strike(strike: wire::Strike) -> Result<Strike, DecodeError> {
    const NAME: &str = "Strike";
    let wire::Strike {
        attacker,
        attacker_name,
        from_zone_id,
        level,
        guild,
        at,
        target,
        skill,
        from_pvp,
        request,
        ask_next,
        passes,
    } = strike;
    Ok(Strike {
        attacker: reading::player(At(NAME, "attacker"), attacker)?,
        attacker_name: attacker_name.into(),
        from_zone: reading::zone(At(NAME, "from_zone_id"), from_zone_id)?,
        level,
        guild: guild.map(shared::guild).transpose()?,
        at: reading::point(At(NAME, "at"), present(At(NAME, "at"), at)?)?,
        target: EntityId(target),
        skill: skill.map(Into::into),
        from_pvp,
        request,
        ask_next: each(ask_next, |zone| reading::zone(At(NAME, "ask_next"), zone))?,
        passes,
    })
}

pub(super) fn put_refused(player: PlayerId, request: u64, refusal: &Refusal) -> Body {
    let refusal = wire::Refusal { refusal: Some(put_refusal(refusal)) };
    body(Combat::Refused(wire::StrikeRefused {
        player_id: player.0,
        request,
        refusal: Some(refusal),
    }))
}

pub(super) fn put_credit(player: PlayerId, credit: &Credit) -> Body {
    let Credit { experience, gold, npc } = credit;
    body(Combat::Credit(wire::Credit {
        player_id: player.0,
        experience: *experience,
        gold: *gold,
        npc: npc.as_ref().map(put_key),
    }))
}

fn put_refusal(refusal: &Refusal) -> RefusalWire {
    match refusal {
        Refusal::NoSuchTarget => RefusalWire::NoSuchTarget(NOTHING),
        Refusal::OutOfRange => RefusalWire::OutOfRange(NOTHING),
        Refusal::Cooldown(millis) => RefusalWire::Cooldown(*millis),
        Refusal::Dead => RefusalWire::Dead(NOTHING),
        Refusal::TargetDead => RefusalWire::TargetDead(NOTHING),
        Refusal::NotAllowed(why) => RefusalWire::NotAllowed((*why).to_owned()),
        Refusal::NoSuchItem => RefusalWire::NoSuchItem(NOTHING),
        Refusal::NotUsable => RefusalWire::NotUsable(NOTHING),
        Refusal::InventoryFull => RefusalWire::InventoryFull(NOTHING),
        Refusal::NoSuchSkill => RefusalWire::NoSuchSkill(NOTHING),
        Refusal::NotEnoughPower => RefusalWire::NotEnoughPower(NOTHING),
        Refusal::LevelTooLow(level) => RefusalWire::LevelTooLow(*level),
        Refusal::NoSuchQuest => RefusalWire::NoSuchQuest(NOTHING),
        Refusal::QuestState(why) => RefusalWire::QuestState((*why).to_owned()),
        Refusal::BadPosition(why) => RefusalWire::BadPosition((*why).to_owned()),
        Refusal::Unavailable => RefusalWire::Unavailable(NOTHING),
        Refusal::Busy => RefusalWire::Busy(NOTHING),
        Refusal::ReceiverFull => RefusalWire::ReceiverFull(NOTHING),
    }
}

fn read_refusal(refusal: RefusalWire) -> Refusal {
    match refusal {
        RefusalWire::NoSuchTarget(wire::Nothing {}) => Refusal::NoSuchTarget,
        RefusalWire::OutOfRange(wire::Nothing {}) => Refusal::OutOfRange,
        RefusalWire::Cooldown(millis) => Refusal::Cooldown(millis),
        RefusalWire::Dead(wire::Nothing {}) => Refusal::Dead,
        RefusalWire::TargetDead(wire::Nothing {}) => Refusal::TargetDead,
        RefusalWire::NotAllowed(why) => Refusal::NotAllowed(phrase(&why)),
        RefusalWire::NoSuchItem(wire::Nothing {}) => Refusal::NoSuchItem,
        RefusalWire::NotUsable(wire::Nothing {}) => Refusal::NotUsable,
        RefusalWire::InventoryFull(wire::Nothing {}) => Refusal::InventoryFull,
        RefusalWire::NoSuchSkill(wire::Nothing {}) => Refusal::NoSuchSkill,
        RefusalWire::NotEnoughPower(wire::Nothing {}) => Refusal::NotEnoughPower,
        RefusalWire::LevelTooLow(level) => Refusal::LevelTooLow(level),
        RefusalWire::NoSuchQuest(wire::Nothing {}) => Refusal::NoSuchQuest,
        RefusalWire::QuestState(why) => Refusal::QuestState(phrase(&why)),
        RefusalWire::BadPosition(why) => Refusal::BadPosition(phrase(&why)),
        RefusalWire::Unavailable(wire::Nothing {}) => Refusal::Unavailable,
        RefusalWire::Busy(wire::Nothing {}) => Refusal::Busy,
        RefusalWire::ReceiverFull(wire::Nothing {}) => Refusal::ReceiverFull,
    }
}
