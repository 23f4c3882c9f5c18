//! What clients of the text port send: lines that stand for packets, and some that only lines have.
//!
//! A line passes the same gate as a packet (`inbound.rs`) but earns no strikes: who types is not a
//! faulty program. Every line is counted against the rates before it is looked at.

use metrics::counter;

use super::inbound::Refused;
use super::shard::GatewayService;
use crate::msg::ChatMsg;
use crate::net::rate::Class;
use crate::net::{ConnId, Io};
use crate::proto::ErrorCode;
use crate::protocol::server;
use crate::protocol::table;
use crate::protocol::text::{self, RouteKind, TextCommand};

/// What a line that stands for no packet costs, in packets.
fn line_cost(command: &TextCommand) -> u32 {
    match command {
        TextCommand::Help => 5,
        // As dear as the members of a room.
        TextCommand::Who => 20,
        _ => 1,
    }
}

impl GatewayService {
    pub(super) fn take_line(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        body: &[u8],
    ) -> (&'static str, u64, Result<(), Refused>) {
        let Some(client) = self.conn(conn) else { return ("NONE", 0, Ok(())) };
        client.received += 1;
        let sequence = client.received;
        // Net hands over lines of valid UTF-8 only.
        let line = String::from_utf8_lossy(body);
        let command = match text::parse(&line) {
            Ok(command) => command,
            Err(problem) => {
                let refused = Refused::mild(ErrorCode::ErrorInvalidArgument, problem, 0);
                return ("LINE", sequence, Err(refused));
            }
        };
        let kind = match &command {
            TextCommand::Packet(packet) => table::rule(packet.kind()).name,
            _ => "LINE",
        };
        let result = match command {
            TextCommand::Packet(packet) => {
                let state = client.client_state();
                table::admit(packet.kind() as i32, 0, state)
                    // A person who types is not a faulty program.
                    .map_err(|rejected| Refused::mild(rejected.code, rejected.message, 0))
                    .and_then(|rule| self.charge(conn, rule))
                    .and_then(|()| self.carry_out(io, conn, sequence, packet))
            }
            TextCommand::Quit => self.quit(io, conn),
            command => self
                .charge_line(conn, line_cost(&command))
                .and_then(|()| self.carry_out_line(io, conn, sequence, &command)),
        };
        (kind, sequence, result)
    }

    /// Does what only lines can ask for.
    fn carry_out_line(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        sequence: u64,
        command: &TextCommand,
    ) -> Result<(), Refused> {
        match command {
            TextCommand::Route(kind) => self.redirect(io, conn, sequence, *kind),
            TextCommand::Ping => self.say(io, conn, text::PONG),
            TextCommand::Help => self.say(io, conn, text::HELP),
            TextCommand::Who => self.who(conn, sequence),
            TextCommand::Quit | TextCommand::Packet(_) => Ok(()),
        }
    }

    /// Counts a line that stands for no packet against the client's rate.
    fn charge_line(&mut self, conn: ConnId, cost: u32) -> Result<(), Refused> {
        self.charge_class(conn, Class::General, cost)
    }

    fn who(&mut self, conn: ConnId, request: u64) -> Result<(), Refused> {
        let Some(client) = self.conn(conn) else { return Ok(()) };
        if client.playing().is_none() {
            return Err(Refused::mild(ErrorCode::ErrorWrongState, "log in first", 0));
        }
        self.tell_chat(conn, |player| ChatMsg::Who { player, request })
    }

    fn say(&mut self, io: &mut Io<'_>, conn: ConnId, lines: &str) -> Result<(), Refused> {
        if let Some(client) = self.conn(conn) {
            client.pending.extend_from_slice(lines.as_bytes());
            self.write_soon(io, conn);
        }
        Ok(())
    }

    /// A first line that asks where to go.
    fn redirect(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        sequence: u64,
        kind: RouteKind,
    ) -> Result<(), Refused> {
        if sequence != 1 {
            let message = "routing is asked for by the first line alone";
            return Err(Refused::mild(ErrorCode::ErrorWrongState, message, 0));
        }
        // Every role of play is reached through a gateway's text port.
        let (RouteKind::Login | RouteKind::World | RouteKind::Zone | RouteKind::Chat) = kind;
        let server = self.servers.iter().find(|server| server.text_port != 0).cloned();
        match server {
            Some(server) => {
                counter!("throng_redirects_total", "reason" => "routing").increment(1);
                self.send_now(io, conn, &server::redirect(&server.host, server.text_port));
            }
            None => self.say(io, conn, text::NO_SERVERS)?,
        }
        self.close(io, conn);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dear_lines_cost_more() {
        assert!(line_cost(&TextCommand::Ping) < line_cost(&TextCommand::Help));
        assert!(line_cost(&TextCommand::Help) < line_cost(&TextCommand::Who));
    }
}
