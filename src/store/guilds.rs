//! Guilds and their members; wars are in `wars.rs`.
//!
//! Called by the chat role, which keeps all guilds in memory and decides who may do what; here are
//! the rules that must hold whoever asks: a name is used once, a player is in one guild, a guild is
//! not too big and always has exactly one leader. Each change is applied once per operation id.

use std::collections::BTreeMap;

use super::accounts::stored_name;
use super::connection::{Connection, Row, values};
use super::failure::Failure;
use super::job::Write;
use super::outcome::{self, Outcome};
use super::record::{GuildBooks, GuildRecord};
use super::{Store, StoreError, declarations, wars};
use crate::ids::{GuildId, GuildRank, OperationId, PlayerId};
use crate::limits::GUILD_MEMBERS_MAX;
use crate::names::Name;
use crate::tick;

impl Store {
    /// Every guild with its members, every war that is fought or declared, and the truces that
    /// hold.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn guilds(&self) -> Result<GuildBooks, StoreError> {
        self.read("guilds", async {
            let mut snapshot = self.snapshot().await?;
            let mut db = snapshot.connection();
            let mut members: BTreeMap<GuildId, Vec<_>> = BTreeMap::new();
            for row in db.rows(ALL_MEMBERS, values![]).await? {
                members.entry(GuildId(row.number(0)?)).or_default().push(member(&row)?);
            }
            let mut guilds = Vec::new();
            for row in db.rows(ALL, values![]).await? {
                let id = GuildId(row.number(0)?);
                let name = stored_name(&row.text(1)?)?;
                guilds.push(GuildRecord {
                    id,
                    name,
                    members: members.remove(&id).unwrap_or_default(),
                });
            }
            let wars = wars::fought(&mut db).await?;
            let declarations = declarations::all(&mut db).await?;
            let truces = wars::truces(&mut db, tick::unix_millis()).await?;
            Ok(GuildBooks { guilds, wars, declarations, truces })
        })
        .await
    }

    /// Makes a guild with its leader.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], or a conflict if the leader is in one.
    pub async fn create_guild(
        &self,
        id: OperationId,
        name: &Name,
        leader: PlayerId,
    ) -> Result<GuildId, StoreError> {
        self.write("create_guild", CreateGuild { id, name: name.clone(), leader }).await
    }

    /// Adds a member.
    ///
    /// # Errors
    /// A conflict if the guild is full or the player is in one.
    pub async fn join_guild(
        &self,
        id: OperationId,
        guild: GuildId,
        player: PlayerId,
    ) -> Result<(), StoreError> {
        self.write("join_guild", Once { id, change: Join { guild, player } }).await
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is no member; a conflict if it is the leader, who must name
    /// another one or disband the guild.
    pub async fn leave_guild(
        &self,
        id: OperationId,
        guild: GuildId,
        player: PlayerId,
    ) -> Result<(), StoreError> {
        self.write("leave_guild", Once { id, change: Leave { guild, player } }).await
    }

    /// Gives a member a rank; a new leader makes the old one an officer, at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is no member; a conflict if the leader is to be less.
    pub async fn set_guild_rank(
        &self,
        id: OperationId,
        guild: GuildId,
        player: PlayerId,
        rank: GuildRank,
    ) -> Result<(), StoreError> {
        self.write("set_guild_rank", Once { id, change: SetRank { guild, player, rank } }).await
    }

    /// Ends a guild, its memberships and its wars.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn disband_guild(&self, id: OperationId, guild: GuildId) -> Result<(), StoreError> {
        self.write("disband_guild", Once { id, change: Disband { guild } }).await
    }
}

const ALL: &str = "SELECT id, name FROM guilds WHERE disbanded_at IS NULL ORDER BY id";
const ALL_MEMBERS: &str = "SELECT m.guild_id, m.player_id, a.name, m.rank \
    FROM guild_members m JOIN accounts a ON a.id = m.player_id \
    ORDER BY m.guild_id, m.joined_at, m.player_id";

fn member(row: &Row) -> Result<(PlayerId, Name, GuildRank), Failure> {
    Ok((PlayerId(row.number(1)?), stored_name(&row.text(2)?)?, rank(&row.text(3)?)?))
}

fn rank(text: &str) -> Result<GuildRank, Failure> {
    match text {
        "member" => Ok(GuildRank::Member),
        "officer" => Ok(GuildRank::Officer),
        "leader" => Ok(GuildRank::Leader),
        other => Err(StoreError::Corrupt(format!("guild rank {other:?}")).into()),
    }
}

fn rank_text(rank: GuildRank) -> &'static str {
    match rank {
        GuildRank::Member => "member",
        GuildRank::Officer => "officer",
        GuildRank::Leader => "leader",
    }
}

/// Makes everybody else who changes this guild wait until the commit.
///
/// # Errors
/// [`StoreError::NotFound`] if there is none or it is disbanded.
pub(super) async fn lock(db: &mut Connection<'_>, guild: GuildId) -> Result<(), Failure> {
    let sql = db.pick(
        "SELECT id FROM guilds WHERE id = $1 AND disbanded_at IS NULL",
        "SELECT id FROM guilds WHERE id = $1 AND disbanded_at IS NULL FOR NO KEY UPDATE",
    );
    db.row(sql, values![guild]).await?.map(drop).ok_or_else(|| StoreError::NotFound.into())
}

