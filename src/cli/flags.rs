//! The flags that several commands share: what they set, and which command shows which of them.
//!
//! They may stand before or behind a command. All commands take all of them, so that no order or
//! script breaks, but `--help` shows those that a command has a use for and no others.

use std::path::PathBuf;

use clap::{Arg, Args, Command, CommandFactory};

use super::Cli;
use crate::config::{self, BadConfig, Config, Flag, Sources};
use crate::role::Roles;

/// Flags of every command.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// What this process plays: master, login, gateway, zone, chat, a list of them, or all
    #[arg(long, global = true, value_name = "ROLES", default_value = "all")]
    pub(super) role: Roles,
    /// Configuration file [default: ./config.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Folder of what the server makes itself: database, keys, tokens (data_dir)
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data_dir: Option<String>,
    /// What to log: a level, or a list such as info,throng::net=debug (log.filter)
    #[arg(long, global = true, value_name = "FILTER")]
    pub(super) log_filter: Option<String>,
    /// Set any key of the configuration; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) values: Vec<(String, String)>,
}

/// Which of them a command has a use for, by their fields. The server itself has one for all.
const USED: [(&str, &[&str]); 12] = [
    ("account", &["config", "data_dir", "values"]),
    ("migrate", &["config", "data_dir", "values"]),
    ("check-config", &["role", "config", "data_dir", "log_filter", "values"]),
    ("dev-cert", &["config", "data_dir", "values"]),
    ("demo", &["config", "log_filter", "values"]),
    ("cluster", &["config", "data_dir"]),
    ("zones", &["config", "data_dir"]),
    ("drain", &["config", "data_dir"]),
    ("announce", &["config", "data_dir"]),
    ("kick", &["config", "data_dir"]),
    ("loadtest", &["config", "data_dir", "values"]),
    ("health", &["config"]),
];

/// The command line with what each command's help shows.
pub(super) fn command_line() -> Command {
    let command = Cli::command();
    let shared: Vec<Arg> =
        command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    command.mut_subcommands(|inner| {
        let used = USED.iter().find(|(name, _)| *name == inner.get_name());
        hide_unused(inner, &shared, used.map_or(&[], |(_, used)| used))
    })
}

/// Gives a command, and those within it, hidden copies of the shared flags that it does not use.
fn hide_unused(command: Command, shared: &[Arg], used: &[&str]) -> Command {
    let unused = shared.iter().filter(|arg| !used.contains(&arg.get_id().as_str()));
    let command = unused.fold(command, |command, arg| command.arg(arg.clone().hide(true)));
    command.mut_subcommands(|inner| hide_unused(inner, shared, used))
}

impl Settings {
    /// The configuration in force.
    ///
    /// # Errors
    /// Lists everything that is wrong.
    pub(super) fn load(&self) -> Result<Config, BadConfig> {
        let flag = |flag, key: &str, value: &String| {
            let (key, value) = (key.to_owned(), value.clone());
            Flag { flag, key, value }
        };
        let set = self.values.iter().map(|(key, value)| flag("--set", key, value));
        let data_dir = self.data_dir.iter().map(|value| flag("--data-dir", "data_dir", value));
        let filter = self.log_filter.iter().map(|value| flag("--log-filter", "log.filter", value));
        let flags = set.chain(data_dir).chain(filter).collect();
        config::load(&Sources::of_process(self.config.clone(), flags), &self.role)
    }

    /// The same flags for a server that this process starts, but those that are its own: which
    /// roles it plays, where its data is.
    pub(super) fn to_pass_on(&self) -> Vec<String> {
        let config = self.config.iter().map(|file| ["--config".into(), file.display().to_string()]);
        let filter = self.log_filter.iter().map(|filter| ["--log-filter".into(), filter.clone()]);
        let values =
            self.values.iter().map(|(key, value)| ["--set".into(), format!("{key}={value}")]);
        config.chain(filter).chain(values).flatten().collect()
    }
}

/// `KEY=VALUE` of `--set`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("it must look like ports.text=9082".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    /// The long flags that a command's help shows.
    fn shown(path: &[&str]) -> Vec<String> {
        let mut command = command_line();
        command.build();
        let found = path.iter().fold(&mut command, |command, name| {
            command.find_subcommand_mut(name).unwrap_or_else(|| panic!("no command {name}"))
        });
        let visible = found.get_arguments().filter(|arg| !arg.is_hide_set());
        visible.filter_map(|arg| Some(arg.get_long()?.to_owned())).collect()
    }

    #[test]
    fn a_commands_help_shows_what_it_uses() {
        assert_eq!(
            shown(&["kick"]),
            ["message", "master", "token-file", "config", "data-dir", "help"]
        );
        assert_eq!(shown(&["account", "list"]), ["config", "data-dir", "set", "help"]);
        assert_eq!(shown(&["health"]), ["config", "help"]);
        let all = ["role", "config", "data-dir", "log-filter", "set"];
        for command in [&[][..], &["check-config"]] {
            let shown = shown(command);
            assert!(all.iter().all(|flag| shown.iter().any(|it| it == flag)), "{shown:?}");
        }
    }

    #[test]
    fn every_command_is_in_the_table() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(USED.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn what_is_not_shown_is_taken_all_the_same_before_and_after_a_command() {
        for words in [
            ["throng", "--data-dir", "here", "--role", "zone", "kick", "bob"],
            ["throng", "kick", "--data-dir", "here", "--role", "zone", "bob"],
            ["throng", "--role", "zone", "kick", "bob", "--data-dir", "here"],
        ] {
            let matches = command_line().try_get_matches_from(words).unwrap();
            let settings = Cli::from_arg_matches(&matches).unwrap().settings;
            assert_eq!(settings.data_dir.as_deref(), Some("here"), "{words:?}");
            assert_eq!(settings.role.to_string(), "zone", "{words:?}");
        }
    }
}
