//! One watcher's account of what was due to it and what came.
//!
//! For each bot in its view the watcher knows the number of the last input sent when it came into
//! view (or when measuring began): the base. Each later input is due. An update that shows the
//! place of one of them has delivered that one; the latest place counts, so one that was
//! overtaken by the next before it was shown is missing. When the bot goes out of view what was
//! sent in the last 200 ms is not due any more, unless it came. At the end everything sent is due.
//! So the share falls as soon as the server sheds, stalls, or forgets somebody.

use foldhash::HashMap;

use super::ledger::{Ledger, place_key};
use crate::geometry::{Point, Rect};
use crate::proto::{self, EntityKind};
use crate::world::frame::PackedPosition;

/// What is on its way when a bot goes out of view, nanoseconds.
const ON_ITS_WAY: u64 = 200_000_000;

/// What a watcher knows of one place in its view.
#[derive(Debug)]
struct Known {
    id: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Bot(Account),
    /// Neither one's own kind nor oneself: something to fight or to take.
    Thing {
        kind: EntityKind,
        at: Point,
        origin: Point,
        alive: bool,
    },
    Other,
}

/// What one bot owes the watcher.
#[derive(Debug, Clone, Copy)]
struct Account {
    bot: usize,
    base: u64,
    /// The highest number that came.
    highest: u64,
    delivered: u64,
    /// When what is shown of the bot was sent, nanoseconds.
    shown: u64,
}

/// Something due that came, both in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Since it was sent.
    pub latency: u64,
    /// How old the view of its sender was just before.
    pub age: u64,
}

/// A watcher's view and its accounts.
#[derive(Debug, Default)]
pub struct Book {
    known: HashMap<(u32, u16), Known>,
    places: HashMap<u64, (u32, u16)>,
    /// Bots whose messages are due without being seen: a room's members.
    speakers: HashMap<usize, Account>,
    open: bool,
    expected: u64,
    delivered: u64,
}

impl Account {
    /// What is shown now is as old as `now`.
    fn new(bot: usize, now: u64, ledger: &Ledger) -> Self {
        let base = ledger.due(bot);
        Self { bot, base, highest: base, delivered: 0, shown: now }
    }

    /// Takes in what came; says how it came if it is new and due.
    fn credit(&mut self, key: u64, now: u64, ledger: &Ledger) -> Option<Arrival> {
        let sent = ledger.find(self.bot, key)?;
        if sent.number <= self.highest {
            return None;
        }
        self.highest = sent.number;
        self.delivered += 1;
        let age = now.saturating_sub(self.shown);
        self.shown = self.shown.max(sent.at);
        Some(Arrival { latency: now.saturating_sub(sent.at), age })
    }

    fn expected(&self, due: u64) -> u64 {
        due.max(self.highest) - self.base
    }
}

impl Book {
    /// An entity has come into view, or looks different. `bot`: which of this run's it is, if it
    /// is one and not the watcher itself.
    pub fn enter(
        &mut self,
        entity: &proto::EntityEnter,
        bot: Option<usize>,
        now: u64,
        ledger: &Ledger,
    ) {
        let place = (entity.zone_id, entity.handle as u16);
        let id = entity.entity_id;
        let origin = Point { x: entity.origin_x, y: entity.origin_y };
        let moved = self.places.insert(id, place).filter(|old| *old != place);
        // An entity that has crossed a border goes on under another handle: so does its account.
        let before = match moved {
            Some(old) if self.known.get(&old).is_some_and(|known| known.id == id) => {
                self.known.remove(&old)
            }
            _ => self.known.remove(&place),
        };
        let what = match (before, bot) {
            (Some(Known { id: same, what: What::Bot(account) }), Some(_)) if same == id => {
                What::Bot(account)
            }
            (before, bot) => {
                if let Some(Known { what: What::Bot(account), .. }) = before {
                    self.settle(account, now, ledger);
                }
                match (bot, entity.kind()) {
                    (Some(bot), _) => What::Bot(Account::new(bot, now, ledger)),
                    (None, kind @ (EntityKind::EntityNpc | EntityKind::EntityItem)) => {
                        let at = unpack(entity.position, origin);
                        let alive = kind == EntityKind::EntityItem || entity.health > 0;
                        What::Thing { kind, at, origin, alive }
                    }
                    _ => What::Other,
                }
            }
        };
        let replaced = self.known.insert(place, Known { id, what });
        if let Some(Known { what: What::Bot(account), .. }) = replaced {
            self.settle(account, now, ledger);
        }
    }

