//! Keeps one process alive as an orchestrator would: its log goes to the console, when it dies it
//! is started again after a second, and when the demonstration ends it is asked to end in order.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::console::Console;
use super::member::Member;
use crate::cli::BAD_CONFIG;
use crate::tick::now;

/// How long after its death a process is started again.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Time for an end in order: what a draining server may take, and some to spare.
const GRACE: Duration = Duration::from_secs(35);
/// A process that lived shorter has not got far.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// So many short lives in a row, and it is given up.
const SHORT_LIVES: u32 = 5;
/// Longest piece of a log that is shown as one line, bytes.
const LINE_MAX: usize = 8 * 1024;

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// There is none now, or it is not ready yet.
    Away,
    /// It is ready.
    Ready {
        /// Its number.
        pid: u32,
    },
}

/// What all processes of a demonstration share.
#[derive(Clone)]
pub(super) struct Around {
    /// The process group they are in.
    pub(super) group: i32,
    pub(super) console: Console,
    /// Where to say that a process cannot be kept alive.
    pub(super) hopeless: mpsc::Sender<String>,
}

/// A process that is kept alive.
pub(super) struct Charge {
    name: Arc<str>,
    state: watch::Receiver<State>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Charge {
    /// Starts a process, number `place` of the demonstration, and keeps it alive from now on.
    pub(super) fn start(member: Member, place: usize, around: &Around) -> Self {
        let (tell, state) = watch::channel(State::Away);
        let stop = CancellationToken::new();
        let name = member.name.clone();
        let life = Life { member, place, around: around.clone(), tell, stop: stop.clone() };
        let task = tokio::spawn(life.keep());
        Self { name, state, stop, task }
    }

    /// What its lines are marked with.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until it is ready; at once if it is.
    pub(super) async fn ready(&self) {
        // The sender is gone only when the process was given up, and that is told elsewhere.
        if self.state.clone().wait_for(|state| *state != State::Away).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Its number, while it is ready.
    pub(super) fn pid(&self) -> Option<u32> {
        match *self.state.borrow() {
            State::Ready { pid } => Some(pid),
            State::Away => None,
        }
    }

    /// Ends it, in order if it does so within 35 s.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        // It cannot panic, and is not aborted.
        let _ = self.task.await;
    }
}

struct Life {
    member: Member,
    place: usize,
    around: Around,
    tell: watch::Sender<State>,
    stop: CancellationToken,
}

/// Why a process is not there any more.
enum End {
    Asked,
    Died(ExitStatus),
    Broken(std::io::Error),
}

impl Life {
    async fn keep(self) {
        let mut short_lives = 0;
        let mut died: Option<Instant> = None;
        loop {
            let born = now();
            let (end, pid) = match self.member.spawn(self.around.group) {
                Ok(child) => self.live(child, died).await,
                Err(error) => (End::Broken(error), None),
            };
            let _ = self.tell.send(State::Away);
            let what = match end {
                End::Asked => return,
                End::Died(status) if status.code() == Some(i32::from(BAD_CONFIG)) => {
                    return self.give_up("its configuration is not usable, as it says itself");
                }
                End::Died(status) => format!("has ended ({status})"),
                End::Broken(error) => format!("cannot be started: {error}"),
            };
            died = Some(now());
            short_lives = if born.elapsed() < SHORT_LIFE { short_lives + 1 } else { 0 };
            if short_lives == SHORT_LIVES {
                return self.give_up(&format!("it {what}, {SHORT_LIVES} times in a row"));
            }
            let pid = pid.map_or(String::new(), |pid| format!(", pid {pid},"));
            self.say(&format!("{}{pid} {what}; starting it again in 1 s", self.member.name));
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// From a process's start to its end.
    async fn live(&self, mut child: Child, died: Option<Instant>) -> (End, Option<u32>) {
        let pid = child.id();
        let log = child.stderr.take().map(|log| {
            let (name, place) = (self.member.name.clone(), self.place);
            let console = self.around.console.clone();
            tokio::spawn(read_lines(log, move |line| console.log(&name, place, line)))
        });
        let end = tokio::select! {
            status = child.wait() => ended(status),
            () = self.stop.cancelled() => self.end(&mut child).await,
            end = async {
                self.member.ready().await;
                if let Some(pid) = pid {
                    self.on_ready(pid, died);
                }
                std::future::pending::<End>().await
            } => end,
        };
        if let Some(log) = log {
            // Its last words. A process of its own that it left behind may hold the pipe open.
            let _ = tokio::time::timeout(PAUSE, log).await;
        }
        (end, pid)
    }

    fn on_ready(&self, pid: u32, died: Option<Instant>) {
        let _ = self.tell.send(State::Ready { pid });
        if let Some(died) = died {
            let after = died.elapsed().as_secs_f64();
            let name = &self.member.name;
            self.say(&format!("{name} is back as pid {pid}, {after:.1} s after its end"));
        }
    }

    /// Asks the process to end, and kills it when that takes too long.
    async fn end(&self, child: &mut Child) -> End {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It is this process's child and not waited for yet, so the number is still its own.
            let _ = kill_process(pid, self.member.end);
            let _ = kill_process(pid, Signal::CONT);
        }
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            self.say(&format!("{} does not end; killing it", self.member.name));
            let _ = child.kill().await;
        }
        End::Asked
    }

    fn give_up(&self, why: &str) {
        self.around.console.show_last_words(&self.member.name);
        // One such word is enough; the queue has room for it.
        let _ = self.around.hopeless.try_send(format!("{}: {why}", self.member.name));
    }

    fn say(&self, text: &str) {
        self.around.console.say(text);
    }
}

fn ended(status: std::io::Result<ExitStatus>) -> End {
    status.map_or_else(End::Broken, End::Died)
}

/// Reads to the end, and hands over each line, or piece of one that is too long.
async fn read_lines(mut from: impl AsyncRead + Unpin, mut take: impl FnMut(String)) {
    let mut waiting = BytesMut::with_capacity(LINE_MAX);
    let mut searched = 0;
    // A log that cannot be read is over.
    while let Ok(1..) = from.read_buf(&mut waiting).await {
        while let Some(at) = waiting[searched..].iter().position(|byte| *byte == b'\n') {
            let line = waiting.split_to(searched + at + 1);
            take(String::from_utf8_lossy(&line[..searched + at]).into_owned());
            searched = 0;
        }
        searched = waiting.len();
        if searched >= LINE_MAX {
            take(String::from_utf8_lossy(&waiting).into_owned());
            waiting.clear();
            searched = 0;
        }
        waiting.reserve(LINE_MAX - searched);
    }
    if !waiting.is_empty() {
        take(String::from_utf8_lossy(&waiting).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        read_lines(bytes, |line| lines.push(line)).await;
        lines
    }

    #[tokio::test]
    async fn a_log_is_cut_into_lines_and_nothing_is_lost() {
        assert_eq!(lines(b"a\n\nb\xff\nc").await, ["a", "", "b\u{fffd}", "c"]);
        let long = vec![b'x'; 3 * LINE_MAX];
        let pieces = lines(&long).await;
        assert!(pieces.iter().all(|piece| piece.len() <= 2 * LINE_MAX));
        assert_eq!(pieces.concat().len(), long.len());
    }
}
