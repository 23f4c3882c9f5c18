//! Packets under TLS, with the certificate that `throng dev-cert` makes.

use std::process::Command;

use throng::client::{Client, ClientError, Endpoint, Tls};

use crate::player::Player;
use crate::scenarios;
use crate::server::{Server, Topology};

scenarios![a_certificate_makes_the_packet_ports_secret];

async fn a_certificate_makes_the_packet_ports_secret(topology: Topology) {
    let folder = tempfile::TempDir::new().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_throng"))
        .arg("dev-cert")
        .arg(folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let file = |part: &str| {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut paths = files.map(|entry| entry.unwrap().path());
        paths.find(|path| path.to_string_lossy().contains(part)).expect("a file of dev-cert's")
    };
    let (certificate, key) = (file("cert"), file("key"));
    let settings = [
        ("net.tls.certificate", certificate.to_str().unwrap()),
        ("net.tls.key", key.to_str().unwrap()),
    ];
    let server = Server::start_with(topology, &settings);
    let address = server.address("gateway");
    let endpoint = |pem: &[u8]| Endpoint {
        host: "127.0.0.1".into(),
        port: address.port(),
        tls: Some(Tls::trusting(pem, "localhost").unwrap()),
    };
    let pem = std::fs::read(&certificate).unwrap();
    let mut ann = Player::new_at(endpoint(&pem), "Ann").await;
    ann.go(75.0, 5.0).await;
    ann.say("nobody listens in").await.unwrap();

    // One who does not ask for TLS is not served, nor one who trusts somebody else.
    let plain = Client::connect(server.endpoint()).await;
    let heard = match plain {
        Ok(mut client) => client.ping().await.err(),
        Err(error) => Some(error),
    };
    assert!(heard.is_some_and(|error| error.is_disconnect()), "plain words are not answered");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let strange = Client::connect(endpoint(other.cert.pem().as_bytes())).await;
    assert!(matches!(strange.err(), Some(ClientError::Tls(_))));
    ann.say("still here").await.unwrap();
}
