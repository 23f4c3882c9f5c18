//! The conditions of `--assert`: read before the start, judged by the report.

use std::fmt;

/// One thing a report measures that a condition can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Share of what was due that arrived.
    Delivered,
    /// The scenario's latency at this quantile, thousandths.
    Latency(u16),
    /// Heartbeat round trip at this quantile, thousandths.
    RoundTrip(u16),
    /// Errors that an honest client should not meet, failed entries and lost connections.
    Errors,
    /// Refusals by the game's rules.
    Refusals,
    /// Positions that the server did not accept.
    Corrections,
    /// Bots still connected at the end.
    Connected,
    /// Inputs that went out late.
    Late,
    /// Server CPU, share of one core.
    Cpu,
    /// Server memory, bytes.
    Memory,
    /// Server memory for each session, bytes.
    Session,
    /// Bytes a second to each bot.
    Bandwidth,
    /// The oldest view that anybody had of somebody.
    Oldest,
    /// How far updates come from whole ticks apart, 99 %.
    Jitter,
    /// Share of the events that concern a bot that came to it.
    Own,
    /// Processor time for a packet as a multiple of the bare loop's.
    Ratio,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Share,
    Time,
    Count,
    Bytes,
    Flow,
    Multiple,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    AtLeast,
    AtMost,
    More,
    Less,
    Equal,
    Unequal,
}

/// One condition, such as `p99<100ms`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    text: String,
    metric: Metric,
    operator: Operator,
    /// Share of one, seconds, count or bytes.
    bound: f64,
}

/// All conditions of a run; none: it cannot fail.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assertions(Vec<Assertion>);

/// What became of one condition.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Verdict {
    /// The condition as given.
    pub condition: String,
    /// What was measured, for people; "not measured" fails.
    pub actual: String,
    /// Whether it holds.
    pub passed: bool,
}

/// Words and what they measure.
const METRICS: [(&str, Metric); 22] = [
    ("delivered", Metric::Delivered),
    ("p50", Metric::Latency(500)),
    ("p95", Metric::Latency(950)),
    ("p99", Metric::Latency(990)),
    ("p999", Metric::Latency(999)),
    ("rtt_p50", Metric::RoundTrip(500)),
    ("rtt_p95", Metric::RoundTrip(950)),
    ("rtt_p99", Metric::RoundTrip(990)),
    ("rtt_p999", Metric::RoundTrip(999)),
    ("errors", Metric::Errors),
    ("refusals", Metric::Refusals),
    ("corrections", Metric::Corrections),
    ("connected", Metric::Connected),
    ("late", Metric::Late),
    ("cpu", Metric::Cpu),
    ("memory", Metric::Memory),
    ("session", Metric::Session),
    ("bandwidth", Metric::Bandwidth),
    ("oldest", Metric::Oldest),
    ("jitter", Metric::Jitter),
    ("own", Metric::Own),
    ("ratio", Metric::Ratio),
];

/// The longer ones first, so that `>=` is not read as `>`.
const OPERATORS: [(&str, Operator); 7] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("!=", Operator::Unequal),
    ("==", Operator::Equal),
    (">", Operator::More),
    ("<", Operator::Less),
    ("=", Operator::Equal),
];

impl Metric {
    fn dimension(self) -> Dimension {
        match self {
            Metric::Delivered | Metric::Own | Metric::Cpu => Dimension::Share,
            Metric::Latency(_) | Metric::RoundTrip(_) | Metric::Oldest | Metric::Jitter => {
                Dimension::Time
            }
            Metric::Memory | Metric::Session => Dimension::Bytes,
            Metric::Bandwidth => Dimension::Flow,
            Metric::Ratio => Dimension::Multiple,
            _ => Dimension::Count,
        }
    }
}

impl Dimension {
    /// Units and what one of them is.
    fn units(self) -> &'static [(&'static str, f64)] {
        match self {
            Dimension::Share => &[("%", 0.01)],
            Dimension::Time => &[("ms", 1e-3), ("s", 1.0), ("us", 1e-6)],
            Dimension::Bytes => {
                &[("MB", 1e6), ("GB", 1e9), ("MiB", 1_048_576.0), ("KB", 1e3), ("KiB", 1_024.0)]
            }
            Dimension::Flow => &[("KB/s", 1e3), ("MB/s", 1e6)],
            Dimension::Count | Dimension::Multiple => &[("", 1.0)],
        }
    }

    /// A value in the unit people expect.
    fn show(self, value: f64) -> String {
        match self {
            Dimension::Share => format!("{:.2} %", value * 100.0),
            Dimension::Time => format!("{:.2} ms", value * 1_000.0),
            Dimension::Bytes if value < 1e6 => format!("{:.1} KB", value / 1e3),
            Dimension::Bytes => format!("{:.0} MB", value / 1e6),
            Dimension::Flow => format!("{:.2} KB/s", value / 1e3),
            Dimension::Multiple => format!("{value:.2}"),
            Dimension::Count => format!("{value:.0}"),
        }
    }
}

