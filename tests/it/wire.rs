//! Below the client library: a line in between that can fail, and packets and bytes by hand.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use prost::Message;
use throng::client::{ClientMessage, Connection, Endpoint, Event, Incoming};
use throng::proto::{self, PacketType};
use throng::protocol::packet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::server::{plain, within};

/// How a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// What the server sends is lost, though the connection stands.
    Deaf,
    /// Every connection there was is gone.
    Cut,
}

/// A line between clients and a server that can go deaf or break.
pub struct Line {
    address: SocketAddr,
    target: Arc<watch::Sender<SocketAddr>>,
    state: Arc<watch::Sender<State>>,
    task: JoinHandle<()>,
}

impl Line {
    /// A line to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let target = Arc::new(watch::Sender::new(target));
        let state = Arc::new(watch::Sender::new(State::Up));
        let (to, is) = (target.clone(), state.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = *to.borrow();
                tokio::spawn(carry(client, server, is.subscribe()));
            }
        });
        Self { address, target, state, task }
    }

    /// Where clients connect.
    pub fn endpoint(&self) -> Endpoint {
        plain(self.address)
    }

    /// Where new connections lead from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Loses all that the server sends from now on.
    pub fn deafen(&self) {
        self.state.send_replace(State::Deaf);
    }

    /// Breaks all connections; new ones work again.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
        self.state.send_replace(State::Up);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, mut state: watch::Receiver<State>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut up, mut down) = (vec![0; 16_384], vec![0; 65_536]);
    // A cut is over before anybody looks; a connection that has seen it must not go on.
    let mut deaf = false;
    loop {
        tokio::select! {
            changed = state.changed() => {
                let now = *state.borrow_and_update();
                if changed.is_err() || now != State::Deaf {
                    return;
                }
                deaf = true;
            }
            read = client.read(&mut up) => match read {
                Ok(count) if count > 0 && server.write_all(&up[..count]).await.is_ok() => {}
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) if deaf => {}
                Ok(count) => {
                    if client.write_all(&down[..count]).await.is_err() {
                        return;
                    }
                }
            },
        }
    }
}

/// A connection whose packets are sent and read one by one, and remembered by type.
pub struct Raw {
    pub connection: Connection,
    /// Types that have come.
    pub came: BTreeSet<i32>,
    /// Types that were sent.
    pub sent: BTreeSet<i32>,
    /// What was refused last, for a failure's words.
    last_error: Option<proto::Error>,
}

impl Raw {
    /// Connects.
    pub async fn open(endpoint: &Endpoint) -> Self {
        let connection = Connection::open(endpoint).await.expect("a connection");
        Self { connection, came: BTreeSet::new(), sent: BTreeSet::new(), last_error: None }
    }

    /// Sends one message; gives its sequence.
    pub async fn send<M: ClientMessage>(&mut self, message: &M) -> u64 {
        self.sent.insert(M::KIND as i32);
        let sequence = self.connection.queue(message).expect("a message that fits");
        self.connection.flush().await.expect("a connection");
        sequence
    }

    /// The next packet of a type; others before it are passed over.
    pub async fn until(&mut self, kind: PacketType) -> Event {
        self.until_where(kind.as_str_name(), |packet, _| packet.kind == kind as i32).await
    }

    /// The next packet that fits.
    pub async fn until_where(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&Incoming, &Event) -> bool,
    ) -> Event {
        within(what, async {
            loop {
                let packet = self.connection.receive().await;
                let packet = packet.unwrap_or_else(|error| {
                    panic!("{error} before {what}; last refused: {:?}", self.last_error)
                });
                self.came.insert(packet.kind);
                let event = Event::decode(packet.kind, packet.payload.clone());
                let event = event.expect("a payload of its type");
                if let Event::Error(error) = &event {
                    self.last_error = Some(error.clone());
                }
                if fits(&packet, &event) {
                    return event;
                }
            }
        })
        .await
    }

    /// Sends a message and waits for the type that answers it.
    pub async fn ask<M: ClientMessage>(&mut self, message: &M, answer: PacketType) -> Event {
        self.send(message).await;
        self.until(answer).await
    }

    /// The ERROR that answers a message.
    pub async fn refused<M: ClientMessage>(&mut self, message: &M) -> proto::Error {
        let sequence = self.send(message).await;
        let refused = |_: &Incoming, event: &Event| matches!(event, Event::Error(e) if e.in_reply_to == sequence);
        match self.until_where("an ERROR", refused).await {
            Event::Error(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

/// A socket that any bytes can be sent through.
pub struct Bytes {
    stream: TcpStream,
    read: Vec<u8>,
    /// The next packet's sequence.
    pub sequence: u64,
}

impl Bytes {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, read: Vec::new(), sequence: 1 }
    }

    /// Sends bytes; a server that has closed the connection already is no failure here.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends a payload under a well-formed header.
    pub async fn packet(&mut self, kind: i32, payload: &[u8]) {
        let header = proto::PacketHeader {
            r#type: kind,
            size: payload.len() as u32,
            sequence: self.sequence,
            timestamp: 1,
            is_compressed: false,
        };
        self.sequence += 1;
        self.headed(header, payload).await;
    }

    /// Sends a payload under any header.
    pub async fn headed(&mut self, header: proto::PacketHeader, payload: &[u8]) {
        let packet = proto::Packet { header: Some(header), payload: payload.to_vec().into() };
        self.framed(&packet.encode_to_vec()).await;
    }

    /// Sends a frame around any body.
    pub async fn framed(&mut self, body: &[u8]) {
        let length = (body.len() as u32).to_le_bytes();
        self.send(&[&length[..], body].concat()).await;
    }

    /// The next packet, or none if the server has closed.
    pub async fn next(&mut self) -> Option<Event> {
        within("a packet or the end", async {
            loop {
                let frame = packet::first_frame(&self.read, 65_536).expect("a frame");
                if let Some(body) = frame {
                    let (header, payload) = packet::decode(body, 65_536).expect("a packet");
                    let payload = payload.into_owned().into();
                    let event = Event::decode(header.kind, payload).expect("its message");
                    let length = packet::LENGTH_BYTES + body.len();
                    self.read.drain(..length);
                    return Some(event);
                }
                match self.stream.read_buf(&mut self.read).await {
                    Ok(count) if count > 0 => {}
                    _ => return None,
                }
            }
        })
        .await
    }

    /// The next ERROR, or none if the server closes without one.
    pub async fn error(&mut self) -> Option<proto::Error> {
        loop {
            match self.next().await? {
                Event::Error(error) => return Some(error),
                _ => continue,
            }
        }
    }

    /// Waits for the server's end of the connection.
    pub async fn end(&mut self) {
        while self.next().await.is_some() {}
    }
}
