//! The simulated store and the real one, asked the same things in the same order, say the same.

use std::time::Duration;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::geometry::{Point, Pose};
use crate::ids::{Epoch, ItemId, Key, OperationId, PlayerId, ServerId, TicketUse, ZoneId};
use crate::names::Name;
use crate::simulation::store::Model;
use crate::store::leases::Free;
use crate::store::record::NewCharacter;
use crate::store::{Store, StoreConfig};
use crate::world::command::{Change, CommitRefusal, Gift, Operation, PlayerState, Timed, Timer};

const PLAYERS: u64 = 3;
const OPERATIONS: usize = 1_500;

/// Something to ask for that is right now and then, and wrong now and then.
struct Asker {
    chance: ChaCha8Rng,
}

impl Asker {
    fn server(&mut self) -> ServerId {
        ServerId(self.chance.random_range(1..=3))
    }

    fn id(&mut self) -> OperationId {
        OperationId::new(1, self.chance.random_range(0..400))
    }

    /// A player as some server might believe it to be.
    fn state(&mut self, model: &Model) -> PlayerState {
        let player = PlayerId(self.chance.random_range(1..=PLAYERS));
        let mut state = model.player(player).unwrap();
        if self.chance.random_bool(0.3) {
            state.epoch = Epoch((state.epoch.0 + 1).saturating_sub(self.chance.random_range(0..4)));
        }
        let (x, y) = (self.chance.random_range(-9.0..9.0), self.chance.random_range(-9.0..9.0));
        state.pose = Pose { at: Point { x, y }, rotation: 45.0 };
        state.zone = ZoneId(self.chance.random_range(1..5));
        state.level = self.chance.random_range(1..9);
        state.experience = self.chance.random_range(0..1_000);
        (state.health, state.power) = (self.chance.random_range(0..90), 7);
        let waits = [Timed::Attack, Timed::Skill("dash".into()), Timed::Fight, Timed::Haste(1_600)];
        let some = waits.into_iter().filter(|_| self.chance.random_bool(0.5));
        state.timers = some.map(|what| Timer { what, left_ms: 3_600_000 }).collect();
        state
    }

    /// Something for one of the players, or for nobody.
    fn give(&mut self, model: &Model, held: &[ItemId]) -> Change {
        let to = PlayerId(self.chance.random_range(1..=PLAYERS + 1));
        let known = model.player(to).map_or(Epoch(0), |state| state.epoch);
        let to_epoch = Epoch(known.0 + u64::from(self.chance.random_ratio(1, 5)));
        let gift = if self.chance.random_bool(0.5) {
            let item = held.choose(&mut self.chance).copied().unwrap_or(ItemId(999));
            Gift::Items { item, quantity: self.chance.random_range(0..4_000) }
        } else {
            Gift::Gold(if self.chance.random_bool(0.8) { 3 } else { u64::MAX >> 1 })
        };
        Change::Give { to, to_epoch, gift, share: self.chance.random_bool(0.8) }
    }

    fn change(&mut self, state: &PlayerState, model: &Model) -> Change {
        let held: Vec<ItemId> = state.inventory.iter().map(|stack| stack.id).collect();
        if self.chance.random_bool(0.3) {
            return self.give(model, &held);
        }
        if self.chance.random_bool(0.4) {
            let item = held.choose(&mut self.chance).copied().unwrap_or(ItemId(999));
            let item = ItemId(item.0 + u64::from(self.chance.random_ratio(1, 9)));
            return Change::Consume { item, quantity: self.chance.random_range(1..6_000) };
        }
        let kinds = ["pelt", "sword", "rope"].map(Key::from);
        let some = self.chance.random_range(0..3);
        let items = (0..some).map(|_| {
            let kind = kinds.choose(&mut self.chance).unwrap().clone();
            let shares = &*kind != "sword";
            let most = if shares { 15_000 } else { 30 };
            (kind, self.chance.random_range(0..most), shares)
        });
        let items = items.collect();
        let gold = if self.chance.random_ratio(1, 20) { u64::MAX >> 1 } else { 5 };
        Change::Grant { items, gold, quest: None }
    }
}

async fn real(folder: &std::path::Path, model: &mut Model) -> Store {
    let config = StoreConfig { timeout_ms: 60_000, ..StoreConfig::default() };
    let store = Store::open(&config, folder).await.unwrap();
    for number in 1..=PLAYERS {
        let pose = Pose { at: Point { x: 1.0, y: 2.0 }, rotation: 3.0 };
        let items = vec![("pelt".into(), 3, true), ("sword".into(), 2, false)];
        let (zone, health, power) = (ZoneId(1), 10, 20);
        let name = Name::parse(&format!("Player_{number}")).unwrap();
        let character = NewCharacter { zone, pose, health, power, items: items.clone() };
        let player = store.create_account(&name, "x", character).await.unwrap();
        assert_eq!(player, PlayerId(number));
        let mut state = store.player(player).await.unwrap().unwrap();
        let stored = std::mem::take(&mut state.inventory);
        model.create(state, &items);
        assert_eq!(model.player(player).unwrap().inventory, stored);
    }
    store
}

