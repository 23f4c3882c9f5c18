//! The log's first lines, held back until the banner has been printed: a person reads first what runs
//! and where, and then what it has to say.
//!
//! `telemetry.rs` puts this between the subscriber and the thread that writes; `run` opens it behind
//! the banner. Whatever happens, nothing is lost: it opens by itself when many lines wait, and when
//! the telemetry ends.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait for the banner.
const LINES_MAX: usize = 1_000;

/// Where the subscriber writes to; cheap to clone.
#[derive(Clone)]
pub(super) struct Held<W = NonBlocking> {
    /// Where lines go in the end.
    out: W,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    open: AtomicBool,
    waiting: Mutex<Vec<Vec<u8>>>,
}

/// Opens the way for the log. Cheap to clone.
#[derive(Clone)]
pub struct LogGate(Arc<dyn Fn() + Send + Sync>);

impl LogGate {
    /// Lets the lines that wait go, in order, and every later one at once. Once is enough.
    pub fn open(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for LogGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogGate")
    }
}

impl<W: Write + Clone + Send + Sync + 'static> Held<W> {
    /// Holds back what goes to `out`, until the gate is opened.
    pub(super) fn new(out: W) -> (Self, LogGate) {
        let held = Self { out, gate: Arc::default() };
        let opening = Mutex::new(held.clone());
        (held, LogGate(Arc::new(move || opening.lock().open())))
    }

    fn open(&mut self) {
        let gate = self.gate.clone();
        self.let_go(&mut gate.waiting.lock());
    }

    fn let_go(&mut self, waiting: &mut Vec<Vec<u8>>) {
        for line in waiting.drain(..) {
            // A log that cannot be written is no fault of the server's.
            let _ = self.out.write_all(&line);
        }
        // Under the lock: a line that comes now must not overtake those that waited.
        self.gate.open.store(true, Ordering::Release);
    }
}

impl<W: Write + Clone + Send + Sync + 'static> Write for Held<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.gate.open.load(Ordering::Acquire) {
            let gate = self.gate.clone();
            let mut waiting = gate.waiting.lock();
            if !gate.open.load(Ordering::Acquire) {
                waiting.push(line.to_vec());
                if waiting.len() >= LINES_MAX {
                    self.let_go(&mut waiting);
                }
                return Ok(line.len());
            }
        }
        self.out.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<'a, W: Write + Clone + Send + Sync + 'static> MakeWriter<'a> for Held<W> {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_wait_for_the_banner_and_come_in_order() {
        let paper = Paper::default();
        let (held, gate) = Held::new(paper.clone());
        held.make_writer().write_all(b"one\n").unwrap();
        held.make_writer().write_all(b"two\n").unwrap();
        assert!(paper.0.lock().is_empty());
        gate.open();
        gate.open();
        held.make_writer().write_all(b"three\n").unwrap();
        assert_eq!(paper.0.lock().as_slice(), b"one\ntwo\nthree\n");
    }

    #[test]
    fn too_many_lines_do_not_wait() {
        let paper = Paper::default();
        let (held, _gate) = Held::new(paper.clone());
        for _ in 0..LINES_MAX {
            held.make_writer().write_all(b"x").unwrap();
        }
        assert_eq!(paper.0.lock().len(), LINES_MAX);
    }
}
