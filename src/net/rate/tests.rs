//! What one connection may send: buckets, the chat window, what goes along to the next connection,
//! and which refusals are told.

use super::*;

struct Sender {
    gate: RateGate,
    start: Instant,
    limits: RateLimits,
}

impl Sender {
    fn new() -> Self {
        let start = crate::tick::now();
        Self { gate: RateGate::new(start), start, limits: RateLimits::default() }
    }

    fn send(&mut self, class: Class, cost: u32, millis: u64) -> Result<(), RetryAfter> {
        let now = self.start + Duration::from_millis(millis);
        self.gate.packet(&self.limits, now)?;
        self.gate.price(&self.limits, cost, now)?;
        self.gate.check(&self.limits, class, now)
    }
}

#[test]
fn reading_goes_on_when_a_quarter_of_the_burst_is_there_again() {
    let mut sender = Sender::new();
    while sender.send(Class::General, 1, 0).is_ok() {}
    let pause = sender.gate.refilled(&sender.limits, sender.start) - sender.start;
    assert!((490..=510).contains(&pause.as_millis()), "{pause:?}");
    let later = pause.as_millis() as u64 + 1;
    let passed = (0..200).filter(|_| sender.send(Class::General, 1, later).is_ok()).count();
    assert!((29..=31).contains(&passed), "{passed}");
    let small = RateLimits { packets_per_second: 1, packet_burst: 1, ..RateLimits::default() };
    let mut gate = RateGate::new(sender.start);
    assert!(gate.packet(&small, sender.start).is_ok());
    assert_eq!(gate.refilled(&small, sender.start) - sender.start, PAUSE_MAX);
}

#[test]
fn ten_bursts_at_once_are_a_flood() {
    let limits = RateLimits::default();
    assert!(!limits.is_flood(1_199));
    assert!(limits.is_flood(1_200));
}

#[test]
fn a_refusal_of_each_class_is_answered_once_a_second() {
    let start = crate::tick::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut withheld = Withheld::default();
    assert_eq!(withheld.refuse(Class::Move, at(0)), Some(0));
    assert_eq!(withheld.refuse(Class::Chat, at(0)), Some(0), "each has its own");
    for millis in [1, 500, 999] {
        assert_eq!(withheld.refuse(Class::Move, at(millis)), None);
    }
    assert_eq!(withheld.refuse(Class::Move, at(1_000)), Some(3));
    assert_eq!(withheld.refuse(Class::Move, at(2_000)), Some(0));
}

#[test]
fn a_burst_passes_and_then_the_rate_holds() {
    let mut sender = Sender::new();
    let passed = (0..500).filter(|_| sender.send(Class::General, 1, 0).is_ok()).count();
    assert_eq!(passed, 120);
    let RetryAfter(wait) = sender.send(Class::General, 1, 0).unwrap_err();
    assert_eq!(wait, 17);
    assert!(sender.send(Class::General, 1, u64::from(wait)).is_ok());
    let later = (0..500).filter(|_| sender.send(Class::General, 1, 1_017).is_ok()).count();
    assert!((59..=61).contains(&later), "{later}");
}

#[test]
fn dear_packets_use_up_the_rate_and_the_dearest_still_pass_alone() {
    let mut sender = Sender::new();
    let passed = (0..50).filter(|_| sender.send(Class::General, 10, 0).is_ok()).count();
    assert_eq!(passed, 12);
    assert!(Sender::new().send(Class::General, 1_000, 0).is_ok());
    let mut sender = Sender::new();
    let passed = (0..50).filter(|_| sender.send(Class::General, 50, 0).is_ok()).count();
    assert_eq!(passed, 2);
    assert!(sender.send(Class::General, 1, 0).is_err(), "those refused were packets all the same");
}

#[test]
fn classes_have_their_own_rate() {
    let mut sender = Sender::new();
    let moves = (0..40).filter(|_| sender.send(Class::Move, 1, 0).is_ok()).count();
    let abilities = (0..40).filter(|_| sender.send(Class::Ability, 1, 0).is_ok()).count();
    assert_eq!((moves, abilities), (20, 10));
    assert!(sender.send(Class::General, 1, 0).is_ok());
}

#[test]
fn chat_is_counted_over_a_sliding_time_and_flooding_mutes() {
    let mut sender = Sender::new();
    for i in 0..5 {
        assert!(sender.send(Class::Chat, 1, i * 10).is_ok());
    }
    assert_eq!(sender.send(Class::Chat, 1, 50), Err(RetryAfter(4_950)));
    for i in 0..3 {
        assert!(sender.send(Class::Chat, 1, 60 + i).is_err());
    }
    assert_eq!(sender.send(Class::Chat, 1, 100), Err(RetryAfter(10_000)));
    assert_eq!(sender.send(Class::Chat, 1, 6_000), Err(RetryAfter(4_100)));
    assert!(sender.send(Class::Chat, 1, 10_100).is_ok());
}

#[test]
fn who_keeps_to_the_chat_rate_is_never_muted() {
    let mut sender = Sender::new();
    for second in 0..100 {
        assert!(sender.send(Class::Chat, 1, second * 1_000).is_ok(), "{second}");
    }
}

#[test]
fn a_mute_and_what_was_said_go_along_to_another_connection() {
    let mut old = Sender::new();
    for i in 0..5 {
        assert!(old.send(Class::Chat, 1, i * 10).is_ok());
    }
    let moved = |old: &Sender, millis| {
        let now = old.start + Duration::from_millis(millis);
        let mut new = Sender::new();
        new.gate = RateGate::new(now);
        new.gate.take_on(&old.gate.conduct(now), now);
        // Told twice, it counts once.
        new.gate.take_on(&old.gate.conduct(now), now);
        new.start = old.start;
        new
    };
    let mut new = moved(&old, 1_000);
    assert!(new.send(Class::Chat, 1, 1_050).is_err(), "five were said already");
    assert!(moved(&old, 1_000).send(Class::Chat, 1, 5_050).is_ok());
    for i in 0..4 {
        assert!(new.send(Class::Chat, 1, 1_100 + i).is_err());
    }
    let mut third = moved(&new, 2_000);
    assert!(third.gate.is_muted(third.start + Duration::from_millis(9_000)));
    assert!(third.send(Class::Chat, 1, 10_900).is_err());
    assert!(third.send(Class::Chat, 1, 11_200).is_ok());
}

#[test]
fn what_was_used_up_is_owed_on_another_connection() {
    let mut old = Sender::new();
    while old.send(Class::Ability, 1, 0).is_ok() {}
    let mut new = RateGate::new(old.start);
    new.take_on(&old.gate.conduct(old.start), old.start);
    assert!(new.check(&old.limits, Class::Ability, old.start).is_err());
    let later = old.start + Duration::from_secs(1);
    assert!(new.check(&old.limits, Class::Ability, later).is_ok());
}
