//! A server for tests that says what the test tells it to, one packet at a time.

use bytes::Bytes;
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Endpoint;
use crate::proto::PacketType;
use crate::protocol::packet;

/// Where a test's client connects.
pub struct FakeServer {
    listener: TcpListener,
}

/// One accepted connection, as the server sees it.
pub struct Peer<S = TcpStream> {
    stream: S,
    sent: u64,
    /// Sequence of the last packet received.
    pub heard: u64,
}

impl FakeServer {
    pub async fn start() -> (Self, Endpoint) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (Self { listener }, Endpoint::plain("127.0.0.1", port))
    }

    pub async fn accept(&self) -> Peer {
        Peer::new(self.accept_raw().await)
    }

    pub async fn accept_raw(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, sent: 0, heard: 0 }
    }

    /// The next packet of the client; its sequence must be the next one.
    pub async fn hear(&mut self) -> (PacketType, Bytes) {
        let mut body = vec![0; self.stream.read_u32_le().await.unwrap() as usize];
        self.stream.read_exact(&mut body).await.unwrap();
        let (header, payload) = packet::decode(&body, 65_536).unwrap();
        assert_eq!(header.sequence, self.heard + 1, "a client counts without gaps");
        self.heard = header.sequence;
        (PacketType::try_from(header.kind).unwrap(), Bytes::from(payload.into_owned()))
    }

    /// The next packet, which must be of a type; heartbeats are passed over unless wanted.
    pub async fn expect<M: Message + Default>(&mut self, kind: PacketType) -> M {
        loop {
            let (heard, payload) = self.hear().await;
            if heard == kind {
                return M::decode(payload).unwrap();
            }
            assert_eq!(heard, PacketType::HeartbeatRequest, "not what was due");
        }
    }

    pub async fn say(&mut self, kind: PacketType, message: &impl Message) {
        self.sent += 1;
        let mut frame = Vec::new();
        packet::append_compressed(&mut frame, kind, self.sent, 1, &[&message.encode_to_vec()]);
        self.stream.write_all(&frame).await.unwrap();
    }

    pub async fn say_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Until the client has gone.
    pub async fn until_closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
    }
}
