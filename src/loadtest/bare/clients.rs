//! The bare loop's clients: as many sockets as there were bots, which send packets of a size on a
//! schedule and count what comes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Traffic;
use crate::loadtest::process::{Process, Spent};
use crate::loadtest::tally::{histogram, note};
use crate::tick::now;

/// Before measuring begins: everybody's schedule has begun.
const WARM_UP: Duration = Duration::from_millis(1_500);
/// Events that are taken at once.
const EVENTS: usize = 1_024;
/// Bytes read at once.
const READ_BUFFER: usize = 64 * 1_024;

/// What was counted.
pub(super) struct Counted {
    pub seconds: f64,
    /// The loop's processor time, share of one core.
    pub spent: Option<Spent>,
    pub sent: u64,
    pub came: u64,
    /// 50 % and 99 %, where requests are answered.
    pub round_trip_ms: Option<(f64, f64)>,
}

struct Client {
    stream: TcpStream,
    /// When its last request went out.
    asked: Instant,
    partial: usize,
}

struct Clients<'a> {
    traffic: &'a Traffic,
    poll: Poll,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    request: Vec<u8>,
    sent: u64,
    came: u64,
    round_trip: Histogram<u64>,
    measures: bool,
}

/// Connects everybody to `port` and plays for `duration`.
pub(super) fn run(
    traffic: &Traffic,
    port: u16,
    duration: Duration,
    server: Process,
) -> anyhow::Result<Counted> {
    let mut clients = Clients::connect(traffic, port)?;
    clients.play(WARM_UP)?;
    (clients.sent, clients.came, clients.measures) = (0, 0, true);
    let (before, began) = (server.spent(), now());
    clients.play(duration)?;
    let (seconds, after) = (began.elapsed().as_secs_f64(), server.spent());
    let millis = |share: f64| clients.round_trip.value_at_quantile(share) as f64 / 1e3;
    Ok(Counted {
        seconds,
        spent: before.zip(after).map(|(before, after)| after.since(before, seconds)),
        sent: clients.sent,
        came: clients.came,
        round_trip_ms: traffic.answers.then(|| (millis(0.5), millis(0.99))),
    })
}

impl<'a> Clients<'a> {
    fn connect(traffic: &'a Traffic, port: u16) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut clients = Vec::new();
        for place in 0..traffic.clients as usize {
            let stream = std::net::TcpStream::connect(address)
                .context("the bare loop takes no more connections")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(place), Interest::READABLE)?;
            clients.push(Client { stream, asked: now(), partial: 0 });
        }
        Ok(Self {
            traffic,
            poll,
            clients,
            buffer: vec![0; READ_BUFFER],
            request: vec![0; traffic.request as usize],
            sent: 0,
            came: 0,
            round_trip: histogram(),
            measures: false,
        })
    }

    /// Sends evenly spread over time, whoever's turn it is, and reads.
    fn play(&mut self, duration: Duration) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let each = 1.0 / (self.traffic.requests * self.clients.len() as f64).max(0.01);
        let (began, mut turn) = (now(), 0u64);
        loop {
            let elapsed = began.elapsed();
            if elapsed >= duration {
                return Ok(());
            }
            while turn as f64 * each < elapsed.as_secs_f64() {
                self.send(turn as usize % self.clients.len());
                turn += 1;
            }
            let next = Duration::from_secs_f64(turn as f64 * each).saturating_sub(elapsed);
            match self.poll.poll(&mut events, Some(next.min(duration - elapsed))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                self.read(event.token().0)?;
            }
        }
    }

    fn send(&mut self, place: usize) {
        let client = &mut self.clients[place];
        client.asked = now();
        // One that is full sends nothing: what it would have sent is not counted.
        if client.stream.write(&self.request).is_ok() {
            self.sent += 1;
        }
    }

    fn read(&mut self, place: usize) -> io::Result<()> {
        let client = &mut self.clients[place];
        loop {
            let read = match client.stream.read(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let (bytes, packet) = (client.partial + read, self.traffic.packet as usize);
            let came = bytes / packet;
            client.partial = bytes % packet;
            self.came += came as u64;
            if self.traffic.answers && self.measures && came > 0 {
                note(&mut self.round_trip, client.asked.elapsed());
            }
            if read < self.buffer.len() {
                return Ok(());
            }
        }
    }
}
