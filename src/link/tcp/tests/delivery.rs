//! What arrives, and what happens to what does not.

use bytes::Bytes;

use super::batch::Batch;
use super::*;
use crate::ids::OperationId;
use crate::link::codec::envelope::Own;
use crate::link::conversation::{Said, SessionId};
use crate::link::{Carrier as _, Delivery, NotCarried};
use crate::msg::master::ServerStatus;
use crate::msg::{GatewayMsg, MasterMsg, Outgoing, ZoneMsg};
use crate::proto::PacketType;

#[tokio::test]
async fn messages_arrive_in_order_both_ways() {
    let (mut one, mut two) = linked().await;
    let (to_two, to_one) = (one.chat_of(two.server()), two.chat_of(one.server()));
    assert_eq!(to_two.server(), Some(two.server()));
    for number in 1..=500 {
        assert_eq!(to_two.send(word(number)), Ok(()));
        assert_eq!(to_one.send(word(number)), Ok(()));
    }
    for number in 1..=500 {
        assert_eq!((two.word().await, one.word().await), (number, number));
    }
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn large_messages_arrive_whole_between_small_ones() {
    let (one, mut two) = linked().await;
    let (outbox, mut gateway) = inbox(16, false);
    two.hosted.insert(Address::Gateway, outbox);
    let to_gateway = one.links.outbox(two.server(), Address::Gateway).unwrap();
    let to_chat = one.chat_of(two.server());
    for length in [1usize, 200_000, 3_000_000] {
        let payload = Bytes::from(vec![7; length]);
        let packet = Outgoing { kind: PacketType::GameEvent, payload };
        assert!(to_gateway.send(GatewayMsg::Broadcast { packet }).is_ok());
        assert_eq!(to_chat.send(word(length as u64)), Ok(()));
    }
    for length in [1, 200_000, 3_000_000] {
        let message = timeout(LONG, gateway.recv()).await.unwrap();
        let Some(GatewayMsg::Broadcast { packet }) = message else { panic!("not a broadcast") };
        assert!(packet.payload.len() == length && packet.payload.iter().all(|byte| *byte == 7));
        assert_eq!(two.word().await, length as u64);
    }
}

#[tokio::test]
async fn what_is_for_nobody_or_cannot_be_read_costs_only_itself() {
    let (one, mut two) = linked().await;
    let nowhere = one.links.outbox::<ZoneMsg>(two.server(), Address::Zone(ZoneId(9))).unwrap();
    let wrong = one.links.outbox::<ZoneMsg>(two.server(), Address::Chat).unwrap();
    let right = one.chat_of(two.server());
    let watch = ZoneMsg::Arrived { player: PlayerId(1), handover: OperationId(7) };
    assert!(nowhere.send(watch.clone()).is_ok() && wrong.send(watch).is_ok());
    assert_eq!(right.send(word(1)), Ok(()));
    assert_eq!(two.word().await, 1);

    two.hosted.remove(Address::Chat);
    assert_eq!(right.send(word(2)), Ok(()));
    // Once it is acknowledged it has been dropped.
    timeout(LONG, settled(&one)).await.unwrap();
    let (outbox, chat) = inbox(16, false);
    two.hosted.insert(Address::Chat, outbox);
    two.chat = chat;
    assert_eq!(right.send(word(3)), Ok(()));
    assert_eq!(two.word().await, 3);
}

/// Waits until everything that was sent is acknowledged.
async fn settled(node: &Node) {
    while node.links.status().iter().any(|link| link.unacknowledged > 0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_full_inbox_makes_reliable_messages_wait_and_loses_none() {
    let mut one = Node::start(1);
    let mut two = Node::with(2, config(), SECRET, 4);
    one.links.dial(&two.address()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    let to_two = one.chat_of(two.server());
    for number in 1..=200 {
        assert_eq!(to_two.send(word(number)), Ok(()));
    }
    // Nobody reads, so after a while the link is cut and made again, and goes on where it was.
    one.down(two.server()).await;
    two.down(one.server()).await;
    assert!(!one.up(two.server()).await && !two.up(one.server()).await);
    for number in 1..=200 {
        assert_eq!(two.word().await, number);
    }
    timeout(LONG, settled(&one)).await.unwrap();
}

#[tokio::test]
async fn a_full_inbox_costs_droppable_messages() {
    let (one, mut two) = linked().await;
    let (outbox, mut master) = inbox(1, false);
    two.hosted.insert(Address::Master, outbox);
    let to_master = one.links.outbox(two.server(), Address::Master).unwrap();
    let to_chat = one.chat_of(two.server());
    for players in 1..=3 {
        assert_eq!(to_master.send(MasterMsg::Status(Box::new(status(players)))), Ok(()));
    }
    assert_eq!(to_chat.send(word(1)), Ok(()));
    assert_eq!(two.word().await, 1, "the link goes on");
    let Some(MasterMsg::Status(first)) = master.try_recv() else { panic!("no status") };
    assert_eq!((first.players, master.len()), (1, 0));
}

fn status(players: u32) -> ServerStatus {
    ServerStatus {
        server: ServerId(1),
        name: "one".into(),
        roles: vec![],
        version: "0.1.0".into(),
        region: String::new(),
        host: "127.0.0.1".into(),
        port: 0,
        text_port: 0,
        players,
        capacity: 100,
        cpu_percent: 0.0,
        memory: 0,
        zones: vec![],
        draining: false,
        link_host: String::new(),
        link_port: 1,
        links: 0,
        started_at: 1,
    }
}

#[tokio::test]
async fn a_peers_log_is_bounded_and_says_full() {
    let bounded = LinkConfig { queue_messages: 3, ..config() };
    let mut one = Node::with(1, bounded, SECRET, 16);
    let mut two = Node::start(2);
    let proxy = proxy::Proxy::to(two.links.local_addr()).await;
    one.links.dial(&proxy.address.to_string()).unwrap();
    assert!(one.up(two.server()).await && two.up(one.server()).await);
    let to_two = one.chat_of(two.server());
    proxy.set(proxy::Mood::Closed);
    proxy.cut();
    one.down(two.server()).await;
    for number in 1..=3 {
        assert_eq!(to_two.send(word(number)), Ok(()), "logged, though there is no connection");
    }
    assert_eq!(to_two.send(word(4)), Err(SendError::Full(word(4))));
    assert_eq!(to_two.depth(), 3);
    let to_master = one.links.outbox(two.server(), Address::Master).unwrap();
    let status = MasterMsg::Status(Box::new(status(1)));
    assert_eq!(to_master.send(status.clone()), Err(SendError::Full(status)), "nothing to go over");

    proxy.set(proxy::Mood::Open);
    assert!(!one.up(two.server()).await);
    for number in 1..=3 {
        assert_eq!(two.word().await, number);
    }
}

#[test]
fn heartbeats_fill_no_queue_however_many_come() {
    let bounds = Bounds { messages: 10, bytes: 1 << 30 };
    let peer = Peer::new(ServerId(1), ServerId(2), bounds, Counts::new());
    peer.answer(1);
    peer.open(Said::default(), Said::default(), SessionId(1)).unwrap();
    peer.attach(None);
    let mut batch = Batch::default();
    peer.take(&mut batch, false);
    assert!(batch.is_empty(), "there was no connection when it came");
    (2..=1_000).for_each(|stamp| peer.answer(stamp));
    peer.take(&mut batch, false);
    let mut last = Batch::default();
    last.push_own(Own::Pong(1_000));
    let written = |batch: &Batch| -> Vec<u8> {
        batch.slices().iter().flat_map(|slice| slice.to_vec()).collect()
    };
    assert_eq!(written(&batch), written(&last));
    batch.clear();
    peer.take(&mut batch, false);
    assert!(batch.is_empty(), "each is answered once");
}

#[test]
fn droppable_messages_are_refused_when_too_much_waits_and_none_is_encoded_for_nothing() {
    let bounds = Bounds { messages: 10, bytes: 1 << 30 };
    let peer = Peer::new(ServerId(1), ServerId(2), bounds, Counts::new());
    let never = || -> Bytes { panic!("encoded for nothing") };
    let refused = peer.carry(Address::Chat, Delivery::Droppable, &never);
    assert_eq!(refused, Err(NotCarried::Full));

    peer.open(Said::default(), Said::default(), SessionId(1)).unwrap();
    peer.attach(None);
    let large = || Bytes::from(vec![1; 1 << 20]);
    for _ in 0..4 {
        assert_eq!(peer.carry(Address::Chat, Delivery::Droppable, &large), Ok(()));
    }
    let more = peer.carry(Address::Chat, Delivery::Droppable, &large);
    assert_eq!(more, Err(NotCarried::Full));
    assert_eq!(peer.carry(Address::Chat, Delivery::Reliable, &large), Ok(()));

    peer.close();
    let gone = peer.carry(Address::Chat, Delivery::Reliable, &never);
    assert_eq!(gone, Err(NotCarried::Closed));
}
