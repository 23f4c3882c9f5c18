//! What is done to guilds in the store. Each change is one call with an operation id; it counts
//! once it has returned, and nobody hears of it before.

use std::time::Duration;

use tokio::sync::mpsc;

use super::touched::TouchedSet;
use super::wars::WarTerms;
use crate::ids::{GuildId, GuildRank, OperationId, PlayerId};
use crate::names::Name;
use crate::store::record::{DeclarationRecord, GuildBooks, WarRecord};
use crate::store::{Store, StoreError};
use crate::tick;

/// One change of a guild or a war.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A new guild with its leader.
    Create { name: Name, leader: PlayerId, leader_name: Name },
    /// A new member.
    Join { guild: GuildId, player: PlayerId, player_name: Name },
    /// A member goes.
    Leave { guild: GuildId, player: PlayerId },
    /// A member is cast out.
    Kick { guild: GuildId, player: PlayerId },
    /// A member's new rank.
    Rank { guild: GuildId, player: PlayerId, rank: GuildRank },
    /// The end of a guild.
    Disband { guild: GuildId },
    /// A war is declared; it begins later.
    DeclareWar { attacker: GuildId, defender: GuildId },
    /// A war begins without a notice.
    StartWar { attacker: GuildId, defender: GuildId },
    /// A declared war begins: `ours` has agreed, or its notice is over.
    BeginWar { ours: GuildId, theirs: GuildId },
    /// A declaration is withdrawn or declined.
    WithdrawWar { ours: GuildId, theirs: GuildId },
    /// A war ends.
    EndWar { ours: GuildId, theirs: GuildId },
    /// A kill in a war: the killer and the victim, each with its guild.
    Score { killer: (PlayerId, GuildId), victim: (PlayerId, GuildId) },
}

/// What the store has made of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// The new guild's id.
    Made(GuildId),
    /// The war as it is now, or was at its end.
    War(WarRecord),
    /// The war that is declared.
    Declared(DeclarationRecord),
}

/// A change on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub id: OperationId,
    pub change: Change,
    /// Who asked, with which packet; none: nobody waits for an answer.
    pub asked: Option<(PlayerId, u64)>,
    /// What nobody else may touch meanwhile.
    pub touched: TouchedSet,
}

/// A store call that has returned.
#[derive(Debug)]
pub(super) enum Done {
    /// The guilds and wars were read.
    Loaded(Result<GuildBooks, StoreError>),
    /// A change was made, or was not.
    Changed(Box<Job>, Result<Outcome, StoreError>),
}

/// Reads everything in a task of its own.
pub(super) fn load(store: Store, done: mpsc::Sender<Done>) {
    tokio::spawn(async move {
        let loaded = Done::Loaded(store.guilds().await);
        // Nobody listens any more only when the role has ended.
        done.send(loaded).await.ok();
    });
}

/// Makes a change in a task of its own.
pub(super) fn start(store: Store, job: Job, terms: WarTerms, done: mpsc::Sender<Done>) {
    tokio::spawn(async move {
        let result = perform(&store, job.id, &job.change, terms).await;
        done.send(Done::Changed(Box::new(job), result)).await.ok();
    });
}

async fn perform(
    store: &Store,
    id: OperationId,
    change: &Change,
    terms: WarTerms,
) -> Result<Outcome, StoreError> {
    let now = tick::unix_millis();
    let after = |time: Duration| now + time.as_millis() as u64;
    match change {
        Change::Create { name, leader, leader_name: _ } => {
            store.create_guild(id, name, *leader).await.map(Outcome::Made)
        }
        Change::Join { guild, player, player_name: _ } => {
            store.join_guild(id, *guild, *player).await.map(|()| Outcome::Done)
        }
        Change::Leave { guild, player } | Change::Kick { guild, player } => {
            store.leave_guild(id, *guild, *player).await.map(|()| Outcome::Done)
        }
        Change::Rank { guild, player, rank } => {
            store.set_guild_rank(id, *guild, *player, *rank).await.map(|()| Outcome::Done)
        }
        Change::Disband { guild } => store.disband_guild(id, *guild).await.map(|()| Outcome::Done),
        Change::DeclareWar { attacker, defender } => {
            let begins_at = after(terms.notice);
            let declared = store.declare_war(id, *attacker, *defender, now, begins_at);
            declared.await.map(Outcome::Declared)
        }
        Change::BeginWar { ours, theirs } => {
            store.begin_war(id, *ours, *theirs, now).await.map(Outcome::War)
        }
        Change::WithdrawWar { ours, theirs } => {
            let withdrawn = store.withdraw_war(id, *ours, *theirs, after(terms.truce));
            withdrawn.await.map(|()| Outcome::Done)
        }
        Change::StartWar { attacker, defender } => {
            store.start_war(id, *attacker, *defender, now).await.map(Outcome::War)
        }
        Change::EndWar { ours, theirs } => {
            let ended = store.end_war(id, *ours, *theirs, now, after(terms.truce));
            ended.await.map(Outcome::War)
        }
        Change::Score { killer, victim } => {
            let scored = store.score_war(id, killer.1, *victim, now, terms.victim);
            scored.await.map(Outcome::War)
        }
    }
}
