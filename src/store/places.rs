//! Devices and networks from which accounts' owners have logged in, hashed by the login role.
//!
//! Read with the account at each log-in, written when one succeeds from a new place. An account has
//! a few, of which the one unused for longest goes first.

use super::accounts::account_by_name;
use super::connection::{Connection, values};
use super::failure::Failure;
use super::job::Write;
use super::record::LoginRecord;
use super::{Store, StoreError};
use crate::ids::PlayerId;
use crate::names::Name;

impl Store {
    /// The account of that name (folded), with the places that it is known from.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn login_record(&self, name: &Name) -> Result<Option<LoginRecord>, StoreError> {
        self.read("login_record", async {
            let mut snapshot = self.snapshot().await?;
            let mut db = snapshot.connection();
            let Some(account) = account_by_name(&mut db, name).await? else { return Ok(None) };
            let rows = db.rows(PLACES, values![account.player]).await?;
            let place = |row: &super::connection::Row| Ok((row.hash(0)?, row.number(1)?));
            let places = rows.iter().map(place).collect::<Result<_, Failure>>()?;
            Ok(Some(LoginRecord { account, places }))
        })
        .await
    }

    /// A player's owner has logged in from these places at `now` (Unix ms).
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such player.
    pub async fn remember_places(
        &self,
        player: PlayerId,
        places: Vec<[u8; 32]>,
        now: u64,
    ) -> Result<(), StoreError> {
        self.write("remember_places", RememberPlaces { player, places, now }).await
    }
}

const PLACES: &str = "SELECT place, seen_at FROM known_places WHERE player_id = $1";
const REMEMBER: &str = "INSERT INTO known_places (player_id, place, seen_at) VALUES ($1, $2, $3) \
    ON CONFLICT (player_id, place) DO UPDATE SET seen_at = excluded.seen_at";
/// Sixteen are kept.
const FORGET: &str = "DELETE FROM known_places WHERE player_id = $1 AND place NOT IN \
    (SELECT place FROM known_places WHERE player_id = $1 ORDER BY seen_at DESC, place LIMIT 16)";

struct RememberPlaces {
    player: PlayerId,
    places: Vec<[u8; 32]>,
    now: u64,
}

impl Write for RememberPlaces {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        for place in &self.places {
            db.execute(REMEMBER, values![self.player, place, self.now]).await?;
        }
        db.execute(FORGET, values![self.player]).await?;
        Ok(())
    }
}