impl Operator {
    fn holds(self, actual: f64, bound: f64) -> bool {
        match self {
            Operator::AtLeast => actual >= bound,
            Operator::AtMost => actual <= bound,
            Operator::More => actual > bound,
            Operator::Less => actual < bound,
            Operator::Equal => actual == bound,
            Operator::Unequal => actual != bound,
        }
    }
}

impl Assertions {
    /// Reads conditions separated by commas.
    ///
    /// # Errors
    /// Names the condition that cannot be read, what is wrong with it, and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',')
            .map(|part| Assertion::parse(part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Judges all of them by what `measured` says of each metric, in seconds, bytes, shares and
    /// counts.
    pub fn judge(&self, measured: impl Fn(Metric) -> Option<f64>) -> Vec<Verdict> {
        let verdict = |one: &Assertion| {
            let actual = measured(one.metric);
            Verdict {
                condition: one.text.clone(),
                actual: actual
                    .map_or("not measured".into(), |value| one.metric.dimension().show(value)),
                passed: actual.is_some_and(|value| one.operator.holds(value, one.bound)),
            }
        };
        self.0.iter().map(verdict).collect()
    }
}

impl Assertion {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("'{text}': {what}");
        let (at, sign, operator) = OPERATORS
            .iter()
            .filter_map(|(sign, operator)| Some((text.find(sign)?, *sign, *operator)))
            // The first in the text; of those at one place the longest, which is listed first.
            .min_by_key(|(at, _, _)| *at)
            .ok_or_else(|| wrong("no comparison: use >=, <=, >, <, = or !=".into()))?;
        let word = text[..at].trim();
        let metric = METRICS.iter().find(|(name, _)| *name == word).ok_or_else(|| {
            let names: Vec<_> = METRICS.iter().map(|(name, _)| *name).collect();
            wrong(format!("there is no metric '{word}'; there are {}", names.join(", ")))
        })?;
        let metric = metric.1;
        let value = text[at + sign.len()..].trim();
        let split = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
        let (number, unit) = value.split_at(split);
        let number: f64 =
            number.parse().map_err(|_| wrong(format!("'{value}' does not begin with a number")))?;
        let units = metric.dimension().units();
        let factor = units.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(|| {
            let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
            let wanted = names.join(", ");
            wrong(match (unit.trim(), wanted.as_str()) {
                (given, "") => format!("{word} is a count and has no unit '{given}'"),
                ("", _) => format!("{word} needs a unit: {wanted}"),
                (given, _) => format!("{word} is not measured in '{given}' but in {wanted}"),
            })
        })?;
        Ok(Self { text: text.to_owned(), metric, operator, bound: number * factor.1 })
    }
}

impl fmt::Display for Assertions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(|one| one.text.as_str()).collect();
        f.write_str(&texts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str, value: f64) -> bool {
        Assertions::parse(text).unwrap().judge(|_| Some(value))[0].passed
    }

    #[test]
    fn conditions_are_judged_in_their_units() {
        assert!(judge("delivered>=99%", 0.99) && !judge("delivered>=99%", 0.989));
        assert!(judge("p99<100ms", 0.0999) && !judge("p99<100ms", 0.1));
        assert!(judge("rtt_p50 <= 0.5 ms", 0.0005));
        assert!(judge("p999<1s", 0.9));
        assert!(judge("own=100%", 1.0) && !judge("own=100%", 0.999));
        assert!(judge("errors=0", 0.0) && !judge("errors==0", 1.0));
        assert!(judge("errors!=3", 2.0));
        assert!(judge("cpu<150%", 1.4));
        assert!(judge("memory<200MB", 199e6) && judge("memory<200MiB", 201e6));
        assert!(judge("connected>499", 500.0));
        assert!(judge("session<=12KiB", 12_288.0) && !judge("session<=12KiB", 12_289.0));
        assert!(judge("bandwidth<=30KB/s", 29_999.0) && judge("oldest<2s", 1.9));
        assert!(judge("ratio<=1.15", 1.1) && !judge("ratio<=1.15", 1.2));
    }

    #[test]
    fn several_conditions_keep_their_order_and_words() {
        let text = "delivered>=99%, p99<100ms,errors=0";
        let verdicts = Assertions::parse(text).unwrap().judge(|metric| match metric {
            Metric::Latency(_) => None,
            Metric::Delivered => Some(1.0),
            _ => Some(0.0),
        });
        let passed: Vec<_> = verdicts.iter().map(|v| (v.condition.as_str(), v.passed)).collect();
        assert_eq!(
            passed,
            [("delivered>=99%", true), ("p99<100ms", false), ("errors=0", true)],
            "what was not measured does not pass"
        );
        assert_eq!(verdicts[1].actual, "not measured");
        assert!(Assertions::parse(" ").unwrap().judge(|_| None).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, wanted) in [
            ("p99", "no comparison"),
            ("latency<5ms", "no metric 'latency'"),
            ("p99<fast", "'fast' does not begin with a number"),
            ("p99<100", "needs a unit: ms, s, us"),
            ("p99<100%", "not measured in '%'"),
            ("errors<1ms", "has no unit 'ms'"),
            ("delivered>=99%,,", "no comparison"),
            ("delivered>=.%", "does not begin with a number"),
        ] {
            let error = Assertions::parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
