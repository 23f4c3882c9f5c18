//! Gateways that are gone: what they held is kept for a while, since their clients may come back
//! through others, and one that was only thought dead must tell anew who is with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::ids::ServerId;

/// How long players of a gateway that is gone count as in the world: as long as their characters
/// stand there without a connection.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Gateways remembered as ended; most never come back, for each start makes a new number.
const ENDED_MAX: usize = 64;

/// Which gateways are gone.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    gone: BTreeMap<ServerId, Instant>,
    ended: VecDeque<ServerId>,
}

/// What a look around has shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Gone for so long that their players are not in the world any more.
    pub ended: Vec<ServerId>,
    /// There again after they had ended.
    pub returned: Vec<ServerId>,
}

impl Gateways {
    /// Compares those that sessions name with those that are there.
    pub(super) fn look(
        &mut self,
        named: &BTreeSet<ServerId>,
        is_there: impl Fn(ServerId) -> bool,
        now: Instant,
    ) -> Changes {
        self.gone.retain(|gateway, _| named.contains(gateway) && !is_there(*gateway));
        for gateway in named.iter().filter(|gateway| !is_there(**gateway)) {
            self.gone.entry(*gateway).or_insert(now);
        }
        let over = self.gone.iter().filter(|(_, since)| now.duration_since(**since) >= KEPT_FOR);
        let ended: Vec<ServerId> = over.map(|(gateway, _)| *gateway).collect();
        self.gone.retain(|gateway, _| !ended.contains(gateway));
        let returned = self.ended.iter().copied().filter(|gateway| is_there(*gateway)).collect();
        self.ended.retain(|gateway| !is_there(*gateway));
        for gateway in &ended {
            if self.ended.len() == ENDED_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back(*gateway);
        }
        Changes { ended, returned }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_ends_after_a_minute_and_is_asked_when_it_returns() {
        let start = crate::tick::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (here, away) = (ServerId(1), ServerId(2));
        let both = BTreeSet::from([here, away]);
        let mut gateways = Gateways::default();
        let nothing = Changes::default();
        assert_eq!(gateways.look(&both, |_| true, at(0)), nothing);
        assert_eq!(gateways.look(&both, |g| g == here, at(1)), nothing);
        assert_eq!(gateways.look(&both, |_| true, at(59)), nothing, "it was there again in time");
        assert_eq!(gateways.look(&both, |g| g == here, at(60)), nothing);
        assert_eq!(gateways.look(&both, |g| g == here, at(119)), nothing);
        let ended = Changes { ended: vec![away], returned: vec![] };
        assert_eq!(gateways.look(&both, |g| g == here, at(120)), ended);
        let rest = BTreeSet::from([here]);
        assert_eq!(gateways.look(&rest, |g| g == here, at(500)), nothing, "it has ended once");
        let returned = Changes { ended: vec![], returned: vec![away] };
        assert_eq!(gateways.look(&rest, |_| true, at(501)), returned);
        assert_eq!(gateways.look(&rest, |_| true, at(502)), nothing);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = crate::tick::now();
        let named: BTreeSet<ServerId> = (1..=1_000).map(ServerId).collect();
        let mut gateways = Gateways::default();
        gateways.look(&named, |_| false, start);
        let changes = gateways.look(&named, |_| false, start + KEPT_FOR);
        assert_eq!((changes.ended.len(), gateways.ended.len()), (1_000, ENDED_MAX));
    }
}
