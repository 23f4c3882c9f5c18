//! Lines of clients to what they ask for.
//!
//! Fields are held to the same rules as a packet's, by the same functions. A refusal is words for
//! a person and never repeats a password.

use std::str::FromStr;

use crate::ids::{EntityId, GuildRank, ItemId};
use crate::msg::chat::{Addressee, GuildAction, RoomAction};
use crate::msg::login::Credentials;
use crate::names::{Name, check_new_password};
use crate::protocol::client::fields::{key, name, text};
use crate::protocol::client::{ClientPacket, Rejected, password_hash};
use crate::protocol::text::{RouteKind, TextCommand};
use crate::world::command::{Action, Gift};

/// The device that text sessions log in from.
const DEVICE: &str = "text";
/// The client's version: who speaks in lines has no program of its own that could be too old.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads one line, without its end. Command words count in upper or lower case alike.
///
/// # Errors
/// Says what is wrong with it, for `ERROR`.
pub fn parse(line: &str) -> Result<TextCommand, String> {
    let (command, rest) = split(line.trim());
    let packet = match &*command.to_ascii_uppercase() {
        "LOGIN" if rest.is_empty() => return Ok(TextCommand::Route(RouteKind::Login)),
        "WORLD" if rest.is_empty() => return Ok(TextCommand::Route(RouteKind::World)),
        "ZONE" if rest.is_empty() => return Ok(TextCommand::Route(RouteKind::Zone)),
        "CHAT" if rest.is_empty() => return Ok(TextCommand::Route(RouteKind::Chat)),
        "PING" => return Ok(TextCommand::Ping),
        "HELP" => return Ok(TextCommand::Help),
        "QUIT" => return Ok(TextCommand::Quit),
        "WHO" => return Ok(TextCommand::Who),
        "LOGIN" => ClientPacket::Login {
            credentials: credentials(rest, "LOGIN name password")?,
            client_version: VERSION.to_owned(),
            device: DEVICE.to_owned(),
        },
        "REGISTER" => ClientPacket::Register {
            credentials: new_credentials(rest, "REGISTER name password")?,
            client_version: VERSION.to_owned(),
        },
        "WORLD" => ClientPacket::Say { to: Addressee::World, text: said(rest)? },
        "WHISPER" => {
            let (to, words) = split(rest);
            let to = Addressee::Player(named("name", to, "WHISPER name text")?);
            ClientPacket::Say { to, text: said(words)? }
        }
        "ROOM" => room(rest)?,
        "GUILD" => guild(rest)?,
        _ => ClientPacket::Act(action(command, rest)?),
    };
    Ok(TextCommand::Packet(packet))
}

fn action(command: &str, rest: &str) -> Result<Action, String> {
    Ok(match &*command.to_ascii_uppercase() {
        "MOVE" => {
            let [x, y] = words(rest, "MOVE x y")?;
            Action::MoveTo { x: number("x", x)?, y: number("y", y)? }
        }
        "CHAT" => Action::Say(said(rest)?.key()),
        "ZONE" => Action::Shout(said(rest)?.key()),
        "ATTACK" => {
            let [target] = words(rest, "ATTACK id")?;
            Action::Attack { target: EntityId(number("id", target)?), seen: None }
        }
        "SKILL" => {
            let (skill, target) = split(rest);
            let target =
                if target.is_empty() { None } else { Some(EntityId(number("id", target)?)) };
            Action::Skill { skill: key("skill", skill).map_err(words_of)?, target, seen: None }
        }
        "USE_ITEM" => {
            let [item] = words(rest, "USE_ITEM id")?;
            Action::UseItem(ItemId(number("id", item)?))
        }
        "PICKUP" => {
            let [thing] = words(rest, "PICKUP id")?;
            Action::PickUp(EntityId(number("id", thing)?))
        }
        "DROP" => {
            let (item, quantity) = some_of(rest, "DROP id [number]")?;
            Action::Drop { item, quantity }
        }
        "DESTROY" => {
            let (item, quantity) = some_of(rest, "DESTROY id [number]")?;
            Action::Destroy { item, quantity }
        }
        "GIVE" => give(rest)?,
        "INVENTORY" => Action::Inventory,
        "QUEST" => {
            let (verb, quest) = split(rest);
            match &*verb.to_ascii_uppercase() {
                "" | "LIST" => Action::QuestLog,
                "ACCEPT" => Action::AcceptQuest(key("quest", quest).map_err(words_of)?),
                "ABANDON" => Action::AbandonQuest(key("quest", quest).map_err(words_of)?),
                _ => return Err(usage("QUEST [LIST] or QUEST ACCEPT|ABANDON quest")),
            }
        }
        "" => return Err("an empty line; HELP lists the commands".to_owned()),
        _ => return Err("unknown command; HELP lists the commands".to_owned()),
    })
}

