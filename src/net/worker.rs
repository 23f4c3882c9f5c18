//! What runs on a shard's thread: one reader task per connection, a writer task for each that has
//! bytes waiting, and the main loop over inbox, newcomers and sweep.
//!
//! Service and table are borrowed only between awaits, service first. A panic in the service ends
//! the connection it was about and nothing else.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use metrics::counter;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::connection::Assembler;
use super::shard::{Newcomer, Seat};
use super::table::{Drained, Event, Held, Input, Next, Table};
use super::transport::{self, Read, Reader};
use super::{CloseReason, ConnId, ConnectionLimits, Io, Service};

/// Bytes read at once; the buffer is the shard's, not a connection's.
const READ_BUFFER: usize = 64 * 1_024;
/// Reads of one connection before the others get their turn.
const READS_IN_A_ROW: usize = 4;
/// Messages handed to the service at once.
const INBOX_BATCH: usize = 256;
/// For flushing at the end; and, of that, for clients to close their side.
const STOP_FLUSH: Duration = Duration::from_millis(1_500);
const STOP_LINGER: Duration = Duration::from_millis(500);
/// Between two looks at whether the end is reached.
const STOP_LOOK: Duration = Duration::from_millis(5);

/// What others send to a shard.
pub(super) struct Queues<M> {
    /// For the service.
    pub inbox: mpsc::Receiver<M>,
    /// Connections.
    pub newcomers: mpsc::Receiver<(Newcomer, Seat)>,
    /// The end.
    pub stop: CancellationToken,
}

struct Worker<S> {
    service: RefCell<S>,
    table: RefCell<Table>,
    buffers: RefCell<Buffers>,
}

/// Read buffers, shared by all connections because none is used across an await.
struct Buffers {
    raw: Box<[u8]>,
    /// Decrypted bytes; empty until the first TLS connection.
    plain: Vec<u8>,
}

/// Runs a shard on this thread until it is stopped.
pub(super) fn run<S: Service>(
    runtime: &Runtime,
    service: S,
    limits: ConnectionLimits,
    queues: Queues<S::Msg>,
) {
    let worker = Rc::new(Worker {
        service: RefCell::new(service),
        table: RefCell::new(Table::new(limits)),
        buffers: RefCell::new(Buffers {
            raw: vec![0; READ_BUFFER].into_boxed_slice(),
            plain: Vec::new(),
        }),
    });
    LocalSet::new().block_on(runtime, worker.run(limits.sweep, queues));
}

