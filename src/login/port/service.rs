//! What the network's shards call: connections of the login port that open, say something, pour, and
//! end. Each call does its part with what `port.rs` has for it, and decides nothing.

use std::time::{Duration, Instant};

use super::{AUTHENTICATE_WITHIN, Client, LoginPort, PortMsg};
use crate::net::rate::{RateGate, Withheld};
use crate::net::{CloseReason, ConnId, FrameFault, Io, Peer, Service};
use crate::proto::{DisconnectReason, ErrorCode};
use crate::protocol::server;
use crate::protocol::table::ClientState;

impl Service for LoginPort {
    type Msg = PortMsg;

    fn on_open(&mut self, io: &mut Io<'_>, conn: ConnId, peer: Peer) {
        let client = Client {
            address: peer.address,
            state: ClientState::Fresh,
            asking: None,
            expected: 1,
            sent: 0,
            strikes: Vec::new(),
            rates: RateGate::new(io.now()),
            withheld: Withheld::default(),
            player: None,
            pending: Vec::new(),
            deadline: io.now() + AUTHENTICATE_WITHIN,
        };
        self.clients.insert(conn, client);
    }

    fn on_frame(&mut self, io: &mut Io<'_>, conn: ConnId, body: &[u8]) {
        let expected = self.clients.get(&conn).map_or(0, |client| client.expected);
        if !self.charge(io, conn, expected, 0) {
            // It was a packet to its sender, which counts on.
            if let Some(client) = self.clients.get_mut(&conn) {
                client.expected += 1;
            }
            return;
        }
        match self.read(conn, body) {
            Ok((sequence, cost, packet)) if self.charge(io, conn, sequence, cost) => {
                self.on_packet(io, conn, sequence, packet);
            }
            Ok(_) => {}
            Err((sequence, rejected)) => self.reject(io, conn, sequence, &rejected),
        }
    }

    fn on_turn(&mut self, io: &mut Io<'_>) {
        self.write_answers(io);
    }

    fn on_paused(&mut self, io: &mut Io<'_>, conn: ConnId, waiting: usize) {
        if self.rates.is_flood(waiting) {
            metrics::counter!("throng_floods_closed_total").increment(1);
            let words = "more than ten times as many packets as are allowed";
            self.dismiss(io, conn, DisconnectReason::DisconnectProtocol, words);
        }
    }

    fn on_stall(&mut self, lost: Duration) {
        self.clients.values_mut().for_each(|client| client.deadline += lost);
    }

    fn on_fault(&mut self, io: &mut Io<'_>, conn: ConnId, fault: FrameFault) {
        let code = match fault {
            FrameFault::TooLong { .. } => ErrorCode::ErrorTooLarge,
            FrameFault::Empty | FrameFault::NotUtf8 => ErrorCode::ErrorMalformed,
        };
        self.send_error(conn, 0, code, (&fault.to_string(), 0));
        // The connection closes now.
        self.flush(io, conn);
    }

    fn on_close(&mut self, _: &mut Io<'_>, conn: ConnId, _: CloseReason) {
        self.forget(conn);
    }

    fn on_drained(&mut self, _: &mut Io<'_>, _: ConnId) {}

    fn on_msgs(&mut self, io: &mut Io<'_>, msgs: &mut Vec<PortMsg>) {
        for message in msgs.drain(..) {
            match message {
                PortMsg::LoginDecided { conn, decision } => {
                    self.on_login_decided(io, conn, &decision);
                }
                PortMsg::RegisterDecided { conn, decision } => {
                    self.on_registered(io, conn, &decision);
                }
                PortMsg::Queued { conn, place } => {
                    self.send(conn, &server::login_queue(place));
                }
            }
        }
        self.write_answers(io);
    }

    fn on_sweep(&mut self, io: &mut Io<'_>, now: Instant) {
        let mut late = Vec::new();
        for (conn, client) in &self.clients {
            if client.asking.is_none() && client.deadline <= now {
                late.push(*conn);
            }
        }
        for conn in late {
            let words = "not logged in within 10 s, or done here";
            self.dismiss(io, conn, DisconnectReason::DisconnectTimeout, words);
        }
    }
}