    /// An entity has gone out of the view of `zone`.
    pub fn leave(&mut self, id: u64, zone: u32, now: u64, ledger: &Ledger) {
        let Some(place) = self.places.get(&id).copied().filter(|place| place.0 == zone) else {
            return;
        };
        self.places.remove(&id);
        if self.known.get(&place).is_some_and(|known| known.id == id)
            && let Some(Known { what: What::Bot(account), .. }) = self.known.remove(&place)
        {
            self.settle(account, now, ledger);
        }
    }

    /// Everything is forgotten: a fresh view follows.
    pub fn reset(&mut self, now: u64, ledger: &Ledger) {
        self.places.clear();
        let known: Vec<_> = self.known.drain().map(|(_, known)| known.what).collect();
        for what in known {
            if let What::Bot(account) = what {
                self.settle(account, now, ledger);
            }
        }
    }

    /// A position record of `zone` came; says how if it is one that was due.
    pub fn record(&mut self, zone: u32, packed: u64, now: u64, ledger: &Ledger) -> Option<Arrival> {
        let packed = PackedPosition(packed);
        match &mut self.known.get_mut(&(zone, packed.handle().0))?.what {
            What::Bot(account) if self.open => account.credit(place_key(packed), now, ledger),
            What::Thing { at, origin, .. } => {
                *at = unpack(packed.0, *origin);
                None
            }
            _ => None,
        }
    }

    /// From now on this bot's messages are due here, seen or not.
    pub fn hear(&mut self, bot: usize, ledger: &Ledger) {
        self.speakers.insert(bot, Account::new(bot, 0, ledger));
    }

    /// Message `number` of `bot` came; gives its latency if it was due.
    pub fn heard(&mut self, bot: usize, number: u64, now: u64, ledger: &Ledger) -> Option<u64> {
        if !self.open {
            return None;
        }
        Some(self.speakers.get_mut(&bot)?.credit(number, now, ledger)?.latency)
    }

    /// How many entities are in view.
    pub fn in_view(&self) -> usize {
        self.places.len()
    }

    /// The nearest thing of a kind within `reach` metres of `here` that can be acted on.
    pub fn nearest(&self, kind: EntityKind, here: Point, reach: f32) -> Option<u64> {
        self.known
            .values()
            .filter_map(|known| match known.what {
                What::Thing { kind: found, at, alive: true, .. } if found == kind => {
                    Some((known.id, at.distance(here)))
                }
                _ => None,
            })
            .filter(|(_, distance)| *distance <= reach)
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(id, _)| id)
    }

    /// Measuring begins: only what is sent from `now` on counts.
    pub fn open(&mut self, now: u64, ledger: &Ledger) {
        self.open = true;
        for account in self.accounts() {
            *account = Account::new(account.bot, now, ledger);
        }
    }

    /// The oldest view of anybody whose last place is not shown, nanoseconds; 0: all are.
    pub fn oldest(&mut self, now: u64, ledger: &Ledger) -> u64 {
        let behind = |account: &Account| ledger.due(account.bot) > account.highest;
        let ages = self.accounts().filter(|account| behind(account));
        ages.map(|account| now.saturating_sub(account.shown)).max().unwrap_or(0)
    }

    /// Measuring is over: everything sent is due. Gives what was expected and what came.
    pub fn close(&mut self, ledger: &Ledger) -> (u64, u64) {
        let accounts: Vec<Account> = self.accounts().map(|account| *account).collect();
        for account in accounts {
            self.expected += account.expected(ledger.due(account.bot));
            self.delivered += account.delivered;
        }
        self.open = false;
        (std::mem::take(&mut self.expected), std::mem::take(&mut self.delivered))
    }

    fn accounts(&mut self) -> impl Iterator<Item = &mut Account> {
        let seen = self.known.values_mut().filter_map(|known| match &mut known.what {
            What::Bot(account) => Some(account),
            _ => None,
        });
        seen.chain(self.speakers.values_mut())
    }

    /// An account ends because its bot went out of view.
    fn settle(&mut self, account: Account, now: u64, ledger: &Ledger) {
        if self.open {
            let due = ledger.due_by(account.bot, now.saturating_sub(ON_ITS_WAY));
            self.expected += account.expected(due.max(account.base));
            self.delivered += account.delivered;
        }
    }
}

