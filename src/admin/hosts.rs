//! Under which names the operators' port may be asked for.
//!
//! Reading it needs no token on this machine, so a web page must not be able to: one whose own name
//! is pointed at 127.0.0.1 after it was loaded (DNS rebinding) would count as the port's own page in
//! an operator's browser. Such a request still names the page's host, and nothing is answered to a
//! name that nobody has configured.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::error::ApiError;
use crate::net::origin::{authority, shown};
use crate::seldom::Seldom;

/// `[admin]`: the operators' port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AdminConfig {
    /// Host names, without a port, under which the port may be asked for besides `localhost`, any
    /// address, and what the process is reached by (`ports.advertise`, `link.advertise`).
    pub allowed_hosts: Vec<String>,
}

impl AdminConfig {
    /// What is wrong with the values, each with its key and what is allowed.
    pub fn problems(&self) -> Vec<String> {
        let is_name = |text: &&String| matches!(authority(text), Some((_, None)));
        let wrong = self.allowed_hosts.iter().filter(|name| !is_name(name) || name.contains(':'));
        wrong
            .map(|name| {
                format!(
                    "admin.allowed_hosts must be host names without a port, like ops.example.org, \
                     which {name:?} is not"
                )
            })
            .collect()
    }
}

/// The names that are answered.
#[derive(Debug)]
pub struct Hosts {
    /// In lower case.
    names: Vec<String>,
    complaints: Seldom,
}

impl Hosts {
    /// `localhost`, every address, and `names`.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let own = std::iter::once("localhost".to_owned());
        let names = own.chain(names.into_iter().map(|name| name.to_ascii_lowercase())).collect();
        Self { names, complaints: Seldom::default() }
    }

    /// Whether a request may be answered. One without a `Host` comes from no browser.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(told) = headers.get(header::HOST) else { return Ok(()) };
        let told = told.to_str().unwrap_or("");
        if authority(told).is_some_and(|(host, _)| self.has(&host)) {
            return Ok(());
        }
        let host = shown(told);
        if let Some(unsaid) = self.complaints.allow() {
            warn!(
                host,
                unsaid,
                "the operators' port was asked for under a name that admin.allowed_hosts does not \
                 list"
            );
        }
        Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "this port is not asked for as '{host}': use localhost or an address, or list the \
                 name in admin.allowed_hosts"
            ),
        ))
    }

    fn has(&self, host: &str) -> bool {
        host.parse::<IpAddr>().is_ok() || self.names.iter().any(|name| name == host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_configured_names_are_answered_and_nothing_else() {
        let hosts = Hosts::new(["Ops.example.org".to_owned()]);
        let check = |host: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            hosts.check(&headers)
        };
        for good in [
            "127.0.0.1:8090",
            "10.244.1.17:8090",
            "[::1]:8090",
            "localhost",
            "LOCALHOST:9000",
            "ops.example.org",
            "OPS.example.org:8090",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:8090",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8090",
            "x.ops.example.org",
            "127.0.0.1@evil.example",
            "",
        ] {
            let refused = check(bad).unwrap_err();
            assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST, "{bad}");
            assert!(refused.message.contains("admin.allowed_hosts"), "{}", refused.message);
        }
        assert_eq!(hosts.check(&HeaderMap::new()), Ok(()), "no browser leaves it out");
    }

    #[test]
    fn a_port_or_a_path_is_no_host_name() {
        let problems = |name: &str| AdminConfig { allowed_hosts: vec![name.into()] }.problems();
        assert_eq!(problems("ops.example.org"), [""; 0]);
        for wrong in ["ops:8090", "http://ops", "ops/", "", "*"] {
            assert!(problems(wrong)[0].starts_with("admin.allowed_hosts must"), "{wrong}");
        }
    }
}
