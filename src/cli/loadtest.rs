//! `throng loadtest`: finds the server that is meant, and a database if one is wanted, and runs the
//! bots of `crate::loadtest`.

use super::{Fault, Settings, database, say};
use crate::banner;
use crate::loadtest::{self, Database, Options, Usual};

/// What `--postgres` is given for a database that lasts as long as the command.
const OWN_DATABASE: &str = "own";

/// Runs a load test and prints its report.
///
/// # Errors
/// If nobody can be let in, the configuration is needed and not usable, or a condition of
/// `--assert` does not hold.
pub(super) fn run(mut options: Options, settings: Settings) -> Result<(), Fault> {
    // A server that is named is somewhere else; one that is started is told where it is.
    if !options.start && options.target.is_none() {
        let config = settings.load()?;
        options.usual = Usual {
            target: banner::reached_at(config.ports.bind).to_string(),
            port: config.ports.gateway,
            login_port: config.ports.login,
            key: config.data_dir.join(loadtest::KEY),
        };
    }
    options.server_config = settings.config;
    options.server_settings = settings.values;
    let json = options.json;
    let own = options.postgres.as_deref().filter(|url| *url == OWN_DATABASE);
    let own = own.map(|_| database::Scratch::start()).transpose().map_err(Fault::NoTest)?;
    options.database = match &own {
        Some(own) => Some(Database { url: own.url.clone(), pid: own.pid }),
        None => options.postgres.clone().map(|url| Database { url, pid: None }),
    };
    if options.scenario == loadtest::Scenario::Hostile {
        let table = loadtest::hostile(&options).map_err(Fault::NoTest)?;
        let text =
            if json { table.json().map_err(anyhow::Error::from)? } else { table.to_string() };
        say(text.trim_end());
        let raised = || anyhow::anyhow!("a flood has raised the bots' p99 by more than a tenth");
        return if table.passed() { Ok(()) } else { Err(Fault::Failed(raised())) };
    }
    let report = loadtest::run(options).map_err(Fault::NoTest)?;
    let text = if json { report.json().map_err(anyhow::Error::from)? } else { report.to_string() };
    say(text.trim_end());
    if !report.passed() {
        return Err(Fault::Failed(anyhow::anyhow!("a condition of --assert does not hold")));
    }
    Ok(())
}