#[tokio::test]
async fn the_simulated_store_does_what_the_real_one_does() {
    let seed = super::number("THRONG_SIM_SEED").unwrap_or_else(rand::random);
    println!("THRONG_SIM_SEED={seed} repeats this");
    let folder = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let store = real(folder.path(), &mut model).await;
    let mut asker = Asker { chance: ChaCha8Rng::seed_from_u64(seed) };
    for step in 0..OPERATIONS {
        let (state, server, id) = (asker.state(&model), asker.server(), asker.id());
        let player = state.id;
        let ticket = asker.chance.random_bool(0.5).then(|| TicketUse {
            id: uuid::Uuid::from_u128(asker.chance.random_range(1..300)),
            expires_at: 1 << 50,
        });
        let lease = format!("zone-{}", asker.chance.random_range(1..=2));
        // To the model it is always 50; a lease has run out, or lasts longer than this test.
        let (alone, held) = (asker.chance.random_bool(0.3), asker.chance.random_bool(0.5));
        let (free, until) = (if alone { u64::MAX } else { 50 }, if held { 100 } else { 50 });
        let lasts = if held { Duration::from_hours(1) } else { Duration::ZERO };
        match asker.chance.random_range(0..10) {
            0 => {
                let theirs = store.claim(player, server, ticket).await;
                let ours = model.claim(player, server, ticket);
                assert_eq!(
                    ours.map(|c| timeless(c.state)),
                    theirs.map(|c| timeless(c.state)),
                    "{step}"
                );
            }
            1 => {
                let theirs = store.save(vec![state.clone()]).await.unwrap();
                assert_eq!(model.save(&[state]), theirs, "{step}");
            }
            2 => {
                let theirs = store.release(state.clone()).await;
                assert_eq!(model.release(&state), theirs, "{step}");
            }
            3 => {
                let theirs = store.take_over(state.clone(), server, id).await;
                assert_eq!(model.take_over(&state, server, id), theirs, "{step}");
            }
            4 => {
                let theirs = store.reclaim(player, state.epoch, server, id).await;
                assert_eq!(model.reclaim(player, state.epoch, server, id), theirs, "{step}");
            }
            5 => {
                let after = if alone { Free::AtOnce } else { Free::After(Duration::ZERO) };
                let theirs = store.start_lease(&lease, server, after, lasts).await;
                assert_eq!(model.start_lease(&lease, server, free, until), theirs, "{step}");
            }
            6 => {
                let known = model.leases.get(&lease).map_or(Epoch(1), |lease| lease.epoch);
                let epoch = Epoch(known.0.saturating_sub(asker.chance.random_range(0..2)));
                if asker.chance.random_bool(0.2) {
                    model.end_lease(&lease, server, epoch);
                    store.end_lease(&lease, server, epoch).await.unwrap();
                } else {
                    let named = vec![(lease, epoch)];
                    let ours = model.renew_leases(server, &named, until);
                    let theirs = store.renew_leases(server, named, lasts).await.unwrap();
                    assert_eq!(ours, theirs, "{step}");
                }
            }
            _ => {
                let change = asker.change(&state, &model);
                // An id stands for one change.
                let id = OperationId::new(2 + (step as u64 / 3), 0);
                let change = if step % 3 == 0 { change } else { repeated(&model, id, change) };
                let operation = Operation { id, player, epoch: state.epoch, change };
                let ours = model.commit(&operation);
                assert_eq!(ours, store.commit(operation).await, "{step}");
                // Whoever asked for it, and whom it was given to.
                if let Some(done) = model.done.iter().find(|done| done.id == id).cloned() {
                    let to = match done.change {
                        Change::Give { to, .. } => to,
                        _ => done.player,
                    };
                    for player in [done.player, to] {
                        let ours = model.look_up(id, player);
                        assert_eq!(ours, store.look_up(id, player, done.player).await, "{step}");
                        assert!(ours.is_ok(), "{step}");
                    }
                } else {
                    let ours = model.look_up(id, player);
                    assert_eq!(ours, Err(CommitRefusal::NotDone), "{step}");
                    assert_eq!(ours, store.look_up(id, player, player).await, "{step}");
                }
            }
        }
        let stored = store.player(player).await.unwrap();
        assert_eq!(model.player(player).map(timeless), stored.map(timeless), "after {step}");
    }
    let players = (1..=PLAYERS).filter_map(|n| model.player(PlayerId(n)));
    assert!(players.map(|state| state.epoch.0).sum::<u64>() > 100 && model.done.len() > 50);
}

/// The real store's clock goes on, the simulated one's stands still.
fn timeless(mut state: PlayerState) -> PlayerState {
    for timer in &mut state.timers {
        assert!(timer.left_ms > 3_000_000);
        timer.left_ms = 0;
    }
    state
}

/// The change that an id stood for, if it was done.
fn repeated(model: &Model, id: OperationId, change: Change) -> Change {
    let done = model.done.iter().find(|operation| operation.id == id);
    done.map_or(change, |operation| operation.change.clone())
}
