//! The bare loop's side of the sockets: one thread, one event queue, one buffer in and one out.
//!
//! Runs as a process of its own, so that the operating system counts its time. Whoever connects is
//! sent to: it is for comparing on one machine and listens there alone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use clap::Args;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::tick::now;

/// Events that are taken at once.
const EVENTS: usize = 1_024;
/// Bytes read at once.
const READ_BUFFER: usize = 64 * 1_024;
const LISTENER: Token = Token(usize::MAX);

/// Options of `throng bare-loop`, which `throng loadtest --baseline` starts.
#[derive(Debug, Clone, Args)]
pub struct BareLoop {
    /// How many connect
    #[arg(long)]
    clients: usize,
    /// Bytes of a client's packet
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    request: u32,
    /// Bytes of a packet to a client
    #[arg(long, value_parser = clap::value_parser!(u32).range(5..=65_536))]
    packet: u32,
    /// Packets in one write
    #[arg(long)]
    per_write: f64,
    /// Writes a second to each client
    #[arg(long)]
    writes: f64,
    /// Answer each packet instead
    #[arg(long)]
    answer: bool,
}

struct Connection {
    stream: TcpStream,
    /// Bytes of a packet that has not come whole.
    partial: usize,
    open: bool,
}

struct Looping<'a> {
    options: &'a BareLoop,
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// Packets, one after another.
    packets: Vec<u8>,
}

impl BareLoop {
    /// Listens, says where on standard output, and loops until it is killed.
    ///
    /// # Errors
    /// If the system refuses a socket or the event queue.
    pub fn run(&self) -> anyhow::Result<()> {
        let poll = Poll::new()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut output = io::stdout().lock();
        writeln!(output, "{}", listener.local_addr()?.port())?;
        output.flush()?;
        let most = (self.per_write.ceil() as usize).clamp(1, 4_096);
        let looping = Looping {
            options: self,
            poll,
            listener,
            connections: Vec::with_capacity(self.clients),
            buffer: vec![0; READ_BUFFER],
            packets: self.packet_bytes().repeat(most),
        };
        looping.turn()
    }

    /// One packet: a length and as many bytes.
    fn packet_bytes(&self) -> Vec<u8> {
        let mut packet = vec![0; self.packet as usize];
        let length = (self.packet - 4).to_le_bytes();
        packet[..4].copy_from_slice(&length);
        packet
    }
}

impl Looping<'_> {
    fn turn(mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let period = Duration::from_secs_f64(1.0 / self.options.writes.clamp(0.1, 1_000.0));
        let (mut due, mut owed) = (now() + period, 0.0);
        loop {
            let wait = (!self.options.answer).then(|| due.saturating_duration_since(now()));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(place) => self.read(place),
                }
            }
            if !self.options.answer && now() >= due {
                owed += self.options.per_write;
                self.write_all(owed as usize);
                owed -= owed.floor();
                due = next(due, period);
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (mut stream, _) = match self.listener.accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                accepted => accepted?,
            };
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len());
            self.poll.registry().register(&mut stream, token, Interest::READABLE)?;
            self.connections.push(Connection { stream, partial: 0, open: true });
        }
    }

    /// Reads what is there; answers it if it is to.
    fn read(&mut self, place: usize) {
        let Some(connection) = self.connections.get_mut(place) else { return };
        loop {
            let read = match connection.stream.read(&mut self.buffer) {
                Ok(0) => return connection.open = false,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return connection.open = false,
            };
            let bytes = connection.partial + read;
            let request = self.options.request as usize;
            connection.partial = bytes % request;
            if self.options.answer {
                for _ in 0..bytes / request {
                    let packet = &self.packets[..self.options.packet as usize];
                    connection.open &= write(&mut connection.stream, packet);
                }
            }
            if read < self.buffer.len() {
                return;
            }
        }
    }

    /// So many packets to everybody.
    fn write_all(&mut self, packets: usize) {
        let bytes = (packets * self.options.packet as usize).min(self.packets.len());
        for connection in self.connections.iter_mut().filter(|connection| connection.open) {
            connection.open = write(&mut connection.stream, &self.packets[..bytes]);
        }
    }
}

/// Writes once; a socket that is full gets nothing. False: it is gone.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    match stream.write(bytes) {
        Ok(written) => written == bytes.len() || bytes.is_empty(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// The next moment of the schedule; those that have passed are gone.
fn next(due: Instant, period: Duration) -> Instant {
    let (mut next, now) = (due + period, now());
    while next + period < now {
        next += period;
    }
    next
}
