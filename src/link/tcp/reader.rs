//! A connection's reading half: cuts frames, keeps the conversation, fills inboxes.
//!
//! What cannot be decoded, or is not the other end's to say, costs that one message; what breaks the
//! order of the link costs the connection. A reliable message whose inbox is full is waited for, then the connection is cut,
//! and the other end sends it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::time::{sleep_until, timeout_at};
use tracing::{debug, warn};

use super::connection::{End, Pulse};
use super::counts::Dropped;
use super::frames::Frames;
use super::hosted::{Hosted, NotPut, Table};
use super::peer::Peer;
use super::stream::Reading;
use crate::limits;
use crate::link::Address;
use crate::link::Carrier as _;
use crate::link::codec::envelope::{self, Arrived, Own};
use crate::msg::Source;
use crate::seldom::Seldom;
use crate::tick::now;

/// How long a reliable message waits for room in its inbox.
const INBOX_PATIENCE: Duration = Duration::from_secs(2);

/// What one connection's messages go through.
pub(super) struct Reader {
    peer: Arc<Peer>,
    source: Source,
    hosted: Hosted,
    pulse: Pulse,
    frames: Frames,
    heard: Instant,
    undecodable: Seldom,
    misfits: Seldom,
}

impl Reader {
    pub(super) fn new(
        peer: Arc<Peer>,
        source: Source,
        hosted: Hosted,
        pulse: Pulse,
        mut frames: Frames,
    ) -> Self {
        frames.set_limit(limits::LINK_FRAME_MAX);
        Self {
            peer,
            source,
            hosted,
            pulse,
            frames,
            heard: now(),
            undecodable: Seldom::default(),
            misfits: Seldom::default(),
        }
    }

    /// When the other end was last heard.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Reads until there is a reason not to.
    pub(super) async fn run(&mut self, mut stream: Reading) -> End {
        let patience = self.pulse.patience();
        self.heard = now();
        let silence = sleep_until((self.heard + patience).into());
        tokio::pin!(silence);
        loop {
            if let Err(end) = self.take_frames().await {
                return end;
            }
            tokio::select! {
                biased;
                read = stream.read_buf(self.frames.buffer()) => match read {
                    Ok(0) => return End::Closed,
                    Ok(bytes) => {
                        self.heard = now();
                        self.peer.counts.bytes_in.increment(bytes as u64);
                    }
                    Err(error) => return End::Io(error),
                },
                () = &mut silence => {
                    let silent = now() - self.heard;
                    if silent >= patience {
                        return End::Silent(silent);
                    }
                    silence.as_mut().reset((self.heard + patience).into());
                }
            }
        }
    }

    async fn take_frames(&mut self) -> Result<(), End> {
        let hosted = self.hosted.now();
        let (mut reliable, mut droppable) = (0, 0);
        while let Some(frame) = self.frames.cut()? {
            match envelope::read(frame)? {
                Arrived::Message { id: 0, target, body } => {
                    droppable += 1;
                    let host = hosted.get(&target);
                    let put = host.map_or(Err(NotPut::Closed), |host| host.put(body, &self.source));
                    if let Err(problem) = put {
                        self.not_put(target, problem);
                    }
                }
                Arrived::Message { id, target, body } => {
                    reliable += 1;
                    self.on_reliable(id, target, &body, &hosted).await?;
                }
                Arrived::Own(own) => self.on_own(own)?,
            }
        }
        self.peer.counts.reliable_in.increment(reliable);
        self.peer.counts.droppable_in.increment(droppable);
        Ok(())
    }

    async fn on_reliable(
        &mut self,
        id: u64,
        target: Address,
        body: &[u8],
        hosted: &Table,
    ) -> Result<(), End> {
        if !self.peer.is_next(id)? {
            self.peer.counts.repeated.increment(1);
            return Ok(());
        }
        let mut patience = None;
        let mut host = hosted.get(&target).cloned();
        loop {
            let Some(inbox) = &host else {
                self.not_put(target, NotPut::Closed);
                break;
            };
            // A copy of its own: what is kept for long, such as packets for a resume, must not
            // keep all that was read with it.
            match inbox.put(Bytes::copy_from_slice(body), &self.source) {
                Ok(()) => break,
                Err(NotPut::Full) => {
                    let until = *patience.get_or_insert_with(|| now() + INBOX_PATIENCE);
                    let waited = timeout_at(until.into(), inbox.room()).await;
                    // While nothing was read, silence says nothing.
                    self.heard = now();
                    if waited.is_err() {
                        return Err(End::InboxFull(target));
                    }
                    // The role may have started anew meanwhile, with another inbox.
                    host = self.hosted.now().get(&target).cloned();
                }
                Err(problem) => {
                    self.not_put(target, problem);
                    break;
                }
            }
        }
        self.peer.applied_next();
        Ok(())
    }

    fn on_own(&mut self, own: Own) -> Result<(), End> {
        match own {
            Own::Acknowledgement(through) => self.peer.acknowledged(through)?,
            Own::Ping(stamp) => self.peer.answer(stamp),
            Own::Pong(stamp) => {
                if let Some(round_trip) = self.pulse.since(stamp) {
                    self.peer.measured(round_trip);
                }
            }
            Own::Goodbye => return Err(End::Goodbye),
        }
        Ok(())
    }

    /// A message that is dropped here.
    fn not_put(&self, target: Address, problem: NotPut) {
        let server = self.peer.server();
        match problem {
            NotPut::Full => self.peer.counts.dropped(Dropped::InboxFull),
            NotPut::Closed => {
                self.peer.counts.dropped(Dropped::NoInbox);
                debug!(%server, %target, "a message for an inbox that is not here; dropped");
            }
            NotPut::Undecodable(error) => {
                self.peer.counts.dropped(Dropped::Undecodable);
                if let Some(unsaid) = self.undecodable.allow() {
                    warn!(%server, %target, %error, unsaid, "a message that cannot be decoded; skipped");
                }
            }
            NotPut::Misfit(problem) => {
                self.peer.counts.dropped(Dropped::Misfit);
                if let Some(unsaid) = self.misfits.allow() {
                    warn!(%server, %target, %problem, unsaid, "a message that is not its source's to say; dropped");
                }
            }
        }
    }
}
