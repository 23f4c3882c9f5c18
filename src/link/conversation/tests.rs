//! Two ends of a conversation over connections that lose, delay and double, played by chance.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { messages: 20, bytes: 10_000 };

fn body(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn opened(one: &mut Conversation, two: &mut Conversation, name: u128) -> [Opened; 2] {
    let (mine, theirs) = (one.said(), two.said());
    let name = SessionId(name);
    [one.open(mine, theirs, name).unwrap(), two.open(theirs, mine, name).unwrap()]
}

#[test]
fn what_was_not_acknowledged_is_sent_again_and_applied_once() {
    let (mut one, mut two) = (Conversation::new(BOUNDS), Conversation::new(BOUNDS));
    assert_eq!(opened(&mut one, &mut two, 1), [Opened::Fresh; 2]);
    let ids: Vec<_> = (1..=3).map(|n| one.log(Address::Chat, body(n))).collect();
    assert_eq!(ids, [Some(1), Some(2), Some(3)]);
    for id in 1..=2 {
        assert_eq!(two.is_next(id), Ok(true));
        two.applied_next();
    }
    assert_eq!(two.is_next(2), Ok(false));
    assert_eq!(two.is_next(4), Err(Broken::Gap { got: 4, applied: 2 }));
    assert_eq!((two.untold(), two.acknowledge(), two.acknowledge()), (2, Some(2), None));
    one.acknowledged(1).unwrap();

    assert_eq!(opened(&mut one, &mut two, 2), [Opened::Resumed; 2]);
    let again: Vec<u64> = one.unacknowledged().map(|message| message.id).collect();
    assert_eq!(again, [3], "the greeting has acknowledged the second");
    assert_eq!(one.acknowledged(4), Err(Broken::NeverSent { through: 4, sent: 3 }));
}

#[test]
fn who_was_forgotten_begins_anew() {
    let (mut one, mut two) = (Conversation::new(BOUNDS), Conversation::new(BOUNDS));
    opened(&mut one, &mut two, 1);
    one.log(Address::Chat, body(1)).unwrap();
    let mut two = Conversation::new(BOUNDS);
    assert_eq!(opened(&mut one, &mut two, 2), [Opened::Fresh; 2]);
    assert_eq!(one.unacknowledged().len(), 0);
    assert_eq!(one.log(Address::Chat, body(2)), Some(1));
    assert_eq!(two.is_next(1), Ok(true));
}

#[test]
fn a_greeting_that_was_overtaken_opens_nothing() {
    let (mut one, mut two) = (Conversation::new(BOUNDS), Conversation::new(BOUNDS));
    opened(&mut one, &mut two, 1);
    let (mine, theirs) = (one.said(), two.said());
    one.open(Said::default(), Said::default(), SessionId(2)).unwrap();
    assert_eq!(one.open(mine, theirs, SessionId(3)), Err(Broken::Stale));
}

#[test]
fn the_log_has_bounds() {
    let bounds = Bounds { messages: 100, bytes: 1_000 };
    let mut one = Conversation::new(bounds);
    one.open(Said::default(), Said::default(), SessionId(1)).unwrap();
    let large = Bytes::from(vec![0; 900]);
    assert_eq!(one.log(Address::Chat, large.clone()), Some(1));
    assert_eq!(one.log(Address::Chat, large.clone()), Some(2), "the last one may pass the bound");
    assert_eq!(one.log(Address::Chat, large), None);
    one.acknowledged(2).unwrap();
    assert_eq!(one.log_bytes(), 0);
    let ids: Vec<_> = (0..100).filter_map(|_| one.log(Address::Chat, Bytes::new())).collect();
    assert_eq!(ids.last(), Some(&18), "bytes count what a message costs beside its body");
}

/// One end with what its roles have sent and heard.
struct Side {
    conversation: Conversation,
    /// Numbers sent in the conversation that goes on.
    sent: Vec<u64>,
    heard: Vec<u64>,
}

/// One connection: what is on the way from each side.
#[derive(Default)]
struct Wire {
    on_the_way: [VecDeque<(u64, u64)>; 2],
    acknowledgements: [VecDeque<u64>; 2],
}

#[derive(Debug, Clone)]
enum Step {
    /// A side's role sends.
    Send(usize),
    /// A side's next message arrives.
    Arrive(usize),
    /// A side acknowledges, and that arrives later.
    Acknowledge(usize),
    /// The oldest acknowledgement to a side arrives.
    Acknowledged(usize),
    /// The connection is cut with all that is on its way, and made again.
    Cut,
    /// A connection is made on which only one side hears the other's greeting.
    HalfGreeting(usize),
    /// A side forgets the other.
    Forget(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let side = || 0..2usize;
    prop_oneof![
        8 => side().prop_map(Step::Send),
        8 => side().prop_map(Step::Arrive),
        3 => side().prop_map(Step::Acknowledge),
        3 => side().prop_map(Step::Acknowledged),
        2 => Just(Step::Cut),
        1 => side().prop_map(Step::HalfGreeting),
        1 => side().prop_map(Step::Forget),
    ]
}

struct Play {
    sides: [Side; 2],
    wire: Wire,
    names: u128,
    next: u64,
}

impl Play {
    fn new() -> Self {
        let side = || Side {
            conversation: Conversation::new(BOUNDS),
            sent: Vec::new(),
            heard: Vec::new(),
        };
        let mut play = Self { sides: [side(), side()], wire: Wire::default(), names: 0, next: 0 };
        play.connect();
        play
    }

    /// Both sides greet; `lost` hears nothing of it.
    fn greet(&mut self, lost: Option<usize>) {
        self.names += 1;
        let said = self.sides.each_ref().map(|side| side.conversation.said());
        for (place, side) in self.sides.iter_mut().enumerate() {
            if lost == Some(place) {
                continue;
            }
            let (mine, theirs) = (said[place], said[1 - place]);
            let name = SessionId(self.names);
            // A side that moved on by itself is found out by the name that it says.
            if side.conversation.open(mine, theirs, name).unwrap() == Opened::Fresh {
                side.sent.clear();
                side.heard.clear();
            }
        }
        self.wire = Wire::default();
    }

    fn connect(&mut self) {
        self.greet(None);
        for (place, side) in self.sides.iter().enumerate() {
            let again = side.conversation.unacknowledged();
            self.wire.on_the_way[place] = again.map(|m| (m.id, number(&m.body))).collect();
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(place) => {
                self.next += 1;
                let side = &mut self.sides[place];
                if let Some(id) = side.conversation.log(Address::Chat, body(self.next)) {
                    side.sent.push(self.next);
                    self.wire.on_the_way[place].push_back((id, self.next));
                }
            }
            Step::Arrive(place) => {
                if let Some((id, number)) = self.wire.on_the_way[place].pop_front() {
                    let side = &mut self.sides[1 - place];
                    if side.conversation.is_next(id).unwrap() {
                        side.conversation.applied_next();
                        side.heard.push(number);
                    }
                }
            }
            Step::Acknowledge(place) => {
                let through = self.sides[place].conversation.acknowledge();
                self.wire.acknowledgements[place].extend(through);
            }
            Step::Acknowledged(place) => {
                if let Some(through) = self.wire.acknowledgements[1 - place].pop_front() {
                    self.sides[place].conversation.acknowledged(through).unwrap();
                }
            }
            Step::Cut => self.connect(),
            Step::HalfGreeting(lost) => {
                self.greet(Some(lost));
                self.connect();
            }
            Step::Forget(place) => {
                self.sides[place].conversation = Conversation::new(BOUNDS);
                self.connect();
            }
        }
    }

    /// What is heard is a beginning of what was sent.
    fn check(&self) {
        for (place, side) in self.sides.iter().enumerate() {
            let sent = &self.sides[1 - place].sent;
            assert!(sent.starts_with(&side.heard), "{:?} of {sent:?}", side.heard);
        }
    }
}

fn number(body: &Bytes) -> u64 {
    u64::from_be_bytes(body.as_ref().try_into().unwrap())
}

proptest! {
    #[test]
    fn whatever_happens_each_message_is_applied_once_and_in_order(
        steps in proptest::collection::vec(step(), 0..400),
    ) {
        let mut play = Play::new();
        for step in steps {
            play.step(step);
            play.check();
        }
        // In the end, when nothing happens any more, everything has arrived.
        play.connect();
        for place in [0, 1] {
            while !play.wire.on_the_way[place].is_empty() {
                play.step(Step::Arrive(place));
            }
        }
        play.check();
        for (place, side) in play.sides.iter().enumerate() {
            prop_assert_eq!(&side.heard, &play.sides[1 - place].sent);
        }
    }
}
