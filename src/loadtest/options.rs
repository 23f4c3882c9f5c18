//! What `throng loadtest` can be told on the command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::assertion::Assertions;
use super::entry::KEY;
use super::hostile::Assault;
use crate::limits;

/// What the bots do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Walk in groups whose members see each other, and now and then fight, pick up and talk.
    Wander,
    /// Walk in groups whose members see each other, and nothing else: the one to compare by.
    Walk,
    /// Walk all in one place, everybody in view of everybody.
    Crowd,
    /// The same, and strike each other: a great battle. Needs a zone in which players may (a server
    /// of the run's own has one).
    Fight,
    /// Log in (with hashing), enter and leave, over and over, at most 40 at once (a server of the
    /// run's own: 200).
    LoginStorm,
    /// Enter with a ticket (without hashing), lose the connection, resume and leave, over and over,
    /// as many at once.
    EntryStorm,
    /// Talk in rooms, one room a group, each bot once in two seconds.
    Chat,
    /// Go to their places, stay there and send heartbeats only.
    Idle,
    /// Send small requests and await their answers: the bare way there and back.
    Echo,
    /// Walk, beside flooders of one kind after the other, 1 and 100 of each, in the second half of each
    /// run; the table tells what they do to the bots' p99. Exit code 1: more than a tenth.
    Hostile,
}

/// A database for a server of the run's own.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its address, for `store.url`.
    pub url: String,
    /// Its first process, if it is this machine's and the run's own: its cost is told, and it is
    /// kept off the server's core.
    pub pid: Option<u32>,
}

/// Options of `throng loadtest`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The server's host name or address [default: this machine, where the configuration's server
    /// listens]
    #[arg(long, value_name = "HOST")]
    pub target: Option<String>,

    /// The gateway's port [default: ports.gateway, with --target 8081]
    #[arg(long)]
    pub port: Option<u16>,

    /// The login port [default: ports.login, with --target 8080]
    #[arg(long, value_name = "PORT")]
    pub login_port: Option<u16>,

    /// How many bots
    #[arg(long, default_value_t = 500, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub clients: u32,

    /// How long is measured, after all bots are in and in their places (30s, 2m, 500ms)
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub duration: Duration,

    /// Spread the bots' arrival over this time (0s: as fast as the login takes them)
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub ramp: Duration,

    /// Longest wait until bots are in their places; then it is measured all the same
    #[arg(long, default_value = "90s", value_parser = duration, value_name = "TIME")]
    pub warm_up: Duration,

    /// What the bots do
    #[arg(long, value_enum, default_value_t = Scenario::Wander)]
    pub scenario: Scenario,

    /// Inputs per second and bot: moves, or requests of `echo`
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rate: u32,

    /// Bots that walk or talk together
    #[arg(long, default_value_t = 50, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub group: u32,

    /// Seconds between two words of a bot that talks in a room
    #[arg(long, default_value_t = 2, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=600))]
    pub talk_every: u32,

    /// So many bots stop reading halfway through; the others' latency is told for both halves
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub slow: u32,

    /// So many others log in with their passwords, over and over, in the second half; the bots'
    /// latency is told for both halves
    #[arg(long, default_value_t = 0, value_name = "COUNT", requires = "start",
          value_parser = clap::value_parser!(u32).range(0..=40))]
    pub storm: u32,

    /// Bytes of each request of `echo`, its frame all told
    #[arg(long, default_value_t = 100, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(64..=127))]
    pub payload: u32,

    /// Start a server for this run alone, as a child process in a temporary folder, with one empty
    /// zone unless --config is given; --set reaches it. Its cost is measured, and it ends with the
    /// run
    #[arg(long)]
    pub start: bool,

    /// Put so many NPCs, who roam, into the zone of --start
    #[arg(long, default_value_t = 0, value_name = "COUNT", requires = "start",
          value_parser = clap::value_parser!(u32).range(0..=30_000))]
    pub npcs: u32,

    /// Start the server as three processes: a gateway, a zone, and one with the other roles
    #[arg(long, requires_all = ["start", "postgres"])]
    pub processes: bool,

    /// The database of --start, which must be empty, in place of SQLite; `own`: a throw-away one,
    /// whose programs must be installed
    #[arg(long, value_name = "URL", requires = "start")]
    pub postgres: Option<String>,

    /// Keep the server that --start starts on the first core and the bots on the others (Linux)
    #[arg(long, requires = "start")]
    pub pin: bool,

    /// Afterwards measure a bare loop, which sends as many bytes to as many sockets and does nothing
    /// else, in the same way, and tell the ratio
    #[arg(long)]
    pub baseline: bool,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,

    /// Conditions for exit code 0, separated by commas: delivered>=99%,p99<100ms,errors=0.
    /// Metrics: delivered, p50, p95, p99, p999, rtt_p50, rtt_p95, rtt_p99, rtt_p999, errors,
    /// refusals, corrections, connected, late, cpu (% of one core), memory (MB), session (KB of
    /// memory each), bandwidth (KB/s to each), oldest (age of a view), jitter (p99), own (share of the
    /// events of one's own that came, in fights), ratio (to the bare loop)
    #[arg(long, default_value = "", value_parser = Assertions::parse, value_name = "CONDITIONS",
          hide_default_value = true)]
    pub assert: Assertions,

    /// Threads for the bots
    #[arg(long, default_value_t = default_threads(), value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,

    /// Decides all chance
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// What the bots' names begin with; accounts are kept and used again by the next run
    #[arg(long, default_value = "bot", value_parser = prefix, value_name = "WORD")]
    pub name_prefix: String,

    /// Password of the bots' accounts
    #[arg(long, default_value = "throng-loadtest", value_name = "WORD")]
    pub password: String,

    /// The login role's key: with it bots make their own tickets, without the cost of hashing.
    /// If it cannot be read, they log in [default: login.key in the data folder]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// What is taken for those of these four that were not said.
    #[arg(skip)]
    pub usual: Usual,

    /// The database that `postgres` asks for, once it is there.
    #[arg(skip)]
    pub database: Option<Database>,

    /// Given to a server of the run's own: `--config`.
    #[arg(skip)]
    pub server_config: Option<PathBuf>,

    /// Given to a server of the run's own: each `--set`.
    #[arg(skip)]
    pub server_settings: Vec<(String, String)>,

    /// Who floods in the second half.
    #[arg(skip)]
    pub flood: Option<Assault>,

    /// How fast bots go to their places, m/s; none: as a player may by default.
    #[arg(skip)]
    pub hurry: Option<f32>,
}

