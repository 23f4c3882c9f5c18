//! What a shard counts: plain integers, told to the metrics once a sweep.
//!
//! The connection table adds to it; the worker publishes. Nothing here is shared between threads.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// One shard's counts since the last sweep, and where they go.
pub(super) struct Tally {
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes the sockets took.
    pub bytes_out: u64,
    /// Clients cut because they read too slowly.
    pub slow: u64,
    /// Times that reading from a client stopped.
    pub pauses: u64,
    /// Waiting bytes as last told.
    waiting: usize,
    handles: Handles,
}

struct Handles {
    bytes_in: Counter,
    bytes_out: Counter,
    slow: Counter,
    pauses: Counter,
    waiting: Gauge,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let handles = Handles {
            bytes_in: counter!("throng_bytes_total", "direction" => "in"),
            bytes_out: counter!("throng_bytes_total", "direction" => "out"),
            slow: counter!("throng_slow_clients_cut_total"),
            pauses: counter!("throng_reads_paused_total"),
            waiting: gauge!("throng_outbound_queue_bytes"),
        };
        Self { bytes_in: 0, bytes_out: 0, slow: 0, pauses: 0, waiting: 0, handles }
    }

    /// Tells the metrics; `waiting` bytes wait in this shard now.
    pub fn publish(&mut self, waiting: usize) {
        self.handles.bytes_in.increment(std::mem::take(&mut self.bytes_in));
        self.handles.bytes_out.increment(std::mem::take(&mut self.bytes_out));
        self.handles.slow.increment(std::mem::take(&mut self.slow));
        self.handles.pauses.increment(std::mem::take(&mut self.pauses));
        // The gauge is the sum over all shards, so each adds its own change.
        self.handles.waiting.increment(waiting as f64 - self.waiting as f64);
        self.waiting = waiting;
    }
}

/// Help texts of this room's metrics; called once, after the recorder is installed.
pub fn describe_metrics() {
    describe_gauge!("throng_connections", "Client connections that are open, by port.");
    describe_counter!("throng_connections_accepted_total", "Client connections let in, by port.");
    describe_counter!(
        "throng_connections_refused_total",
        "Client connections not let in, by reason: full, address, handshakes, busy, origin."
    );
    describe_counter!(
        "throng_accept_errors_total",
        "Failed accepts, by kind: descriptors (none left), connection (the client had gone)."
    );
    describe_counter!(
        "throng_tls_handshakes_failed_total",
        "TLS handshakes that failed, by reason: error, timeout."
    );
    describe_counter!("throng_bytes_total", "Bytes of client connections, by direction.");
    describe_gauge!("throng_outbound_queue_bytes", "Bytes that wait for clients' sockets.");
    describe_counter!(
        "throng_slow_clients_cut_total",
        "Connections ended because the client read too slowly."
    );
    describe_counter!(
        "throng_reads_paused_total",
        "Times that nothing more was read of a client for a while: it had used up its rate."
    );
    describe_counter!(
        "throng_service_panics_total",
        "Panics in a connection's service; each ended one connection."
    );
}
