//! How other threads wake a shard: whatever is not a socket (its inbox, its newcomers, the stop,
//! the bridges) is polled with a waker made here.
//!
//! The worker owns one [`Doorbell`] and sleeps through it; senders ring it through the channels they
//! send to. A ring costs a system call only while the shard sleeps, and the first one only.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::Wake;

use mio::{Registry, Token};
use parking_lot::Mutex;

/// The shard is at work, and will look at the bell before it sleeps.
const AWAKE: u8 = 0;
/// The shard waits for events, or is about to.
const ASLEEP: u8 = 1;
/// Somebody has rung, and the shard has not seen it yet.
const RUNG: u8 = 2;

/// One shard's bell.
#[derive(Debug)]
pub(super) struct Doorbell {
    /// Changed by swapping alone, so that whoever sees a state sees what was done before it.
    state: AtomicU8,
    waker: mio::Waker,
    /// Bridges that have something to do; each is in it at most once.
    bridges: Mutex<Vec<Arc<BridgeBell>>>,
}

impl Doorbell {
    /// One that wakes who waits on `registry`'s events, by an event with this token.
    ///
    /// # Errors
    /// The system has no descriptor left for it.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Arc<Self>> {
        let waker = mio::Waker::new(registry, token)?;
        Ok(Arc::new(Self { state: AtomicU8::new(RUNG), waker, bridges: Mutex::default() }))
    }

    fn ring(&self) {
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            // Fails only if the system is out of memory for it; the sweep wakes the shard then.
            let _ = self.waker.wake();
        }
    }

    /// The shard is about to wait for events; false: it must not, somebody has rung.
    pub fn fall_asleep(&self) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.state.compare_exchange(AWAKE, ASLEEP, success, failure).is_ok()
    }

    /// The shard has its events. Tells whether somebody has rung since it was last asked.
    pub fn wake_up(&self) -> bool {
        self.state.swap(AWAKE, Ordering::AcqRel) == RUNG
    }

    /// Swaps the list of bridges that have rung for `empty`.
    pub fn take_bridges(&self, empty: &mut Vec<Arc<BridgeBell>>) {
        std::mem::swap(&mut *self.bridges.lock(), empty);
    }
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// One bridge's bell: says which one has rung.
#[derive(Debug)]
pub(super) struct BridgeBell {
    door: Arc<Doorbell>,
    place: usize,
    noted: AtomicBool,
}

impl BridgeBell {
    /// For the bridge at `place` in the table.
    pub fn new(door: Arc<Doorbell>, place: usize) -> Arc<Self> {
        Arc::new(Self { door, place, noted: AtomicBool::new(false) })
    }

    /// The worker looks at the bridge now: the next ring counts again. Tells its place, where
    /// another connection may be by now.
    pub fn answer(&self) -> usize {
        self.noted.swap(false, Ordering::AcqRel);
        self.place
    }
}

impl Wake for BridgeBell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.noted.swap(true, Ordering::AcqRel) {
            self.door.bridges.lock().push(self.clone());
            self.door.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    fn bell() -> (mio::Poll, Arc<Doorbell>) {
        let poll = mio::Poll::new().unwrap();
        let bell = Doorbell::new(poll.registry(), Token(7)).unwrap();
        assert!(bell.wake_up(), "what came before the first round is looked at");
        (poll, bell)
    }

    fn events(poll: &mut mio::Poll, wait: Duration) -> usize {
        let mut events = mio::Events::with_capacity(8);
        poll.poll(&mut events, Some(wait)).unwrap();
        events.iter().count()
    }

    #[test]
    fn only_the_first_ring_in_a_sleep_makes_an_event() {
        let (mut poll, bell) = bell();
        let waker = Waker::from(bell.clone());
        waker.wake_by_ref();
        assert_eq!(events(&mut poll, Duration::ZERO), 0, "nobody sleeps");
        assert!(!bell.fall_asleep(), "and nobody may now");
        assert!(bell.wake_up());
        assert!(bell.fall_asleep());
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(events(&mut poll, Duration::from_secs(20)), 1);
        assert!(bell.wake_up());
        assert!(!bell.wake_up());
        assert_eq!(events(&mut poll, Duration::ZERO), 0);
    }

    #[test]
    fn a_bridge_is_noted_once_until_it_is_answered() {
        let (_poll, bell) = bell();
        let bridge = BridgeBell::new(bell.clone(), 3);
        let waker = Waker::from(bridge);
        for _ in 0..3 {
            waker.wake_by_ref();
        }
        let mut rung = Vec::new();
        bell.take_bridges(&mut rung);
        assert_eq!(rung.drain(..).map(|bell| bell.answer()).collect::<Vec<_>>(), [3]);
        waker.wake();
        bell.take_bridges(&mut rung);
        assert_eq!(rung.len(), 1);
    }
}
