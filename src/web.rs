//! The web client's files, built into the binary and served at `/` of the public web port.
//!
//! `run.rs` puts the WebSocket beside this router. Nothing here reads a request: the files are the
//! same for everybody, and a strict policy keeps the page from loading or sending anything
//! elsewhere.

use std::collections::BTreeMap;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::world::content::{Content, SkillEffect};

/// One file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const FILES: [File; 10] = [
    file("/", HTML, include_str!("../web/index.html")),
    file("/style.css", "text/css; charset=utf-8", include_str!("../web/style.css")),
    file("/client.js", SCRIPT, include_str!("../web/client.js")),
    file("/codec.js", SCRIPT, include_str!("../web/codec.js")),
    file("/connection.js", SCRIPT, include_str!("../web/connection.js")),
    file("/memory.js", SCRIPT, include_str!("../web/memory.js")),
    file("/world.js", SCRIPT, include_str!("../web/world.js")),
    file("/draw.js", SCRIPT, include_str!("../web/draw.js")),
    file("/panels.js", SCRIPT, include_str!("../web/panels.js")),
    file("/sha256.js", SCRIPT, include_str!("../web/sha256.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Only what this server serves runs, and it speaks to this server alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Ask each time whether it is still the same: a new server has new files under the old names.
const CACHE: &str = "no-cache";

const fn file(path: &'static str, kind: &'static str, text: &'static str) -> File {
    File { path, kind, text }
}

/// The page and what belongs to it; `content` names the things of this server's world.
pub fn router(content: &Content) -> Router {
    let described = describe(content);
    let router = Router::new().route("/content.json", get(async move || described));
    FILES.iter().fold(router, |router, file| {
        let tag = tag(file.text);
        router.route(file.path, get(async move |headers: HeaderMap| serve(file, &tag, &headers)))
    })
}

/// What the page shows of the content: skills for the bar and whom they are for, names of items and
/// quests, which NPCs are enemies.
fn describe(content: &Content) -> Json<serde_json::Value> {
    let mut skills: Vec<_> = content.skills.iter().collect();
    skills.sort_by_key(|(key, skill)| (skill.level, *key));
    let skills: Vec<serde_json::Value> = skills
        .into_iter()
        .map(|(key, skill)| {
            let aimed = skill.reach > 0.0;
            let heals = matches!(skill.effect, SkillEffect::Heal { .. });
            json!({
                "key": key, "name": skill.name, "cost": skill.cost, "level": skill.level,
                "cooldown_ms": skill.cooldown_ms, "aimed": aimed, "heals": heals,
            })
        })
        .collect();
    let items: BTreeMap<_, _> = content.items.iter().map(|(k, item)| (k, &item.name)).collect();
    let quests: BTreeMap<_, _> = content.quests.iter().map(|(k, quest)| (k, &quest.name)).collect();
    let fights = content.npcs.iter().filter(|(_, npc)| npc.damage > 0);
    let enemies: Vec<_> = fights.map(|(key, _)| key).collect();
    Json(json!({ "skills": skills, "items": items, "quests": quests, "enemies": enemies }))
}

/// Names a text by its contents.
fn tag(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let hex: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn serve(file: &File, tag: &str, asked: &HeaderMap) -> Response {
    let headers: [(HeaderName, &str); 6] = [
        (CONTENT_TYPE, file.kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, CACHE),
        (ETAG, tag),
    ];
    if asked.get(IF_NONE_MATCH).is_some_and(|known| known == tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_file_comes_with_its_type_and_the_policy() {
        for file in &FILES {
            let response = serve(file, "\"1\"", &HeaderMap::new());
            assert_eq!(response.status(), StatusCode::OK, "{}", file.path);
            let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
            assert_eq!(header(CONTENT_TYPE), Some(file.kind));
            assert_eq!(header(CONTENT_SECURITY_POLICY), Some(POLICY));
        }
    }

    #[test]
    fn the_page_is_told_this_servers_skills() {
        let content: Content = toml::from_str(
            "[skills.leap]\nname = \"Leap\"\nreach = 5\ncooldown_ms = 900\n\
             effect = { kind = \"damage\", amount = 3 }\n\
             [skills.mend]\nname = \"Mend\"\nreach = 5\ncooldown_ms = 900\n\
             effect = { kind = \"heal\", amount = 3 }\n\
             [npcs.hen]\nname = \"Hen\"\nlevel = 1\nhealth = 5\n\
             [npcs.wolf]\nname = \"Wolf\"\nlevel = 1\nhealth = 5\ndamage = 2",
        )
        .unwrap();
        let Json(described) = describe(&content);
        assert_eq!(described["skills"][0]["key"], "leap");
        assert_eq!(described["skills"][0]["aimed"], true);
        let heals = ["leap", "mend"].map(|key| {
            let skills = described["skills"].as_array().unwrap();
            skills.iter().find(|skill| skill["key"] == key).unwrap()["heals"].clone()
        });
        assert_eq!(heals, [false, true]);
        assert_eq!(described["enemies"], json!(["wolf"]));
    }

    #[test]
    fn a_page_that_is_known_is_not_sent_again() {
        let mut asked = HeaderMap::new();
        let known = tag(FILES[0].text);
        asked.insert(IF_NONE_MATCH, known.parse().unwrap());
        assert_eq!(serve(&FILES[0], &known, &asked).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(serve(&FILES[0], &tag("new"), &asked).status(), StatusCode::OK);
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for file in &FILES {
            for word in ["http://", "https://", "import(", "eval(", "innerHTML"] {
                assert!(!file.text.contains(word), "{} holds {word}", file.path);
            }
        }
    }

    #[test]
    fn every_script_and_style_that_is_named_is_served() {
        for file in &FILES {
            for quote in ["from \"./", "src=\"/", "href=\"/"] {
                for rest in file.text.split(quote).skip(1) {
                    let name = rest.split('"').next().unwrap();
                    let known = FILES.iter().any(|file| file.path[1..] == *name);
                    assert!(known, "{} names {name}", file.path);
                }
            }
        }
    }
}
