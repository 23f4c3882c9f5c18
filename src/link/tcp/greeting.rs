//! How a link begins: both ends find a common version, prove to each other that they know the
//! cluster's secret, and only then say who they are.
//!
//! The dialer proves first. Until it has, the acceptor says nothing but its versions and a nonce,
//! takes no frame over 4 KiB, and keeps nothing. Every proof is over all that was said before, so
//! a recorded one is worth nothing. Whoever calls bounds the time.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::frames::{BadLength, Frames};
use super::proof::{ClusterSecret, Label};
use crate::ids::ServerId;
use crate::limits;
use crate::link::Identity;
use crate::link::codec::DecodeError;
use crate::link::codec::greeting::{self, Challenge, Refusal, Step};
use crate::link::conversation::{Said, SessionId};

/// The version of the link protocol that this program speaks.
pub(super) const NEWEST: u32 = 1;
/// The oldest that it understands: the one before, as soon as there is one.
pub(super) const OLDEST: u32 = if NEWEST > 1 { NEWEST - 1 } else { 1 };

/// Who this process is, and how it proves it.
#[derive(Debug, Clone)]
pub(super) struct Greeter {
    pub me: Identity,
    pub secret: ClusterSecret,
}

/// The other end, once it has proven that it is of this cluster.
#[derive(Debug)]
pub(super) struct Proven {
    pub identity: Identity,
    /// What it said of the conversation.
    pub theirs: Said,
    /// What was said to it; none on the accepting side, which says it at last.
    pub mine: Option<Said>,
    /// The conversation that begins if they don't know the same one.
    pub anew: SessionId,
    /// Bytes that came behind the greeting.
    pub frames: Frames,
}

/// Why no link began.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(
        "it speaks versions {oldest} to {newest} of the link protocol, this program {OLDEST} to {NEWEST}: run programs of the same release, or of one and the next"
    )]
    Version { oldest: u32, newest: u32 },
    #[error("it does not know the cluster's secret: compare the secret files of both")]
    Proof,
    #[error("it refuses: {0}")]
    Refused(String, Refusal),
    #[error("it is this process itself")]
    Itself,
    #[error("it does not keep to the order of the greeting")]
    Order,
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    #[error("{0}")]
    Length(#[from] BadLength),
    #[error("it has closed the connection")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it took too long")]
    Late,
}

impl Failure {
    /// The word for it in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Failure::Version { .. } => "version",
            Failure::Proof => "proof",
            Failure::Refused(..) => "refused",
            Failure::Itself => "itself",
            Failure::Order | Failure::Malformed(_) | Failure::Length(_) => "malformed",
            Failure::Closed | Failure::Io(_) => "connection",
            Failure::Late => "timeout",
        }
    }

    /// Whether an operator must do something about it.
    pub(super) fn is_grave(&self) -> bool {
        match self {
            Failure::Version { .. } | Failure::Proof => true,
            Failure::Refused(_, refusal) => {
                matches!(refusal, Refusal::Version | Refusal::Proof)
            }
            _ => false,
        }
    }

    /// What to tell a dialer of it, if anything.
    fn answer(&self) -> Option<Step> {
        let refused = |refusal, words: String| Some(Step::Refused(refusal, words));
        match self {
            Failure::Version { oldest, newest } => refused(
                Refusal::Version,
                format!(
                    "versions {OLDEST} to {NEWEST} of the link protocol are spoken here, not \
                     {oldest} to {newest}"
                ),
            ),
            Failure::Proof => refused(
                Refusal::Proof,
                "the proof is wrong: the cluster's secrets differ".to_owned(),
            ),
            Failure::Itself => refused(Refusal::Itself, "this is the same process".to_owned()),
            _ => None,
        }
    }
}

/// What a stream must do.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// One end of a greeting that is under way.
struct Talk<'a, S> {
    stream: &'a mut S,
    frames: Frames,
}

impl<S: Socket> Talk<'_, S> {
    /// Sends a step; gives its bytes, for proofs.
    async fn say(&mut self, step: &Step) -> io::Result<Bytes> {
        let body = greeting::encode(step);
        let mut frame = (body.len() as u32).to_le_bytes().to_vec();
        frame.extend_from_slice(&body);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        Ok(body)
    }

    /// The next step and its bytes.
    async fn hear(&mut self) -> Result<(Step, Bytes), Failure> {
        loop {
            if let Some(frame) = self.frames.cut()? {
                return match greeting::decode(frame.clone())? {
                    Step::Refused(refusal, words) => Err(Failure::Refused(words, refusal)),
                    step => Ok((step, frame)),
                };
            }
            if self.stream.read_buf(self.frames.buffer()).await? == 0 {
                return Err(Failure::Closed);
            }
        }
    }
}

fn talk<S>(stream: &mut S) -> Talk<'_, S> {
    Talk { stream, frames: Frames::new(limits::LINK_GREETING_MAX) }
}

fn challenge() -> Step {
    Step::Challenge(Challenge { newest: NEWEST, oldest: OLDEST, nonce: rand::random() })
}

