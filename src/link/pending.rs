//! Questions that wait for their answer, each with a deadline.
//!
//! Roles ask each other with a message that carries a [`RequestId`]; the answer brings it back.
//! No role waits inside its loop: what it wanted to do next is kept here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::RequestId;

/// Questions asked and not yet answered, at most `capacity` of them.
#[derive(Debug)]
pub struct Pending<T> {
    next: u64,
    capacity: usize,
    waiting: BTreeMap<RequestId, (Instant, T)>,
}

impl<T> Pending<T> {
    /// None asked yet.
    pub fn new(capacity: usize) -> Self {
        Self { next: 1, capacity, waiting: BTreeMap::new() }
    }

    /// Keeps what to do next until the answer or the deadline. Gives it back when too many wait.
    pub fn ask(&mut self, now: Instant, within: Duration, next: T) -> Result<RequestId, T> {
        if self.waiting.len() >= self.capacity {
            return Err(next);
        }
        let id = RequestId(self.next);
        self.next += 1;
        self.waiting.insert(id, (now + within, next));
        Ok(id)
    }

    /// What was to be done at this answer; none if it came late or twice.
    pub fn answered(&mut self, id: RequestId) -> Option<T> {
        self.waiting.remove(&id).map(|(_, next)| next)
    }

    /// Looks at what waits without ending it.
    pub fn peek(&self, id: RequestId) -> Option<&T> {
        self.waiting.get(&id).map(|(_, next)| next)
    }

    /// The same, to be changed.
    pub fn peek_mut(&mut self, id: RequestId) -> Option<&mut T> {
        self.waiting.get_mut(&id).map(|(_, next)| next)
    }

    /// Those whose deadline has passed.
    pub fn expired(&mut self, now: Instant) -> Vec<T> {
        self.take(|deadline, _| deadline <= now)
    }

    /// Those that will have no answer, for a reason of the asker's.
    pub fn hopeless(&mut self, is_hopeless: impl Fn(&T) -> bool) -> Vec<T> {
        self.take(|_, next| is_hopeless(next))
    }

    fn take(&mut self, which: impl Fn(Instant, &T) -> bool) -> Vec<T> {
        let chosen = self.waiting.iter().filter(|(_, (deadline, next))| which(*deadline, next));
        let ids: Vec<RequestId> = chosen.map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.answered(id)).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_and_only_in_time() {
        let start = crate::tick::now();
        let mut pending = Pending::new(2);
        let a = pending.ask(start, Duration::from_secs(1), "a").unwrap();
        let b = pending.ask(start, Duration::from_secs(9), "b").unwrap();
        assert_eq!(pending.ask(start, Duration::from_secs(9), "c"), Err("c"));
        assert_eq!(pending.expired(start + Duration::from_secs(2)), ["a"]);
        assert_eq!(pending.answered(a), None);
        let c = pending.ask(start, Duration::from_secs(9), "c").unwrap();
        assert_eq!(pending.hopeless(|next| *next == "c"), ["c"]);
        assert_eq!(pending.answered(c), None);
        assert_eq!(pending.answered(b), Some("b"));
        assert_eq!(pending.answered(b), None);
    }
}
