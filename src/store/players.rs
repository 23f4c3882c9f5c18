//! Players: who owns each, and what is there of it.
//!
//! Called by zones. The row of a player names its owner and the epoch of that ownership, which is
//! one higher at each claim; whoever writes under an older one is refused (see `save.rs`).

use super::connection::{Connection, values};
use super::failure::Failure;
use super::job::Write;
use super::record::{Claim, TicketStanding};
use super::{Store, StoreError, inventory};
use crate::geometry::{Point, Pose};
use crate::ids::{Epoch, PlayerId, ServerId, TicketUse, ZoneId};
use crate::tick;
use crate::world::command::{PlayerState, QuestProgress, Timer};

impl Store {
    /// What is saved of a player, without claiming it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn player(&self, player: PlayerId) -> Result<Option<PlayerState>, StoreError> {
        self.read("player", async {
            let mut snapshot = self.snapshot().await?;
            read(&mut snapshot.connection(), player).await
        })
        .await
    }

    /// Makes `owner` the player's owner under a new epoch and reads its state, at once. A ticket
    /// is used up in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::TicketUsed`], [`StoreError::NotFound`].
    pub async fn claim(
        &self,
        player: PlayerId,
        owner: ServerId,
        ticket: Option<TicketUse>,
    ) -> Result<Claim, StoreError> {
        self.write("claim", ClaimPlayer { player, owner, ticket }).await
    }

    /// Uses a ticket up without claiming its player, who stands in the world already.
    ///
    /// # Errors
    /// [`StoreError::TicketUsed`].
    pub async fn use_ticket(&self, ticket: TicketUse) -> Result<(), StoreError> {
        self.write("use_ticket", UseTicket(ticket)).await
    }

    /// How a player's ticket stands that was given at `given_at` (Unix ms). Somebody may use it
    /// right after: only using it up decides. It goes the way of the writes, so that the answer
    /// also says that what comes of it could be written now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ticket_standing(
        &self,
        player: PlayerId,
        ticket: TicketUse,
        given_at: u64,
    ) -> Result<TicketStanding, StoreError> {
        self.write("ticket", LookAtTicket { player, ticket, given_at }).await
    }
}

struct UseTicket(TicketUse);

impl Write for UseTicket {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let TicketUse { id, expires_at } = self.0;
        if db.execute(USE_TICKET, values![id, expires_at]).await? == 0 {
            return Err(StoreError::TicketUsed.into());
        }
        Ok(())
    }
}

struct ClaimPlayer {
    player: PlayerId,
    owner: ServerId,
    ticket: Option<TicketUse>,
}

impl Write for ClaimPlayer {
    type Answer = Claim;

    fn player(&self) -> Option<PlayerId> {
        Some(self.player)
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Claim, Failure> {
        if let Some(ticket) = self.ticket {
            UseTicket(ticket).apply(db).await?;
        }
        let values = values![self.player, self.owner, tick::unix_millis()];
        if db.execute(CLAIM, values).await? == 0 {
            return Err(StoreError::NotFound.into());
        }
        let state = read(db, self.player).await?.ok_or(StoreError::NotFound)?;
        Ok(Claim { state })
    }
}

const USE_TICKET: &str =
    "INSERT INTO used_tickets (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
/// What [`STANDING`] says of a ticket.
const USED: i64 = 2;
/// See [`USED`].
const VOID: i64 = 1;
const STANDING: &str = "SELECT CAST(CASE \
    WHEN EXISTS (SELECT 1 FROM used_tickets WHERE id = $1) THEN 2 \
    WHEN EXISTS (SELECT 1 FROM accounts \
    WHERE id = $2 AND (banned_at >= $3 OR secret_changed_at >= $3)) THEN 1 \
    ELSE 0 END AS BIGINT)";
const CLAIM: &str = "UPDATE players SET epoch = epoch + 1, owner = $2, handover = NULL, last_seen_at = $3 \
    WHERE id = $1";
const PLAYER: &str = "SELECT a.name, p.epoch, p.zone, p.x, p.y, p.rotation, p.level, \
    p.experience, p.health, p.power, p.gold, p.timers \
    FROM players p JOIN accounts a ON a.id = p.id WHERE p.id = $1";
const QUESTS: &str =
    "SELECT quest, done, completed FROM quests WHERE player_id = $1 ORDER BY quest";

/// All that is saved of a player.
async fn read(db: &mut Connection<'_>, player: PlayerId) -> Result<Option<PlayerState>, Failure> {
    let Some(row) = db.row(PLAYER, values![player]).await? else { return Ok(None) };
    let (x, y, rotation) = (row.real(3)?, row.real(4)?, row.real(5)?);
    let inventory = inventory::read(db, player).await?;
    let quests = db.rows(QUESTS, values![player]).await?;
    let quests = quests.iter().map(|row| {
        let (quest, done) = (row.text(0)?.into(), goals(&row.text(1)?)?);
        Ok(QuestProgress { quest, done, completed: row.flag(2)? })
    });
    Ok(Some(PlayerState {
        id: player,
        name: row.text(0)?.into(),
        epoch: Epoch(row.number(1)?),
        zone: ZoneId(row.number(2)?),
        pose: Pose { at: Point { x, y }, rotation },
        level: row.number(6)?,
        experience: row.number(7)?,
        health: row.number(8)?,
        power: row.number(9)?,
        gold: row.number(10)?,
        inventory,
        quests: quests.collect::<Result<_, Failure>>()?,
        timers: timers(&row.text(11)?, tick::unix_millis())?,
    }))
}

/// Reads a quest's goals: numbers joined by commas, or nothing at all.
fn goals(text: &str) -> Result<Vec<u32>, Failure> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| StoreError::Corrupt(format!("quest goals {text:?}")).into())
}

