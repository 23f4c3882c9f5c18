//! Wars that are declared and not begun: each is fought from a moment on of which both guilds know.
//!
//! Called by the chat role, which watches the clock; here are the rules that must hold whoever asks:
//! two guilds have one declaration or one war, none during a truce, and a guild's own declarations
//! and wars count against it alone. Each change is applied once per operation id.

use super::connection::{Connection, Row, values};
use super::failure::Failure;
use super::job::Write;
use super::outcome::{self, Outcome};
use super::record::DeclarationRecord;
use super::wars::{make_truce, pair};
use super::{Store, StoreError, guilds};
use crate::ids::{GuildId, OperationId};
use crate::limits::{GUILD_WARS_AGAINST_MAX, GUILD_WARS_MAX};

impl Store {
    /// Declares a war that begins at `begins_at`; now is `now` (both Unix ms).
    ///
    /// # Errors
    /// A conflict if they are at war or about to be, have a truce, or the attacker fights too many.
    pub async fn declare_war(
        &self,
        id: OperationId,
        attacker: GuildId,
        defender: GuildId,
        now: u64,
        begins_at: u64,
    ) -> Result<DeclarationRecord, StoreError> {
        let declared = DeclarationRecord { attacker, defender, declared_at: now, begins_at };
        self.write("declare_war", Declare { id, declared }).await
    }

    /// Takes a declaration back; the two have a truce until `truce_until` (Unix ms).
    ///
    /// # Errors
    /// A conflict if no war is declared between them.
    pub async fn withdraw_war(
        &self,
        id: OperationId,
        one: GuildId,
        other: GuildId,
        truce_until: u64,
    ) -> Result<(), StoreError> {
        self.write("withdraw_war", Withdraw { id, guilds: pair(one, other), truce_until }).await
    }
}

const ALL: &str = "SELECT first_guild, second_guild, attacker, declared_at, begins_at \
    FROM war_declarations ORDER BY first_guild, second_guild";
const BETWEEN: &str = "SELECT 1 FROM wars \
    WHERE first_guild = $1 AND second_guild = $2 AND ended_at IS NULL";
const TRUCE: &str = "SELECT 1 FROM truces \
    WHERE first_guild = $1 AND second_guild = $2 AND until > $3";
const OWN: &str = "SELECT \
    (SELECT COUNT(*) FROM wars WHERE attacker = $1 AND ended_at IS NULL) \
    + (SELECT COUNT(*) FROM war_declarations WHERE attacker = $1)";
const AGAINST: &str = "SELECT \
    (SELECT COUNT(*) FROM wars WHERE (first_guild = $1 OR second_guild = $1) \
        AND attacker <> $1 AND ended_at IS NULL) \
    + (SELECT COUNT(*) FROM war_declarations WHERE (first_guild = $1 OR second_guild = $1) \
        AND attacker <> $1)";
const DECLARE: &str = "INSERT INTO war_declarations \
    (first_guild, second_guild, attacker, declared_at, begins_at) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (first_guild, second_guild) DO NOTHING";
const TAKE: &str = "DELETE FROM war_declarations WHERE first_guild = $1 AND second_guild = $2 \
    RETURNING attacker";
const DECLARED: &str =
    "SELECT 1 FROM war_declarations WHERE first_guild = $1 AND second_guild = $2";
const END_ALL: &str = "DELETE FROM war_declarations WHERE first_guild = $1 OR second_guild = $1";

/// Every declaration.
pub(super) async fn all(db: &mut Connection<'_>) -> Result<Vec<DeclarationRecord>, Failure> {
    db.rows(ALL, values![]).await?.iter().map(record).collect()
}

/// Ends every declaration of a guild and on it.
pub(super) async fn end_all(db: &mut Connection<'_>, guild: GuildId) -> Result<(), Failure> {
    db.execute(END_ALL, values![guild]).await?;
    Ok(())
}

/// Takes the declaration between two guilds away and says who has made it.
pub(super) async fn take(
    db: &mut Connection<'_>,
    (first, second): (GuildId, GuildId),
) -> Result<Option<GuildId>, Failure> {
    let row = db.row(TAKE, values![first, second]).await?;
    row.map(|row| Ok(GuildId(row.number(0)?))).transpose()
}

/// Both must be there, be two, be at peace without a truce, and the attacker must have a war to
/// spare. Always locked in the order of their ids.
pub(super) async fn may_declare(
    db: &mut Connection<'_>,
    attacker: GuildId,
    defender: GuildId,
    now: u64,
) -> Result<(), Failure> {
    let (first, second) = pair(attacker, defender);
    if first == second {
        return Err(StoreError::Conflict("a guild has no war with itself").into());
    }
    guilds::lock(db, first).await?;
    guilds::lock(db, second).await?;
    if db.row(BETWEEN, values![first, second]).await?.is_some() {
        return Err(StoreError::Conflict("the guilds are at war").into());
    }
    if db.row(DECLARED, values![first, second]).await?.is_some() {
        return Err(StoreError::Conflict("a war is declared between the guilds").into());
    }
    if db.row(TRUCE, values![first, second, now]).await?.is_some() {
        return Err(StoreError::Conflict("the guilds have a truce").into());
    }
    for (sql, guild, most) in
        [(OWN, attacker, GUILD_WARS_MAX), (AGAINST, defender, GUILD_WARS_AGAINST_MAX)]
    {
        let row = db.row(sql, values![guild]).await?.ok_or(StoreError::NotFound)?;
        if row.number::<usize>(0)? >= most {
            return Err(StoreError::Conflict("one of the guilds fights too many wars").into());
        }
    }
    Ok(())
}

fn record(row: &Row) -> Result<DeclarationRecord, Failure> {
    let (first, second) = (GuildId(row.number(0)?), GuildId(row.number(1)?));
    let attacker = GuildId(row.number(2)?);
    Ok(DeclarationRecord {
        attacker,
        defender: if attacker == first { second } else { first },
        declared_at: row.number(3)?,
        begins_at: row.number(4)?,
    })
}

struct Declare {
    id: OperationId,
    declared: DeclarationRecord,
}

impl Write for Declare {
    type Answer = DeclarationRecord;

    async fn apply(&self, db: &mut Connection<'_>) -> Result<DeclarationRecord, Failure> {
        if let Some(outcome) = outcome::find_locked(db, self.id).await? {
            return outcome.into_declaration().ok_or_else(|| outcome::mismatch(self.id));
        }
        let DeclarationRecord { attacker, defender, declared_at, begins_at } = self.declared;
        may_declare(db, attacker, defender, declared_at).await?;
        let (first, second) = pair(attacker, defender);
        db.execute(DECLARE, values![first, second, attacker, declared_at, begins_at]).await?;
        outcome::keep(db, self.id, None, &Outcome::from(&self.declared)).await?;
        Ok(self.declared)
    }
}

struct Withdraw {
    id: OperationId,
    guilds: (GuildId, GuildId),
    truce_until: u64,
}

impl Write for Withdraw {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        if outcome::find_locked(db, self.id).await?.is_some() {
            return Ok(());
        }
        take(db, self.guilds).await?.ok_or(StoreError::Conflict("no war is declared"))?;
        make_truce(db, self.guilds, self.truce_until).await?;
        outcome::keep(db, self.id, None, &Outcome::Done).await
    }
}
