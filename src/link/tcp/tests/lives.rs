//! Links that are cut, fall silent, come back, and end; processes that die, leave, and are born
//! again.

use super::proxy::{Mood, Proxy};
use super::*;

/// Two that are linked through a proxy; the first has dialed.
async fn linked_through_a_proxy(config: LinkConfig) -> (Node, Node, Proxy) {
    let (one, two) = (config.clone(), config);
    let (mut one, mut two) = (Node::with(1, one, SECRET, 16), Node::with(2, two, SECRET, 16));
    let proxy = Proxy::to(two.links.local_addr()).await;
    one.links.dial(&proxy.address.to_string()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    (one, two, proxy)
}

#[tokio::test]
async fn a_cut_link_comes_back_and_sends_again_what_was_not_acknowledged() {
    let (mut one, mut two, proxy) = linked_through_a_proxy(config()).await;
    let to_two = one.chat_of(two.server());
    for round in 0..5u64 {
        assert_eq!(to_two.send(word(10 * round + 1)), Ok(()));
        proxy.cut();
        assert_eq!(to_two.send(word(10 * round + 2)), Ok(()));
        one.down(two.server()).await;
        assert_eq!(to_two.send(word(10 * round + 3)), Ok(()));
        assert!(!one.up(two.server()).await, "the conversation goes on");
        two.down(one.server()).await;
        assert!(!two.up(one.server()).await);
        for number in 1..=3 {
            assert_eq!(two.word().await, 10 * round + number);
        }
    }
    assert!(two.chat.is_empty());
}

#[tokio::test]
async fn a_silent_link_is_cut_and_a_silent_process_is_lost() {
    let (mut one, mut two, proxy) = linked_through_a_proxy(hasty()).await;
    let to_two = one.chat_of(two.server());
    proxy.set(Mood::Silent);
    one.down(two.server()).await;
    two.down(one.server()).await;
    assert!(!one.lost(two.server()).await && !two.lost(one.server()).await);
    assert_eq!(to_two.send(word(1)), Err(SendError::Closed(word(1))));
    assert!(one.links.outbox::<ChatMsg>(two.server(), Address::Chat).is_none());

    // It was not dead: they begin anew.
    proxy.set(Mood::Open);
    proxy.cut();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    assert_eq!(one.chat_of(two.server()).send(word(2)), Ok(()));
    assert_eq!(two.word().await, 2, "what was sent to the lost one is gone");
}

#[tokio::test]
async fn who_was_forgotten_hears_that_it_is_lost_and_up_again() {
    let (mut one, mut two) = (Node::with(1, hasty(), SECRET, 16), Node::start(2));
    let proxy = Proxy::to(two.links.local_addr()).await;
    one.links.dial(&proxy.address.to_string()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    let to_one = two.chat_of(one.server());
    proxy.set(Mood::Closed);
    proxy.cut();
    one.down(two.server()).await;
    two.down(one.server()).await;
    assert_eq!(to_one.send(word(1)), Ok(()), "it is patient");
    assert!(!one.lost(two.server()).await);

    proxy.set(Mood::Open);
    assert!(one.up(two.server()).await);
    assert!(!two.lost(one.server()).await, "it was forgotten");
    assert!(two.up(one.server()).await);
    assert_eq!(to_one.send(word(2)), Err(SendError::Closed(word(2))));
    assert_eq!(two.chat_of(one.server()).send(word(3)), Ok(()));
    assert_eq!(one.word().await, 3, "the old conversation's message is not sent any more");
}

#[tokio::test]
async fn a_killed_process_is_lost_before_its_time_whoever_had_dialed() {
    for (left, killed) in [(1, 2), (2, 1)] {
        let mut left = Node::start(left);
        let elsewhere = tokio::runtime::Runtime::new().unwrap();
        let mut killed = {
            let _elsewhere = elsewhere.enter();
            Node::start(killed)
        };
        killed.links.dial(&left.address()).unwrap();
        assert!(left.up(killed.server()).await && killed.up(left.server()).await);
        // All its tasks and sockets go at once, without a word, as when a process is killed.
        elsewhere.shutdown_background();
        left.down(killed.server()).await;
        assert!(!left.lost(killed.server()).await, "long before it would count as dead");
    }
}

#[tokio::test]
async fn a_process_is_lost_when_another_is_found_at_its_address() {
    let mut one = Node::start(1);
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    // Nobody can find out by dialing it that it is gone: there somebody takes every connection.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut two = {
        let _elsewhere = elsewhere.enter();
        Node::known_as(Identity { port, ..identity(2) }, config(), SECRET, 16)
    };
    let proxy = Proxy::to(two.links.local_addr()).await;
    one.links.dial(&proxy.address.to_string()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    proxy.set(Mood::Closed);
    elsewhere.shutdown_background();
    one.down(two.server()).await;

    let mut three = Node::known_as(Identity { port, ..identity(3) }, config(), SECRET, 16);
    three.links.dial(&one.address()).unwrap();
    let (lost, up) = (one.event().await, one.event().await);
    assert!(matches!(lost, LinkEvent::Lost { server: ServerId(2), clean: false }), "{lost:?}");
    assert!(matches!(up, LinkEvent::Up { fresh: true, .. }), "{up:?}");
    assert!(three.up(one.server()).await);
}

#[tokio::test]
async fn goodbye_comes_after_everything_else_and_is_clean() {
    let (one, mut two) = linked().await;
    let to_two = one.chat_of(two.server());
    for number in 1..=300 {
        assert_eq!(to_two.send(word(number)), Ok(()));
    }
    let server = one.server();
    one.end().await;
    assert!(two.lost(server).await, "clean");
    for number in 1..=300 {
        assert_eq!(two.word().await, number);
    }
}

#[tokio::test]
async fn a_new_process_at_the_old_address_is_another_one() {
    let mut one = Node::start(1);
    let mut two = Node::start(2);
    let proxy = Proxy::to(two.links.local_addr()).await;
    one.links.dial(&proxy.address.to_string()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    let mut three = Node::start(3);
    let other = Proxy::to(three.links.local_addr()).await;
    one.links.dial(&other.address.to_string()).unwrap();
    assert!(one.up(three.server()).await && three.up(one.server()).await);
    let server = two.server();
    two.end().await;
    assert!(one.lost(server).await);
    assert_eq!(one.chat_of(three.server()).send(word(1)), Ok(()));
    assert_eq!(three.word().await, 1, "the others' links are not concerned");
}

#[tokio::test]
async fn two_that_dial_each_other_have_one_link() {
    for _ in 0..4 {
        let (mut one, mut two) = (Node::start(1), Node::start(2));
        one.links.dial(&two.address()).unwrap();
        two.links.dial(&one.address()).unwrap();
        one.links.connect(two.member());
        two.links.connect(one.member());
        let (server_one, server_two) = (one.server(), two.server());
        // The second connection may take the first one's place, and then nothing is lost, or both
        // may have begun anew; in the end there is one, and it works both ways.
        let mut number = 0;
        loop {
            number += 1;
            one.settle(server_two).await;
            two.settle(server_one).await;
            let to_two = one.links.outbox(server_two, Address::Chat);
            let to_one = two.links.outbox(server_one, Address::Chat);
            let sent = [to_two, to_one].map(|outbox| {
                outbox.is_some_and(|outbox: Outbox<ChatMsg>| outbox.send(word(number)).is_ok())
            });
            if sent == [true, true] && one.hears(number).await && two.hears(number).await {
                break;
            }
        }
        let links = [one.links.status(), two.links.status()];
        assert!(links.iter().all(|links| links.len() == 1 && links[0].up), "{links:?}");
        one.end().await;
        two.end().await;
    }
}

impl Node {
    /// Takes in what has become of a process, until nothing does for a moment and it is up.
    async fn settle(&mut self, server: ServerId) {
        loop {
            while timeout(Duration::from_millis(100), self.events.recv()).await.is_ok() {}
            if self.links.status().iter().any(|link| link.identity.server == server && link.up) {
                return;
            }
        }
    }

    /// Whether this word comes, sooner or later; older ones are passed over.
    async fn hears(&mut self, number: u64) -> bool {
        loop {
            match timeout(Duration::from_secs(1), self.chat.recv()).await {
                Ok(Some(message)) if message == word(number) => return true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return false,
            }
        }
    }
}

#[tokio::test]
async fn a_process_that_dials_itself_is_not_linked_to_itself() {
    let (mut one, mut two) = (Node::start(1), Node::start(2));
    one.links.dial(&one.address()).unwrap();
    one.links.connect(one.member());
    two.links.dial(&one.address()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    assert_eq!(one.links.status().len(), 1);
}

#[tokio::test]
async fn members_find_each_other_whoever_is_told() {
    // The one with the lower id dials; if only the other one knows of it, that one does.
    let (mut one, mut two, mut three) = (Node::start(1), Node::start(2), Node::start(3));
    one.links.connect(two.member());
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    three.links.connect(one.member());
    assert!(three.up(one.server()).await && one.up(three.server()).await);

    one.links.forget(three.server());
    assert!(one.lost(three.server()).await && three.lost(one.server()).await, "clean");
    assert_eq!(one.links.status().len(), 1);
}

#[tokio::test]
async fn messages_wait_until_the_composition_has_heard_of_the_link() {
    let (mut one, mut two) = (Node::start(1), Node::start(2));
    one.links.dial(&two.address()).unwrap();
    let event = two.event().await;
    let LinkEvent::Up { identity, hold, .. } = event else { panic!("not up: {event:?}") };
    assert_eq!(identity, *one.links.identity());
    assert!(one.up(two.server()).await);
    assert_eq!(one.chat_of(two.server()).send(word(1)), Ok(()));
    let early = timeout(Duration::from_millis(200), two.chat.recv()).await;
    assert!(early.is_err(), "{early:?}");
    drop(hold);
    assert_eq!(two.word().await, 1);
}

#[tokio::test]
async fn heartbeats_measure_the_round_trip() {
    let (one, two) = linked().await;
    let measured = async {
        while one.links.status()[0].round_trip.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, measured).await.expect("a heartbeat comes back");
    assert_eq!(one.links.status()[0].identity, *two.links.identity());
}
