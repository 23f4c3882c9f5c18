//! A shard that has no room: frames are lost, what has happened in them is not.

use super::*;
use crate::geometry::Point;
use crate::msg::frame::FrameEvent;
use crate::world::event::{Audience, Weight};

/// A shard that says what it was told and then waits until it may go on.
struct Held {
    told: mpsc::Sender<ToShard>,
    go_on: std::sync::mpsc::Receiver<()>,
}

impl Service for Held {
    type Msg = ToShard;

    fn on_open(&mut self, _io: &mut Io<'_>, _conn: ConnId, _peer: Peer) {}
    fn on_frame(&mut self, _io: &mut Io<'_>, _conn: ConnId, _body: &[u8]) {}
    fn on_turn(&mut self, _io: &mut Io<'_>) {}
    fn on_paused(&mut self, _io: &mut Io<'_>, _conn: ConnId, _waiting: usize) {}
    fn on_stall(&mut self, _lost: std::time::Duration) {}
    fn on_fault(&mut self, _io: &mut Io<'_>, _conn: ConnId, _fault: FrameFault) {}
    fn on_close(&mut self, _io: &mut Io<'_>, _conn: ConnId, _reason: CloseReason) {}
    fn on_drained(&mut self, _io: &mut Io<'_>, _conn: ConnId) {}
    fn on_sweep(&mut self, _io: &mut Io<'_>, _now: std::time::Instant) {}

    fn on_msgs(&mut self, _io: &mut Io<'_>, msgs: &mut Vec<ToShard>) {
        for message in msgs.drain(..) {
            let _ = self.told.try_send(message);
            let _ = self.go_on.recv();
        }
    }
}

fn happening(number: u64) -> Arc<EncodedFrame> {
    let mut frame = EncodedFrame::clone(&frame(WEST, 1, number, &[ANNA]));
    frame.events.push(FrameEvent {
        at: Point::default(),
        audience: Audience::Zone,
        weight: Weight::Talk,
        concerns: [EntityId(number); 2],
        health: None,
        kind: PacketType::ChatMessage,
        payload: Default::default(),
    });
    Arc::new(frame)
}

fn numbers(events: &[FrameEvent]) -> Vec<u64> {
    events.iter().map(|event| event.concerns[0].0).collect()
}

#[tokio::test]
async fn what_happened_in_frames_that_found_no_room_goes_with_the_next() {
    let (sender, mut told) = mpsc::channel(64);
    let (release, held) = std::sync::mpsc::channel();
    let held = Arc::new(std::sync::Mutex::new(Some(held)));
    let make = move |_| Held { told: sender.clone(), go_on: held.lock().unwrap().take().unwrap() };
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let limits = NetConfig::default().connection_limits();
    let shards = spawn_shards(1, 1, limits, stop, make);
    let desk = Desk::open(8).await;
    let mut post = Post::new(desk.gateway.shared.peers.clone(), shards);
    let mut heard = async || match tokio::time::timeout(PATIENCE, told.recv()).await.unwrap() {
        Some(ToShard::Frame { frame, missed }) => (frame.frame.tick.0, numbers(&missed)),
        _ => panic!("no frame came"),
    };
    post.frame(&happening(1));
    assert_eq!(heard().await, (1, vec![]));
    // It works on the first; there is room for one more.
    for number in 2..=4 {
        post.frame(&happening(number));
    }
    release.send(()).unwrap();
    assert_eq!(heard().await, (2, vec![]));
    post.frame(&happening(5));
    release.send(()).unwrap();
    assert_eq!(heard().await, (5, vec![3, 4]), "oldest first, and once");
    post.frame(&happening(6));
    release.send(()).unwrap();
    assert_eq!(heard().await, (6, vec![]));
    drop(release);
}
