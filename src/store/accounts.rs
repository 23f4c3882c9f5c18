//! Accounts: made, found, listed, banned. Called by login, by the operators' commands, and by the
//! master for bans.
//!
//! Names are unique by their folded form. The secret's hash is never logged.

use super::connection::{Connection, Row, values};
use super::failure::Failure;
use super::inventory;
use super::job::Write;
use super::record::{Account, AccountSummary, Barred, NewCharacter};
use super::{Store, StoreError};
use crate::ids::PlayerId;
use crate::names::Name;
use crate::tick;

/// A player id fits 32 bits, so that an entity id tells players from all else.
const PLAYER_ID_MAX: u64 = u32::MAX as u64;

impl Store {
    /// Makes an account, its character with its starting items, and its player row, at once.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn create_account(
        &self,
        name: &Name,
        secret_hash: &str,
        character: NewCharacter,
    ) -> Result<PlayerId, StoreError> {
        let secret_hash = secret_hash.to_owned();
        let write = CreateAccount { name: name.clone(), secret_hash, character };
        self.write("create_account", write).await
    }

    /// The account of that name (folded).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], as from everything that reads.
    pub async fn account(&self, name: &Name) -> Result<Option<Account>, StoreError> {
        self.read("account", async {
            let mut snapshot = self.snapshot().await?;
            account_by_name(&mut snapshot.connection(), name).await
        })
        .await
    }

    /// The account of that player.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn account_of(&self, player: PlayerId) -> Result<Option<Account>, StoreError> {
        self.read("account", async {
            let mut snapshot = self.snapshot().await?;
            let row = snapshot.connection().row(ACCOUNT_BY_ID, values![player]).await?;
            row.map(|row| account(&row)).transpose()
        })
        .await
    }

    /// Up to `most` accounts by id after `after`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn accounts(
        &self,
        after: PlayerId,
        most: u32,
    ) -> Result<Vec<AccountSummary>, StoreError> {
        self.read("accounts", async {
            let mut snapshot = self.snapshot().await?;
            let rows = snapshot.connection().rows(ACCOUNTS, values![after, most]).await?;
            rows.iter().map(summary).collect()
        })
        .await
    }

    /// A new secret. Ends every resume token, and with them whoever has proven the old one: the
    /// master sends away those who play, and tickets of before are void.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_secret(&self, player: PlayerId, secret_hash: &str) -> Result<(), StoreError> {
        let secret_hash = secret_hash.to_owned();
        self.write("set_secret", SetSecret { player, secret_hash }).await
    }

    /// Bans (`Some(reason)`) or unbans; a ban ends every resume token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_ban(&self, player: PlayerId, reason: Option<&str>) -> Result<(), StoreError> {
        let reason = reason.map(str::to_owned);
        self.write("set_ban", SetBan { player, reason }).await
    }

    /// Players whose ban, or whose secret, began at or after `since` (Unix ms).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn barred_since(&self, since: u64) -> Result<Vec<Barred>, StoreError> {
        self.read("barred_since", async {
            let mut snapshot = self.snapshot().await?;
            let rows = snapshot.connection().rows(BARRED_SINCE, values![since]).await?;
            rows.iter().map(barred).collect()
        })
        .await
    }
}

const ACCOUNT_BY_NAME: &str =
    "SELECT id, name, secret_hash, ban_reason FROM accounts WHERE name_folded = $1";
const ACCOUNT_BY_ID: &str = "SELECT id, name, secret_hash, ban_reason FROM accounts WHERE id = $1";
const ACCOUNTS: &str = "SELECT a.id, a.name, p.level, a.created_at, p.last_seen_at, a.ban_reason \
    FROM accounts a JOIN players p ON p.id = a.id WHERE a.id > $1 ORDER BY a.id LIMIT $2";
const BARRED_SINCE: &str = "SELECT id, banned_at, ban_reason FROM accounts \
    WHERE banned_at IS NOT NULL AND banned_at >= $1 \
    UNION ALL SELECT id, secret_changed_at, NULL FROM accounts \
    WHERE secret_changed_at IS NOT NULL AND secret_changed_at >= $1 ORDER BY 2, 1";

