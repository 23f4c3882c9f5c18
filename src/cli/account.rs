//! `throng account …`: accounts in the configured database, whether a server runs on it or not.

use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;

use super::say;
use crate::config::Config;
use crate::ids::PlayerId;
use crate::login::hashing::SecretHasher;
use crate::login::new_character;
use crate::names::{Name, check_new_password};
use crate::protocol::client::password_hash;
use crate::store::Store;
use crate::store::record::AccountSummary;

/// Accounts read at once for a list.
const PAGE: u32 = 500;
/// Longest reason for a ban, bytes.
const REASON_MAX: usize = 200;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Make an account and its character; asks for the password
    #[command(after_help = "Examples:\n  throng account create alice\n  \
        pass show alice | throng account create alice      (the first line is the password)")]
    Create {
        /// 3 to 16 letters, digits or _
        #[arg(value_parser = name)]
        name: Name,
    },
    /// List all accounts
    List,
    /// Shut an account out; a running server sends the player away within seconds
    #[command(after_help = "Example:\n  throng account ban mallory --reason 'sells gold'")]
    Ban {
        /// Whom
        #[arg(value_parser = name)]
        name: Name,
        /// Why, as the player is told
        #[arg(long, default_value = "banned by an operator")]
        reason: String,
    },
    /// Let an account in again
    Unban {
        /// Whom
        #[arg(value_parser = name)]
        name: Name,
    },
    /// Give an account a new password; asks for it
    Passwd {
        /// Whose
        #[arg(value_parser = name)]
        name: Name,
    },
}

fn name(text: &str) -> Result<Name, &'static str> {
    Name::parse(text)
}

impl Action {
    /// Does it.
    pub(super) fn execute(self, config: &Config) -> anyhow::Result<()> {
        // Before the database is opened, so that nobody holds it while somebody types.
        let secret = match &self {
            Action::Create { .. } | Action::Passwd { .. } => Some(read_secret()?),
            _ => None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let store = self.open(config).await.with_context(|| {
                let address = crate::config::store_address(&config.store.url);
                format!("the database cannot be opened (store.url = {address})")
            })?;
            let done = self.in_store(config, &store, secret).await;
            store.close().await;
            done
        })
    }

    /// The database. Only who makes an account may be its first user; whoever looks for something
    /// in one that is not there looks in the wrong place.
    async fn open(&self, config: &Config) -> anyhow::Result<Store> {
        let opened = Store::open_existing(&config.store, &config.data_dir).await?;
        if let (None, Action::Create { .. }) = (&opened, self) {
            let data = crate::data_dir::open(&config.data_dir)?;
            return Ok(Store::open(&config.store, data.path()).await?);
        }
        opened.ok_or_else(|| {
            let place = crate::store::place(&config.store, &config.data_dir);
            anyhow!(
                "there is no database of Throng's at {place}; --data-dir, --config or \
                 THRONG_STORE__URL say where the server keeps its own"
            )
        })
    }

    async fn in_store(
        self,
        config: &Config,
        store: &Store,
        secret: Option<String>,
    ) -> anyhow::Result<()> {
        let hashed = || {
            let secret = secret.as_deref().unwrap_or_default();
            SecretHasher::new(config.login.argon2)?.hash(secret)
        };
        match self {
            Action::Create { name } => {
                let character = new_character(&config.world).context("the world has no zone")?;
                let player = store.create_account(&name, &hashed()?, character).await?;
                say(format_args!("{name} is account {player}"));
            }
            Action::List => list(store).await?,
            Action::Ban { name, reason } => {
                if reason.is_empty() || reason.len() > REASON_MAX || has_controls(&reason) {
                    bail!("a reason has 1 to {REASON_MAX} bytes and no control characters");
                }
                store.set_ban(known(store, &name).await?, Some(&reason)).await?;
                say(format_args!("{name} is banned"));
            }
            Action::Unban { name } => {
                store.set_ban(known(store, &name).await?, None).await?;
                say(format_args!("{name} is not banned any more"));
            }
            Action::Passwd { name } => {
                let player = known(store, &name).await?;
                store.set_secret(player, &hashed()?).await?;
                say(format_args!("{name} has a new password"));
            }
        }
        Ok(())
    }
}

fn has_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}

async fn known(store: &Store, name: &Name) -> anyhow::Result<PlayerId> {
    let account = store.account(name).await?;
    account.map(|account| account.player).ok_or_else(|| anyhow!("there is no account {name}"))
}

async fn list(store: &Store) -> anyhow::Result<()> {
    say(format_args!("{:>8}  {:16}  {:>5}  {:20}  banned", "id", "name", "level", "last seen"));
    let mut after = PlayerId(0);
    let mut count = 0usize;
    loop {
        let page = store.accounts(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.player;
        count += page.len();
        page.iter().for_each(|account| say(row(account)));
    }
    say(format_args!("{count} accounts"));
    Ok(())
}

fn row(account: &AccountSummary) -> String {
    let AccountSummary { player, name, level, last_seen_at, ban, .. } = account;
    let seen = last_seen_at.map_or("never".into(), date);
    let ban = ban.as_deref().unwrap_or("").escape_debug();
    format!("{player:>8}  {:16}  {level:>5}  {seen:20}  {ban}", name.as_str())
}

/// Unix milliseconds as `2026-01-31T23:59:59Z` (days to a date: Hinnant's `civil_from_days`).
fn date(millis: u64) -> String {
    let (days, second) = (millis / 86_400_000, millis / 1_000 % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The client's secret for a password from standard input: its first line, typed without echo if
/// it is a terminal.
fn read_secret() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    let quiet = terminal.then(|| {
        let _ = write!(std::io::stderr(), "Password: ");
        Quiet::start()
    });
    let mut line = String::new();
    stdin.lock().read_line(&mut line).context("the password cannot be read")?;
    drop(quiet);
    if terminal {
        let _ = writeln!(std::io::stderr());
    }
    let password = line.trim_end_matches(['\n', '\r']);
    check_new_password(password).map_err(anyhow::Error::msg)?;
    Ok(password_hash(password))
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Quiet;

impl Quiet {
    fn start() -> Self {
        echo("-echo");
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        echo("echo");
    }
}

/// Without `stty` the password is seen while it is typed; that is no reason to refuse it.
fn echo(setting: &str) {
    let _ = Command::new("stty").arg(setting).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (millis, wanted) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_000, "2024-02-29T23:59:59Z"),
            (1_793_491_200_000, "2026-11-01T00:00:00Z"),
        ] {
            assert_eq!(date(millis), wanted);
        }
    }
}
