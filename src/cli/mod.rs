//! The command line: what can be typed, and what each command does.
//!
//! `main` calls [`Cli::of_process`] and [`Cli::execute`], and exits with what that gives. Commands print to standard output,
//! faults go to standard error; no password is ever taken from an argument, where other users of
//! the machine could read it.

mod account;
mod cluster;
mod database;
mod demo;
mod flags;
mod health;
mod http;
mod loadtest;
mod serve;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

use crate::config::{BadConfig, Config};
use crate::role::Roles;
use flags::Settings;

/// A command could not do what it should.
const FAILED: u8 = 1;
/// The master does not answer (sysexits.h: EX_UNAVAILABLE).
const UNREACHABLE: u8 = 69;
/// The master wants another token, or there is none (sysexits.h: EX_NOPERM).
const NOT_ALLOWED: u8 = 77;
/// There is nothing to test there, or the options don't go together; as for wrong usage.
const UNUSABLE: u8 = 2;
/// The configuration is not usable (sysexits.h: EX_CONFIG).
const BAD_CONFIG: u8 = 78;

const AFTER_HELP: &str = "\
Without a command the server runs until SIGINT or SIGTERM; then it tells the players, saves and
stops. A second signal stops it at once.

Examples:
  throng                                       a whole world, data in ./throng-data
  throng --config /etc/throng.toml             with a configuration of one's own
  throng --set ports.text=9082 --log-filter debug
  THRONG_STORE__URL=postgres://me@db/throng throng
  throng account create alice                  asks for the password
  throng check-config --config /etc/throng.toml
  throng cluster status                        servers, zones, players of a running cluster

Values come from, later ones first: --set and the other flags, THRONG_SECTION__KEY in the
environment, the file, the defaults. `config.toml` in the repository explains every key.

Exit codes: 0 done, 1 failed, 2 wrong usage, 69 the master does not answer, 77 it wants another
token, 78 the configuration is not usable.";

/// An MMO game server: one binary, five roles.
#[derive(Debug, Parser)]
#[command(name = "throng", version, about, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, list, ban and unban accounts in the configured database
    #[command(subcommand)]
    Account(account::Action),
    /// Bring the configured database's schema up to date, as a server does at its start
    #[command(
        after_help = "Makes the database if there is none. SQLite's must not be in use by a \
        server.\n\nExample:\n  throng migrate --config /etc/throng.toml"
    )]
    Migrate,
    /// Check the configuration and show what is in force
    #[command(after_help = "Exits with 0 if the server would start with it, else with 78 and a \
        list of all that is wrong.\n\nExample:\n  throng check-config --config /etc/throng.toml")]
    CheckConfig,
    /// Make a self-signed certificate for trying TLS out
    #[command(after_help = "Clients must be told to trust it; use a real one for a public \
        server.\n\nExample:\n  throng dev-cert /tmp/tls")]
    DevCert {
        /// Where to put certificate and key [default: the data folder]
        dir: Option<PathBuf>,
    },
    /// Start a whole cluster on this machine, with bots, to look at and to kill parts of
    #[command(after_help = "Runs master, login, gateways, zone servers and chat as processes of \
        their own on a throw-away PostgreSQL, whose programs must be installed; says what to open, \
        to try and to kill. Ctrl-C stops everything and deletes its files.\n\nExamples:\n  throng \
        demo\n  throng demo --zones 2 --bots 20 --base-port 18000\n  throng demo --postgres \
        postgres://me@localhost/throng")]
    Demo(demo::Options),
    /// Look at a running cluster
    #[command(subcommand)]
    Cluster(cluster::ClusterAction),
    /// List the zones of a running cluster, or move one
    #[command(subcommand)]
    Zones(cluster::ZonesAction),
    /// Have a server hand over what it has, take nobody new and end
    #[command(
        after_help = "Its zones go to other zone servers with everybody in them; clients of a \
        gateway go on at another one. The only server has nobody to hand over to: everybody is \
        sent away then, which is asked about first.\n\nExample:\n  throng drain zone-1"
    )]
    Drain {
        /// Its id or name, or how one of them begins
        server: String,
        /// Do not ask, though it be the only server
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        asking: cluster::Asking,
    },
    /// Tell everybody in the world something
    #[command(after_help = "Example:\n  throng announce 'The server restarts at noon'")]
    Announce {
        /// What; at most 256 characters
        text: String,
        #[command(flatten)]
        asking: cluster::Asking,
    },
    /// Send a player away
    #[command(
        after_help = "The player may log in again; see `throng account ban`.\n\nExample:\n  \
        throng kick mallory --message 'be kind'"
    )]
    Kick {
        /// Whom
        name: String,
        /// What the player is told
        #[arg(long)]
        message: Option<String>,
        #[command(flatten)]
        asking: cluster::Asking,
    },
    /// Let bots play against a running server, and report what they got
    #[command(
        after_help = "Exits with 0 if the run was done and --assert holds, with 1 if it does not, \
        with 2 if nobody could enter or the options are wrong. Ports and key are those of the \
        configuration that is found here, as the server would.\n\nExamples:\n  throng loadtest \
        --clients 500 --duration 30s\n  throng loadtest --scenario crowd --clients 200 \
        --json\n  throng loadtest --start --pin --baseline --scenario walk --clients 2000\n  throng loadtest --start --processes --postgres own --scenario \
        walk --clients 500\n  throng loadtest --assert \"delivered>=99%,p99<100ms,errors=0\""
    )]
    Loadtest(Box<crate::loadtest::Options>),
    /// What `loadtest --baseline` starts to compare with
    #[command(hide = true)]
    BareLoop(crate::loadtest::BareLoop),
    /// Ask a running server whether it is healthy
    #[command(after_help = "Exits with 0 if it answers with 200 within three seconds, else with \
        1.\n\nExample:\n  throng health http://127.0.0.1:8090/readyz")]
    Health {
        /// What to ask [default: /healthz at ports.admin]
        url: Option<String>,
    },
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Config(#[from] BadConfig),
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    #[error("{0:#}")]
    Unreachable(anyhow::Error),
    #[error("{0:#}")]
    NotAllowed(anyhow::Error),
    /// The load test could not be done at all.
    #[error("{0:#}")]
    NoTest(anyhow::Error),
}

