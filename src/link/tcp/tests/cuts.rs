//! Exactly once and in order, however often and wherever the connection is cut.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::proxy::Proxy;
use super::*;

/// Messages each way.
const WORDS: u64 = 4_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_message_arrives_once_and_in_order_however_the_link_is_cut() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    // Little is kept for the other, so that what is on its way is never more than a few cuts away.
    let bounded = LinkConfig { queue_messages: 64, ..config() };
    let mut one = Node::with(1, bounded.clone(), SECRET, 64);
    let mut two = Node::with(2, bounded, SECRET, 64);
    let proxy = Proxy::to(two.links.local_addr()).await;
    one.links.dial(&proxy.address.to_string()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    let (to_two, to_one) = (one.chat_of(two.server()), two.chat_of(one.server()));
    let sent = tokio::spawn(async move {
        for number in 1..=WORDS {
            say(&to_two, number).await;
            say(&to_one, number).await;
        }
    });
    let (mut heard_one, mut heard_two) = (Vec::new(), Vec::new());
    let mut cuts = 0;
    proxy.cut_after(chance.random_range(1..15_000));
    let hear = async {
        while heard_one.len() < WORDS as usize || heard_two.len() < WORDS as usize {
            tokio::select! {
                word = one.chat.recv() => heard_one.push(number(word)),
                word = two.chat.recv() => heard_two.push(number(word)),
                event = one.events.recv() => match event.expect("links run") {
                    // The next cut is at any byte of the next greeting ...
                    LinkEvent::Down { .. } => {
                        cuts += 1;
                        proxy.cut_after(chance.random_range(1..1_000));
                    }
                    // ... or of what comes after it, old messages and new ones.
                    LinkEvent::Up { fresh, .. } => {
                        assert!(!fresh, "the conversation goes on");
                        proxy.cut_after(chance.random_range(1..20_000));
                    }
                    LinkEvent::Lost { .. } => panic!("nobody was silent for long"),
                },
                event = two.events.recv() => {
                    let lost = matches!(event, Some(LinkEvent::Lost { .. }));
                    assert!(!lost, "nobody was silent for long");
                }
            }
        }
    };
    let heard = timeout(6 * LONG, hear).await;
    assert!(heard.is_ok(), "{} and {} came, after {cuts} cuts", heard_one.len(), heard_two.len());
    sent.await.unwrap();
    let wanted: Vec<u64> = (1..=WORDS).collect();
    assert!(heard_one == wanted, "{:?}", first_wrong(&heard_one));
    assert!(heard_two == wanted, "{:?}", first_wrong(&heard_two));
    assert!(cuts >= 10, "it was cut {cuts} times only");
}

/// Sends a word as soon as there is room for it.
async fn say(outbox: &Outbox<ChatMsg>, number: u64) {
    loop {
        match outbox.send(word(number)) {
            Ok(()) => return,
            Err(SendError::Full(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(SendError::Closed(_)) => panic!("nobody was silent for long"),
        }
    }
}

fn number(message: Option<ChatMsg>) -> u64 {
    match message {
        Some(ChatMsg::Moved { player, .. }) => player.0,
        other => panic!("not a word: {other:?}"),
    }
}

fn first_wrong(heard: &[u64]) -> Option<(usize, u64)> {
    let numbered = heard.iter().copied().enumerate();
    numbered.into_iter().find(|(place, number)| *number != *place as u64 + 1)
}
