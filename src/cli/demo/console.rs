//! The terminal of a demonstration, and the file of what its processes log: one thread writes both,
//! each line of a process behind its name, so that none cuts into another's and nobody waits for a
//! terminal that stands still.
//!
//! The terminal is for what the demonstration says; log lines come there if they are asked for, and
//! the last ones of a process that cannot be kept alive.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context;

/// Lines that may wait for the terminal; more are dropped and counted.
const LINES_WAITING: usize = 4_096;
/// Log lines of each process that are remembered, for when it cannot be kept alive.
const LAST_WORDS: usize = 20;
/// Width of the column of names.
const NAME_WIDTH: usize = 9;
/// Colours of names, as the terminal numbers them; red is for what went wrong.
const HUES: [u8; 6] = [36, 32, 33, 35, 34, 96];

/// The way to the terminal; cheap to copy.
#[derive(Clone)]
pub(super) struct Console {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

/// What is to be written.
enum Line {
    /// A line that a process has logged: to standard error.
    Log { name: Arc<str>, hue: u8, text: String },
    /// What the demonstration itself says: to standard output.
    Say(String),
    /// Where log lines go from now on.
    Keep(File),
    /// The last lines of a process are to be seen.
    LastWords(Arc<str>),
}

impl Console {
    /// Starts the thread that writes. It ends when the last copy of the console is gone. With `logs`
    /// what processes log comes to the terminal too.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(logs: bool) -> anyhow::Result<(Self, JoinHandle<()>)> {
        let (lines, waiting) = sync_channel(LINES_WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let console = Self { lines, lost: lost.clone() };
        let writer = std::thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || Desk::new(logs).write_all(&waiting, &lost))
            .context("there is no thread for the console")?;
        Ok((console, writer))
    }

    /// One whose lines are not written but kept for a test.
    #[cfg(test)]
    pub(super) fn kept() -> (Self, Kept) {
        let (lines, waiting) = sync_channel(LINES_WAITING);
        (Self { lines, lost: Arc::default() }, Kept(waiting))
    }

    /// Writes what the demonstration has to say; may be several lines.
    pub(super) fn say(&self, text: impl Into<String>) {
        self.send(Line::Say(text.into()));
    }

    /// Writes a line of process number `place`.
    pub(super) fn log(&self, name: &Arc<str>, place: usize, text: String) {
        let hue = HUES[place % HUES.len()];
        self.send(Line::Log { name: name.clone(), hue, text });
    }

    /// Has what processes log written to a file from now on.
    pub(super) fn keep_in(&self, file: File) {
        self.send(Line::Keep(file));
    }

    /// Shows the last lines of a process, for what it was that ended it.
    pub(super) fn show_last_words(&self, name: &Arc<str>) {
        self.send(Line::LastWords(name.clone()));
    }

    fn send(&self, line: Line) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The lines of a console, for a test.
#[cfg(test)]
pub(super) struct Kept(Receiver<Line>);

#[cfg(test)]
impl Kept {
    /// Waits for a line that holds `part`, and gives it.
    pub(super) fn wait_for(&self, part: &str) -> String {
        let mut before = String::new();
        loop {
            let line = self.0.recv_timeout(std::time::Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("no line with '{part}' after:\n{before}"));
            let text = render(&line, [false; 2]);
            if text.contains(part) {
                return text.trim_end().to_owned();
            }
            before.push_str(&text);
        }
    }
}

/// What the thread that writes has before it.
struct Desk {
    /// Whether log lines come to the terminal.
    logs: bool,
    colours: [bool; 2],
    file: Option<File>,
    last: BTreeMap<Arc<str>, VecDeque<String>>,
}

impl Desk {
    fn new(logs: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some();
        let terminals = [std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
        let colours = terminals.map(|terminal| terminal && !plain);
        Self { logs, colours, file: None, last: BTreeMap::new() }
    }

    fn write_all(mut self, waiting: &Receiver<Line>, lost: &AtomicU64) {
        while let Ok(line) = waiting.recv() {
            self.write(line);
            let count = lost.swap(0, Ordering::Relaxed);
            if count > 0 {
                self.write(Line::Say(format!("({count} lines were dropped)")));
            }
        }
    }

    /// A terminal or a disk that is gone is no fault: the demonstration goes on without.
    fn write(&mut self, line: Line) {
        let text = render(&line, self.colours);
        match line {
            Line::Say(_) => drop(std::io::stdout().write_all(text.as_bytes())),
            Line::Log { .. } if self.logs => drop(std::io::stderr().write_all(text.as_bytes())),
            Line::Log { ref name, .. } => {
                let plain = render(&line, [false; 2]);
                if let Some(file) = &mut self.file {
                    let _ = file.write_all(plain.as_bytes());
                }
                let last = self.last.entry(name.clone()).or_default();
                last.truncate(LAST_WORDS - 1);
                last.push_front(plain);
            }
            Line::Keep(file) => self.file = Some(file),
            Line::LastWords(name) => {
                for line in self.last.remove(&name).unwrap_or_default().iter().rev() {
                    let _ = std::io::stderr().write_all(line.as_bytes());
                }
            }
        }
    }
}

fn render(line: &Line, [say_colour, log_colour]: [bool; 2]) -> String {
    match line {
        Line::Say(text) => {
            let (on, off) = if say_colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            text.lines().map(|line| format!("{on}{line}{off}\n")).collect()
        }
        Line::Log { name, hue, text } => {
            let (on, off) =
                if log_colour { (format!("\x1b[{hue}m"), "\x1b[0m") } else { (String::new(), "") };
            // What a process writes must not steer the terminal.
            let text = text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
            format!("{on}{name:<NAME_WIDTH$} |{off} {text}\n")
        }
        Line::Keep(_) | Line::LastWords(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Line {
        Line::Log { name: "zone-1".into(), hue: 36, text: text.into() }
    }

    #[test]
    fn a_log_line_stands_behind_its_name() {
        assert_eq!(render(&log("INFO up"), [false; 2]), "zone-1    | INFO up\n");
        assert_eq!(render(&log("up"), [true; 2]), "\x1b[36mzone-1    |\x1b[0m up\n");
    }

    #[test]
    fn log_lines_go_to_a_file_and_the_last_ones_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servers.log");
        let mut desk = Desk::new(false);
        desk.write(Line::Keep(File::create(&path).unwrap()));
        for number in 0..LAST_WORDS + 5 {
            desk.write(log(&number.to_string()));
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), LAST_WORDS + 5);
        let last = &desk.last["zone-1"];
        assert_eq!(last.len(), LAST_WORDS);
        assert_eq!((last[0].as_str(), last[1].as_str()), ("zone-1    | 24\n", "zone-1    | 23\n"));
    }

    #[test]
    fn a_process_cannot_steer_the_terminal() {
        let shown = render(&log("\x1b[2Jgone\r"), [false; 2]);
        assert_eq!(shown, "zone-1    | \u{fffd}[2Jgone\u{fffd}\n");
    }

    #[test]
    fn what_is_said_may_have_several_lines() {
        assert_eq!(render(&Line::Say("a\nb".into()), [false; 2]), "a\nb\n");
    }
}
