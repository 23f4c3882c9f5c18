//! HTTP ports: accepting, who has a place, what a connection may take its time with, how often it may
//! ask. The public web port and the operators' port are served here, with different places.
//!
//! A connection counts at the [`Gate`] like any other client's, or holds one of the port's own places,
//! where whoever does nothing makes room for a newcomer. Nothing in here knows what is asked for.

mod connection;
mod requests;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::gate::{Admission, Gate, Refusal};
use super::listener::AcceptBackoff;
use super::proxy::ProxyFault;
use super::tls::Tls;
use crate::tick::now;
use connection::Stream;
pub(super) use connection::{Connection, Watch};
use requests::Requests;

/// Bytes of a request's head, and of what is read at once.
const HEAD_MAX: usize = 16 * 1_024;
/// How long open requests may go on after the port was told to stop.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Where a port's connections count.
#[derive(Debug, Clone)]
pub enum Places {
    /// Among all clients of the process, and those of their address.
    Gate(Arc<Gate>),
    /// Among so many of the port's own. There is always room for one more: the one that has been
    /// there longest without a request under way has to go.
    Own(usize),
}

/// What an HTTP port is like.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The port's label in metrics and logs.
    pub label: &'static str,
    /// Where its connections count.
    pub places: Places,
    /// Speak TLS.
    pub tls: Option<Tls>,
    /// The public's: requests have no bodies, and each address gets so many answered a second.
    pub public: bool,
}

/// What a handler may know of the connection that a request came on: an extension of the request.
#[derive(Debug, Clone)]
pub struct HttpPeer {
    /// The client's address.
    pub address: SocketAddr,
    pub(super) watch: Arc<Watch>,
}

/// A connection's place.
#[derive(Debug)]
enum Place {
    Gate(Admission),
    Own,
}

struct Port {
    config: HttpConfig,
    router: Router,
    requests: Requests,
    /// Those on places of the port's own, the oldest first.
    own: Mutex<VecDeque<Weak<Watch>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Serves a port until `stop`, then lets open requests finish, for two seconds at most.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: HttpConfig,
    stop: CancellationToken,
) {
    let label = config.label;
    let port = Arc::new(Port {
        config,
        router,
        requests: Requests::default(),
        own: Mutex::default(),
        tasks: TaskTracker::new(),
        stop: stop.clone(),
    });
    let mut backoff = AcceptBackoff::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, from)) => {
                backoff.reset();
                port.on_accepted(socket, from);
            }
            Err(error) => tokio::select! {
                () = stop.cancelled() => break,
                () = backoff.wait(&error, &listener) => {}
            },
        }
    }
    port.tasks.close();
    if timeout(STOP_WITHIN, port.tasks.wait()).await.is_err() {
        warn!(port = label, "requests were cut off");
    }
    debug!(port = label, "the port is closed");
}

impl Port {
    fn on_accepted(self: &Arc<Self>, socket: TcpStream, from: SocketAddr) {
        // Fails only if the client has gone already.
        let _ = socket.set_nodelay(true);
        let Places::Gate(gate) = &self.config.places else {
            return self.let_in(socket, from, Place::Own);
        };
        if !gate.proxies().trusts(from.ip()) {
            return self.admit(socket, from, gate.admit(from.ip(), self.config.label));
        }
        let Some(waiting) = gate.proxies().place() else { return Refusal::Handshakes.count() };
        let (port, gate) = (self.clone(), gate.clone());
        self.tasks.spawn(async move {
            let mut socket = socket;
            let client = tokio::select! {
                () = port.stop.cancelled() => return,
                client = gate.proxies().client_of(&mut socket, from) => client,
            };
            drop(waiting);
            let label = port.config.label;
            match client {
                // Each of its requests tells for whom.
                Ok(client) if gate.proxies().trusts(client.ip()) => {
                    port.admit(socket, client, gate.admit_unnamed(label));
                }
                Ok(client) => port.admit(socket, client, gate.admit(client.ip(), label)),
                Err(ProxyFault::Lost(_)) => {}
                Err(_) => Refusal::Proxy.count(),
            }
        });
    }

