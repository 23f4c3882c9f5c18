//! A real browser without a window, steered over its own debugging WebSocket: pages are opened, looked
//! at by script, clicked and typed into.
//!
//! The program is Chromium (`CHROME` in the environment names another one); without it these tests
//! fail and say so.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::server::PATIENCE;

/// What it may be called.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A running browser with one page. Killed when dropped.
pub struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    /// The page's.
    session: Option<String>,
    number: u64,
    _folder: TempDir,
}

fn program() -> PathBuf {
    let named = std::env::var_os("CHROME").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut known = std::env::split_paths(&path)
        .flat_map(|folder| PROGRAMS.map(|program| folder.join(program)))
        .filter(|program| program.is_file());
    named.or_else(|| known.next()).expect("Chromium is on this machine: apt-get install chromium")
}

impl Browser {
    /// Opens `url` in a window of that size, in pixels; `before` runs there before the page's own
    /// scripts.
    pub fn open(url: &str, (width, height): (u32, u32), before: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut child = Command::new(program())
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let socket = connect(&mut child);
        let mut browser = Self { child, socket, session: None, number: 0, _folder: folder };
        let target = browser.ask("Target.createTarget", &json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.ask("Target.attachToTarget", &target);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser.ask("Page.enable", &json!({}));
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 900});
        browser.ask("Emulation.setDeviceMetricsOverride", &size);
        browser.ask("Page.addScriptToEvaluateOnNewDocument", &json!({"source": before}));
        browser.ask("Page.navigate", &json!({"url": url}));
        browser.wait("document.readyState === 'complete' && document.querySelector('#account')");
        browser
    }

    /// One command of the debugging protocol, to the page once there is one.
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).expect("the browser listens");
        loop {
            let answer = self.socket.read().unwrap_or_else(|e| panic!("{method} {params}: {e}"));
            let answer: Value = answer
                .to_text()
                .map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON"));
            if answer["id"] == self.number {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The value of an expression in the page; of a promise, once it is kept.
    pub fn run(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let answer = self.ask("Runtime.evaluate", &params);
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression of the page holds.
    pub fn wait(&mut self, holds: &str) {
        let patience = PATIENCE.as_millis() / 2;
        let script = format!(
            "new Promise((resolve) => {{ const since = Date.now(); const look = () => {{ \
             if ({holds}) resolve(true); \
             else if (Date.now() - since > {patience}) resolve(false); \
             else setTimeout(look, 20); }}; look(); }})"
        );
        if self.run(&script) != true {
            let words = self.run("document.body.innerText");
            panic!("'{holds}' does not come; the page says: {words}");
        }
    }

    /// Makes an account with the page's own form and waits to be in the world.
    pub fn enter(&mut self, name: &str) {
        self.run(&format!(
            "document.querySelector('#username').value = '{name}'; \
             document.querySelector('#password').value = 'swordfish-9'; \
             document.querySelector('#account').requestSubmit( \
                 document.querySelector('#account button[value=register]'))"
        ));
        self.wait("document.querySelector('#entry').hidden");
    }

    /// Presses and releases the mouse at a place of the window.
    pub fn click(&mut self, x: f64, y: f64) {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", &event);
        }
    }

    /// Presses and releases a key by its code, which for those used here is its name too.
    pub fn key(&mut self, code: &str) {
        let key = code.strip_prefix("Digit").unwrap_or(code);
        let number = match code {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            _ => u32::from(key.bytes().next().unwrap_or_default()),
        };
        let mut event = json!({"code": code, "key": key, "windowsVirtualKeyCode": number});
        if code == "Enter" {
            event["text"] = json!("\r");
        }
        for kind in ["keyDown", "keyUp"] {
            event["type"] = json!(kind);
            self.ask("Input.dispatchKeyEvent", &event);
        }
    }

    /// Writes what the window shows as a PNG in base64 to a file, where `THRONG_TEST_PICTURES` names
    /// a folder for them: for people who want to look.
    pub fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("THRONG_TEST_PICTURES") else { return };
        let shot = self.ask("Page.captureScreenshot", &json!({"format": "png"}));
        let path = PathBuf::from(folder).join(format!("{name}.png.base64"));
        std::fs::write(path, shot["data"].as_str().expect("a picture")).expect("a file");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The way to steer it, from the line in which it says where.
fn connect(child: &mut Child) -> WebSocket<TcpStream> {
    use std::io::BufRead;
    let said = child.stderr.take().expect("a piped error output");
    let mut lines = std::io::BufReader::new(said).lines().map_while(Result::ok);
    let url = lines
        .find_map(|line| Some(line.strip_prefix("DevTools listening on ")?.trim().to_owned()))
        .expect("the browser says where it is steered");
    // It goes on talking, and must not wait for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    let address = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next());
    let stream = TcpStream::connect(address.expect("an address")).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    client(url, stream).expect("a WebSocket").0
}
