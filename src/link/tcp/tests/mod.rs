//! Links over real sockets, in one process.
