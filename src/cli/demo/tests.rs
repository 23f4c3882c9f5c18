//! Scenarios of the demonstration's own part: processes kept alive and ended, a database, and that
//! nothing outlives it. The processes are shells; the cluster is played in `tests/it/demo.rs`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::sync::mpsc;

use super::charge::{Around, Charge};
use super::console::{Console, Kept};
use super::folder;
use super::leash::Leash;
use super::member::{Member, Probe};
use super::postgres::Postgres;
use crate::store::{Store, StoreConfig};

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Set for the process that is there to be killed.
const VICTIM: &str = "THRONG_TEST_VICTIM";

fn shell(script: &str) -> Member {
    Member {
        name: "shell".into(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("GREETING".into(), "hello".into())],
        account: None,
        end: Signal::TERM,
        ready: Probe::None,
    }
}

fn around(group: i32) -> (Around, Kept, mpsc::Receiver<String>) {
    let (console, kept) = Console::kept();
    let (hopeless, given_up) = mpsc::channel(1);
    (Around { group, console, hopeless }, kept, given_up)
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let ended = stat.is_ok_and(|stat| stat.rsplit(')').next().unwrap().starts_with(" Z"));
    test_kill_process(pid).is_ok() && !ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_is_there_again_after_a_second() {
    let leash = Leash::new(None).unwrap();
    let (around, kept, _given_up) = around(leash.group());
    let charge = Charge::start(shell("echo $GREETING >&2; exec sleep 1000"), 0, &around);
    within("the process", charge.ready()).await;
    assert_eq!(kept.wait_for("hello"), "shell     | hello");
    let first = charge.pid().unwrap();
    kill_process(process(first), Signal::KILL).unwrap();
    let died = kept.wait_for("starting it again");
    assert!(died.starts_with(&format!("shell, pid {first}, has ended (signal: 9")), "{died}");
    let back = kept.wait_for("is back");
    kept.wait_for("hello");
    let second = charge.pid().unwrap();
    assert_ne!(first, second);
    assert!(back.starts_with(&format!("shell is back as pid {second}")), "{back}");
    within("its end", charge.stop()).await;
    assert!(!runs(process(second)));
    within("the leash's end", leash.end()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_asked_to_end_and_its_last_words_are_shown() {
    let leash = Leash::new(None).unwrap();
    let (around, kept, _given_up) = around(leash.group());
    let script = "trap 'echo saved >&2; exit 0' TERM; echo up >&2; while :; do sleep 0.05; done";
    let charge = Charge::start(shell(script), 0, &around);
    kept.wait_for("up");
    within("its end", charge.stop()).await;
    kept.wait_for("saved");
    within("the leash's end", leash.end()).await;
}

#[tokio::test]
async fn a_process_with_an_unusable_configuration_is_given_up_at_once() {
    let leash = Leash::new(None).unwrap();
    let (around, _kept, mut given_up) = around(leash.group());
    let charge = Charge::start(shell("exit 78"), 0, &around);
    let why = within("the word", given_up.recv()).await.unwrap();
    assert!(why.starts_with("shell: its configuration is not usable"), "{why}");
    within("its end", charge.stop()).await;
    within("the leash's end", leash.end()).await;
}

#[tokio::test]
async fn a_process_that_cannot_be_started_is_given_up_after_some_tries() {
    let (around, kept, mut given_up) = around(0);
    let nothing = Member { program: "/nowhere/throng".into(), ..shell("") };
    let charge = Charge::start(nothing, 0, &around);
    let why = given_up.recv().await.unwrap();
    assert!(why.contains("cannot be started") && why.contains("5 times in a row"), "{why}");
    for _ in 0..4 {
        kept.wait_for("starting it again in 1 s");
    }
    charge.stop().await;
}

#[tokio::test]
async fn what_is_left_ends_with_the_leash_even_if_it_stands_still() {
    let folder = folder::scratch().unwrap();
    std::fs::write(folder.join("file"), "x").unwrap();
    let leash = Leash::new(Some(&folder)).unwrap();
    let mut stubborn = shell("trap '' INT TERM; exec sleep 1000").spawn(leash.group()).unwrap();
    let mut stopped = shell("exec sleep 1000").spawn(leash.group()).unwrap();
    kill_process(process(stopped.id().unwrap()), Signal::STOP).unwrap();
    within("the leash's end", leash.end()).await;
    within("the end of one that ignores signals", stubborn.wait()).await.unwrap();
    within("the end of one that stands still", stopped.wait()).await.unwrap();
    assert!(!folder.exists());
}

/// The process that the next test kills: holds a leash with a shell and a database on it, and says
/// their numbers.
#[tokio::test]
#[ignore = "another test runs it as a process of its own, to kill it"]
async fn the_one_to_be_killed() {
    let Some(folder) = std::env::var_os(VICTIM).map(PathBuf::from) else { return };
    let leash = Leash::new(Some(&folder)).unwrap();
    let (around, _kept, _given_up) = around(leash.group());
    let database = Postgres::find().unwrap().make(&folder, leash.group()).await.unwrap();
    let postgres = Charge::start(database.member(), 0, &around);
    let shell = Charge::start(shell("exec sleep 1000"), 1, &around);
    postgres.ready().await;
    shell.ready().await;
    let numbers = format!("{} {}", postgres.pid().unwrap(), shell.pid().unwrap());
    let mut out = std::io::stdout();
    writeln!(out, "\nvictims {numbers}").unwrap();
    out.flush().unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn a_killed_demonstration_leaves_nothing_behind() {
    let folder = folder::scratch().unwrap();
    let mut demonstration = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cli::demo::tests::the_one_to_be_killed", "--ignored", "--nocapture"])
        .env(VICTIM, &folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(demonstration.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("victims "));
    let line = line.expect("the numbers of its processes");
    let pids: Vec<Pid> =
        line.split(' ').skip(1).map(|number| process(number.parse().unwrap())).collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| runs(*pid)));
    demonstration.kill().unwrap();
    demonstration.wait().unwrap();
    until("the end of its processes", || !pids.iter().any(|pid| runs(*pid))).await;
    until("the end of its folder", || !folder.exists()).await;
}

async fn open(url: String) -> Result<Store, impl std::fmt::Debug> {
    Store::open(&StoreConfig { url, ..StoreConfig::default() }, Path::new("/nowhere")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_made_killed_and_there_again_with_what_it_had() {
    let folder = folder::scratch().unwrap();
    let leash = Leash::new(Some(&folder)).unwrap();
    let (around, kept, _given_up) = around(leash.group());
    let database = Postgres::find().unwrap().make(&folder, leash.group()).await.unwrap();
    let charge = Charge::start(database.member(), 0, &around);
    within("the database", charge.ready()).await;
    let store = open(database.url()).await.unwrap();
    store.close().await;
    kill_process(process(charge.pid().unwrap()), Signal::KILL).unwrap();
    kept.wait_for("postgres is back");
    // Its tables are there, so nothing is made anew.
    let store = open(database.url()).await.unwrap();
    assert!(store.accounts(crate::ids::PlayerId(0), 1).await.unwrap().is_empty());
    store.close().await;
    within("its end", charge.stop()).await;
    assert!(open(database.url()).await.is_err(), "nobody listens any more");
    within("the leash's end", leash.end()).await;
    assert!(!folder.exists());
}
