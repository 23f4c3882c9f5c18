//! A fault in the service of one session: real sockets, a real shard, and packets that break it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::gateway::outlet::BREAKS;
use crate::net::{Framing, Gate, ListenConfig, listen};
use crate::proto::ResumeRequest;
use crate::protocol::packet as wire;

/// A shard's service that is told whole batches, so that a test knows what comes together.
struct Batches(GatewayService);

impl Service for Batches {
    type Msg = Vec<ToShard>;

    fn on_open(&mut self, io: &mut Io<'_>, conn: ConnId, peer: Peer) {
        self.0.on_open(io, conn, peer);
    }
    fn on_frame(&mut self, io: &mut Io<'_>, conn: ConnId, body: &[u8]) {
        self.0.on_frame(io, conn, body);
    }
    fn on_turn(&mut self, io: &mut Io<'_>) {
        self.0.on_turn(io);
    }
    fn on_paused(&mut self, io: &mut Io<'_>, conn: ConnId, waiting: usize) {
        self.0.on_paused(io, conn, waiting);
    }
    fn on_stall(&mut self, lost: std::time::Duration) {
        self.0.on_stall(lost);
    }
    fn on_fault(&mut self, io: &mut Io<'_>, conn: ConnId, fault: FrameFault) {
        self.0.on_fault(io, conn, fault);
    }
    fn on_close(&mut self, io: &mut Io<'_>, conn: ConnId, reason: CloseReason) {
        self.0.on_close(io, conn, reason);
    }
    fn on_drained(&mut self, io: &mut Io<'_>, conn: ConnId) {
        self.0.on_drained(io, conn);
    }
    fn on_sweep(&mut self, io: &mut Io<'_>, now: std::time::Instant) {
        self.0.on_sweep(io, now);
    }
    fn on_msgs(&mut self, io: &mut Io<'_>, msgs: &mut Vec<Vec<ToShard>>) {
        for mut batch in msgs.drain(..) {
            self.0.on_msgs(io, &mut batch);
        }
    }
}

struct Hall {
    shards: Shards<Vec<ToShard>>,
    reports: mpsc::Receiver<FromShard>,
    address: std::net::SocketAddr,
    _stop: tokio_util::sync::DropGuard,
    _desk: Desk,
}

impl Hall {
    async fn open() -> Self {
        let desk = Desk::open(64).await;
        let (to_reports, reports) = mpsc::channel(64);
        let shared = Shared { reports: to_reports, ..desk.gateway.shared.clone() };
        let stop = CancellationToken::new();
        let limits = NetConfig::default().connection_limits();
        let make = move |index| Batches(GatewayService::new(index, shared.clone()));
        let shards = spawn_shards(1, 64, limits, stop.clone(), make);
        let local = "127.0.0.1:0".parse().unwrap();
        let config =
            ListenConfig::new(&NetConfig::default(), local, Framing::Length, 1_024, "test");
        let gate = Gate::new(100, 100);
        let (address, _) = listen(config, shards.clone(), gate, stop.clone()).unwrap();
        Self { shards, reports, address, _stop: stop.drop_guard(), _desk: desk }
    }

    fn tell(&self, batch: Vec<ToShard>) {
        assert!(self.shards.send(0, batch).is_ok());
    }

    async fn report(&mut self) -> FromShard {
        tokio::time::timeout(PATIENCE, self.reports.recv()).await.unwrap().unwrap()
    }

    /// A client that waits to be let in, and its connection.
    async fn client(&mut self) -> (TcpStream, ConnId) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = ResumeRequest { resume_token: "a".repeat(64), last_sequence: 0 };
        let mut bytes = Vec::new();
        let payload = request.encode_to_vec();
        wire::append(&mut bytes, PacketType::ResumeRequest, 1, unix_millis(), &[&payload]);
        stream.write_all(&bytes).await.unwrap();
        match self.report().await {
            FromShard::Resume(asked) => (stream, asked.conn.conn),
            _ => panic!("no resume was asked for"),
        }
    }

    /// The same, whose player is in the world.
    async fn player(&mut self, session: u64) -> (TcpStream, SessionKey, ConnId) {
        let (mut stream, conn) = self.client().await;
        self.tell(vec![ToShard::Open(Box::new(opening(session, conn, "owls")))]);
        assert_eq!(next(&mut stream).await, Some(PacketType::EnterWorldResponse));
        (stream, SessionKey(session), conn)
    }
}