fn check_version(theirs: &Challenge) -> Result<(), Failure> {
    let Challenge { newest, oldest, nonce: _ } = *theirs;
    if NEWEST.min(newest) < OLDEST.max(oldest) {
        return Err(Failure::Version { oldest, newest });
    }
    Ok(())
}

/// Greets as the one that dialed, until the other is ready. `said` tells what this end knows of
/// its conversation with a process.
pub(super) async fn dial<S: Socket>(
    stream: &mut S,
    greeter: &Greeter,
    said: impl FnOnce(ServerId) -> Said,
) -> Result<Proven, Failure> {
    let Greeter { me, secret } = greeter;
    let mut talk = talk(stream);
    let mine = talk.say(&challenge()).await?;
    let (Step::Challenge(challenge), theirs) = talk.hear().await? else {
        return Err(Failure::Order);
    };
    check_version(&challenge)?;
    talk.say(&Step::Proof(secret.prove(Label::Dialer, &[&mine, &theirs]))).await?;

    let (Step::Introduction { identity: their_identity, mac, .. }, _) = talk.hear().await? else {
        return Err(Failure::Order);
    };
    if !secret.is_proven(Label::Acceptor, &[&mine, &theirs, &their_identity], &mac) {
        return Err(Failure::Proof);
    }
    let them = greeting::read_identity(their_identity.clone())?;
    if them.server == me.server {
        return Err(Failure::Itself);
    }
    let my_identity = greeting::put_identity(me);
    let covered: [&[u8]; 4] = [&mine, &theirs, &their_identity, &my_identity];
    let mac = secret.prove(Label::DialerIdentity, &covered);
    let said = said(them.server);
    talk.say(&Step::Introduction { identity: my_identity.clone(), mac, said }).await?;

    let (Step::Ready(theirs_said), _) = talk.hear().await? else {
        return Err(Failure::Order);
    };
    Ok(Proven {
        identity: them,
        theirs: theirs_said,
        mine: Some(said),
        anew: secret.session([&mine, &theirs]),
        frames: talk.frames,
    })
}

/// Greets as the one that was dialed, until the other has proven everything; whether it is taken
/// ([`ready`]) or not ([`refuse`]) is the caller's to say. A dialer that is wrong about something
/// is told what.
pub(super) async fn answer<S: Socket>(
    stream: &mut S,
    greeter: &Greeter,
) -> Result<Proven, Failure> {
    let mut talk = talk(stream);
    let result = answer_steps(&mut talk, greeter).await;
    match result {
        Ok((identity, theirs, anew)) => {
            Ok(Proven { identity, theirs, mine: None, anew, frames: talk.frames })
        }
        Err(failure) => {
            if let Some(step) = failure.answer() {
                talk.say(&step).await?;
                talk.stream.shutdown().await?;
            }
            Err(failure)
        }
    }
}

async fn answer_steps<S: Socket>(
    talk: &mut Talk<'_, S>,
    Greeter { me, secret }: &Greeter,
) -> Result<(Identity, Said, SessionId), Failure> {
    let (Step::Challenge(theirs), their_challenge) = talk.hear().await? else {
        return Err(Failure::Order);
    };
    check_version(&theirs)?;
    let my_challenge = talk.say(&challenge()).await?;
    let challenges: [&[u8]; 2] = [&their_challenge, &my_challenge];
    let (Step::Proof(mac), _) = talk.hear().await? else {
        return Err(Failure::Order);
    };
    if !secret.is_proven(Label::Dialer, &challenges, &mac) {
        return Err(Failure::Proof);
    }

    let my_identity = greeting::put_identity(me);
    let covered: [&[u8]; 3] = [&their_challenge, &my_challenge, &my_identity];
    let mac = secret.prove(Label::Acceptor, &covered);
    let said = Said::default();
    talk.say(&Step::Introduction { identity: my_identity.clone(), mac, said }).await?;

    let (Step::Introduction { identity, mac, said }, _) = talk.hear().await? else {
        return Err(Failure::Order);
    };
    let covered: [&[u8]; 4] = [&their_challenge, &my_challenge, &my_identity, &identity];
    if !secret.is_proven(Label::DialerIdentity, &covered, &mac) {
        return Err(Failure::Proof);
    }
    let them = greeting::read_identity(identity)?;
    if them.server == me.server {
        return Err(Failure::Itself);
    }
    Ok((them, said, secret.session(challenges)))
}

/// The last step of an acceptor that takes the link, as a frame's body.
pub(super) fn ready(said: Said) -> Bytes {
    greeting::encode(&Step::Ready(said))
}

/// Tells a proven dialer that it is not taken, and ends the connection.
pub(super) async fn refuse<S: Socket>(
    stream: &mut S,
    refusal: Refusal,
    words: &str,
) -> io::Result<()> {
    talk(stream).say(&Step::Refused(refusal, words.to_owned())).await?;
    stream.shutdown().await
}
