//! What a server of the run's own is told: one zone in which everybody has room, and settings for a
//! run. Pure; `own/mod.rs` passes it on.

use crate::geometry::Rect;
use crate::loadtest::course::HURRY_FAST;
use crate::loadtest::options::{Options, Scenario};

/// Area that a group needs to be out of the others' sight, m².
const GROUP_AREA: f64 = 4_200.0;
/// Area for each NPC, m²: a view then holds about eighty of them.
const NPC_AREA: f64 = 100.0;
/// Smallest side of the zone, m.
const SIDE_MIN: f64 = 500.0;
/// Players beyond the bots that there is room for: they come and go while others leave.
const SPARE: u32 = 500;
/// What lives in the zone with `--npcs`: roams, and harms nobody who leaves it alone.
const NPC_KIND: &str = "hare";

/// The zone's bounds: a square around the origin, whole metres.
pub(super) fn bounds(options: &Options) -> Rect {
    let groups = f64::from(options.clients.div_ceil(options.group)) * GROUP_AREA * 1.15 * 1.15;
    let area = groups.max(f64::from(options.npcs) * NPC_AREA);
    let half = (area.sqrt().max(SIDE_MIN) / 2.0).round() as f32;
    Rect { min_x: -half, min_y: -half, max_x: half, max_y: half }
}

/// One empty zone in which all groups have room, but for the NPCs that were asked for.
pub(super) fn configuration(options: &Options) -> String {
    let Rect { min_x, min_y, max_x, max_y } = bounds(options);
    let npcs = match options.npcs {
        0 => String::new(),
        npcs => {
            let radius = max_x - 1.0;
            format!(
                "npcs = [{{ kind = \"{NPC_KIND}\", at = {{ x = 0, y = 0 }}, radius = {radius:?}, \
                 count = {npcs} }}]\n"
            )
        }
    };
    // In a fight everybody reaches everybody, and nobody falls.
    let (rules, pvp) = match options.scenario {
        Scenario::Fight => {
            ("attack_reach = 50\nbase_health = 1000000\npvp_level_min = 1\n", "pvp = true\n")
        }
        _ => ("", ""),
    };
    format!(
        "[zone]\nmax_players = {players}\n\
         [world]\nquests = {{}}\n\
         [world.rules]\nplayer_speed = {speed:?}\n{rules}\
         [[world.zones]]\nid = 1\nname = \"Plain\"\n\
         bounds = {{ min_x = {min_x:.0}, min_y = {min_y:.0}, max_x = {max_x:.0}, \
         max_y = {max_y:.0} }}\n\
         spawn = {{ x = 0, y = 0 }}\n{pvp}{npcs}",
        players = options.clients + SPARE,
        speed = HURRY_FAST + 5.0,
    )
}

/// Whether passwords are hashed at the server's usual cost: where logging in is what is measured.
pub(super) fn hashes_for_real(options: &Options) -> bool {
    options.scenario == Scenario::LoginStorm || options.storm > 0
}

/// What holds whatever the configuration says: ports that nobody uses, room for everybody.
pub(super) fn settings(options: &Options) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = ["login", "gateway", "text", "http", "link"]
        .map(|port| (format!("ports.{port}"), "0".to_owned()))
        .into();
    settings.push(("ports.bind".into(), "127.0.0.1".into()));
    settings.push(("ports.admin".into(), "127.0.0.1:0".into()));
    let all = options.clients + options.storm + SPARE;
    settings.push(("net.max_connections".into(), all.to_string()));
    settings.push(("net.per_address".into(), all.to_string()));
    if !hashes_for_real(options) {
        settings.push(("login.argon2.memory_kib".into(), "8".into()));
        settings.push(("login.argon2.passes".into(), "1".into()));
    }
    if options.scenario == Scenario::Echo {
        settings.push(("net.rate.packets_per_second".into(), "10000".into()));
        settings.push(("net.rate.packet_burst".into(), "10000".into()));
    }
    if options.scenario == Scenario::Chat {
        settings.push(("net.rate.chat_messages".into(), "100".into()));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadtest::options::for_test;

    #[test]
    fn everybody_has_room() {
        for (clients, npcs) in [("1", "0"), ("5000", "0"), ("20000", "0"), ("10", "10000")] {
            let options = for_test(&["--start", "--clients", clients, "--npcs", npcs]);
            let text = configuration(&options);
            let table: toml::Table = toml::from_str(&text).unwrap();
            let zone = &table["world"]["zones"][0];
            let edge = |name: &str| zone["bounds"][name].as_integer().unwrap();
            let side = edge("max_x") - edge("min_x");
            assert!((500..10_000).contains(&side), "{text}");
            assert_eq!(side as f32, bounds(&options).width());
            assert_eq!(zone.get("npcs").is_some(), npcs != "0");
        }
    }

    #[test]
    fn hashing_is_cheap_unless_it_is_measured() {
        let cheap = |words: &[&str]| {
            let settings = settings(&for_test(words));
            settings.iter().any(|(key, _)| key == "login.argon2.memory_kib")
        };
        assert!(cheap(&["--scenario", "walk"]));
        assert!(!cheap(&["--scenario", "login-storm"]));
        assert!(!cheap(&["--start", "--scenario", "walk", "--storm", "4"]));
    }
}