/// A stack, and how much of it; without a number all of it.
fn some_of(rest: &str, form: &str) -> Result<(ItemId, u32), String> {
    let (item, quantity) = split(rest);
    if item.is_empty() {
        return Err(usage(form));
    }
    Ok((ItemId(number("id", item)?), how_many(quantity)?))
}

/// A number that is not 0, or nothing at all: 0.
fn how_many(word: &str) -> Result<u32, String> {
    if word.is_empty() {
        return Ok(0);
    }
    match number("number", word)? {
        0 => Err("number is 1 or more".to_owned()),
        quantity => Ok(quantity),
    }
}

fn give(rest: &str) -> Result<Action, String> {
    const USAGE: &str = "GIVE id player [number] or GIVE GOLD player number";
    let (what, rest) = split(rest);
    let (to, quantity) = split(rest);
    if to.is_empty() {
        return Err(usage(USAGE));
    }
    let to = EntityId(number("player", to)?);
    if what.eq_ignore_ascii_case("GOLD") {
        return match number("number", quantity)? {
            0 => Err(usage(USAGE)),
            gold => Ok(Action::Give { to, gift: Gift::Gold(gold) }),
        };
    }
    let gift = Gift::Items { item: ItemId(number("id", what)?), quantity: how_many(quantity)? };
    Ok(Action::Give { to, gift })
}

fn room(rest: &str) -> Result<ClientPacket, String> {
    const USAGE: &str = "ROOM CREATE|JOIN|LEAVE|WHO room, ROOM SAY room text or ROOM LIST";
    let (verb, rest) = split(rest);
    let named = |text| named("room", text, USAGE);
    Ok(ClientPacket::Room(match &*verb.to_ascii_uppercase() {
        "CREATE" => RoomAction::Create(named(rest)?),
        "JOIN" => RoomAction::Join(named(rest)?),
        "LEAVE" => RoomAction::Leave(named(rest)?),
        "WHO" => RoomAction::Members(named(rest)?),
        "LIST" => RoomAction::List,
        "SAY" => {
            let (room, words) = split(rest);
            let to = Addressee::Room(named(room)?);
            return Ok(ClientPacket::Say { to, text: said(words)? });
        }
        _ => return Err(usage(USAGE)),
    }))
}

fn guild(rest: &str) -> Result<ClientPacket, String> {
    const USAGE: &str = "GUILD CREATE|INVITE|JOIN|LEAVE|KICK|RANK|DISBAND|INFO|SAY|WAR|PEACE …";
    let (verb, rest) = split(rest);
    let guild = |text| named("guild", text, USAGE);
    let player = |text| named("player", text, USAGE);
    Ok(ClientPacket::Guild(match &*verb.to_ascii_uppercase() {
        "CREATE" => GuildAction::Create(guild(rest)?),
        "INVITE" => GuildAction::Invite(player(rest)?),
        "JOIN" => GuildAction::Join(guild(rest)?),
        "LEAVE" => GuildAction::Leave,
        "KICK" => GuildAction::Kick(player(rest)?),
        "RANK" => {
            let [member, rank] = words(rest, "GUILD RANK player MEMBER|OFFICER|LEADER")?;
            GuildAction::Rank(player(member)?, ranked(rank)?)
        }
        "DISBAND" => GuildAction::Disband,
        "INFO" if rest.is_empty() => GuildAction::Info(None),
        "INFO" => GuildAction::Info(Some(guild(rest)?)),
        "WAR" => GuildAction::DeclareWar(guild(rest)?),
        "PEACE" => GuildAction::EndWar(guild(rest)?),
        "SAY" => return Ok(ClientPacket::Say { to: Addressee::Guild, text: said(rest)? }),
        _ => return Err(usage(USAGE)),
    }))
}

