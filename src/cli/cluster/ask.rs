//! How the commands reach the master: at which address, with which token, and what to say when it
//! does not do what it should.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::Value;

use crate::cli::http::{Answer, Request, base_of, send};
use crate::cli::{Fault, Settings};
use crate::config::Config;

/// The environment variable with the token.
const TOKEN: &str = "THRONG_OPERATOR_TOKEN";

/// Flags of every command that asks the master.
#[derive(Debug, Args)]
pub(in crate::cli) struct Asking {
    /// The master's operators' port, http://host:port [default: this machine, ports.admin]
    #[arg(long, value_name = "URL")]
    master: Option<String>,
    /// File with the operators' token [default: $THRONG_OPERATOR_TOKEN, else operator.token in the
    /// data folder]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// The master, as this command reaches it.
pub(super) struct Master<'a> {
    base: String,
    asking: &'a Asking,
    settings: &'a Settings,
    /// Read already, if the address came from it.
    config: Option<Config>,
}

impl Asking {
    /// Where the master is. The configuration is only read for what no flag says.
    ///
    /// # Errors
    /// If the configuration is needed and not usable.
    pub(super) fn master<'a>(&'a self, settings: &'a Settings) -> Result<Master<'a>, Fault> {
        let (base, config) = match &self.master {
            Some(url) => (url.trim_end_matches('/').to_owned(), None),
            None => {
                let config = settings.load()?;
                (base_of(config.ports.admin), Some(config))
            }
        };
        Ok(Master { base, asking: self, settings, config })
    }
}

impl Master<'_> {
    /// The body of the answer to a GET, which needs no token.
    ///
    /// # Errors
    /// See [`Self::ask`].
    pub(super) fn get(&self, path: &str) -> Result<String, Fault> {
        self.ask("GET", path, None, "")
    }

    /// The body of the answer to a POST with the operators' token.
    ///
    /// # Errors
    /// If there is no token; and see [`Self::ask`].
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<String, Fault> {
        let token = self.token()?;
        self.ask("POST", path, Some(&token), &body.to_string())
    }

    /// Asks, and gives the body of an answer with 200.
    ///
    /// # Errors
    /// [`Fault::Unreachable`] if nobody answers, [`Fault::NotAllowed`] if the token is the wrong
    /// one, else with the master's own words.
    fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> Result<String, Fault> {
        let url = format!("{}{path}", self.base);
        let Answer { status, body } = send(Request { method, url: &url, token, body })
            .with_context(|| {
                let base = &self.base;
                format!(
                    "the master's operators' port does not answer at {base} (--master says where)"
                )
            })
            .map_err(Fault::Unreachable)?;
        match status {
            200 => Ok(body),
            401 => Err(Fault::NotAllowed(anyhow!(
                "{} says: {} (--token-file, ${TOKEN}, or operator.token of the master's data folder)",
                self.base,
                words(&body)
            ))),
            _ => match message(&body) {
                // The master's own words say it all.
                Some(message) => Err(anyhow!(message).into()),
                None => Err(anyhow!("{url} answers with {status}: {}", words(&body)).into()),
            },
        }
    }

    fn token(&self) -> Result<String, Fault> {
        if let Some(file) = &self.asking.token_file {
            return read(file.clone());
        }
        if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty()) {
            return Ok(token.trim().to_owned());
        }
        let folder = match &self.config {
            Some(config) => config.data_dir.clone(),
            None => self.settings.load()?.data_dir,
        };
        read(folder.join("operator.token"))
    }
}

fn read(file: PathBuf) -> Result<String, Fault> {
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!("no token in {} (--token-file FILE or ${TOKEN} has it)", file.display())
    });
    text.map(|text| text.trim().to_owned()).map_err(Fault::NotAllowed)
}

/// What an error of the master's says; none: it is not one of those.
fn message(body: &str) -> Option<String> {
    let value = serde_json::from_str::<Value>(body).ok()?;
    Some(harmless(value.get("message")?.as_str()?))
}

/// What an error's body says. What is none of the master's is shown by its beginning.
fn words(body: &str) -> String {
    let beginning = || harmless(&body.trim().chars().take(200).collect::<String>());
    message(body).unwrap_or_else(beginning)
}

/// A text that cannot steer a terminal.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One part of a path, whatever it holds.
pub(super) fn escaped(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    part.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_stays_one() {
        assert_eq!(escaped("zone-1"), "zone-1");
        assert_eq!(escaped("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
    }

    #[test]
    fn an_error_speaks_in_the_masters_words() {
        assert_eq!(
            words("{\"status\":\"error\",\"message\":\"no\u{1b}zone\"}"),
            "{\"status\":\"error\",\"message\":\"no zone\"}"
        );
        assert_eq!(words("{\"message\":\"no such zone\"}"), "no such zone");
        assert_eq!(message("{\"message\":\"no\\u001bzone\"}").as_deref(), Some("no zone"));
        assert_eq!(message("<html>"), None, "somebody else's server");
        assert_eq!(words("<html>\n\u{1b}[31m"), "<html>  [31m");
    }
}