/// Reads what a player waits for: lines of the moment (Unix ms) at which it ends and what it is.
/// What has ended is left out, as is what only a newer program knows.
fn timers(text: &str, now: u64) -> Result<Vec<Timer>, Failure> {
    let mut timers = Vec::new();
    for line in text.lines() {
        let parts =
            line.split_once(' ').and_then(|(at, what)| Some((at.parse::<u64>().ok()?, what)));
        let Some((at, what)) = parts else {
            return Err(StoreError::Corrupt(format!("a player's timers {text:?}")).into());
        };
        if let (Some(left_ms @ 1..), Ok(what)) = (at.checked_sub(now), what.parse()) {
            timers.push(Timer { what, left_ms });
        }
    }
    Ok(timers)
}

/// What [`timers`] reads.
pub(super) fn timers_text(timers: &[Timer], now: u64) -> String {
    let mut text = String::new();
    for Timer { what, left_ms } in timers {
        let what = what.to_string();
        // Keys of the content have neither; whatever else came over a link is not kept.
        if !what.contains(['\n', '\r', '\0']) {
            text.push_str(&format!("{} {what}\n", now.saturating_add(*left_ms)));
        }
    }
    text
}

/// What [`goals`] reads.
pub(super) fn goals_text(done: &[u32]) -> String {
    let numbers: Vec<String> = done.iter().map(u32::to_string).collect();
    numbers.join(",")
}

struct LookAtTicket {
    player: PlayerId,
    ticket: TicketUse,
    given_at: u64,
}

impl Write for LookAtTicket {
    type Answer = TicketStanding;

    fn only_looks(&self) -> bool {
        true
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<TicketStanding, Failure> {
        let row = db.row(STANDING, values![self.ticket.id, self.player, self.given_at]).await?;
        Ok(match row.map(|row| row.number(0)).transpose()?.unwrap_or(0) {
            USED => TicketStanding::Used,
            VOID => TicketStanding::Void,
            _ => TicketStanding::Good,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_away_counts_for_timers_and_what_is_unknown_is_left_out() {
        use crate::world::command::Timed;
        let timer = |what: Timed, left_ms| Timer { what, left_ms };
        let saved = [
            timer(Timed::Attack, 300),
            timer(Timed::Skill("dash".into()), 5_000),
            timer(Timed::Item("a\0b".into()), 5_000),
            timer(Timed::Haste(1_600), u64::MAX),
        ];
        let text = timers_text(&saved, 1_000);
        let back = timers(&text, 1_300).unwrap();
        let rest = timer(Timed::Haste(1_600), u64::MAX - 1_300);
        assert_eq!(back, [timer(Timed::Skill("dash".into()), 4_700), rest]);
        assert_eq!(timers("9000 sleep\n", 1).unwrap(), []);
        assert!(timers("soon attack", 1).is_err() && timers("9000", 1).is_err());
    }

    #[test]
    fn goals_come_back_as_they_were() {
        for done in [vec![], vec![0], vec![3, 0, u32::MAX]] {
            assert_eq!(goals(&goals_text(&done)).unwrap(), done);
        }
        assert!(goals("1,x").is_err());
    }
}