/// The first word and what follows it.
fn split(line: &str) -> (&str, &str) {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim_start())
}

fn words<'a, const N: usize>(rest: &'a str, form: &str) -> Result<[&'a str; N], String> {
    let mut words = rest.split_whitespace();
    let mut found = [""; N];
    for word in &mut found {
        *word = words.next().ok_or_else(|| usage(form))?;
    }
    if words.next().is_some() { Err(usage(form)) } else { Ok(found) }
}

fn usage(form: &str) -> String {
    format!("usage: {form}")
}

fn number<T: FromStr>(field: &str, word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{field} is not a number"))
}

fn named(field: &str, word: &str, form: &str) -> Result<Name, String> {
    if word.is_empty() { Err(usage(form)) } else { name(field, word).map_err(words_of) }
}

fn said(words: &str) -> Result<crate::names::ChatText, String> {
    text(words).map_err(words_of)
}

fn ranked(word: &str) -> Result<GuildRank, String> {
    match &*word.to_ascii_uppercase() {
        "MEMBER" => Ok(GuildRank::Member),
        "OFFICER" => Ok(GuildRank::Officer),
        "LEADER" => Ok(GuildRank::Leader),
        _ => Err("a rank is MEMBER, OFFICER or LEADER".to_owned()),
    }
}

fn credentials(rest: &str, form: &str) -> Result<Credentials, String> {
    let [name, password] = words(rest, form)?;
    let name = named("name", name, form)?;
    Ok(Credentials { name, secret: password_hash(password) })
}

/// Those of an account to be made: its password is held to the rule, which those that are there
/// already need not be.
fn new_credentials(rest: &str, form: &str) -> Result<Credentials, String> {
    let made = credentials(rest, form)?;
    let [_, password] = words(rest, form)?;
    check_new_password(password)?;
    Ok(made)
}