impl Cli {
    /// Reads what this process was called with. Wrong words, and `--help`, end the process.
    pub fn of_process() -> Self {
        let matches = flags::command_line().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|wrong| wrong.exit())
    }

    /// Does what was asked for. The exit code says how it went.
    pub fn execute(self) -> ExitCode {
        match self.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                let _ = writeln!(std::io::stderr(), "throng: {fault}");
                ExitCode::from(match fault {
                    Fault::Config(_) => BAD_CONFIG,
                    Fault::Failed(_) => FAILED,
                    Fault::Unreachable(_) => UNREACHABLE,
                    Fault::NotAllowed(_) => NOT_ALLOWED,
                    Fault::NoTest(_) => UNUSABLE,
                })
            }
        }
    }

    fn run(self) -> Result<(), Fault> {
        let Self { settings, command } = self;
        // The first of these need the configuration for what no flag says, if at all.
        match command {
            Some(Command::Health { url: Some(url) }) => health::ask(&url)?,
            Some(Command::Loadtest(options)) => loadtest::run(*options, settings)?,
            Some(Command::BareLoop(bare)) => bare.run()?,
            Some(Command::Cluster(action)) => action.execute(&settings)?,
            Some(Command::Zones(action)) => action.execute(&settings)?,
            Some(Command::Drain { server, yes, asking }) => {
                cluster::drain(&server, yes, &asking, &settings)?;
            }
            Some(Command::Announce { text, asking }) => {
                cluster::announce(&text, &asking, &settings)?;
            }
            Some(Command::Kick { name, message, asking }) => {
                cluster::kick(&name, message.as_deref(), &asking, &settings)?;
            }
            None => serve::serve(settings.load()?, settings.role)?,
            Some(Command::Account(action)) => action.execute(&settings.load()?)?,
            Some(Command::Migrate) => migrate(&settings.load()?)?,
            Some(Command::CheckConfig) => show(&settings.load()?, &settings.role),
            Some(Command::DevCert { dir }) => dev_cert(dir, &settings.load()?)?,
            Some(Command::Demo(options)) => {
                settings.load()?;
                demo::run(&options, settings.to_pass_on())?;
            }
            Some(Command::Health { url: None }) => {
                health::ask(&health::url_of(settings.load()?.ports.admin))?;
            }
        }
        Ok(())
    }
}

/// Prints a line; that nobody reads it is no fault.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn show(config: &Config, roles: &Roles) {
    let world = &config.world;
    say(config.in_force());
    say(format_args!(
        "# [world]: {} zones, {} items, {} skills, {} NPCs, {} quests",
        world.zones.len(),
        world.items.len(),
        world.skills.len(),
        world.npcs.len(),
        world.quests.len(),
    ));
    for doubt in config.doubts(roles) {
        say(format_args!("# but: {doubt}"));
    }
    let limit = crate::descriptors::raise();
    if let Some(doubt) = crate::descriptors::doubt(config.net.max_connections, limit) {
        say(format_args!("# but: {doubt}"));
    }
    say(format_args!("# the configuration can be used for --role {roles}"));
}

fn migrate(config: &Config) -> anyhow::Result<()> {
    let data = crate::data_dir::open(&config.data_dir)?;
    let file = crate::store::file(&config.store, data.path());
    let _claim = file.map(|file| crate::data_dir::claim_database(&file)).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = crate::store::Store::open(&config.store, data.path()).await?;
        store.close().await;
        anyhow::Ok(())
    })?;
    say("the schema of the database is up to date");
    Ok(())
}

fn dev_cert(dir: Option<PathBuf>, config: &Config) -> anyhow::Result<()> {
    let dir = dir.unwrap_or_else(|| config.data_dir.clone());
    std::fs::create_dir_all(&dir)?;
    let (certificate, key) = crate::net::tls::dev_cert(&dir)?;
    say("# a self-signed certificate, for trying out; in config.toml:");
    say("[net.tls]");
    say(format_args!("certificate = {:?}", certificate.display().to_string()));
    say(format_args!("key = {:?}", key.display().to_string()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_sound_and_everything_has_help() {
        flags::command_line().debug_assert();
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }

    #[test]
    fn a_wrong_role_or_pair_is_named() {
        let fault = Cli::try_parse_from(["throng", "--role", "queen"]).unwrap_err().to_string();
        assert!(fault.contains("'queen' is not a role"), "{fault}");
        let fault = Cli::try_parse_from(["throng", "--set", "ports.text"]).unwrap_err();
        assert!(fault.to_string().contains("ports.text=9082"));
    }

    #[test]
    fn set_reaches_any_key() {
        let words = ["throng", "--set", "ports.text=9082", "--set", "net.rate.chat_messages=7"];
        let config = Cli::try_parse_from(words).unwrap().settings.load().unwrap();
        assert_eq!((config.ports.text, config.net.rate.chat_messages), (9082, 7));
    }
}
