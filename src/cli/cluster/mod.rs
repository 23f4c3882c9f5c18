//! The operators' commands for a running cluster: `cluster status`, `zones`, `drain`, `announce`,
//! `kick`.
//!
//! Each is a request or two to the master's operators' port. What a server or a zone is called is
//! looked up there; these commands only ask, wait and print.

mod ask;
mod table;
mod view;

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::{Fault, Settings, say};
use crate::tick;
pub(super) use ask::Asking;
use ask::Master;
use view::{Cluster, Draining, Moving, Told};

/// How long a zone may take to run where it was told to.
const MOVED_WITHIN: Duration = Duration::from_secs(15);
/// Between two looks whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterAction {
    /// Show servers, roles, versions, zones, players, load and links
    Status {
        #[command(flatten)]
        asking: Asking,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

/// What to do with zones.
#[derive(Debug, Subcommand)]
pub(super) enum ZonesAction {
    /// List the zones, their servers and players
    List {
        #[command(flatten)]
        asking: Asking,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Hand a zone over to another server, with everybody in it; waits until it runs there
    #[command(after_help = "It stays there until that server goes.\n\nExamples:\n  throng zones \
        move 3 zone-2\n  throng zones move Meadow 7216")]
    Move {
        /// Its number or name
        zone: String,
        /// Its id or name, or how one of them begins
        server: String,
        #[command(flatten)]
        asking: Asking,
    },
}

impl ClusterAction {
    pub(super) fn execute(self, settings: &Settings) -> Result<(), Fault> {
        let ClusterAction::Status { asking, json } = self;
        let text = asking.master(settings)?.get("/cluster")?;
        say(if json { text } else { table::cluster(&view::read::<Cluster>(&text)?) }.trim_end());
        Ok(())
    }
}

impl ZonesAction {
    pub(super) fn execute(self, settings: &Settings) -> Result<(), Fault> {
        match self {
            ZonesAction::List { asking, json } => {
                let text = asking.master(settings)?.get("/cluster")?;
                let cluster: Cluster = view::read(&text)?;
                let json = json.then(|| serde_json::to_string(&cluster.zones)).transpose();
                let json = json.map_err(anyhow::Error::from)?;
                say(json.unwrap_or_else(|| table::zones(&cluster)).trim_end());
                Ok(())
            }
            ZonesAction::Move { zone, server, asking } => {
                move_zone(&asking.master(settings)?, &zone, &server)
            }
        }
    }
}

/// Has a zone run elsewhere, and waits until it does.
fn move_zone(master: &Master, zone: &str, server: &str) -> Result<(), Fault> {
    let path = format!("/zones/{}/move", ask::escaped(zone));
    let moving: Moving = view::read(&master.post(&path, &json!({ "server": server }))?)?;
    let until = tick::now() + MOVED_WITHIN;
    loop {
        let cluster: Cluster = view::read(&master.get("/cluster")?)?;
        let zone = cluster.zones.iter().find(|zone| zone.zone == moving.zone);
        let words = zone.map_or("it is gone".to_owned(), |zone| table::whereabouts(zone, &cluster));
        if zone.is_some_and(|zone| zone.state == "running" && zone.server == Some(moving.to)) {
            say(words);
            return Ok(());
        }
        if tick::now() >= until {
            let seconds = MOVED_WITHIN.as_secs();
            return Err(anyhow::anyhow!("not there after {seconds} s: {words}").into());
        }
        // To wake up too early does no harm here.
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// Has a server hand everything over and end; asks first, unless `yes`, if there is nobody to hand
/// over to.
pub(super) fn drain(
    server: &str,
    yes: bool,
    asking: &Asking,
    settings: &Settings,
) -> Result<(), Fault> {
    let master = asking.master(settings)?;
    if !yes {
        let cluster: Cluster = view::read(&master.get("/cluster")?)?;
        if let Some(only) = cluster.only_server().filter(|only| only.is_called(server)) {
            confirm(only)?;
        }
    }
    let path = format!("/servers/{}/drain", ask::escaped(server));
    let draining = master.post(&path, &json!({}))?;
    let Draining { server_id, name } = view::read(&draining)?;
    say(format_args!("{name} ({server_id}) hands over what it has, then it ends"));
    Ok(())
}

/// Makes sure that the end of everything is meant.
fn confirm(only: &view::Server) -> anyhow::Result<()> {
    let view::Server { name, players, .. } = only;
    let plural = if *players == 1 { "" } else { "s" };
    let what = format!(
        "{name} is the only server: it has nobody to hand over to, so its {players} player{plural} \
         will be sent away and the world ends until it is started again"
    );
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("{what}; say --yes if that is meant");
    }
    let _ = write!(std::io::stderr(), "{what}. Go on? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("no answer can be read")?;
    let agreed = ["y", "yes"].iter().any(|word| answer.trim().eq_ignore_ascii_case(word));
    anyhow::ensure!(agreed, "nothing was done");
    Ok(())
}

/// Tells every player something.
pub(super) fn announce(text: &str, asking: &Asking, settings: &Settings) -> Result<(), Fault> {
    let told = asking.master(settings)?.post("/announce", &json!({ "text": text }))?;
    let Told { gateways } = view::read(&told)?;
    let plural = if gateways == 1 { "" } else { "s" };
    say(format_args!("told through {gateways} gateway{plural}"));
    Ok(())
}

/// Sends a player away.
pub(super) fn kick(
    name: &str,
    message: Option<&str>,
    asking: &Asking,
    settings: &Settings,
) -> Result<(), Fault> {
    let message = message.unwrap_or_default();
    asking.master(settings)?.post("/kick", &json!({ "name": name, "message": message }))?;
    say(format_args!("{} is sent away", name.escape_debug()));
    Ok(())
}
