//! The web page in a real browser: everything can be tapped on a telephone, keys do what the page says
//! they do, and a browser that keeps nothing plays too.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::server::{Server, Topology};

/// A telephone upright, on its side, and a desk.
const WINDOWS: [(u32, u32); 3] = [(390, 844), (844, 390), (1280, 800)];
/// What must be reached with a finger whatever else is shown.
const CONTROLS: &str = "#tabs button, #skills button, #channel, #text, #logout";
const TABS: [&str; 5] = ["bag", "quests", "guild", "rooms", "events"];

/// Notes the packets that the page sends.
const LISTENING: &str = "window.sent = []; const send = WebSocket.prototype.send; \
    WebSocket.prototype.send = function (data) { window.sent.push(data.slice()); send.call(this, data); };";

/// Storage that throws, as where site data is blocked.
const FORGETFUL: &str = "for (const name of ['localStorage', 'sessionStorage']) \
    Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } });";

fn url(server: &Server) -> String {
    format!("http://{}/", server.address("web"))
}

/// The small clearing of `page.toml`.
fn clearing() -> Server {
    let world = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/page.toml");
    Server::start_with(Topology::Direct, &[("world.file", world)])
}

/// The controls that something else lies over, or that are outside the window, with what is there.
fn covered(page: &mut Browser, controls: &str) -> Vec<Value> {
    let script = format!(
        "[...document.querySelectorAll('{controls}')].map((one) => {{ \
           const box = one.getBoundingClientRect(); \
           const there = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2); \
           return one === there || one.contains(there) ? null : \
             `${{one.id || one.textContent}} at ${{box.left | 0}},${{box.top | 0}}: ${{there?.id || there?.tagName}}`; \
         }}).filter((it) => it)"
    );
    page.run(&script).as_array().expect("a list").clone()
}

/// The middle of what a selector finds.
fn middle(page: &mut Browser, selector: &str) -> (f64, f64) {
    let box_of = format!(
        "(() => {{ const box = document.querySelector('{selector}').getBoundingClientRect(); \
         return [(box.left + box.right) / 2, (box.top + box.bottom) / 2]; }})()"
    );
    let middle = page.run(&box_of);
    (middle[0].as_f64().expect("a number"), middle[1].as_f64().expect("a number"))
}

/// What the page has sent, as the page's own codec reads it.
fn sent(page: &mut Browser) -> Vec<Value> {
    let read = "import('/codec.js').then(({ decodePacket }) => JSON.parse(JSON.stringify( \
        window.sent.map((bytes) => decodePacket(new Uint8Array(bytes))), \
        (key, value) => typeof value === 'bigint' ? Number(value) : value)))";
    page.run(read).as_array().expect("a list").clone()
}

/// The last packet of a kind that the page has sent.
fn last(page: &mut Browser, kind: &str) -> Value {
    let all = sent(page);
    let found = all.iter().rev().find(|packet| packet["name"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {all:?}"))["body"].clone()
}

#[test]
fn everything_can_be_tapped_in_every_window() {
    // With the world as it comes: six skills and their names.
    let server = Server::start_with(Topology::Direct, &[("world.file", "")]);
    for (place, window) in WINDOWS.into_iter().enumerate() {
        let mut page = Browser::open(&url(&server), window, "");
        page.enter(["Ann", "Bea", "Cid"][place]);
        page.wait("document.querySelectorAll('#skills button').length === 6");
        let talk = "for (let n = 0; n < 30; n += 1) { const line = document.createElement('li'); \
            line.textContent = 'somebody says something that is long enough for a second line'; \
            document.querySelector('#lines').append(line); }";
        page.run(talk);
        page.picture(&format!("{}x{}", window.0, window.1));
        assert_eq!(covered(&mut page, CONTROLS), [Value::Null; 0], "{window:?}");
        for tab in TABS {
            let (x, y) = middle(&mut page, &format!("[data-panel={tab}]"));
            page.click(x, y);
            let shown =
                format!("document.querySelector('#{tab}').getBoundingClientRect().height > 0");
            assert_eq!(page.run(&shown), true, "{tab} in {window:?}");
            let reached = format!("#tabs button, #channel, #text, #{tab} h2");
            assert_eq!(covered(&mut page, &reached), [Value::Null; 0], "{tab} in {window:?}");
        }
        page.picture(&format!("{}x{}-panel", window.0, window.1));
    }
}

#[test]
fn keys_pick_enemies_heal_oneself_and_stop() {
    let server = clearing();
    let mut page = Browser::open(&url(&server), (1000, 700), LISTENING);
    page.enter("Ann");
    let target = "document.querySelector('#canvas').getAttribute('aria-label')";
    page.wait("document.querySelectorAll('#skills button').length === 2");
    // The villager is nearer; she is not to be fought. The wolf may come into view a moment later.
    page.wait("document.querySelector('#meter').getAttribute('aria-valuenow') === '100'");
    for _ in 0..500 {
        page.run("document.querySelector('#canvas').focus()");
        page.key("Tab");
        page.run(
            "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))",
        );
        let label = page.run(target);
        assert_ne!(label, "The world; target: Villager");
        if label == "The world; target: Wolf" {
            break;
        }
    }
    assert_eq!(page.run(target), "The world; target: Wolf");
    page.wait("window.sent.length > 5");
    page.key("Digit1");
    let heal = last(&mut page, "USE_SKILL");
    assert_eq!(heal["skill"], "mend");
    assert!(heal["target_id"].is_null() || heal["target_id"] == json!(0), "{heal}");
    assert_eq!(page.run(target), "The world; target: Wolf", "the target is kept");
    page.key("Escape");
    page.wait("document.querySelector('#canvas').getAttribute('aria-label') === 'The world'");
    let stop = last(&mut page, "MOVE_TO");
    let away = stop["y"].as_f64().unwrap_or_default();
    assert!(away < 20.0, "it stops where it stands, not at the wolf: {stop}");
    // What has the focus is pressed by Enter, which opens the chat elsewhere.
    page.run("document.querySelector('[data-panel=bag]').focus()");
    page.key("Enter");
    page.wait("document.querySelector('#bag').classList.contains('shown')");
    assert_eq!(page.run("document.activeElement.id"), "", "the chat has not taken the focus");
    page.run("document.querySelector('#canvas').focus()");
    page.key("Enter");
    assert_eq!(page.run("document.activeElement.id"), "text");
}

#[test]
fn a_browser_that_may_keep_nothing_plays_all_the_same() {
    let server = clearing();
    let mut page = Browser::open(&url(&server), (1000, 700), FORGETFUL);
    page.enter("Ann");
    page.wait("document.querySelector('#health').textContent === '100 / 100'");
    page.run("document.querySelector('#logout').click()");
    page.wait("!document.querySelector('#entry').hidden");
}
