//! Flooders: sockets that send as much as they get rid of, or hold a place and do nothing. A thread with
//! one event queue, so that flooders which are held back cost nothing themselves.
//!
//! What comes back is read and thrown away; whoever is sent away connects again a quarter of a second
//! later, from an address that no bot has.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use prost::Message;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Assault, Flood};
use crate::proto::{self, PacketType};
use crate::protocol::client::password_hash;
use crate::protocol::packet;
use crate::tick::now;

/// Before a flooder that was sent away comes again.
const COME_AGAIN: Duration = Duration::from_millis(250);
/// Between two looks whether it is over.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Bytes made at once.
const CHUNK: usize = 32 * 1_024;
/// Chunks sent in a row before the others have their turn.
const CHUNKS_IN_A_ROW: usize = 16;
/// Whence flooders come, where the server is on this machine.
const ELSEWHERE: &str = "127.0.0.2:0";

/// Floods until `over`. `accounts`: names and the password of those who log in.
///
/// # Errors
/// The system gives no event queue.
pub(in crate::loadtest) fn pour(
    assault: &Assault,
    accounts: &dyn Fn(usize) -> (String, String),
    over: &dyn Fn() -> bool,
) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let count = assault.count as usize;
    let mut flooders: Vec<Flooder> = (0..count).map(|at| Flooder::new(accounts(at))).collect();
    let mut busy = Vec::new();
    while !over() {
        let wait = if busy.is_empty() { LOOK_AGAIN } else { Duration::ZERO };
        poll.poll(&mut events, Some(wait))?;
        let at = now();
        for (place, flooder) in flooders.iter_mut().enumerate() {
            if flooder.socket.is_none() && flooder.again <= at {
                // Fails only where the server is gone, or has no place: then it comes again.
                flooder.connect(assault, &poll, Token(place)).unwrap_or_default();
            }
        }
        let due: Vec<usize> = events.iter().map(|event| event.token().0).collect();
        for place in std::mem::take(&mut busy).into_iter().chain(due) {
            if flooders[place].serve(assault.flood) && !busy.contains(&place) {
                busy.push(place);
            }
        }
    }
    Ok(())
}

/// One connection at a time.
struct Flooder {
    account: (String, String),
    socket: Option<TcpStream>,
    again: Instant,
    /// To be sent.
    out: Vec<u8>,
    sent: usize,
    /// Packets made on this connection.
    sequence: u64,
}

impl Flooder {
    fn new(account: (String, String)) -> Self {
        Self { account, socket: None, again: now(), out: Vec::new(), sent: 0, sequence: 0 }
    }

    fn connect(&mut self, assault: &Assault, poll: &Poll, token: Token) -> io::Result<()> {
        let target = assault.target;
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
        self.again = now() + COME_AGAIN;
        if target.is_ipv4() && target.ip().is_loopback() {
            let elsewhere: SocketAddr = ELSEWHERE.parse().map_err(io::Error::other)?;
            socket.bind(&elsewhere.into())?;
        }
        socket.set_nonblocking(true)?;
        match socket.connect(&target.into()) {
            Err(error)
                if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
            {
                return Err(error);
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        (self.socket, self.sent, self.sequence) = (Some(stream), 0, 0);
        self.out.clear();
        self.greet(assault.flood);
        Ok(())
    }

    /// What comes before the flood.
    fn greet(&mut self, flood: Flood) {
        match flood {
            Flood::HalfOpen => {
                self.out.extend_from_slice(b"GET / HTTP/1.1\r\nhost: here\r\nx-half: ")
            }
            Flood::Pings => self.out.extend_from_slice(
                b"GET /ws HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            ),
            Flood::Outside => {
                let (username, password) = self.account.clone();
                let login = proto::LoginRequest {
                    username,
                    password_hash: password_hash(&password),
                    client_version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..Default::default()
                };
                self.packet(PacketType::LoginRequest, &login.encode_to_vec());
            }
            _ => {}
        }
    }

    fn packet(&mut self, kind: PacketType, payload: &[u8]) {
        self.sequence += 1;
        packet::append(&mut self.out, kind, self.sequence, 0, &[payload]);
    }

    /// Makes more of the flood; nothing: it is silent.
    fn more(&mut self, flood: Flood) {
        (self.sent, self.out) = (0, std::mem::take(&mut self.out));
        self.out.clear();
        let repeated: &[u8] = match flood {
            Flood::Outside | Flood::HalfOpen => return,
            Flood::Yes => b"y\n",
            Flood::Nowhere => b"GET /nowhere HTTP/1.1\r\nhost: here\r\n\r\n",
            Flood::Pings => &[0x89, 0x80, 1, 2, 3, 4],
            Flood::Heartbeats | Flood::WrongState | Flood::Unknown => {
                let kind = match flood {
                    Flood::Heartbeats => PacketType::HeartbeatRequest,
                    Flood::WrongState => PacketType::MoveTo,
                    _ => PacketType::Unspecified,
                };
                while self.out.len() < CHUNK {
                    self.packet(kind, &[]);
                }
                return;
            }
        };
        while self.out.len() < CHUNK {
            self.out.extend_from_slice(repeated);
        }
    }

    /// Reads what there is and sends what goes; true: more would go at once.
    fn serve(&mut self, flood: Flood) -> bool {
        match self.exchange(flood) {
            Ok(more) => more,
            Err(_) => {
                self.socket = None;
                self.again = now() + COME_AGAIN;
                false
            }
        }
    }

    fn exchange(&mut self, flood: Flood) -> io::Result<bool> {
        let mut bytes = [0; 16 * 1_024];
        loop {
            let Some(socket) = &mut self.socket else { return Ok(false) };
            match socket.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if is_early(&error) => break,
                Err(error) => return Err(error),
            }
        }
        for _ in 0..CHUNKS_IN_A_ROW {
            if self.sent == self.out.len() {
                self.more(flood);
                if self.out.is_empty() {
                    return Ok(false);
                }
            }
            let Some(socket) = &mut self.socket else { return Ok(false) };
            match socket.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if is_early(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// There is nothing yet, or no room yet, or no connection yet.
fn is_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::NotConnected
    )
}
