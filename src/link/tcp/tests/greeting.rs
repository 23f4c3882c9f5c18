//! Who is let in, who is not, and what each side hears of it.

use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::link::codec::greeting::{self as steps, Challenge, Refusal, Step};
use crate::link::config::LinkTls;
use crate::link::tcp::frames::Frames;
use crate::link::tcp::greeting::{self, Failure};
use crate::net::tls::dev_cert;

pub(super) fn greeter(server: u64, secret: &str) -> Greeter {
    let me = Identity { port: 8091, ..identity(server) };
    Greeter { me, secret: ClusterSecret::new(secret) }
}

/// Both ends of a greeting between two secrets.
async fn greet(
    dialer: &str,
    acceptor: &str,
) -> (Result<greeting::Proven, Failure>, Result<greeting::Proven, Failure>) {
    let (mut near, mut far) = tokio::io::duplex(4_096);
    let (dialer, acceptor) = (greeter(1, dialer), greeter(2, acceptor));
    let accept = async {
        let proven = greeting::answer(&mut far, &acceptor).await?;
        let ready = greeting::ready(Said { session: None, applied: 0 });
        send(&mut far, &ready).await;
        Ok(proven)
    };
    let said = |server| {
        assert_eq!(server, ServerId(2));
        Said::default()
    };
    tokio::join!(greeting::dial(&mut near, &dialer, said), accept)
}

