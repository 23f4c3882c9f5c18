//! What has happened in simulations: a run in which nothing did proves nothing.

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// How often each thing has happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub(super) struct Counts {
            $($(#[$doc])* pub $name: usize,)*
        }

        impl Counts {
            /// By name.
            pub(super) fn all(&self) -> Vec<(&'static str, usize)> {
                vec![$((stringify!($name), self.$name)),*]
            }

            /// Adds another simulation's.
            pub(super) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Conversations begun, and gone on with over a new connection.
    fresh,
    resumed,
    /// Greetings that were overtaken by another.
    stale,
    /// Messages sent again, and found to be there already.
    resent,
    doubled,
    /// Processes killed, stopped and made to stand still.
    masters_killed,
    gateways_killed,
    zone_servers_killed,
    zone_servers_stopped,
    frozen,
    /// Connections cut, parted and slowed; times the store was away.
    cuts,
    partings,
    slow,
    outages,
    /// The store's answers: refused, lost after the commit, and given before it.
    refused,
    lost_answers,
    late_commits,
    /// Players that came in, were said to have crossed a border, and left.
    entered,
    moved,
    left,
    /// Players taken over by another process. Take-overs asked again, found done, and refused; reclaims won and lost.
    taken_over,
    taken_over_again,
    take_overs_refused,
    reclaims_won,
    reclaims_lost,
    /// Answers that leave open whether a player was taken.
    uncertain,
    /// Saves and last saves that were refused because another has the player.
    stale_saves,
    /// Moments in which a server showed a player that was another's by then.
    zombies,
    /// Zones that gave up because their lease was another's, and that started again.
    gave_up,
    zones_started,
    /// Changes of value done, and asked again under the same id.
    operations,
    operations_again,
    stale_operations,
    /// Doubts that were looked up, those that turned out to be done, and gold that was owed to
    /// somebody who has left.
    looked_up,
    found_done,
    paid_at_leaving,
    /// Things given, and dropped ones picked up.
    given,
    found,
    /// Sessions begun, displaced by newer ones, and players brought in again.
    sessions,
    displaced,
    brought_in,
}
