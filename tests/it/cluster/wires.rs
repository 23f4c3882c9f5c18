//! The wires between the processes of a cluster: each can be cut, or swallow what goes one way.
//!
//! Every process is told that the others reach it at an address where one of these listens and
//! passes on. Who has dialed is read from the greeting, in which a process says where it is reached
//! itself.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use prost::Message;
use throng::proto::link::Greeting;
use throng::proto::link::greeting::{Identity, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Where the wires listen, each at the port of the process that it leads to.
pub const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

type Name = &'static str;

/// What is wrong with the wires.
#[derive(Debug, Default)]
struct Faults {
    /// Between these two nothing passes, and every connection ends.
    cut: Vec<(Name, Name)>,
    /// What the first sends to the second vanishes; the connection stands.
    swallowed: Vec<(Name, Name)>,
}

impl Faults {
    fn cuts(&self, one: Name, other: Name) -> bool {
        self.cut.contains(&(one, other)) || self.cut.contains(&(other, one))
    }
}

/// All of them.
pub struct Wires {
    faults: watch::Sender<Faults>,
}

impl Wires {
    /// Lays a wire to each process, by its name and the port that its links listen on.
    pub async fn lay(processes: &[(Name, u16)]) -> Self {
        let faults = watch::Sender::new(Faults::default());
        let names: BTreeMap<u16, Name> =
            processes.iter().map(|(name, port)| (*port, *name)).collect();
        let names = Arc::new(names);
        for (name, port) in processes {
            let listener = TcpListener::bind((HERE, *port)).await.expect("a free port");
            let end = End { name, address: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)) };
            tokio::spawn(pass_on(listener, end, names.clone(), faults.subscribe()));
        }
        Self { faults }
    }

    /// Cuts whatever is between two processes, until it is mended.
    pub fn cut(&self, one: Name, other: Name) {
        self.faults.send_modify(|faults| faults.cut.push((one, other)));
    }

    /// Swallows what one process sends to another, until it is mended; a connection of which
    /// something was swallowed never says a word again in that direction.
    pub fn swallow(&self, from: Name, to: Name) {
        self.faults.send_modify(|faults| faults.swallowed.push((from, to)));
    }

    /// Mends everything.
    pub fn mend(&self) {
        self.faults.send_replace(Faults::default());
    }
}

/// The process that a wire leads to.
#[derive(Debug, Clone, Copy)]
struct End {
    name: Name,
    address: SocketAddr,
}

async fn pass_on(
    listener: TcpListener,
    end: End,
    names: Arc<BTreeMap<u16, Name>>,
    faults: watch::Receiver<Faults>,
) {
    while let Ok((dialer, _)) = listener.accept().await {
        tokio::spawn(connect(dialer, end, names.clone(), faults.clone()));
    }
}

/// One connection, until either end closes it or it is cut.
async fn connect(
    dialer: TcpStream,
    end: End,
    names: Arc<BTreeMap<u16, Name>>,
    mut faults: watch::Receiver<Faults>,
) {
    let Ok(target) = TcpStream::connect(end.address).await else { return };
    // Small messages are not to wait for each other here.
    let _ = (dialer.set_nodelay(true), target.set_nodelay(true));
    let known = Arc::new(OnceLock::new());
    let (from_dialer, to_dialer) = dialer.into_split();
    let (from_target, to_target) = target.into_split();
    let asks = Way { known: known.clone(), to: end.name, asks: true, faults: faults.clone() };
    let answers = Way { known: known.clone(), to: end.name, asks: false, faults: faults.clone() };
    let cut = |faults: &Faults| known.get().is_some_and(|dialer| faults.cuts(dialer, end.name));
    tokio::select! {
        () = asks.run(from_dialer, to_target, &names) => {}
        () = answers.run(from_target, to_dialer, &names) => {}
        _ = faults.wait_for(cut) => {}
    }
}

/// One direction of a connection.
struct Way {
    /// Who has dialed, once it has said so.
    known: Arc<OnceLock<Name>>,
    /// Whom it has dialed.
    to: Name,
    /// Whether this is what the dialer says.
    asks: bool,
    faults: watch::Receiver<Faults>,
}

impl Way {
    async fn run(
        self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        names: &BTreeMap<u16, Name>,
    ) {
        let (mut buffer, mut greeting, mut swallows) = (vec![0; 65_536], Vec::new(), false);
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let bytes = &buffer[..read];
            if self.asks && self.known.get().is_none() {
                greeting.extend_from_slice(bytes);
                if let Some(name) = introduced(&greeting).and_then(|port| names.get(&port)) {
                    let _ = self.known.set(name);
                }
            }
            let (cut, swallowed) = self.look();
            if cut {
                return;
            }
            swallows |= swallowed;
            if !swallows && to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    /// Whether this connection is cut now, and whether what goes this way vanishes.
    fn look(&self) -> (bool, bool) {
        let Some(dialer) = self.known.get() else { return (false, false) };
        let faults = self.faults.borrow();
        let way = if self.asks { (*dialer, self.to) } else { (self.to, *dialer) };
        (faults.cuts(dialer, self.to), faults.swallowed.contains(&way))
    }
}

/// The port of the process that introduces itself somewhere in what it has said so far.
fn introduced(mut said: &[u8]) -> Option<u16> {
    loop {
        let (length, rest) = said.split_first_chunk::<4>()?;
        let body = rest.get(..u32::from_le_bytes(*length) as usize)?;
        if let Some(Step::Introduction(introduction)) = Greeting::decode(body).ok()?.step {
            let identity = Identity::decode(introduction.identity).ok()?;
            return u16::try_from(identity.port).ok();
        }
        said = &rest[body.len()..];
    }
}
