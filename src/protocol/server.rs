//! Domain values to packets for clients: every payload the server sends is made here.
