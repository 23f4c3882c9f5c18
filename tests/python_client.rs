//! The client in Python that the README quotes, run against the real program.

#![allow(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A server on free ports; killed when dropped.
struct Server {
    child: Child,
    gateway: String,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        for port in ["LOGIN", "GATEWAY", "TEXT", "HTTP"] {
            command.env(format!("THRONG_PORTS__{port}"), "0");
        }
        let mut child = command
            .env("THRONG_PORTS__BIND", "127.0.0.1")
            .env("THRONG_PORTS__ADMIN", "127.0.0.1:0")
            .env("THRONG_LOG__FILTER", "warn")
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let said = BufReader::new(child.stdout.take().expect("a piped output"));
        // The banner's line is "gateway  127.0.0.1:12345"; without one the server did not come up.
        let gateway = said.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.trim().strip_prefix("gateway")?.rsplit_once(':')?;
            Some(port.to_owned())
        });
        let Some(gateway) = gateway else {
            panic!("the server did not come up: {:?}", child.wait());
        };
        Self { child, gateway, _folder: folder }
    }

    /// Runs the client to its end: what it printed, what it complained of, whether it was content.
    fn client(&self, name: &str, password: &str) -> (String, String, bool) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/client.py");
        let output = Command::new("python3")
            .arg(script)
            .args([name, password, "127.0.0.1", &self.gateway])
            .env("PYTHONIOENCODING", "utf-8")
            .output()
            .unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"));
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (text(output.stdout), text(output.stderr), output.status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_python_client_walks_in_the_world_and_comes_back() {
    let server = Server::start();
    let (said, complaint, content) = server.client("monty", "and now for something");
    assert!(content, "{said}{complaint}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.first(), Some(&"in the world as player 1"), "{said}");
    assert_eq!(lines.last(), Some(&"left"), "{said}");
    // It saw others around it, and itself on the way from 10 10 to 12 8: on its first step at the
    // latest, for it may have set out before it was shown.
    let first = lines.iter().find(|line| line.starts_with("monty is at ")).expect("it saw itself");
    assert!(["monty is at 10.0 10.0", "monty is at 10.2 9.8"].contains(first), "{said}");
    assert!(lines.iter().any(|line| line.starts_with("Villager is at ")), "{said}");
    let steps = lines.iter().filter(|line| line.starts_with("monty is at 1")).count();
    assert!(steps > 3, "{said}");

    // The account is there now, and the player stands where it left.
    let (said, complaint, content) = server.client("monty", "and now for something");
    assert!(content, "{said}{complaint}");
    assert!(said.starts_with("in the world as player 1\n") && said.ends_with("left\n"), "{said}");
    assert!(!said.contains("monty is at 10.0 10.0"), "{said}");
}

#[test]
fn the_python_client_tells_why_it_is_refused() {
    let server = Server::start();
    let (_, complaint, content) = server.client("monty", "and now for something");
    assert!(content, "{complaint}");
    let (_, complaint, content) = server.client("monty", "completely different");
    assert!(!content);
    assert_eq!(complaint, "no log-in: the name or the password is wrong\n");
    let (_, complaint, content) = server.client("m", "and now for something");
    assert!(!content);
    assert_eq!(complaint, "refused: username: a name has 3 to 16 characters\n");
}