/// Where a server is when nothing else is said.
#[derive(Debug, Clone)]
pub struct Usual {
    /// Its host name or address.
    pub target: String,
    /// The gateway's port.
    pub port: u16,
    /// The login port.
    pub login_port: u16,
    /// The login role's key.
    pub key: PathBuf,
}

impl Default for Usual {
    fn default() -> Self {
        let key = PathBuf::from("throng-data").join(KEY);
        Self { target: "127.0.0.1".to_owned(), port: 8081, login_port: 8080, key }
    }
}
/// Accounts of those who only log in, in the scenario that has them.
const OUTSIDERS: u32 = 100;

/// Digits after the prefix in a bot's name.
const NAME_DIGITS: usize = 5;

impl Options {
    /// The server's host name or address.
    pub fn target(&self) -> &str {
        self.target.as_deref().unwrap_or(&self.usual.target)
    }

    /// The gateway's port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.usual.port)
    }

    /// The login port.
    pub fn login_port(&self) -> u16 {
        self.login_port.unwrap_or(self.usual.login_port)
    }

    /// The file with the login role's key, there or not.
    pub fn key(&self) -> &Path {
        self.key.as_deref().unwrap_or(&self.usual.key)
    }

    /// Whether bots walk in this scenario.
    pub fn moves(&self) -> bool {
        matches!(
            self.scenario,
            Scenario::Wander
                | Scenario::Walk
                | Scenario::Crowd
                | Scenario::Fight
                | Scenario::Hostile
        )
    }

    /// Whether bots come and go all the time in this scenario.
    pub fn storms(&self) -> bool {
        matches!(self.scenario, Scenario::LoginStorm | Scenario::EntryStorm)
    }

    /// Accounts that a run needs: the bots', those of who logs in beside them, of who stays outside.
    pub fn accounts(&self) -> u32 {
        let outside = if self.scenario == Scenario::Hostile { OUTSIDERS } else { 0 };
        self.clients + self.storm + outside
    }

    /// Whether something changes halfway through.
    pub fn has_halves(&self) -> bool {
        self.slow > 0 || self.storm > 0 || self.flood.is_some()
    }

    /// Whether a bare loop can do what the server does in this scenario.
    pub fn has_baseline(&self) -> bool {
        let bare = !matches!(self.scenario, Scenario::Idle | Scenario::Fight | Scenario::Hostile);
        bare && !self.storms()
    }

    /// A bot's name.
    pub fn name(&self, bot: usize) -> String {
        format!("{}{bot:0NAME_DIGITS$}", self.name_prefix)
    }

    /// Whose name that is, if it is one of this run's bots.
    pub fn bot_named(&self, name: &str) -> Option<usize> {
        let digits = name.strip_prefix(self.name_prefix.as_str())?;
        let number: usize = digits.parse().ok()?;
        (digits.len() == NAME_DIGITS && number < self.clients as usize).then_some(number)
    }

    /// What no single option shows to be wrong.
    ///
    /// # Errors
    /// Says which options don't go together.
    pub fn check(&self) -> Result<(), String> {
        if self.moves() && self.rate > 20 {
            return Err(format!("--rate {}: a player moves at most 20 times a second", self.rate));
        }
        if self.slow >= self.clients && self.slow > 0 {
            return Err(format!("--slow {}: somebody must go on reading", self.slow));
        }
        if self.storm > 0 && self.storms() {
            return Err("--storm is for scenarios in which bots stay".to_owned());
        }
        if (self.storm > 0 || self.npcs > 0) && self.server_config.is_some() {
            return Err("--storm and --npcs are for the zone that --start makes itself".to_owned());
        }
        if self.slow > 0 && !self.moves() {
            return Err("--slow is for scenarios in which bots walk".to_owned());
        }
        if self.scenario == Scenario::Hostile && !self.start {
            return Err("--scenario hostile is for a server of the run's own: --start".to_owned());
        }
        if self.baseline && !self.has_baseline() {
            return Err("--baseline: there is no bare loop for this scenario".to_owned());
        }
        Ok(())
    }
}

