//! `throng health`: is it alive, is it ready?

use std::net::SocketAddr;

use anyhow::{Context, bail};

use super::http::{Answer, base_of, get};
use super::say;

/// Where to ask a server whose operators' port is `admin`.
pub(super) fn url_of(admin: SocketAddr) -> String {
    format!("{}/healthz", base_of(admin))
}

/// Asks, and prints the answer's body. An address without a path is asked for `/healthz`.
///
/// # Errors
/// If nobody answers in time, or not with 200.
pub(super) fn ask(url: &str) -> anyhow::Result<()> {
    let alone = !url.trim_start_matches("http://").contains('/');
    let url = &if alone { format!("{url}/healthz") } else { url.to_owned() };
    let Answer { status, body } = get(url).with_context(|| url.to_owned())?;
    say(body.trim_end());
    if status != 200 {
        bail!("{url} answers with {status}");
    }
    Ok(())
}

/// Asks, and gives the answer's status.
///
/// # Errors
/// If nobody answers in time.
pub(super) fn status(url: &str) -> anyhow::Result<u16> {
    Ok(get(url)?.status)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn served(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = url_of(listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = client.read(&mut request).unwrap();
            client.write_all(answer.as_bytes()).unwrap();
        });
        url
    }

    #[test]
    fn only_200_is_healthy() {
        ask(&served("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).unwrap();
        let sick = ask(&served("HTTP/1.1 503 Service Unavailable\r\n\r\nno database"));
        assert!(sick.unwrap_err().to_string().ends_with("answers with 503"));
        assert!(ask(&served("SSH-2.0-nothing\r\n\r\n")).is_err());
    }
}
