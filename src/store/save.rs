//! Saving: place, health, growth and quests, write-behind, many players at once.
//!
//! Called by zones every few seconds and when a player leaves. A save under an older epoch, or of a
//! player who was released, changes nothing; items and gold are never written here (see
//! `operations.rs`), nor is a completed quest ever made incomplete.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::connection::{Connection, Value, amount, values};
use super::failure::Failure;
use super::job::Write;
use super::players::{goals_text, timers_text};
use super::{Store, StoreError, measure};
use crate::ids::PlayerId;
use crate::tick;
use crate::world::command::PlayerState;

/// Players whose saves share a job; more are split, so that value changes get in between.
const CHUNK: usize = 500;

impl Store {
    /// Saves place, health, growth and quests of many players (never items or gold). Gives the
    /// players back whose epoch is not the stored one, or who have no owner; those were not saved.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; some may have been saved.
    pub async fn save(&self, states: Vec<PlayerState>) -> Result<Vec<PlayerId>, StoreError> {
        let since = tick::now();
        let chunks = self.chunks(states).into_iter();
        let pending: Vec<_> =
            chunks.map(|states| self.inner.writer.enqueue(Save { states })).collect();
        let (mut stale, mut failed) = (Vec::new(), None);
        for chunk in pending {
            match chunk.outcome().await {
                Ok(players) => stale.extend(players),
                Err(error) => failed = Some(error),
            }
        }
        measure("save", since);
        failed.map_or(Ok(stale), Err)
    }

    /// Saves a last time and gives ownership up, if the epoch is still the stored one.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`].
    pub async fn release(&self, state: PlayerState) -> Result<(), StoreError> {
        self.write("release", Release(state)).await
    }

    /// Sorts states into groups that each keep to one of the writer's lanes.
    fn chunks(&self, states: Vec<PlayerState>) -> Vec<Vec<PlayerState>> {
        // In one order everywhere, so that two servers' saves do not lock each other out.
        let mut lanes: BTreeMap<usize, BTreeMap<PlayerId, PlayerState>> = BTreeMap::new();
        for state in states.into_iter().filter(is_sound) {
            lanes.entry(self.inner.writer.lane_of(state.id)).or_default().insert(state.id, state);
        }
        let mut chunks = Vec::new();
        for lane in lanes.into_values() {
            let mut states = lane.into_values().peekable();
            while states.peek().is_some() {
                chunks.push(states.by_ref().take(CHUNK).collect());
            }
        }
        chunks
    }
}

/// The world holds no unsound state; if it did, it must not spoil the saves of all the others.
pub(super) fn is_sound(state: &PlayerState) -> bool {
    let pose = state.pose;
    let sound = pose.at.x.is_finite()
        && pose.at.y.is_finite()
        && pose.rotation.is_finite()
        && !state.quests.iter().any(|quest| quest.quest.contains('\0'));
    if !sound {
        tracing::error!(player = %state.id, "player's state is unsound and is not saved");
    }
    sound
}

struct Save {
    states: Vec<PlayerState>,
}

impl Write for Save {
    /// Who was not saved.
    type Answer = Vec<PlayerId>;

    fn player(&self) -> Option<PlayerId> {
        self.states.first().map(|state| state.id)
    }

    fn partners(&self) -> Vec<PlayerId> {
        self.states.iter().skip(1).map(|state| state.id).collect()
    }

    fn saves(&self) -> usize {
        self.states.len()
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Vec<PlayerId>, Failure> {
        let saved = save_players(db, &self.states).await?;
        save_quests(db, self.states.iter().filter(|state| saved.contains(&state.id))).await?;
        let unsaved = self.states.iter().map(|state| state.id);
        Ok(unsaved.filter(|player| !saved.contains(player)).collect())
    }
}

struct Release(PlayerState);

impl Write for Release {
    type Answer = ();

    fn player(&self) -> Option<PlayerId> {
        Some(self.0.id)
    }

