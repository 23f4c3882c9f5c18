//! Named counters of players, added up in SQL.
//!
//! Zones send them in batches under one operation id; a batch that is sent again is not counted
//! again.

use std::collections::BTreeMap;

use super::connection::{Connection, amount, values};
use super::failure::Failure;
use super::outcome::{self, Outcome};
use super::writer::Write;
use super::{Store, StoreError};
use crate::ids::{OperationId, PlayerId};

impl Store {
    /// Adds to players' counters, once per operation id. Counts of players who do not exist are
    /// dropped.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then send the same again under the same id.
    pub async fn count(
        &self,
        id: OperationId,
        counts: Vec<(PlayerId, &'static str, u64)>,
    ) -> Result<(), StoreError> {
        // Summed and in order: each row is written once, and two servers that count for the same
        // players lock them in the same order.
        let mut sums = BTreeMap::new();
        for (player, counter, by) in counts {
            let sum: &mut u64 = sums.entry((player, counter)).or_default();
            *sum = sum.saturating_add(by);
        }
        self.write("count", Count { id, sums }).await
    }

    /// A player's counters by name.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn statistics(&self, player: PlayerId) -> Result<Vec<(String, u64)>, StoreError> {
        self.read("statistics", async {
            let sql = "SELECT counter, value FROM statistics WHERE player_id = $1 ORDER BY counter";
            let mut snapshot = self.snapshot().await?;
            let rows = snapshot.connection().rows(sql, values![player]).await?;
            rows.iter().map(|row| Ok((row.text(0)?, row.number(1)?))).collect()
        })
        .await
    }
}

const ADD_ONE: &str = "INSERT INTO statistics (player_id, counter, value) \
    SELECT $1, $2, $3 WHERE EXISTS (SELECT 1 FROM players WHERE id = $1) \
    ON CONFLICT (player_id, counter) DO UPDATE SET value = statistics.value + excluded.value";
const ADD_MANY: &str = "INSERT INTO statistics (player_id, counter, value) \
    SELECT c.player_id, c.counter, c.value \
    FROM UNNEST($1, $2, $3) AS c (player_id, counter, value) \
    WHERE EXISTS (SELECT 1 FROM players WHERE id = c.player_id) \
    ORDER BY c.player_id, c.counter \
    ON CONFLICT (player_id, counter) DO UPDATE SET value = statistics.value + excluded.value";

struct Count {
    id: OperationId,
    sums: BTreeMap<(PlayerId, &'static str), u64>,
}

impl Write for Count {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        if outcome::find(db, self.id).await?.is_some() {
            return Ok(());
        }
        match db {
            Connection::Sqlite(_) => {
                for (&(player, counter), &sum) in &self.sums {
                    db.execute(ADD_ONE, values![player, counter, sum]).await?;
                }
            }
            Connection::Postgres(_) => {
                let players: Vec<i64> = self.sums.keys().map(|(id, _)| amount(id.0)).collect();
                let counters: Vec<String> =
                    self.sums.keys().map(|(_, counter)| (*counter).to_owned()).collect();
                let sums: Vec<i64> = self.sums.values().map(|sum| amount(*sum)).collect();
                db.execute(ADD_MANY, values![players, counters, sums]).await?;
            }
        }
        outcome::keep(db, self.id, None, &Outcome::Done).await
    }
}
