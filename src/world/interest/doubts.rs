//! Whose description a viewer may have wrong, because it changed without a word to everybody who
//! sees it (health that was lost out of earshot): to be told again, in rounds.
//!
//! A part of each view; the gateway's fan-out adds, settles and takes. It never allocates once its
//! sets have grown, and a viewer without doubts pays for one comparison.

use crate::tick::Tick;
use crate::world::entity::Handle;
use crate::world::handles::Handles;

/// Ticks from round to round: nobody is told again more often than once a second.
pub const ROUND: u64 = 20;

/// One view's doubts.
#[derive(Debug, Clone, Default)]
pub struct Doubts {
    /// Since the round began.
    fresh: Handles,
    /// Of this round.
    due: Handles,
    /// Whether either may hold something.
    any: bool,
    /// The handle from which the round goes on.
    turn: usize,
}

impl Doubts {
    /// Whether there is nothing to tell again.
    pub fn is_idle(&self) -> bool {
        !self.any
    }

    /// What is known of `handle` may be wrong from now on. `handles` are those of the whole zone.
    pub fn add(&mut self, handle: Handle, handles: usize) {
        self.fresh.grow(handles);
        self.fresh.add(handle);
        self.any = true;
    }

    /// The viewer was told all of it.
    pub fn settle(&mut self, handle: Handle) {
        if self.any {
            self.fresh.remove(handle);
            self.due.remove(handle);
        }
    }

    /// Forgets all who are not in `seen`.
    pub(super) fn keep(&mut self, seen: &Handles) {
        if self.any {
            self.fresh.keep(seen);
            self.due.keep(seen);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A tick has begun. Views with different `salt` begin their rounds at different ticks.
    pub fn tick(&mut self, tick: Tick, salt: u64) {
        if !self.any || !tick.0.wrapping_add(salt).is_multiple_of(ROUND) {
            return;
        }
        if self.due.is_empty() {
            std::mem::swap(&mut self.fresh, &mut self.due);
            self.turn = 0;
        } else {
            // A round for which there was no room goes on where it is, with more to tell.
            self.due.grow_to(&self.fresh);
            self.due.add_all(&self.fresh);
            self.fresh.empty();
        }
        self.any = !self.due.is_empty();
    }

    /// The next one to tell, which is told thereby; by rising handle, so that each has its turn
    /// however many doubts are added meanwhile.
    pub fn take(&mut self) -> Option<Handle> {
        let none = Handles::default();
        let next = self.due.next_without(&none, self.turn);
        let handle = next.or_else(|| self.due.next_without(&none, 0))?;
        self.turn = handle.index() + 1;
        self.due.remove(handle);
        Some(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(doubts: &mut Doubts, most: usize) -> Vec<u16> {
        std::iter::from_fn(|| doubts.take()).take(most).map(|handle| handle.0).collect()
    }

    fn round(doubts: &mut Doubts, round: u64) {
        for tick in round * ROUND..(round + 1) * ROUND {
            doubts.tick(Tick(tick), 3);
        }
    }

    #[test]
    fn each_is_told_once_a_round_unless_it_was_settled() {
        let mut doubts = Doubts::default();
        assert!(doubts.is_idle());
        for handle in [3, 70, 71, 3] {
            doubts.add(Handle(handle), 100);
        }
        assert_eq!(taken(&mut doubts, 9), [0u16; 0], "the round has not begun");
        doubts.settle(Handle(70));
        round(&mut doubts, 1);
        assert_eq!(taken(&mut doubts, 9), [3, 71]);
        doubts.add(Handle(3), 100);
        assert_eq!(taken(&mut doubts, 9), [0u16; 0]);
        round(&mut doubts, 2);
        assert_eq!(taken(&mut doubts, 9), [3]);
        round(&mut doubts, 3);
        assert!(doubts.is_idle());
    }

    #[test]
    fn who_is_doubted_over_and_over_does_not_keep_the_others_from_their_turn() {
        let mut doubts = Doubts::default();
        let mut last = [0u64; 30];
        for number in 1..=40 {
            (0..30).for_each(|handle| doubts.add(Handle(handle), 30));
            round(&mut doubts, number);
            for handle in taken(&mut doubts, 10) {
                last[usize::from(handle)] = number;
            }
            if number > 3 {
                assert!(last.iter().all(|told| number - told <= 3), "in {number}: {last:?}");
            }
        }
    }

    #[test]
    fn who_is_out_of_sight_is_forgotten() {
        let mut doubts = Doubts::default();
        doubts.add(Handle(1), 10);
        doubts.add(Handle(2), 10);
        let mut seen = Handles::default();
        seen.clear(10);
        seen.add(Handle(2));
        doubts.keep(&seen);
        round(&mut doubts, 1);
        assert_eq!(taken(&mut doubts, 9), [2]);
    }
}