fn opening(session: u64, conn: ConnId, guild: &str) -> Opening {
    Opening {
        conn,
        session: SessionKey(session),
        session_id: uuid::Uuid::new_v4(),
        token: ResumeToken::random(),
        player: PlayerId(session),
        zone: WEST,
        how: How::Entered { state: state(), guild: guild.into() },
        conduct: None,
    }
}

/// The next packet's type; none: the connection has ended.
async fn next(stream: &mut TcpStream) -> Option<PacketType> {
    let mut prefix = [0; 4];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut prefix)).await.unwrap();
    read.ok()?;
    let mut body = vec![0; u32::from_le_bytes(prefix) as usize];
    stream.read_exact(&mut body).await.unwrap();
    let (header, _) = wire::decode(&body, 65_536).unwrap();
    Some(PacketType::try_from(header.kind).unwrap())
}

fn breaking() -> Outgoing {
    Outgoing { kind: PacketType::ChatMessage, payload: BREAKS.into() }
}

fn lost(report: FromShard) -> SessionKey {
    match report {
        FromShard::Lost { session, .. } => session,
        _ => panic!("no session was lost"),
    }
}

/// A frame in which nobody stands, after which what waits is written.
fn tick(number: u64) -> ToShard {
    ToShard::Frame { frame: frame(WEST, 1, number, &[]), missed: vec![] }
}

#[tokio::test]
async fn a_packet_that_breaks_one_session_costs_nothing_that_stands_beside_it() {
    let mut hall = Hall::open().await;
    let (mut ann, hers, _) = hall.player(1).await;
    let (mut bob, his, _) = hall.player(2).await;
    let (mut eve, conn) = hall.client().await;
    hall.tell(vec![
        ToShard::Packet { session: hers, packet: breaking() },
        ToShard::Open(Box::new(opening(3, conn, "owls"))),
        ToShard::Packets { sessions: vec![hers, his, SessionKey(3)], packet: packet(7) },
        tick(1),
    ]);
    assert_eq!(lost(hall.report().await), hers);
    while next(&mut ann).await.is_some() {}
    assert_eq!(next(&mut bob).await, Some(PacketType::ChatMessage));
    assert_eq!(next(&mut bob).await, Some(PacketType::ZoneEnter), "its turn goes on");
    assert_eq!(next(&mut eve).await, Some(PacketType::EnterWorldResponse), "behind the fault");
    assert_eq!(next(&mut eve).await, Some(PacketType::ChatMessage));
    assert_eq!(next(&mut eve).await, Some(PacketType::ZoneEnter));
}

#[tokio::test]
async fn a_session_whose_opening_breaks_is_given_back() {
    let mut hall = Hall::open().await;
    let (mut bob, ..) = hall.player(2).await;
    let (mut ann, conn) = hall.client().await;
    hall.tell(vec![ToShard::Open(Box::new(opening(1, conn, BREAKS))), tick(1)]);
    assert_eq!(lost(hall.report().await), SessionKey(1));
    assert_eq!(next(&mut ann).await, None);
    assert_eq!(next(&mut bob).await, Some(PacketType::ZoneEnter));
}

#[tokio::test]
async fn a_broadcast_reaches_all_but_the_one_that_breaks() {
    let mut hall = Hall::open().await;
    let (mut bob, his, _) = hall.player(2).await;
    let (mut ann, hers, _) = hall.player(1).await;
    hall.tell(vec![
        ToShard::Packets { sessions: vec![hers], packet: breaking() },
        ToShard::Packets { sessions: vec![his], packet: packet(1) },
        ToShard::Broadcast(packet(2)),
        tick(1),
    ]);
    assert_eq!(lost(hall.report().await), hers);
    while next(&mut ann).await.is_some() {}
    assert_eq!(next(&mut bob).await, Some(PacketType::ChatMessage));
    assert_eq!(next(&mut bob).await, Some(PacketType::ChatMessage));
    assert_eq!(next(&mut bob).await, Some(PacketType::ZoneEnter));
}