    fn saves(&self) -> usize {
        1
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        if !is_sound(&self.0) {
            let sql = "UPDATE players SET owner = NULL WHERE id = $1 AND epoch = $2";
            db.execute(sql, values![self.0.id, self.0.epoch]).await?;
            return Ok(());
        }
        let PlayerState { id, epoch, zone, pose, level, experience, health, power, .. } = &self.0;
        let timers = timers_text(&self.0.timers, tick::unix_millis());
        let values = values![
            *id,
            *epoch,
            *zone,
            pose.at.x,
            pose.at.y,
            pose.rotation,
            *level,
            *experience,
            *health,
            *power,
            timers.as_str()
        ];
        if db.execute(RELEASE, values).await? == 0 {
            return Err(StoreError::StaleEpoch.into());
        }
        save_quests(db, std::iter::once(&self.0)).await
    }
}

/// A release that was done may be done again: its epoch is still the stored one.
const RELEASE: &str = "UPDATE players SET zone = $3, x = $4, y = $5, rotation = $6, level = $7, \
    experience = CASE WHEN experience > $8 THEN experience ELSE $8 END, \
    health = $9, power = $10, timers = $11, owner = NULL \
    WHERE id = $1 AND epoch = $2";

// A batch is one argument per column for PostgreSQL and one JSON array of rows for SQLite: one
// statement for hundreds of players costs a sixth of what a statement for each does.
const SAVE_SQLITE: &str = "UPDATE players SET zone = s.zone, x = s.x, y = s.y, \
    rotation = s.rotation, level = s.level, \
    experience = CASE WHEN players.experience > s.experience THEN players.experience \
    ELSE s.experience END, health = s.health, \
    power = s.power, timers = s.timers \
    FROM (SELECT value ->> 0 AS id, value ->> 1 AS epoch, value ->> 2 AS zone, value ->> 3 AS x, \
    value ->> 4 AS y, value ->> 5 AS rotation, value ->> 6 AS level, value ->> 7 AS experience, \
    value ->> 8 AS health, value ->> 9 AS power, \
    value ->> 10 AS timers FROM json_each($1)) AS s \
    WHERE players.id = s.id AND players.epoch = s.epoch AND players.owner IS NOT NULL \
    RETURNING players.id";
const SAVE_POSTGRES: &str = "UPDATE players SET zone = s.zone, x = s.x, y = s.y, \
    rotation = s.rotation, level = s.level, \
    experience = CASE WHEN players.experience > s.experience THEN players.experience \
    ELSE s.experience END, health = s.health, \
    power = s.power, timers = s.timers \
    FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
    AS s (id, epoch, zone, x, y, rotation, level, experience, health, power, timers) \
    WHERE players.id = s.id AND players.epoch = s.epoch AND players.owner IS NOT NULL \
    RETURNING players.id";

/// Saves many players; gives those whose row it was.
async fn save_players(
    db: &mut Connection<'_>,
    states: &[PlayerState],
) -> Result<BTreeSet<PlayerId>, Failure> {
    update_players(db, states, [SAVE_SQLITE, SAVE_POSTGRES], &[]).await
}

/// Runs a statement over a batch of players; gives those whose row it returns. The batch is `$1`
/// for SQLite and `$1` to `$11` for PostgreSQL; what is given `besides` follows.
pub(super) async fn update_players(
    db: &mut Connection<'_>,
    states: &[PlayerState],
    [sqlite, postgres]: [&'static str; 2],
    besides: &[Value<'_>],
) -> Result<BTreeSet<PlayerId>, Failure> {
    let now = tick::unix_millis();
    let rows = match db {
        Connection::Sqlite(_) => {
            let rows = states.iter().map(|s| {
                let [x, y, rotation] = [s.pose.at.x, s.pose.at.y, s.pose.rotation].map(f64::from);
                let experience = amount(s.experience);
                let timers = timers_text(&s.timers, now);
                let (level, health, power) = (s.level, s.health, s.power);
                (s.id, s.epoch, s.zone, x, y, rotation, level, experience, health, power, timers)
            });
            let rows = json(&rows.collect::<Vec<_>>())?;
            let values = [values![rows.as_str()], besides].concat();
            db.rows(sqlite, &values).await?
        }
        Connection::Postgres(_) => {
            let ints = |column: fn(&PlayerState) -> u64| -> Vec<i64> {
                states.iter().map(|state| amount(column(state))).collect()
            };
            let reals = |column: fn(&PlayerState) -> f32| -> Vec<f64> {
                states.iter().map(|state| column(state).into()).collect()
            };
            let timers: Vec<String> =
                states.iter().map(|state| timers_text(&state.timers, now)).collect();
            let columns = values![
                ints(|s| s.id.0),
                ints(|s| s.epoch.0),
                ints(|s| s.zone.0.into()),
                reals(|s| s.pose.at.x),
                reals(|s| s.pose.at.y),
                reals(|s| s.pose.rotation),
                ints(|s| s.level.into()),
                ints(|s| s.experience),
                ints(|s| s.health.into()),
                ints(|s| s.power.into()),
                timers,
            ];
            let values = [columns, besides].concat();
            db.rows(postgres, &values).await?
        }
    };
    rows.iter().map(|row| Ok(PlayerId(row.number(0)?))).collect()
}

// Both touch a row only where something is new, and never take a completion back. `WHERE true`
// tells SQLite that the ON belongs to the INSERT.
const QUESTS_SQLITE: &str = "INSERT INTO quests (player_id, quest, done, completed) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1) WHERE true \
    ON CONFLICT (player_id, quest) DO UPDATE \
    SET done = excluded.done, completed = excluded.completed \
    WHERE (quests.done <> excluded.done OR quests.completed <> excluded.completed) \
    AND (quests.completed = 0 OR excluded.completed = 1)";
const QUESTS_POSTGRES: &str = "INSERT INTO quests (player_id, quest, done, completed) \
    SELECT * FROM UNNEST($1, $2, $3, $4) \
    ON CONFLICT (player_id, quest) DO UPDATE \
    SET done = excluded.done, completed = excluded.completed \
    WHERE (quests.done <> excluded.done OR quests.completed <> excluded.completed) \
    AND (quests.completed = 0 OR excluded.completed = 1)";

/// Saves the quests of many players.
pub(super) async fn save_quests(
    db: &mut Connection<'_>,
    states: impl Iterator<Item = &PlayerState>,
) -> Result<(), Failure> {
    // In order, and none twice: PostgreSQL's statement must not name a row twice.
    let quests: BTreeMap<_, _> = states
        .flat_map(|state| state.quests.iter().map(|quest| ((state.id, &quest.quest), quest)))
        .collect();
    if quests.is_empty() {
        return Ok(());
    }
    let rows = quests.into_iter().map(|((player, name), quest)| {
        (amount(player.0), name.to_string(), goals_text(&quest.done), i64::from(quest.completed))
    });
    match db {
        Connection::Sqlite(_) => {
            let rows = json(&rows.collect::<Vec<_>>())?;
            db.execute(QUESTS_SQLITE, values![rows.as_str()]).await?;
        }
        Connection::Postgres(_) => {
            let (players, names, done, completed): (Vec<_>, Vec<_>, Vec<_>, Vec<_>) =
                rows.collect();
            db.execute(QUESTS_POSTGRES, values![players, names, done, completed]).await?;
        }
    }
    Ok(())
}

fn json<T: Serialize>(rows: &[T]) -> Result<String, Failure> {
    serde_json::to_string(rows).map_err(|error| StoreError::Corrupt(error.to_string()).into())
}
