//! Strikes over borders near a corner of three zones, while their target walks about: each hits
//! once or is refused once.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// Three zones and what is on its way between them, in order for each pair.
struct Corner {
    zones: BTreeMap<ZoneId, Stage>,
    ways: BTreeMap<(ZoneId, ZoneId), VecDeque<Command>>,
    /// Effects of each zone that were looked at.
    read: BTreeMap<ZoneId, usize>,
    /// Refusals that came back to the striker's zone.
    refused: Vec<Refusal>,
}

impl Corner {
    fn new() -> Self {
        let zones = [WEST, EAST, SOUTH].map(|zone| (zone, Stage::new(zone)));
        Self {
            zones: zones.into_iter().collect(),
            ways: BTreeMap::new(),
            read: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    fn zone(&mut self, zone: ZoneId) -> &mut Stage {
        self.zones.get_mut(&zone).unwrap()
    }

    /// Puts what a zone has said on its way.
    fn gather(&mut self, zone: ZoneId) {
        let read = self.read.entry(zone).or_default();
        let log = &self.zones[&zone].log;
        let new: Vec<Effect> = log[*read..].to_vec();
        *read = log.len();
        for effect in new {
            let (to, command) = match effect {
                Effect::Departed { to, transfer } => (to, Command::Arrive { transfer, from: zone }),
                Effect::Strike { zone: to, strike } => (to, Command::Strike(strike)),
                Effect::StrikeRefused { refusal, .. } => {
                    self.refused.push(refusal);
                    continue;
                }
                _ => continue,
            };
            self.ways.entry((zone, to)).or_default().push_back(command);
        }
    }

    /// Delivers the next thing that is on its way from one zone to another.
    fn deliver(&mut self, from: ZoneId, to: ZoneId) {
        let Some(command) = self.ways.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return;
        };
        let arrived = match &command {
            Command::Arrive { transfer, .. } => Some(transfer.state.id),
            _ => None,
        };
        self.zone(to).tell(command);
        self.gather(to);
        if let Some(player) = arrived {
            self.zone(from).tell(Command::Arrived { player });
            self.gather(from);
        }
    }

    fn step(&mut self, zone: ZoneId) {
        self.zone(zone).step();
        self.gather(zone);
    }

    fn home_of(&self, player: PlayerId) -> Option<ZoneId> {
        let has = |(zone, stage): (&ZoneId, &Stage)| stage.world.player(player).map(|_| *zone);
        self.zones.iter().find_map(has)
    }

    fn blows_at(&self, victim: EntityId) -> usize {
        let events = self.zones.values().flat_map(Stage::events);
        events
            .filter(
                |kind| matches!(kind, EventKind::PlayerDamage { victim: v, .. } if *v == victim),
            )
            .count()
    }
}

const ALL: [ZoneId; 3] = [WEST, EAST, SOUTH];

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Step(usize),
    Deliver(usize, usize),
    Strike,
    Walk(f32, f32),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        4 => (0usize..3).prop_map(Turn::Step),
        6 => (0usize..3, 0usize..3).prop_map(|(from, to)| Turn::Deliver(from, to)),
        2 => Just(Turn::Strike),
        2 => (-3.0f32..3.0, -3.0f32..3.0).prop_map(|(x, y)| Turn::Walk(x, y)),
    ];
    prop::collection::vec(turn, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_strike_hits_once_or_is_refused_once(turns in turns()) {
        let mut corner = Corner::new();
        // Anna stands in the South, where players fight; Bert walks around the corner.
        corner.zone(SOUTH).tell(veteran(ANNA, SOUTH, -1.0, -4.0));
        corner.zone(EAST).tell(veteran(BERT, EAST, 1.0, 1.0));
        let bert = EntityId::from(BERT);
        let (mut strikes, mut at_once) = (0, 0);
        for turn in turns {
            match turn {
                Turn::Step(zone) => corner.step(ALL[zone]),
                Turn::Deliver(from, to) => corner.deliver(ALL[from], ALL[to]),
                Turn::Strike => {
                    // Until she can strike again; only the corner is tried here.
                    corner.zone(SOUTH).steps(10);
                    corner.gather(SOUTH);
                    strikes += 1;
                    at_once += usize::from(corner.zone(SOUTH).attack(ANNA, bert).is_some());
                    corner.gather(SOUTH);
                }
                Turn::Walk(x, y) => {
                    if let Some(zone) = corner.home_of(BERT) {
                        corner.zone(zone).set_health(BERT, 100);
                        corner.zone(zone).act(BERT, Action::MoveTo { x, y });
                        corner.gather(zone);
                    }
                }
            }
        }
        // Everything comes to rest.
        for _ in 0..200 {
            for from in ALL {
                for to in ALL {
                    corner.deliver(from, to);
                }
            }
        }
        prop_assert!(corner.ways.values().all(VecDeque::is_empty), "no strike goes round for ever");
        // Where the target has come to the striker's own zone, that one says so itself.
        let told = corner.zone(SOUTH).refusals(ANNA).len();
        prop_assert!(told >= at_once);
        prop_assert_eq!(corner.blows_at(bert) + corner.refused.len() + told, strikes);
    }
}

#[test]
fn a_strike_follows_its_target_round_the_corner() {
    let mut corner = Corner::new();
    corner.zone(SOUTH).tell(veteran(ANNA, SOUTH, 1.0, -4.0));
    corner.zone(EAST).tell(veteran(BERT, EAST, 3.0, 0.2));
    corner.zone(SOUTH).tell(veteran(PlayerId(3), SOUTH, 5.0, -4.0));
    assert_eq!(corner.zone(SOUTH).attack(ANNA, BERT.into()), None);
    corner.gather(SOUTH);
    // Before it comes, Bert has gone to the South himself.
    corner.zone(EAST).act(BERT, Action::MoveTo { x: 3.0, y: -2.0 });
    for _ in 0..3 {
        corner.step(EAST);
    }
    corner.deliver(EAST, SOUTH);
    assert_eq!(corner.home_of(BERT), Some(SOUTH));
    corner.deliver(SOUTH, EAST);
    corner.deliver(EAST, SOUTH);
    assert_eq!(corner.blows_at(BERT.into()), 1);
    assert!(corner.refused.is_empty());
}

#[test]
fn a_strike_that_finds_nobody_is_refused_by_the_last_that_is_asked() {
    let mut corner = Corner::new();
    corner.zone(WEST).enter(ANNA, -1.0, 1.0);
    let nobody = EntityId::of_zone(EAST, 4_000);
    assert_eq!(corner.zone(WEST).attack(ANNA, nobody), None);
    corner.gather(WEST);
    corner.deliver(WEST, EAST);
    assert_eq!(corner.refused, [Refusal::NoSuchTarget], "a thing of the East is nowhere else");
    corner.zone(WEST).steps(10);
    assert_eq!(corner.zone(WEST).attack(ANNA, PlayerId(9).into()), None);
    corner.gather(WEST);
    corner.deliver(WEST, EAST);
    assert_eq!(corner.refused.len(), 1, "the South may have that player");
    corner.deliver(EAST, SOUTH);
    assert_eq!(corner.refused, [Refusal::NoSuchTarget; 2]);
}