async fn send(stream: &mut DuplexStream, body: &[u8]) {
    stream.write_all(&(body.len() as u32).to_le_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
}

async fn hear(stream: &mut DuplexStream, frames: &mut Frames) -> (Step, Bytes) {
    loop {
        if let Some(frame) = frames.cut().unwrap() {
            return (steps::decode(frame.clone()).unwrap(), frame);
        }
        assert!(stream.read_buf(frames.buffer()).await.unwrap() > 0, "closed");
    }
}

use bytes::Bytes;

#[tokio::test]
async fn two_that_share_the_secret_know_each_other_and_agree_on_a_name() {
    let (dialer, acceptor) = greet(SECRET, SECRET).await;
    let (dialer, acceptor) = (dialer.unwrap(), acceptor.unwrap());
    assert_eq!(dialer.identity, greeter(2, SECRET).me);
    assert_eq!(acceptor.identity, greeter(1, SECRET).me);
    assert_eq!(dialer.anew, acceptor.anew);
    let (other, _) = greet(SECRET, SECRET).await;
    assert_ne!(other.unwrap().anew, dialer.anew);
}

#[tokio::test]
async fn a_wrong_secret_is_told_to_both_sides() {
    let (dialer, acceptor) = greet("another secret", SECRET).await;
    let (dialer, acceptor) = (dialer.unwrap_err(), acceptor.unwrap_err());
    assert!(matches!(acceptor, Failure::Proof), "{acceptor}");
    assert!(matches!(dialer, Failure::Refused(_, Refusal::Proof)), "{dialer}");
    assert!(dialer.to_string().contains("secrets differ") && dialer.is_grave());
    assert!(acceptor.to_string().contains("secret") && acceptor.is_grave());
}

#[tokio::test]
async fn an_acceptor_without_the_secret_is_found_out_before_anything_is_said_to_it() {
    let (mut near, mut far) = tokio::io::duplex(4_096);
    let dialer = greeter(1, SECRET);
    let stranger = greeter(2, "another secret");
    let accept = async {
        let mut frames = Frames::new(4_096);
        let (_, theirs) = hear(&mut far, &mut frames).await;
        let mine =
            steps::encode(&Step::Challenge(Challenge { newest: 1, oldest: 1, nonce: [7; 32] }));
        send(&mut far, &mine).await;
        let mut heard = vec![hear(&mut far, &mut frames).await.0];
        let identity = steps::put_identity(&stranger.me);
        let covered: [&[u8]; 3] = [&theirs, &mine, &identity];
        let mac = stranger.secret.prove(proof::Label::Acceptor, &covered);
        let step = Step::Introduction { identity, mac, said: Said::default() };
        send(&mut far, &steps::encode(&step)).await;
        while far.read_buf(frames.buffer()).await.unwrap() > 0 {}
        while let Some(frame) = frames.cut().unwrap() {
            heard.push(steps::decode(frame).unwrap());
        }
        heard
    };
    let dial = async {
        let result = greeting::dial(&mut near, &dialer, |_| Said::default()).await;
        drop(near);
        result
    };
    let (result, heard) = tokio::join!(dial, accept);
    assert!(matches!(result.unwrap_err(), Failure::Proof));
    assert!(matches!(heard.as_slice(), [Step::Proof(_)]), "{heard:?}");
}

#[tokio::test]
async fn another_version_is_refused_with_a_clear_word() {
    let (mut near, mut far) = tokio::io::duplex(4_096);
    let acceptor = greeter(2, SECRET);
    let dial = async {
        let challenge = Challenge { newest: 9, oldest: 8, nonce: [7; 32] };
        send(&mut near, &steps::encode(&Step::Challenge(challenge))).await;
        hear(&mut near, &mut Frames::new(4_096)).await.0
    };
    let (heard, failure) = tokio::join!(dial, greeting::answer(&mut far, &acceptor));
    let failure = failure.unwrap_err();
    assert!(matches!(failure, Failure::Version { oldest: 8, newest: 9 }), "{failure}");
    assert!(failure.is_grave() && failure.to_string().contains("versions 8 to 9"));
    let Step::Refused(Refusal::Version, words) = heard else { panic!("{heard:?}") };
    assert!(words.contains("not 8 to 9"), "{words}");

    // One that is newer but speaks ours too is answered.
    let (mut near, mut far) = tokio::io::duplex(4_096);
    let dial = async {
        let challenge = Challenge { newest: 2, oldest: 1, nonce: [7; 32] };
        send(&mut near, &steps::encode(&Step::Challenge(challenge))).await;
        let heard = hear(&mut near, &mut Frames::new(4_096)).await.0;
        drop(near);
        heard
    };
    let (heard, _) = tokio::join!(dial, greeting::answer(&mut far, &acceptor));
    assert!(matches!(heard, Step::Challenge(_)), "{heard:?}");
}

#[tokio::test]
async fn a_recorded_greeting_is_worth_nothing() {
    // What a true dialer says is recorded between it and a true acceptor ...
    let (mut near, mut middle) = tokio::io::duplex(4_096);
    let (mut other, mut far) = tokio::io::duplex(4_096);
    let (dialer, acceptor) = (greeter(1, SECRET), greeter(2, SECRET));
    let record = async {
        let (mut dialers, mut acceptors) = (Frames::new(4_096), Frames::new(4_096));
        let mut recorded = Vec::new();
        for round in 0..3 {
            let (_, frame) = hear(&mut middle, &mut dialers).await;
            send(&mut other, &frame).await;
            recorded.push(frame);
            if round < 2 {
                let (_, frame) = hear(&mut other, &mut acceptors).await;
                send(&mut middle, &frame).await;
            }
        }
        drop(middle);
        recorded
    };
    let (_, proven, recorded) = tokio::join!(
        greeting::dial(&mut near, &dialer, |_| Said::default()),
        greeting::answer(&mut far, &acceptor),
        record,
    );
    assert!(proven.is_ok(), "the true one is let in");

    // ... and said again to it.
    let (mut near, mut far) = tokio::io::duplex(4_096);
    let replay = async {
        for frame in &recorded {
            send(&mut near, frame).await;
        }
        let mut frames = Frames::new(4_096);
        let challenge = hear(&mut near, &mut frames).await.0;
        (challenge, hear(&mut near, &mut frames).await.0)
    };
    let (heard, failure) = tokio::join!(replay, greeting::answer(&mut far, &acceptor));
    assert!(matches!(failure.unwrap_err(), Failure::Proof));
    assert!(matches!(heard, (Step::Challenge(_), Step::Refused(Refusal::Proof, _))), "{heard:?}");
}

fn tls(folder: &Path) -> LinkTls {
    let (certificate, key) = (folder.join("dev-cert.pem"), folder.join("dev-key.pem"));
    LinkTls { ca: Some(certificate.clone()), certificate: Some(certificate), key: Some(key) }
}

fn certified() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    dev_cert(folder.path()).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

#[tokio::test]
async fn links_speak_tls_where_it_is_configured() {
    let (_folder, path) = certified();
    let config = LinkConfig { tls: tls(&path), ..config() };
    let mut one = Node::with(1, config.clone(), SECRET, 16_384);
    let mut two = Node::with(2, config.clone(), SECRET, 16_384);
    one.links.dial(&two.address()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    let (to_two, to_one) = (one.chat_of(two.server()), two.chat_of(one.server()));
    for number in 1..=5_000 {
        assert_eq!(to_two.send(word(number)), Ok(()));
        assert_eq!(to_one.send(word(number)), Ok(()));
    }
    for number in 1..=5_000 {
        assert_eq!((two.word().await, one.word().await), (number, number));
    }

    // One that speaks plainly, and one with a certificate of somebody else, stay outside.
    let (_other, elsewhere) = certified();
    let strange = LinkConfig { tls: tls(&elsewhere), ..config.clone() };
    let plain = Node::start(3);
    let strange = Node::with(4, strange, SECRET, 16);
    plain.links.dial(&two.address()).unwrap();
    strange.links.dial(&two.address()).unwrap();
    let mut three = Node::with(5, config, SECRET, 16);
    three.links.dial(&two.address()).unwrap();
    assert!(three.up(two.server()).await && two.up(three.server()).await);
    assert!(plain.links.status().is_empty() && strange.links.status().is_empty());
    let server = one.server();
    one.end().await;
    assert!(two.lost(server).await);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let (folder, path) = certified();
    let broken = LinkTls { ca: Some(folder.path().join("none.pem")), ..tls(&path) };
    let parts = Parts {
        config: LinkConfig { tls: broken, ..config() },
        bind: "127.0.0.1:0".parse().unwrap(),
        secret: ClusterSecret::new(SECRET),
        identity: identity(1),
        hosted: Hosted::default(),
        events: mpsc::channel(1).0,
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    let error = start(parts).unwrap_err().to_string();
    assert!(error.starts_with("link.tls: ") && error.contains("none.pem"), "{error}");
}