    fn admit(
        self: &Arc<Self>,
        socket: TcpStream,
        from: SocketAddr,
        admission: Result<Admission, Refusal>,
    ) {
        match admission {
            Ok(admission) => self.let_in(socket, from, Place::Gate(admission)),
            // Closing it says enough; who is many shall cost nothing.
            Err(reason) => debug!(address = %from.ip(), %reason, "not let in"),
        }
    }

    fn let_in(self: &Arc<Self>, socket: TcpStream, from: SocketAddr, place: Place) {
        let watch = Watch::new(place);
        if let Places::Own(most) = self.config.places {
            self.make_room(most, &watch);
        }
        let port = self.clone();
        self.tasks.spawn(async move {
            let (evicted, stop) = (watch.evicted.clone(), port.stop.clone());
            let watched = watch.clone();
            tokio::select! {
                () = port.serve(socket, from, watch) => {}
                () = watched.overdue() => debug!(address = %from.ip(), "too slow a client of HTTP"),
                () = evicted.cancelled() => {}
                () = async { stop.cancelled().await; tokio::time::sleep(STOP_WITHIN).await } => {}
            }
        });
    }

    /// Takes one of the port's own places; the oldest connection that does nothing makes room, or
    /// the oldest of all.
    fn make_room(&self, most: usize, newcomer: &Arc<Watch>) {
        let mut own = self.own.lock();
        own.retain(|watch| watch.strong_count() > 0);
        if own.len() >= most {
            let idle = own.iter().position(|one| one.upgrade().is_none_or(|it| !it.is_busy()));
            if let Some(watch) = own.remove(idle.unwrap_or(0)).and_then(|one| one.upgrade()) {
                watch.evicted.cancel();
                Refusal::Full.count();
            }
        }
        own.push_back(Arc::downgrade(newcomer));
    }

    /// Serves one connection to its end, or until it becomes something else.
    async fn serve(self: Arc<Self>, socket: TcpStream, from: SocketAddr, watch: Arc<Watch>) {
        let stream = match &self.config.tls {
            None => Stream::Plain(socket),
            Some(tls) => {
                let Some(place) = tls.place(from.ip()) else { return Refusal::Handshakes.count() };
                watch.begin();
                let Some(stream) = tls.shake_hands(socket).await else { return };
                watch.ready();
                drop(place);
                Stream::Tls(Box::new(stream))
            }
        };
        let io = TokioIo::new(Connection::new(stream, watch.clone()));
        let port = self.clone();
        let peer = HttpPeer { address: from, watch };
        let service = service_fn(move |request| {
            peer.watch.begin();
            let (port, peer) = (port.clone(), peer.clone());
            async move {
                let watch = peer.watch.clone();
                let response = port.answer(request, peer).await;
                watch.done();
                Ok::<Response, Infallible>(response)
            }
        });
        let mut server = http1::Builder::new();
        server.max_buf_size(HEAD_MAX).header_read_timeout(None);
        let serving = server.serve_connection(io, service).with_upgrades();
        tokio::pin!(serving);
        let ended = tokio::select! {
            ended = &mut serving => ended,
            () = self.stop.cancelled() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "a connection of HTTP has ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>, mut peer: HttpPeer) -> Response {
        if let Places::Gate(gate) = &self.config.places
            && gate.proxies().trusts(peer.address.ip())
        {
            let asker = gate.proxies().asker(peer.address.ip(), request.headers());
            peer.address.set_ip(asker);
            if peer.watch.count_for(asker).is_err() {
                return refused(StatusCode::TOO_MANY_REQUESTS, "too many connections");
            }
        }
        if self.config.public {
            if !request.body().is_end_stream() {
                return refused(StatusCode::PAYLOAD_TOO_LARGE, "nothing here takes a body");
            }
            match self.requests.wait(peer.address.ip(), now()) {
                Some(Duration::ZERO) => {}
                Some(wait) => tokio::time::sleep(wait).await,
                None => return refused(StatusCode::TOO_MANY_REQUESTS, "too many requests"),
            }
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// A refusal after which the connection closes.
fn refused(status: StatusCode, words: &'static str) -> Response {
    let mut response = (status, words).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