fn words_of(rejected: Rejected) -> String {
    rejected.message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::text::HELP;

    fn packet(line: &str) -> ClientPacket {
        match parse(line) {
            Ok(TextCommand::Packet(packet)) => packet,
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    #[test]
    fn a_password_becomes_the_secret_of_packet_clients() {
        let ClientPacket::Login { credentials, .. } = packet("LOGIN Ann s3cret") else {
            panic!("not a log-in");
        };
        assert_eq!(credentials.name.as_str(), "Ann");
        assert_eq!(credentials.secret, password_hash("s3cret"));
        let composed = packet("LOGIN Ann pässwort");
        assert_eq!(packet("LOGIN Ann pa\u{308}sswort"), composed);
        for line in [
            "LOGIN Ann",
            "REGISTER Ann",
            "REGISTER Ann s3cret",
            "LOGIN A s3cret",
            "LOGIN Ann s3cret more",
        ] {
            let refused = parse(line).unwrap_err();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn words_alone_ask_for_a_route() {
        for (line, kind) in [
            ("LOGIN", RouteKind::Login),
            ("WORLD", RouteKind::World),
            ("zone ", RouteKind::Zone),
            ("CHAT\r", RouteKind::Chat),
        ] {
            assert_eq!(parse(line), Ok(TextCommand::Route(kind)));
        }
    }

    #[test]
    fn actions_are_read() {
        assert_eq!(packet("MOVE 12 -8.5"), ClientPacket::Act(Action::MoveTo { x: 12.0, y: -8.5 }));
        assert_eq!(packet("chat  hello  you"), ClientPacket::Act(Action::Say("hello  you".into())));
        let attack = Action::Attack { target: EntityId(7), seen: None };
        assert_eq!(packet("ATTACK 7"), ClientPacket::Act(attack));
        let heal = Action::Skill { skill: "heal".into(), target: None, seen: None };
        assert_eq!(packet("SKILL heal"), ClientPacket::Act(heal));
        let all = Action::Drop { item: ItemId(3), quantity: 0 };
        assert_eq!(packet("DROP 3"), ClientPacket::Act(all));
        let two = Action::Destroy { item: ItemId(3), quantity: 2 };
        assert_eq!(packet("destroy 3 2"), ClientPacket::Act(two));
        let some = Gift::Items { item: ItemId(3), quantity: 2 };
        let give = |gift| ClientPacket::Act(Action::Give { to: EntityId(8), gift });
        assert_eq!(packet("GIVE 3 8 2"), give(some));
        assert_eq!(packet("GIVE gold 8 90"), give(Gift::Gold(90)));
        let abandon = Action::AbandonQuest("w".into());
        assert_eq!(packet("QUEST ABANDON w"), ClientPacket::Act(abandon));
        assert_eq!(packet("QUEST"), ClientPacket::Act(Action::QuestLog));
        assert_eq!(packet("QUEST ACCEPT w"), ClientPacket::Act(Action::AcceptQuest("w".into())));
        let room = Addressee::Room(Name::parse("inn").unwrap());
        assert!(
            matches!(packet("ROOM SAY inn hi all"), ClientPacket::Say { to, .. } if to == room)
        );
        let bob = Name::parse("Bob").unwrap();
        let rank = GuildAction::Rank(bob.clone(), GuildRank::Officer);
        assert_eq!(packet("GUILD RANK Bob officer"), ClientPacket::Guild(rank));
        assert_eq!(packet("GUILD INFO"), ClientPacket::Guild(GuildAction::Info(None)));
        assert_eq!(packet("GUILD WAR Bob"), ClientPacket::Guild(GuildAction::DeclareWar(bob)));
    }

    #[test]
    fn what_is_missing_is_said() {
        for (line, reason) in [
            ("", "empty line"),
            ("DANCE", "unknown command"),
            ("MOVE 1", "usage: MOVE x y"),
            ("MOVE 1 2 3", "usage: MOVE x y"),
            ("MOVE one 2", "x is not a number"),
            ("ATTACK -1", "id is not a number"),
            ("WHISPER", "usage: WHISPER"),
            ("WHISPER Bob", "text"),
            ("ROOM", "usage: ROOM"),
            ("ROOM JOIN", "usage: ROOM"),
            ("GUILD CREATE a", "guild: a name has"),
            ("GUILD RANK Bob king", "a rank is"),
            ("QUEST DROP x", "usage: QUEST"),
            ("DROP", "usage: DROP"),
            ("DROP 3 0", "number is 1 or more"),
            ("DESTROY x", "id is not a number"),
            ("GIVE 3", "usage: GIVE"),
            ("GIVE GOLD 8", "number is not a number"),
            ("GIVE GOLD 8 0", "usage: GIVE"),
            ("SKILL", "skill has"),
        ] {
            let refused = parse(line).unwrap_err();
            assert!(refused.contains(reason), "{line:?}: {refused}");
        }
    }

    #[test]
    fn help_names_only_commands_that_are_there() {
        for line in HELP.lines().filter_map(|line| line.strip_prefix("HELP ")) {
            let command = line.split(' ').next().unwrap();
            let answer = parse(command);
            assert!(answer != Err("unknown command; HELP lists the commands".into()), "{line}");
        }
        assert!(HELP.ends_with("\nEND\n"));
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_refused(line in any::<String>()) {
            let _ = parse(&line);
        }

        #[test]
        fn any_words_after_a_command_are_taken_or_refused(
            command in prop::sample::select(vec!["LOGIN", "REGISTER", "MOVE", "CHAT", "ZONE",
                "WORLD", "WHISPER", "ROOM", "ROOM SAY", "ROOM JOIN", "GUILD", "GUILD RANK",
                "GUILD INFO", "ATTACK", "SKILL", "USE_ITEM", "PICKUP", "QUEST ACCEPT",
                "DROP", "DESTROY", "GIVE", "GIVE GOLD", "QUEST ABANDON"]),
            rest in "[ -~\u{0}\u{7f}\u{e9}\u{202e}\u{3000}]{0,300}",
        ) {
            let _ = parse(&format!("{command} {rest}"));
        }
    }
}