/// A change that leaves nothing to say, done once per operation id.
struct Once<C> {
    id: OperationId,
    change: C,
}

/// The change of a [`Once`].
trait GuildChange: Send + Sync + 'static {
    fn guild(&self) -> GuildId;
    fn apply(&self, db: &mut Connection<'_>) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl<C: GuildChange> Write for Once<C> {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        if outcome::find_locked(db, self.id).await?.is_some() {
            return Ok(());
        }
        lock(db, self.change.guild()).await?;
        self.change.apply(db).await?;
        outcome::keep(db, self.id, None, &Outcome::Done).await
    }
}

struct CreateGuild {
    id: OperationId,
    name: Name,
    leader: PlayerId,
}

impl Write for CreateGuild {
    type Answer = GuildId;

    async fn apply(&self, db: &mut Connection<'_>) -> Result<GuildId, Failure> {
        match outcome::find_locked(db, self.id).await? {
            Some(Outcome::Guild(guild)) => return Ok(guild),
            Some(_) => return Err(outcome::mismatch(self.id)),
            None => {}
        }
        let folded = self.name.folded();
        let values = values![self.name.as_str(), folded.as_str(), tick::unix_millis()];
        let row = db.row(INSERT, values).await?.ok_or(StoreError::NameTaken)?;
        let guild = GuildId(row.number(0)?);
        add_member(db, guild, self.leader, GuildRank::Leader).await?;
        outcome::keep(db, self.id, Some(self.leader), &Outcome::Guild(guild)).await?;
        Ok(guild)
    }
}

const INSERT: &str = "INSERT INTO guilds (name, name_folded, created_at) VALUES ($1, $2, $3) \
    ON CONFLICT (name_folded) WHERE disbanded_at IS NULL DO NOTHING RETURNING id";
const INSERT_MEMBER: &str = "INSERT INTO guild_members (player_id, guild_id, rank, joined_at) \
    VALUES ($1, $2, $3, $4) ON CONFLICT (player_id) DO NOTHING";

async fn add_member(
    db: &mut Connection<'_>,
    guild: GuildId,
    player: PlayerId,
    rank: GuildRank,
) -> Result<(), Failure> {
    let values = values![player, guild, rank_text(rank), tick::unix_millis()];
    if db.execute(INSERT_MEMBER, values).await? == 0 {
        return Err(StoreError::Conflict("the player is in a guild").into());
    }
    Ok(())
}

/// The rank of a member.
async fn rank_of(
    db: &mut Connection<'_>,
    guild: GuildId,
    player: PlayerId,
) -> Result<GuildRank, Failure> {
    let sql = "SELECT rank FROM guild_members WHERE player_id = $1 AND guild_id = $2";
    let row = db.row(sql, values![player, guild]).await?.ok_or(StoreError::NotFound)?;
    rank(&row.text(0)?)
}

struct Join {
    guild: GuildId,
    player: PlayerId,
}

impl GuildChange for Join {
    fn guild(&self) -> GuildId {
        self.guild
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let sql = "SELECT COUNT(*) FROM guild_members WHERE guild_id = $1";
        let row = db.row(sql, values![self.guild]).await?.ok_or(StoreError::NotFound)?;
        if row.number::<usize>(0)? >= GUILD_MEMBERS_MAX {
            return Err(StoreError::Conflict("the guild is full").into());
        }
        add_member(db, self.guild, self.player, GuildRank::Member).await
    }
}

struct Leave {
    guild: GuildId,
    player: PlayerId,
}

impl GuildChange for Leave {
    fn guild(&self) -> GuildId {
        self.guild
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        if rank_of(db, self.guild, self.player).await? == GuildRank::Leader {
            let why = "the leader names another one first, or disbands the guild";
            return Err(StoreError::Conflict(why).into());
        }
        db.execute("DELETE FROM guild_members WHERE player_id = $1", values![self.player]).await?;
        Ok(())
    }
}

struct SetRank {
    guild: GuildId,
    player: PlayerId,
    rank: GuildRank,
}

const SET_RANK: &str = "UPDATE guild_members SET rank = $2 WHERE player_id = $1";
const DEMOTE_LEADER: &str =
    "UPDATE guild_members SET rank = 'officer' WHERE guild_id = $1 AND rank = 'leader'";

impl GuildChange for SetRank {
    fn guild(&self) -> GuildId {
        self.guild
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let before = rank_of(db, self.guild, self.player).await?;
        if before == GuildRank::Leader && self.rank != GuildRank::Leader {
            return Err(StoreError::Conflict("a guild needs a leader: name another one").into());
        }
        if self.rank == GuildRank::Leader {
            db.execute(DEMOTE_LEADER, values![self.guild]).await?;
        }
        db.execute(SET_RANK, values![self.player, rank_text(self.rank)]).await?;
        Ok(())
    }
}

struct Disband {
    guild: GuildId,
}

impl GuildChange for Disband {
    fn guild(&self) -> GuildId {
        self.guild
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let now = tick::unix_millis();
        wars::end_all(db, self.guild, now).await?;
        declarations::end_all(db, self.guild).await?;
        db.execute("DELETE FROM guild_members WHERE guild_id = $1", values![self.guild]).await?;
        let sql = "UPDATE guilds SET disbanded_at = $2 WHERE id = $1";
        db.execute(sql, values![self.guild, now]).await?;
        Ok(())
    }
}
