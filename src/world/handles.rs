//! Sets of handles, 64 to a word: what a frame and its views are compared by.
//!
//! The whole of a zone's entities is a few dozen words, so that who came, who went and who has moved
//! is found word by word. Nothing in here allocates once its memory has grown.

use crate::world::entity::Handle;

/// Handles of one word.
const WORD: usize = 64;

/// A set of handles.
#[derive(Debug, Clone, Default)]
pub struct Handles(Vec<u64>);

impl PartialEq for Handles {
    /// The same handles, whatever room either has.
    fn eq(&self, other: &Self) -> bool {
        let common = self.0.len().min(other.0.len());
        let none = |words: &[u64]| words.iter().all(|word| *word == 0);
        self.0[..common] == other.0[..common] && none(&self.0[common..]) && none(&other.0[common..])
    }
}

impl Handles {
    /// Whether a handle is in it.
    pub fn has(&self, handle: Handle) -> bool {
        let word = self.0.get(handle.index() / WORD).copied().unwrap_or(0);
        word >> (handle.index() % WORD) & 1 == 1
    }

    /// Whether none is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Takes one in, if there is room: see [`Self::clear`] and [`Self::grow`].
    pub fn add(&mut self, handle: Handle) {
        if let Some(word) = self.0.get_mut(handle.index() / WORD) {
            *word |= 1 << (handle.index() % WORD);
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, handle: Handle) {
        if let Some(word) = self.0.get_mut(handle.index() / WORD) {
            *word &= !(1 << (handle.index() % WORD));
        }
    }

    /// Empties the set and makes room for `handles`.
    pub fn clear(&mut self, handles: usize) {
        self.0.clear();
        self.0.resize(handles.div_ceil(WORD), 0);
    }

    /// Makes room for `handles`.
    pub fn grow(&mut self, handles: usize) {
        let words = handles.div_ceil(WORD).max(self.0.len());
        self.0.resize(words, 0);
    }

    /// Empties the set; the room stays.
    pub fn empty(&mut self) {
        self.0.fill(0);
    }

    /// Makes as much room as the other has.
    pub fn grow_to(&mut self, other: &Handles) {
        let words = other.0.len().max(self.0.len());
        self.0.resize(words, 0);
    }

    /// Takes in, as far as there is room, what is in both of the others.
    pub fn add_common(&mut self, a: &Handles, b: &Handles) {
        for ((word, a), b) in self.0.iter_mut().zip(&a.0).zip(&b.0) {
            *word |= a & b;
        }
    }

    /// Takes in, as far as there is room, what is in the other.
    pub fn add_all(&mut self, other: &Handles) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    /// Keeps only what is in the other too.
    pub fn keep(&mut self, other: &Handles) {
        let common = self.0.len().min(other.0.len());
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= other;
        }
        self.0[common..].fill(0);
    }

    /// Handles in `self` that are not in `other`, rising.
    pub fn without<'a>(&'a self, other: &'a Handles) -> impl Iterator<Item = Handle> + 'a {
        self.0.iter().enumerate().flat_map(move |(index, word)| {
            let left = word & !other.0.get(index).copied().unwrap_or(0);
            bits(left).map(move |bit| Handle((index * WORD + bit) as u16))
        })
    }

    /// The first handle in `self` at `from` or after it that is not in `other`.
    pub fn next_without(&self, other: &Handles, from: usize) -> Option<Handle> {
        let mut mask = u64::MAX << (from % WORD);
        for (index, word) in self.0.iter().enumerate().skip(from / WORD) {
            let left = word & mask & !other.0.get(index).copied().unwrap_or(0);
            if left != 0 {
                return Some(Handle((index * WORD) as u16 + left.trailing_zeros() as u16));
            }
            mask = u64::MAX;
        }
        None
    }
}

/// The places of the ones in a word, rising.
fn bits(mut left: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let bit = left.trailing_zeros() as usize;
        left &= left - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(of: &BTreeSet<u16>) -> Handles {
        let mut set = Handles::default();
        set.clear(of.last().map_or(0, |last| usize::from(*last) + 1));
        of.iter().for_each(|handle| set.add(Handle(*handle)));
        set
    }

    fn all(set: &Handles) -> BTreeSet<u16> {
        set.without(&Handles::default()).map(|handle| handle.0).collect()
    }

    proptest! {
        #[test]
        fn they_are_the_sets_of_the_library(
            a in prop::collection::btree_set(0u16..300, 0..80),
            b in prop::collection::btree_set(0u16..300, 0..80),
            c in prop::collection::btree_set(0u16..300, 0..80),
            from in 0usize..310,
        ) {
            let (x, y, z) = (set(&a), set(&b), set(&c));
            prop_assert_eq!(all(&x), a.clone());
            prop_assert_eq!(x == y, a == b);
            let rest: BTreeSet<u16> = a.difference(&b).copied().collect();
            prop_assert_eq!(x.without(&y).map(|h| h.0).collect::<BTreeSet<_>>(), rest.clone());
            let next = rest.range(from as u16..).next().copied();
            prop_assert_eq!(x.next_without(&y, from).map(|h| h.0), next);
            let mut kept = x.clone();
            kept.keep(&y);
            prop_assert_eq!(all(&kept), a.intersection(&b).copied().collect::<BTreeSet<_>>());
            let mut more = x.clone();
            more.grow(300);
            more.add_common(&y, &z);
            let common: BTreeSet<u16> = b.intersection(&c).copied().collect();
            prop_assert_eq!(all(&more), a.union(&common).copied().collect::<BTreeSet<_>>());
            more.add_all(&y);
            prop_assert!(b.iter().all(|handle| more.has(Handle(*handle))));
            for handle in &a {
                more.remove(Handle(*handle));
                prop_assert!(!more.has(Handle(*handle)));
            }
        }
    }
}