impl<S: Service> Worker<S> {
    async fn run(self: Rc<Self>, sweep: Duration, mut queues: Queues<S::Msg>) {
        let mut batch = Vec::with_capacity(INBOX_BATCH);
        let mut sweeps = interval(sweep);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let stop = queues.stop.clone().cancelled_owned();
        tokio::pin!(stop);
        let mut senders_left = true;
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = sweeps.tick() => self.on_sweep(),
                Some((newcomer, seat)) = queues.newcomers.recv() => {
                    spawn_local(self.clone().serve(newcomer, seat));
                }
                count = queues.inbox.recv_many(&mut batch, INBOX_BATCH), if senders_left => {
                    senders_left = count > 0;
                    self.on_inbox(&mut batch);
                }
            }
        }
        while let Ok(message) = queues.inbox.try_recv() {
            batch.push(message);
        }
        self.on_inbox(&mut batch);
        self.finish().await;
    }

    /// Flushes and closes every connection.
    async fn finish(self: &Rc<Self>) {
        let close_all = |table: &mut Table| table.close_all(&CloseReason::Shutdown);
        self.round(close_all);
        let flushed = self.wait(STOP_FLUSH, |table| table.len() == 0).await;
        if !flushed {
            self.round(Table::finish_all);
        }
        self.wait(STOP_LINGER, Table::is_quiet).await;
        self.round(Table::sweep);
    }

    /// Waits until the table is as wished; false if that takes too long.
    async fn wait(&self, most: Duration, wished: impl Fn(&Table) -> bool) -> bool {
        let until = Instant::now() + most;
        let look = async {
            while !wished(&self.table.borrow()) {
                sleep(STOP_LOOK).await;
            }
        };
        timeout_at(until, look).await.is_ok()
    }

    fn on_inbox(self: &Rc<Self>, batch: &mut Vec<S::Msg>) {
        if batch.is_empty() {
            return;
        }
        self.begin();
        self.call(None, |service, io| service.on_msgs(io, batch));
        batch.clear();
        self.settle();
    }

    fn on_sweep(self: &Rc<Self>) {
        self.begin();
        self.table.borrow_mut().sweep();
        self.settle();
        self.call(None, |service, io| service.on_sweep(io, io.now()));
        self.settle();
    }

    /// Does something to the table, and what follows from it.
    fn round(self: &Rc<Self>, act: impl FnOnce(&mut Table)) {
        self.begin();
        act(&mut self.table.borrow_mut());
        self.settle();
    }

    /// A round begins: from here on `Io::now` is now.
    fn begin(&self) {
        self.table.borrow_mut().now = crate::tick::now();
    }

    /// Calls the service. If it panics, the connection that it was about is closed.
    fn call(&self, subject: Option<ConnId>, act: impl FnOnce(&mut S, &mut Io<'_>)) {
        let outcome = {
            let mut service = self.service.borrow_mut();
            let mut table = self.table.borrow_mut();
            let call = || act(&mut service, &mut Io { table: &mut table });
            catch_unwind(AssertUnwindSafe(call))
        };
        if outcome.is_err() {
            counter!("throng_service_panics_total").increment(1);
            error!(conn = ?subject, "the service of a connection has panicked; the connection ends");
            if let Some(conn) = subject {
                self.table.borrow_mut().close(conn, CloseReason::Service);
            }
        }
    }

    /// Does what the last calls have left to be done.
    fn settle(self: &Rc<Self>) {
        loop {
            let event = self.table.borrow_mut().next_event();
            match event {
                None => return,
                Some(Event::Drain(conn)) => {
                    spawn_local(self.clone().drain(conn));
                }
                Some(Event::Closed(conn, reason)) => {
                    self.call(None, |service, io| service.on_close(io, conn, reason));
                }
            }
        }
    }

    /// The writer task of a connection that has bytes waiting.
    async fn drain(self: Rc<Self>, conn: ConnId) {
        let drained = poll_fn(|cx| self.table.borrow_mut().poll_drain(conn, cx)).await;
        self.begin();
        if drained == Drained::All {
            self.call(Some(conn), |service, io| service.on_drained(io, conn));
        }
        self.settle();
    }

    /// The reader task of a connection.
    async fn serve(self: Rc<Self>, newcomer: Newcomer, seat: Seat) {
        let held = Rc::new(Held { admission: newcomer.admission, _seat: seat });
        let (mut reader, mut writer, tls) = match newcomer.transport.open() {
            Ok(opened) => opened,
            Err(error) => {
                debug!(%error, "a new connection could not be watched; dropped");
                return;
            }
        };
        if transport::writable(&mut writer).await.is_err() {
            return;
        }
        let peer = newcomer.peer;
        let assembler = Assembler::new(peer.framing, newcomer.first_frame_limit);
        self.begin();
        let sealed = tls.is_some();
        let conn = self.table.borrow_mut().insert(writer, tls, assembler, held.clone());
        self.call(Some(conn), |service, io| service.on_open(io, conn, peer));
        self.settle();
        if sealed {
            // The last flight of the handshake may have brought the first frames.
            self.on_sealed(conn, &[], &mut self.buffers.borrow_mut().plain);
            self.settle();
        }
        poll_fn(|cx| self.poll_read(&mut reader, conn, cx)).await;
    }

    /// Reads and handles what is there. Ready when nothing more will be read.
    fn poll_read(
        self: &Rc<Self>,
        reader: &mut Reader,
        conn: ConnId,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        for _ in 0..READS_IN_A_ROW {
            let mut buffers = self.buffers.borrow_mut();
            let Buffers { raw, plain } = &mut *buffers;
            let read = ready!(reader.poll_read(cx, raw));
            self.begin();
            let goes_on = match read {
                Ok(Read::Bytes(bytes)) => self.on_bytes(conn, bytes, plain),
                Ok(Read::Body(body)) => self.on_body(conn, &body),
                Ok(Read::End) => {
                    self.table.borrow_mut().ended(conn);
                    false
                }
                Err(_) => {
                    self.table.borrow_mut().broken(conn);
                    false
                }
            };
            self.settle();
            if !goes_on {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Handles raw bytes; false: stop reading.
    fn on_bytes(&self, conn: ConnId, bytes: &[u8], plain: &mut Vec<u8>) -> bool {
        let input = self.table.borrow_mut().received(conn, bytes.len());
        match input {
            Input::Plain => self.on_plain(conn, bytes),
            Input::Sealed => return self.on_sealed(conn, bytes, plain),
            Input::Ignored => {}
            Input::Over => return false,
        }
        true
    }

    fn on_sealed(&self, conn: ConnId, mut bytes: &[u8], plain: &mut Vec<u8>) -> bool {
        plain.resize(READ_BUFFER, 0);
        loop {
            let decrypted = self.table.borrow_mut().decrypt(conn, &mut bytes, plain);
            match decrypted {
                Ok(0) => return true,
                Ok(count) => self.on_plain(conn, &plain[..count]),
                Err(_) => {
                    self.table.borrow_mut().ended(conn);
                    return false;
                }
            }
        }
    }

    fn on_plain(&self, conn: ConnId, mut input: &[u8]) {
        loop {
            let next = self.table.borrow_mut().next_frame(conn, &mut input);
            if !self.on_next(conn, &next) {
                return;
            }
        }
    }

    fn on_body(&self, conn: ConnId, body: &[u8]) -> bool {
        let input = self.table.borrow_mut().received(conn, body.len());
        if input == Input::Plain {
            let next = self.table.borrow_mut().next_body(conn, body);
            self.on_next(conn, &next);
        }
        input != Input::Over
    }

    /// Hands a frame to the service; false if there is none to follow.
    fn on_next(&self, conn: ConnId, next: &Next<'_>) -> bool {
        match next {
            Next::Frame(body) => {
                self.call(Some(conn), |service, io| service.on_frame(io, conn, body.bytes()));
                true
            }
            Next::Fault(fault) => {
                self.call(Some(conn), |service, io| service.on_fault(io, conn, *fault));
                self.table.borrow_mut().close(conn, CloseReason::BadFrame(*fault));
                false
            }
            Next::Nothing => false,
        }
    }
}
