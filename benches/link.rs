//! What a message costs on a link beside the kernel: encode, frame, cut, decode.

#![allow(clippy::expect_used, reason = "a bench that cannot go on fails")]

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use throng::ids::{PlayerId, ServerId, SessionKey, SessionRef, ZoneId};
use throng::link::codec::envelope::{self, Arrived, Head};
use throng::link::conversation::{Bounds, Conversation, Said, SessionId};
use throng::link::tcp::batch::Batch;
use throng::link::tcp::frames::Frames;
use throng::link::tcp::{self, ClusterSecret, Hosted, LinkEvent, Links, Parts};
use throng::link::{Address, Identity, Inbox, LinkConfig, Wire, inbox};
use throng::msg::ZoneMsg;
use throng::role::Roles;
use throng::world::command::Action;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Messages of a round over a real link.
const MANY: u64 = 4_096;
/// Messages of one round, as a busy link carries them in a millisecond or two.
const ROUND: u64 = 256;

fn main() {
    divan::main();
}

fn step(player: u64) -> ZoneMsg {
    ZoneMsg::Act {
        player: PlayerId(player),
        session: SessionRef { gateway: ServerId(1 << 50), key: SessionKey(player) },
        request: 1_234,
        action: Action::Move {
            x: 512.5,
            y: -17.25,
            rotation: 90.0,
            sequence: 4_321,
            client_time: 1_800_000_000_000,
        },
    }
}

fn head(message_id: u64) -> Head {
    Head {
        message_id,
        source: ServerId(1 << 50),
        target_server: ServerId(1 << 51),
        timestamp: 1_800_000_000_000,
        target: Address::Zone(ZoneId(7)),
    }
}

fn framed() -> Vec<u8> {
    let mut batch = Batch::default();
    (1..=ROUND).for_each(|player| batch.push(&head(0), &step(player).encode()));
    batch.slices().iter().flat_map(|slice| slice.to_vec()).collect()
}

/// Up to the write: a step is encoded and put into the batch.
#[divan::bench]
fn steps_sent(bencher: Bencher) {
    let (message, mut batch) = (step(9), Batch::default());
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        batch.clear();
        for _ in 0..ROUND {
            batch.push(&head(0), &black_box(&message).encode());
        }
        batch.len()
    });
}

/// The same for a message that must arrive: it is logged too, and acknowledged later.
#[divan::bench]
fn steps_sent_reliably(bencher: Bencher) {
    let (message, mut batch) = (step(9), Batch::default());
    let mut log = Conversation::new(Bounds { messages: 65_536, bytes: 1 << 25 });
    log.open(Said::default(), Said::default(), SessionId(1)).expect("it is new");
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        batch.clear();
        let mut last = 0;
        for _ in 0..ROUND {
            let body = black_box(&message).encode();
            last = log.log(Address::Zone(ZoneId(7)), body.clone()).expect("there is room");
            batch.push(&head(last), &body);
        }
        log.acknowledged(last).expect("it was sent");
        batch.len()
    });
}

/// From the read on: frames are cut, heads taken apart, steps decoded.
#[divan::bench]
fn steps_received(bencher: Bencher) {
    let (bytes, mut frames) = (framed(), Frames::new(1 << 20));
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        frames.buffer().extend_from_slice(black_box(&bytes));
        let mut count = 0;
        while let Ok(Some(frame)) = frames.cut() {
            if let Ok(Arrived::Message { body, .. }) = envelope::read(frame)
                && ZoneMsg::decode(body).is_ok()
            {
                count += 1;
            }
        }
        assert_eq!(count, ROUND);
    });
}

/// The part of that which is the link's own: without decoding the step.
#[divan::bench]
fn frames_cut_and_heads_read(bencher: Bencher) {
    let (bytes, mut frames) = (framed(), Frames::new(1 << 20));
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        frames.buffer().extend_from_slice(black_box(&bytes));
        let mut length = 0;
        while let Ok(Some(frame)) = frames.cut() {
            if let Ok(Arrived::Message { body, .. }) = envelope::read(frame) {
                length += body.len();
            }
        }
        length
    });
}

/// All of it over a real socket of this machine, from one process's links to another's: what the
/// kernel and the tasks' wake-ups add.
#[divan::bench]
fn steps_over_a_link(bencher: Bencher) {
    let runtime = Runtime::new().expect("a runtime starts");
    let (links, mut inbox, gone) = runtime.block_on(linked());
    let to_zone = links.outbox(ServerId(2), Address::Zone(ZoneId(7))).expect("it is linked");
    let message = step(9);
    bencher.counter(ItemsCount::new(MANY)).bench_local(|| {
        for _ in 0..MANY {
            to_zone.send(message.clone()).expect("the link has room");
        }
        let mut got = 0;
        while got < MANY {
            match inbox.try_recv() {
                Some(_) => got += 1,
                None => std::thread::yield_now(),
            }
        }
    });
    gone.cancel();
}

/// Links of two processes in one, and an inbox at the second.
async fn linked() -> (Links, Inbox<ZoneMsg>, CancellationToken) {
    let (outbox, inbox) = inbox(2 * MANY as usize, false);
    let hosted = Hosted::default();
    hosted.insert(Address::Zone(ZoneId(7)), outbox);
    let stop = CancellationToken::new();
    let start = |server, hosted| {
        let (events, happens) = mpsc::channel(16);
        let links = tcp::start(Parts {
            config: LinkConfig::default(),
            bind: "127.0.0.1:0".parse().expect("an address"),
            secret: ClusterSecret::new("nobody else is here"),
            identity: Identity {
                server: ServerId(server),
                roles: Roles::all(),
                host: "127.0.0.1".into(),
                port: 0,
                version: "0".into(),
            },
            hosted,
            events,
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        });
        (links.expect("links start").0, happens)
    };
    let (one, mut happens) = start(1, Hosted::default());
    let (two, mut others) = start(2, hosted);
    one.dial(&two.local_addr().to_string()).expect("an address");
    assert!(matches!(happens.recv().await, Some(LinkEvent::Up { .. })));
    assert!(matches!(others.recv().await, Some(LinkEvent::Up { .. })));
    (one, inbox, stop)
}

/// A frame of 50 KB, as a large zone sends 20 times a second, to four gateways.
#[divan::bench]
fn zone_frames_to_four_gateways(bencher: Bencher) {
    let body = Bytes::from(vec![0x42; 50_000]);
    let mut batches: [Batch; 4] = Default::default();
    bencher.counter(ItemsCount::new(4u64)).bench_local(|| {
        for batch in &mut batches {
            batch.clear();
            batch.push(&head(0), black_box(&body));
        }
    });
}
