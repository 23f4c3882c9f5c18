//! Limits as the login task meets them, with a clock of their own.

use proptest::prelude::*;

use super::*;

const LIMITS: AttemptLimits = AttemptLimits { by_name: 5, by_address: 20, registrations: 3 };

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// A try from an address, with a device, and how it ends.
fn try_from(
    attempts: &mut Attempts,
    (name, device, from): (&str, &str, u8),
    (fits, known): (bool, &[Place]),
    now: Instant,
) -> Result<Vec<Place>, Duration> {
    let begun = attempts.begin_login(Caller { name, device, address: address(from) }, now)?;
    let places = attempts.end_login(begun, Some(fits), known.iter().copied(), now);
    Ok(places.to_vec())
}

fn fail(attempts: &mut Attempts, name: &str, from: u8, now: Instant) -> Result<(), Duration> {
    try_from(attempts, (name, "", from), (false, &[]), now).map(drop)
}

fn begin(attempts: &mut Attempts, name: &str, from: u8, now: Instant) -> Result<Begun, Duration> {
    attempts.begin_login(Caller { name, device: "", address: address(from) }, now)
}

#[test]
fn a_name_has_five_failures_a_minute_from_one_place() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(LIMITS);
    for n in 0..5 {
        assert_eq!(fail(&mut attempts, "anna", 9, at(start, n)), Ok(()));
    }
    let wait = fail(&mut attempts, "anna", 9, at(start, 5)).unwrap_err();
    assert_eq!(wait, Duration::from_secs(59));
    assert_eq!(fail(&mut attempts, "bert", 9, at(start, 5)), Ok(()), "other names do not suffer");
    assert_eq!(fail(&mut attempts, "anna", 8, at(start, 5)), Ok(()), "nor do other places");
    assert_eq!(fail(&mut attempts, "anna", 9, at(start, 64)), Ok(()));
}

#[test]
fn an_owner_gets_in_from_where_it_has_been_however_many_strangers_try() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(LIMITS);
    let known = try_from(&mut attempts, ("anna", "phone", 1), (true, &[]), start).unwrap();
    assert_eq!(known.len(), 2, "a device and a network");
    // The login role starts anew: what it knows it has from the store, with the first failure.
    let mut attempts = Attempts::new(LIMITS);
    for second in 0..600 {
        for from in 10..40 {
            let _ = try_from(
                &mut attempts,
                ("anna", "stranger", from),
                (false, &known),
                at(start, second),
            );
        }
        if second % 100 == 50 {
            for (device, from) in [("phone", 200), ("new phone", 1), ("phone", 1)] {
                let owner = ("anna", device, from);
                let fits = (true, &known[..]);
                assert!(try_from(&mut attempts, owner, fits, at(start, second)).is_ok());
            }
        }
    }
}

#[test]
fn a_known_device_is_let_in_from_an_address_that_has_failed_too_often() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(AttemptLimits { by_address: 3, ..LIMITS });
    let anna = |attempts: &mut Attempts, device| {
        try_from(attempts, ("anna", device, 1), (true, &[]), start).map(drop)
    };
    assert_eq!(anna(&mut attempts, "phone"), Ok(()));
    for name in ["a", "b", "c"] {
        fail(&mut attempts, name, 1, start).unwrap();
    }
    assert_eq!(anna(&mut attempts, "phone"), Ok(()));
    assert!(anna(&mut attempts, "another").is_err());
}

#[test]
fn an_owner_in_a_new_place_waits_for_its_turn_and_gets_in() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(LIMITS);
    let mut failed = 0;
    let (mut owner_at, mut inside) = (at(start, 120), None);
    for second in 0..600 {
        let now = at(start, second);
        // Twenty strangers try again and again, each as often as it is allowed to.
        for from in 10..30 {
            failed += u32::from(fail(&mut attempts, "anna", from, now).is_ok());
        }
        if now >= owner_at && inside.is_none() {
            match try_from(&mut attempts, ("anna", "new", 1), (true, &[]), now) {
                Ok(_) => inside = Some(second),
                Err(wait) => owner_at = now + wait,
            }
        }
    }
    let inside = inside.expect("slow, not shut");
    assert!(inside <= 120 + 63, "no longer than one turn of each: {inside}");
    assert!(failed <= 20 * 11, "strangers have four budgets in a minute: {failed}");
}