/// A name out of the database, which only ever gets checked ones.
pub(super) fn stored_name(text: &str) -> Result<Name, Failure> {
    Name::made(text).map_err(|why| StoreError::Corrupt(format!("name {text:?}: {why}")).into())
}

/// The account of that name (folded).
pub(super) async fn account_by_name(
    db: &mut Connection<'_>,
    name: &Name,
) -> Result<Option<Account>, Failure> {
    let folded = name.folded();
    let row = db.row(ACCOUNT_BY_NAME, values![folded.as_str()]).await?;
    row.map(|row| account(&row)).transpose()
}

fn account(row: &Row) -> Result<Account, Failure> {
    Ok(Account {
        player: PlayerId(row.number(0)?),
        name: stored_name(&row.text(1)?)?,
        secret_hash: row.text(2)?,
        ban: row.maybe_text(3)?,
    })
}

fn summary(row: &Row) -> Result<AccountSummary, Failure> {
    Ok(AccountSummary {
        player: PlayerId(row.number(0)?),
        name: stored_name(&row.text(1)?)?,
        level: row.number(2)?,
        created_at: row.number(3)?,
        last_seen_at: row.maybe_number(4)?,
        ban: row.maybe_text(5)?,
    })
}

fn barred(row: &Row) -> Result<Barred, Failure> {
    Ok(Barred { player: PlayerId(row.number(0)?), at: row.number(1)?, ban: row.maybe_text(2)? })
}

struct CreateAccount {
    name: Name,
    secret_hash: String,
    character: NewCharacter,
}

impl Write for CreateAccount {
    type Answer = PlayerId;

    async fn apply(&self, db: &mut Connection<'_>) -> Result<PlayerId, Failure> {
        let folded = self.name.folded();
        let account = values![
            self.name.as_str(),
            folded.as_str(),
            self.secret_hash.as_str(),
            tick::unix_millis()
        ];
        let row = db.row(INSERT_ACCOUNT, account).await?.ok_or(StoreError::NameTaken)?;
        let player = PlayerId(row.number(0)?);
        if player.0 > PLAYER_ID_MAX {
            return Err(StoreError::Corrupt("there are no player ids left".into()).into());
        }
        let NewCharacter { zone, pose, health, power, items } = &self.character;
        let character =
            values![player, *zone, pose.at.x, pose.at.y, pose.rotation, *health, *power];
        db.execute(INSERT_PLAYER, character).await?;
        let placed = inventory::place(&[], items)
            .ok_or(StoreError::Conflict("too many items to start with"))?;
        inventory::write(db, player, placed).await?;
        Ok(player)
    }
}

const INSERT_ACCOUNT: &str = "INSERT INTO accounts (name, name_folded, secret_hash, created_at) \
    VALUES ($1, $2, $3, $4) ON CONFLICT (name_folded) DO NOTHING RETURNING id";
const INSERT_PLAYER: &str = "INSERT INTO players (id, zone, x, y, rotation, health, power) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

struct SetSecret {
    player: PlayerId,
    secret_hash: String,
}

impl Write for SetSecret {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let sql = "UPDATE accounts SET secret_hash = $2, secret_changed_at = $3 WHERE id = $1";
        let now = tick::unix_millis();
        if db.execute(sql, values![self.player, self.secret_hash.as_str(), now]).await? == 0 {
            return Err(StoreError::NotFound.into());
        }
        end_resume_tokens(db, self.player).await
    }
}

struct SetBan {
    player: PlayerId,
    reason: Option<String>,
}

impl Write for SetBan {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let sql = "UPDATE accounts SET ban_reason = $2, banned_at = $3 WHERE id = $1";
        let began = self.reason.as_ref().map(|_| tick::unix_millis().cast_signed());
        if db.execute(sql, values![self.player, self.reason.as_deref(), began]).await? == 0 {
            return Err(StoreError::NotFound.into());
        }
        if self.reason.is_some() {
            end_resume_tokens(db, self.player).await?;
        }
        Ok(())
    }
}

async fn end_resume_tokens(db: &mut Connection<'_>, player: PlayerId) -> Result<(), Failure> {
    db.execute("DELETE FROM resume_tokens WHERE player_id = $1", values![player]).await?;
    Ok(())
}
