//! Strangers at the links' port: whatever they send, however many they are, those of the cluster
//! are not troubled, and nothing is said to them.

use std::net::SocketAddr;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::limits;
use crate::link::codec::greeting::{self as steps, Challenge, Step};

/// Sends bytes and reads until the other end closes; none if it does not.
async fn try_with(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    // It may close before all is sent, and then the rest of the answer may be lost too.
    let _ = stream.write_all(bytes).await;
    timeout(LONG, stream.read_to_end(&mut answer)).await.ok().map(|_| answer)
}

/// A link goes on: a message comes through.
async fn still_linked(one: &mut Node, two: &mut Node, number: u64) {
    assert_eq!(one.chat_of(two.server()).send(word(number)), Ok(()));
    assert_eq!(two.word().await, number);
}

#[tokio::test]
async fn frames_over_the_limit_and_empty_ones_close_the_connection_at_once() {
    let (mut one, mut two) = linked().await;
    for length in [0u32, 4_097, 1 << 20, u32::MAX] {
        let answer = try_with(two.links.local_addr(), &length.to_le_bytes()).await;
        assert_eq!(answer.as_deref(), Some(&[][..]), "{length}");
    }
    still_linked(&mut one, &mut two, 1).await;
}

#[tokio::test]
async fn garbage_is_answered_with_nothing() {
    let (mut one, mut two) = linked().await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..50 {
        let length = chance.random_range(1..200usize);
        let mut bytes = (length as u32).to_le_bytes().to_vec();
        // One byte more than a frame: whatever it is, there is something after it.
        bytes.extend((0..=length).map(|_| chance.random::<u8>()));
        let mut stream = TcpStream::connect(two.links.local_addr()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("it is closed");
        assert!(answer.is_empty() || read.is_err(), "{bytes:?} is answered");
    }
    still_linked(&mut one, &mut two, 1).await;
}

#[tokio::test]
async fn before_a_proof_nothing_is_said_but_a_version_and_a_nonce() {
    let (_one, two) = linked().await;
    let challenge = Challenge { newest: 1, oldest: 1, nonce: [7; 32] };
    let mut bytes = Vec::new();
    for step in [Step::Challenge(challenge), Step::Proof([0; 32])] {
        let body = steps::encode(&step);
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&body);
    }
    let answer = try_with(two.links.local_addr(), &bytes).await.expect("it is closed");
    let mut frames = frames::Frames::new(4_096);
    frames.buffer().extend_from_slice(&answer);
    let mut heard = Vec::new();
    while let Some(frame) = frames.cut().unwrap() {
        heard.push(steps::decode(frame).unwrap());
    }
    assert!(matches!(heard.as_slice(), [Step::Challenge(_), Step::Refused(..)]), "{heard:?}");
}

#[tokio::test]
async fn many_who_say_nothing_cost_their_places_only_and_the_cluster_goes_on() {
    let (mut one, mut two) = linked().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(two.links.local_addr()).await.unwrap());
    }
    // Over the bound they are closed at once: most of them are, long before the time for a
    // greeting is over.
    let mut closed = 0;
    for stream in &mut idle {
        let mut byte = [0];
        let read = timeout(Duration::from_millis(20), stream.read(&mut byte)).await;
        closed += usize::from(read.is_ok());
    }
    assert!(closed >= 300 - limits::LINK_GREETINGS_PER_ADDRESS, "{closed} are closed");
    still_linked(&mut one, &mut two, 1).await;

    // One of the cluster comes in as soon as there is a place again.
    drop(idle);
    let mut three = Node::start(3);
    three.links.dial(&two.address()).unwrap();
    assert!(three.up(two.server()).await && two.up(three.server()).await);
}

#[tokio::test]
async fn who_is_slow_at_greeting_loses_its_place() {
    let (mut one, mut two) = linked().await;
    let mut slow = TcpStream::connect(two.links.local_addr()).await.unwrap();
    let trickle = async {
        // A frame's length, then a byte now and then, for ever.
        let _ = slow.write_all(&100u32.to_le_bytes()).await;
        while slow.write_all(&[0x0a]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(LONG, trickle).await.expect("it is closed in the end");
    still_linked(&mut one, &mut two, 1).await;
}

#[tokio::test]
async fn a_wrong_secret_lets_nobody_in_and_troubles_nobody() {
    let (mut one, mut two) = linked().await;
    let stranger = Node::with(9, config(), "not the secret of the others", 16);
    stranger.links.dial(&two.address()).unwrap();
    two.links.connect(stranger.member());
    // Both have tried when somebody who came later is in.
    let mut three = Node::start(3);
    three.links.dial(&two.address()).unwrap();
    assert!(three.up(two.server()).await && two.up(three.server()).await);
    assert!(stranger.links.status().is_empty());
    assert_eq!(two.links.status().len(), 2);
    still_linked(&mut one, &mut two, 1).await;
    drop(stranger.events);
}
