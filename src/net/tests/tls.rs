//! The same behind TLS.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::net::http::{self, HttpConfig, Places};
use crate::net::tls::{Tls, dev_cert};

/// A certificate, both sides of it.
pub(super) fn pair(handshakes: usize, limit: Duration) -> (Tls, TlsConnector) {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = dev_cert(dir.path()).unwrap();
    let tls = Tls::load(&certificate, &key, handshakes, limit).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (tls, TlsConnector::from(Arc::new(client)))
}

async fn secure(connector: &TlsConnector, address: SocketAddr) -> TlsStream<TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    soon(connector.connect(name, connect(address).await)).await.unwrap()
}

#[tokio::test]
async fn frames_of_any_size_are_echoed_under_tls() {
    let server = Server::start(1);
    let (tls, connector) = pair(8, PATIENCE);
    let mut client =
        secure(&connector, server.listen(Framing::Length, |config| config.tls = Some(tls))).await;
    assert_eq!(ask(&mut client, b"login").await.unwrap(), b"login");
    for size in [1, 1_000, 16_384] {
        let body = vec![size as u8; size];
        assert_eq!(ask(&mut client, &body).await.unwrap(), body);
    }
    let many: Vec<u8> = (0..200u8).flat_map(|i| framed(&[i; 300])).collect();
    soon(client.write_all(&many)).await.unwrap();
    for i in 0..200u8 {
        assert_eq!(receive(&mut client).await.unwrap(), [i; 300]);
    }
    assert_eq!(ask(&mut client, b"quit").await.unwrap(), b"bye");
    assert_eq!(receive(&mut client).await, None, "closed with a notice, not cut off");
    server.end().await;
}

#[tokio::test]
async fn what_waits_under_tls_arrives_in_order() {
    let mut server = Server::start(1);
    let (tls, connector) = pair(8, PATIENCE);
    let address = server.listen(Framing::Length, |config| config.tls = Some(tls));
    let mut client = secure(&connector, address).await;
    let conn = server.opened().await;
    let mut said = Vec::new();
    let mut waiting = 0;
    while waiting < 2 {
        let body = vec![said.len() as u8; 40_000];
        server.shards.send(0, Tell::Say(conn, framed(&body).into())).unwrap();
        said.push(body);
        waiting += usize::from(server.saw().await == Seen::Said(Written::Waiting));
    }
    for body in said {
        assert_eq!(receive(&mut client).await.unwrap(), body);
    }
    assert_eq!(server.saw().await, Seen::Drained(conn));
    server.end().await;
}

#[tokio::test]
async fn a_silent_peer_holds_up_nobody_and_is_dropped() {
    let server = Server::start(1);
    let (tls, connector) = pair(8, Duration::from_millis(500));
    let address = server.listen(Framing::Length, |config| config.tls = Some(tls));
    let mut silent = connect(address).await;
    let mut client = secure(&connector, address).await;
    assert_eq!(ask(&mut client, b"through").await.unwrap(), b"through");
    assert_eq!(soon(silent.read(&mut [0; 8])).await.unwrap(), 0);
    server.end().await;
}

#[tokio::test]
async fn plain_bytes_on_a_tls_port_are_not_served() {
    let server = Server::start(1);
    let (tls, connector) = pair(1, PATIENCE);
    let address = server.listen(Framing::Length, |config| config.tls = Some(tls));
    let mut plain = connect(address).await;
    soon(plain.write_all(&framed(b"this is not a handshake"))).await.unwrap();
    let mut answer = Vec::new();
    // An alert or nothing, and the end.
    let _ = soon(plain.read_to_end(&mut answer)).await;
    assert!(answer.len() < 16);
    while server.gate.connections() > 0 {
        tokio::task::yield_now().await;
    }
    let mut client = secure(&connector, address).await;
    assert_eq!(ask(&mut client, b"next").await.unwrap(), b"next");
    server.end().await;
}

#[tokio::test]
async fn the_web_port_speaks_tls_while_a_peer_is_silent() {
    let (tls, connector) = pair(8, PATIENCE);
    let listener = crate::net::listener::bind("127.0.0.1:0".parse().unwrap(), 16).unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    let (places, stop) = (Places::Gate(Gate::new(10, 10)), CancellationToken::new());
    let config = HttpConfig { label: "http", places, tls: Some(tls), public: true };
    let serving = tokio::spawn(http::serve(listener, router, config, stop.clone()));
    let _silent = connect(address).await;
    let mut client = secure(&connector, address).await;
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    soon(client.write_all(request)).await.unwrap();
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
    stop.cancel();
    soon(serving).await.unwrap();
}