#[test]
fn names_are_bounded_and_forgotten() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(AttemptLimits { by_address: u32::MAX, ..LIMITS });
    for number in 0..NAMES_MAX + 10 {
        fail(&mut attempts, &format!("name{number}"), 1, start).unwrap();
    }
    assert_eq!(attempts.names.len(), NAMES_MAX);
    attempts.sweep(start + NAME_DELAY_MAX);
    assert!(attempts.names.is_empty() && attempts.places.records.is_empty());
}

#[test]
fn each_failure_past_the_limit_doubles_the_delay() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(LIMITS);
    let mut now = start;
    let mut waits = Vec::new();
    for _ in 0..60 {
        match fail(&mut attempts, "anna", 1, now) {
            Ok(()) => {}
            Err(wait) => {
                waits.push(wait.as_secs());
                now += wait;
            }
        }
    }
    assert_eq!(waits[..6], [60, 120, 240, 480, 900, 900]);
    attempts.sweep(now + NAME_DELAY_MAX * 2);
    assert!(attempts.places.records.is_empty(), "in the end it is forgotten");
}

#[test]
fn the_right_secret_wipes_the_name_but_not_the_address() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(AttemptLimits { by_address: 6, ..LIMITS });
    for _ in 0..4 {
        fail(&mut attempts, "anna", 1, start).unwrap();
    }
    try_from(&mut attempts, ("anna", "", 1), (true, &[]), start).unwrap();
    for _ in 0..2 {
        fail(&mut attempts, "anna", 1, start).unwrap();
    }
    assert!(fail(&mut attempts, "anna", 1, start).is_err(), "six from here");
    assert_eq!(fail(&mut attempts, "anna", 2, start), Ok(()));
}

#[test]
fn log_ins_under_way_count_until_they_are_decided() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(LIMITS);
    let mut under_way = Vec::new();
    for _ in 0..5 {
        under_way.push(begin(&mut attempts, "anna", 1, start).unwrap());
    }
    assert_eq!(begin(&mut attempts, "anna", 1, start).unwrap_err(), Duration::from_secs(1));
    let elsewhere = begin(&mut attempts, "anna", 2, start).unwrap();
    let nobody = || std::iter::empty();
    attempts.end_login(under_way.remove(0), None, nobody(), start);
    under_way.push(begin(&mut attempts, "anna", 1, start).unwrap());
    for begun in under_way.into_iter().chain([elsewhere]) {
        attempts.end_login(begun, Some(true), nobody(), start);
    }
    assert!(attempts.busy.is_empty());
}

#[test]
fn an_ipv6_customer_is_one_address() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(LIMITS);
    for n in 0..20 {
        let from: IpAddr = format!("2001:db8:1:2::{n:x}").parse().unwrap();
        let from = Caller { name: &format!("name{n}"), device: "", address: from };
        let begun = attempts.begin_login(from, start).unwrap();
        attempts.end_login(begun, Some(false), std::iter::empty(), start);
    }
    let same: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
    let other: IpAddr = "2001:db8:1:3::1".parse().unwrap();
    let mut begins =
        |address| attempts.begin_login(Caller { name: "anna", device: "", address }, start).is_ok();
    assert!(!begins(same) && begins(other));
    let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    assert_eq!(network(mapped), address(1));
}

#[test]
fn registrations_are_counted_whether_or_not_they_succeed() {
    let start = crate::tick::now();
    let mut attempts = Attempts::new(LIMITS);
    for _ in 0..3 {
        assert_eq!(attempts.register(address(1), start), Ok(()));
    }
    assert_eq!(attempts.register(address(1), start), Err(WINDOW));
    assert_eq!(attempts.register(address(2), start), Ok(()));
    assert_eq!(attempts.register(address(1), start + WINDOW), Ok(()));
}

proptest! {
    /// However the tries are spaced, no minute ever sees more than the limit.
    #[test]
    fn no_minute_has_more_failures_than_allowed(
        gaps in prop::collection::vec(0u64..40_000, 1..80),
    ) {
        let mut now = crate::tick::now();
        let mut attempts = Attempts::new(LIMITS);
        let mut failed: Vec<Instant> = Vec::new();
        for gap in gaps {
            now += Duration::from_millis(gap);
            if fail(&mut attempts, "anna", 1, now).is_ok() {
                failed.push(now);
            }
            attempts.sweep(now);
        }
        for six in failed.windows(6) {
            prop_assert!(six[5] - six[0] >= WINDOW);
        }
    }
}
