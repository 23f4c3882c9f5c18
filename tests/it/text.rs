//! A person at `nc`: sends lines, waits for lines.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::server::{Server, within};

/// One connection to the text port.
pub struct TextClient {
    /// The player's id, once registered.
    pub id: u64,
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    /// Everything that came, for the failure's words.
    seen: Vec<String>,
}

impl TextClient {
    /// Connects.
    pub async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address("text")).await.expect("the text port");
        let (reader, writer) = stream.into_split();
        Self { id: 0, lines: BufReader::new(reader).lines(), writer, seen: Vec::new() }
    }

    /// Registers and logs in.
    pub async fn player(server: &Server, name: &str) -> Self {
        let mut client = Self::connect(server).await;
        client.send(&format!("REGISTER {name} secret-word")).await;
        let registered = client.expect("REGISTERED").await;
        client.id = word(&registered, 1).parse().expect("a player's id");
        client.send(&format!("LOGIN {name} secret-word")).await;
        client.expect("PLAYER_INFO").await;
        client
    }

    /// Sends one line and waits for the line that answers it.
    pub async fn ask(&mut self, line: &str, answer: &str) -> String {
        self.send(line).await;
        self.expect(answer).await
    }

    /// Sends one line.
    pub async fn send(&mut self, line: &str) {
        self.send_raw(format!("{line}\n").as_bytes()).await;
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.expect("a writable connection");
    }

    /// The next line that begins with `start`; others before it are passed over.
    pub async fn expect(&mut self, start: &str) -> String {
        self.expect_where(start, |line| line.starts_with(start)).await
    }

    /// The next line for which `fits` holds.
    pub async fn expect_where(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let seen = &mut self.seen;
        let lines = &mut self.lines;
        let find = async {
            loop {
                match lines.next_line().await {
                    Ok(Some(line)) => {
                        seen.push(line.clone());
                        if fits(&line) {
                            return Some(line);
                        }
                    }
                    _ => return None,
                }
            }
        };
        match tokio::time::timeout(crate::server::PATIENCE, find).await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("closed before '{what}'; came: {:#?}", self.seen),
            Err(_) => panic!("'{what}' did not come; came: {:#?}", self.seen),
        }
    }

    /// The latest line that came for which `fits` holds, or the first one to come.
    pub async fn find(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        if let Some(line) = self.seen.iter().rev().find(|line| fits(line)) {
            return line.clone();
        }
        self.expect_where(what, fits).await
    }

    /// Waits until the server closes the connection.
    pub async fn expect_end(&mut self) {
        within("the end", async {
            while let Ok(Some(line)) = self.lines.next_line().await {
                self.seen.push(line);
            }
        })
        .await;
    }
}

/// A word of a line, from 0.
pub fn word(line: &str, index: usize) -> &str {
    line.split_whitespace().nth(index).unwrap_or_else(|| panic!("no word {index} in '{line}'"))
}

/// A field of a line's part between colons, from 0.
pub fn field(line: &str, index: usize) -> &str {
    line.split(':').nth(index).unwrap_or_else(|| panic!("no field {index} in '{line}'"))
}