fn default_threads() -> u32 {
    // Half of the machine is the server's, when it runs beside.
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() as u32 / 2).max(1))
}

fn prefix(text: &str) -> Result<String, String> {
    let most = limits::NAME_MAX - NAME_DIGITS;
    let letters = text.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    if text.is_empty() || text.len() > most || !letters {
        return Err(format!("1 to {most} of the letters a to z and '_'"));
    }
    Ok(text.to_owned())
}

/// A time with its unit: `30s`, `2m`, `500ms`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| format!("'{text}' is no time such as 30s"))?;
    let seconds = match unit {
        "ms" => number / 1_000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return Err(format!("'{unit}' is no unit of time: use ms, s, m or h")),
    };
    if seconds > 86_400.0 {
        return Err("more than a day".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
pub(super) fn for_test(arguments: &[&str]) -> Options {
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }
    let words = std::iter::once("loadtest").chain(arguments.iter().copied());
    Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("30s").unwrap(), Duration::from_secs(30));
        assert_eq!(duration("1.5m").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("7").unwrap(), Duration::from_secs(7));
        for wrong in ["", "s", "3 weeks", "-1s", "1e9h", "99999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bot_is_known_by_its_name() {
        let options = for_test(&["--clients", "20"]);
        assert_eq!(options.name(7), "bot00007");
        assert_eq!(options.bot_named("bot00007"), Some(7));
        for other in ["bot00020", "bot7", "bob00007", "bot", "bot000007"] {
            assert_eq!(options.bot_named(other), None, "{other}");
        }
        assert!(crate::names::Name::parse(&options.name(49_999)).is_ok());
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let usual = || Usual { port: 9_001, login_port: 9_000, ..Usual::default() };
        let said = |arguments: &[&str]| {
            let options = Options { usual: usual(), ..for_test(arguments) };
            (options.target().to_owned(), options.port(), options.login_port())
        };
        assert_eq!(said(&[]), ("127.0.0.1".into(), 9_001, 9_000));
        assert_eq!(said(&["--target", "there", "--port", "7"]), ("there".into(), 7, 9_000));
        assert_eq!(for_test(&[]).key(), Path::new("throng-data/login.key"));
        assert_eq!(for_test(&["--key", "mine"]).key(), Path::new("mine"));
    }

    #[test]
    fn a_rate_that_no_player_may_have_is_refused() {
        assert!(for_test(&["--rate", "21"]).check().is_err());
        assert!(for_test(&["--rate", "21", "--scenario", "echo"]).check().is_ok());
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        for wrong in [
            &["--clients", "3", "--slow", "3"][..],
            &["--scenario", "echo", "--slow", "1"],
            &["--scenario", "idle", "--baseline"],
            &["--scenario", "login-storm", "--start", "--storm", "3"],
        ] {
            assert!(for_test(wrong).check().is_err(), "{wrong:?}");
        }
        assert!(for_test(&["--clients", "20", "--slow", "1", "--baseline"]).check().is_ok());
    }
}
