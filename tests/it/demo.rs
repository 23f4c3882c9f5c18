//! `throng demo` as a person sees it: a cluster of real processes on a database of its own, bots
//! that play on when parts of it are killed, and nothing left when it ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};

use std::io::{BufRead, BufReader};

use crate::server::PATIENCE;

/// A running demonstration.
struct Demo {
    child: Child,
    lines: Receiver<String>,
    /// The processes' numbers by their names, and what their page says of each.
    processes: BTreeMap<String, (u32, String)>,
}

impl Demo {
    /// Starts a small one and reads its page.
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("THRONG_")) {
            command.env_remove(name);
        }
        // Far from the default ports, and different for each process that runs tests.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let base = 20_000 + std::process::id() % 100 * 100 + number * 50;
        let child = command
            .args(["demo", "--bots", "8", "--zones", "2", "--gateways", "2"])
            .args(["--base-port", &base.to_string()])
            .args(["--set", "login.argon2.memory_kib=64", "--set", "login.argon2.passes=1"])
            .env("NO_COLOR", "1")
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut child = child.expect("the demonstration starts");
        let output = BufReader::new(child.stdout.take().expect("a piped output"));
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let mut demo = Self { child, lines, processes: BTreeMap::new() };
        demo.read_page();
        demo
    }

    fn read_page(&mut self) {
        loop {
            let line = self.next_line();
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [name, "pid", pid, rest @ ..] = words.as_slice() {
                let pid = pid.parse().expect("a number");
                self.processes.insert((*name).to_owned(), (pid, rest.join(" ")));
            }
            if line.contains("bots come in now") {
                return;
            }
        }
    }

    fn next_line(&self) -> String {
        self.lines.recv_timeout(3 * PATIENCE).expect("it says something in time")
    }

    /// Waits for a line with `part`.
    fn wait_for(&self, part: &str) -> String {
        loop {
            let line = self.next_line();
            if line.contains(part) {
                return line;
            }
        }
    }

    fn pid(&self, name: &str) -> u32 {
        self.processes[name].0
    }

    /// The folder of all its data, from where the page says the database is.
    fn folder(&self) -> PathBuf {
        let place = self.processes["postgres"].1.rsplit(' ').next().expect("a path");
        PathBuf::from(place).parent().expect("its folder").to_owned()
    }

    fn signal(&self, signal: &str, pid: u32) {
        let status = Command::new("kill").args([signal, &pid.to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits until none of these processes and no file is left.
    async fn nothing_is_left(&self, pids: &[u32]) {
        let folder = self.folder();
        crate::server::within("the end of everything", async {
            while pids.iter().any(|pid| runs(*pid)) || folder.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // What it has started ends with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_play_on_when_a_gateway_and_a_zone_server_are_killed() {
    let mut demo = Demo::start();
    let names: Vec<&str> = demo.processes.keys().map(String::as_str).collect();
    let wanted =
        ["chat", "gateway-1", "gateway-2", "login", "master", "postgres", "zone-1", "zone-2"];
    assert_eq!(names, wanted);
    demo.wait_for("all 8 bots are in");

    demo.signal("-KILL", demo.pid("gateway-2"));
    demo.wait_for("starting it again in 1 s");
    let told = demo.wait_for("lost the connection");
    assert!(told.contains("all 8 play") && told.contains(", 0 logged in again"), "{told}");

    demo.signal("-KILL", demo.pid("zone-2"));
    demo.wait_for("zone-2 is back");

    let pids: Vec<u32> = demo.processes.values().map(|(pid, _)| *pid).collect();
    demo.signal("-TERM", demo.child.id());
    demo.wait_for("everything has ended");
    assert!(demo.child.wait().expect("its end").success());
    demo.nothing_is_left(&pids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_demonstration_takes_all_its_processes_along() {
    let mut demo = Demo::start();
    let pids: Vec<u32> = demo.processes.values().map(|(pid, _)| *pid).collect();
    assert!(pids.iter().all(|pid| runs(*pid)));
    demo.child.kill().expect("it runs");
    demo.child.wait().expect("its end");
    demo.nothing_is_left(&pids).await;
}