fn unpack(packed: u64, origin: Point) -> Point {
    let Point { x: min_x, y: min_y } = origin;
    PackedPosition(packed).pose(&Rect { min_x, min_y, max_x: min_x, max_y: min_y }).at
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::tick;

    const MS: u64 = 1_000_000;

    /// Two bots' inputs a tenth of a second apart, and a watcher that sees both.
    struct Scene {
        start: Instant,
        ledger: Ledger,
        book: Book,
    }

    impl Scene {
        fn new() -> Self {
            let start = tick::now();
            let mut scene = Self { start, ledger: Ledger::new(4, start), book: Book::default() };
            scene.enter(1, 1);
            scene.enter(2, 2);
            scene.book.open(0, &scene.ledger);
            scene
        }

        fn enter(&mut self, bot: usize, handle: u32) {
            let entity = proto::EntityEnter {
                entity_id: bot as u64,
                kind: EntityKind::EntityPlayer as i32,
                zone_id: 1,
                handle,
                ..Default::default()
            };
            self.book.enter(&entity, Some(bot), 0, &self.ledger);
        }

        fn send(&self, bot: usize, key: u64, ms: u64) {
            self.ledger.note(bot, key, self.start + Duration::from_millis(ms), true);
        }

        fn show(&mut self, handle: u64, key: u64, ms: u64) -> Option<u64> {
            let arrival = self.book.record(1, handle | key << 16, ms * MS, &self.ledger)?;
            Some(arrival.latency)
        }
    }

    #[test]
    fn everything_that_comes_is_delivered_with_its_latency() {
        let mut scene = Scene::new();
        for step in 1..=10 {
            scene.send(1, step, step * 100);
            assert_eq!(scene.show(1, step, step * 100 + 30), Some(30 * MS));
        }
        assert_eq!(scene.show(1, 10, 1_100), None, "the same again is nothing new");
        assert_eq!(scene.book.close(&scene.ledger), (10, 10));
    }

    #[test]
    fn what_is_shed_is_missing() {
        let mut scene = Scene::new();
        for step in 1..=10 {
            scene.send(1, step, step * 100);
            scene.send(2, 100 + step, step * 100);
        }
        for step in [2, 5, 10] {
            scene.show(1, step, 1_100);
        }
        assert_eq!(scene.book.close(&scene.ledger), (20, 3), "a stalled server shows nothing of 2");
    }

    #[test]
    fn a_view_is_as_old_as_the_place_it_shows() {
        let mut scene = Scene::new();
        for (key, sent) in [(1, 100), (2, 200), (3, 300)] {
            scene.send(1, key, sent);
        }
        let mut show = |key: u64, ms: u64| {
            scene.book.record(1, 1 | key << 16, ms * MS, &scene.ledger).map(|a| a.age / MS)
        };
        assert_eq!(show(1, 150), Some(150), "as it was when measuring began");
        assert_eq!(show(3, 900), Some(800), "as it was at 100");
        assert_eq!(scene.book.oldest(1_000 * MS, &scene.ledger), 0, "the last place is shown");
        scene.send(1, 4, 1_000);
        assert_eq!(scene.book.oldest(1_400 * MS, &scene.ledger), 1_100 * MS);
    }

    #[test]
    fn what_was_sent_before_the_view_is_not_due() {
        let mut scene = Scene::new();
        scene.send(3, 50, 10);
        scene.enter(3, 3);
        assert_eq!(scene.show(3, 50, 60), None, "on its way when the watcher saw it first");
        scene.send(3, 51, 110);
        assert!(scene.show(3, 51, 140).is_some());
        assert_eq!(scene.book.close(&scene.ledger), (1, 1));
    }

    #[test]
    fn what_is_on_its_way_when_a_bot_leaves_is_not_due() {
        let mut scene = Scene::new();
        for (key, at) in [(1, 100), (2, 200), (3, 300), (4, 400)] {
            scene.send(1, key, at);
        }
        scene.show(1, 1, 130);
        scene.book.leave(1, 1, 410 * MS, &scene.ledger);
        assert_eq!(scene.book.close(&scene.ledger), (2, 1), "3 and 4 were too young, 2 was not");
    }

    #[test]
    fn a_bot_that_looks_different_or_has_crossed_keeps_its_account() {
        let mut scene = Scene::new();
        scene.send(1, 1, 100);
        scene.enter(1, 1);
        assert!(scene.show(1, 1, 130).is_some());
        scene.send(1, 2, 200);
        scene.enter(1, 9);
        assert_eq!(scene.show(1, 2, 230), None, "the old handle is dead");
        assert!(scene.show(9, 2, 230).is_some());
        scene.book.leave(1, 7, 240 * MS, &scene.ledger);
        assert_eq!(scene.book.close(&scene.ledger), (2, 2));
    }

    #[test]
    fn a_handle_given_to_another_settles_the_first() {
        let mut scene = Scene::new();
        scene.send(1, 1, 100);
        scene.show(1, 1, 130);
        scene.enter(3, 1);
        scene.send(3, 2, 200);
        assert!(scene.show(1, 2, 230).is_some());
        assert_eq!(scene.book.close(&scene.ledger), (2, 2));
    }

    #[test]
    fn messages_are_due_from_all_members() {
        let mut scene = Scene::new();
        scene.book.hear(3, &scene.ledger);
        scene.send(3, 1, 100);
        scene.send(3, 2, 200);
        assert_eq!(scene.book.heard(3, 2, 250 * MS, &scene.ledger), Some(50 * MS));
        assert_eq!(scene.book.heard(0, 2, 250 * MS, &scene.ledger), None);
        assert_eq!(scene.book.close(&scene.ledger), (2, 1));
    }

    #[test]
    fn the_nearest_living_thing_in_reach_is_found() {
        let mut scene = Scene::new();
        let mut wolf = proto::EntityEnter {
            entity_id: 70,
            kind: EntityKind::EntityNpc as i32,
            zone_id: 1,
            handle: 70,
            health: 10,
            position: 70 | 500 << 16,
            ..Default::default()
        };
        scene.book.enter(&wolf, None, 0, &scene.ledger);
        let npc = EntityKind::EntityNpc;
        let here = Point::default();
        assert_eq!(scene.book.nearest(npc, here, 8.0), Some(70));
        assert_eq!(scene.book.nearest(npc, here, 4.0), None);
        assert_eq!(scene.book.nearest(EntityKind::EntityItem, here, 8.0), None);
        wolf.health = 0;
        scene.book.enter(&wolf, None, 0, &scene.ledger);
        assert_eq!(scene.book.nearest(npc, here, 8.0), None, "the dead are left in peace");
    }
}
