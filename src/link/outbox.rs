//! The two ends of a way to a role: the [`Outbox`] that many hold, the [`Inbox`] that one drains.
//!
//! Roles send and receive; `run/` and the links make outboxes. Nothing here waits for room.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::error;

use super::switch::{Switch, Targets};
use super::{Address, Delivery, Wire};
use crate::ids::ServerId;

/// How long to wait for room where nothing tells that there is some.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Why a message could not be sent; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum SendError<M> {
    /// The inbox, or the link's queue, is full.
    Full(M),
    /// The role has ended, its process is gone, or nobody plays it now.
    Closed(M),
}

impl<M> SendError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        let (Self::Full(message) | Self::Closed(message)) = self;
        message
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "the inbox is full",
            SendError::Closed(_) => "the role has ended",
        })
    }
}

/// What carries encoded messages to one other process: its link, or a test's idea of one.
pub trait Carrier: fmt::Debug + Send + Sync {
    /// Takes a message along, or says at once why not. `encode` is called at most once, and only
    /// if there is room.
    ///
    /// # Errors
    /// See [`NotCarried`].
    fn carry(
        &self,
        to: Address,
        delivery: Delivery,
        encode: &dyn Fn() -> Bytes,
    ) -> Result<(), NotCarried>;

    /// The process at the other end.
    fn server(&self) -> ServerId;

    /// Messages taken that the other process has not acknowledged.
    fn waiting(&self) -> usize;
}

/// Why a link did not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCarried {
    /// Too much waits for the other process; or the message may be dropped, and was.
    Full,
    /// The other process is gone for good.
    Closed,
}

/// The sending end of a role's inbox. Cheap to clone.
#[derive(Debug)]
pub struct Outbox<M> {
    form: Form<M>,
}

#[derive(Debug)]
enum Form<M> {
    /// To this process; the value is moved.
    Direct(mpsc::Sender<M>),
    /// To this process; the value goes through its wire form.
    Loopback(mpsc::Sender<M>),
    /// To another process.
    Linked(Arc<dyn Carrier>, Address),
    /// To whoever has it now.
    Switched(Arc<Targets<M>>),
}

impl<M> Clone for Outbox<M> {
    fn clone(&self) -> Self {
        let form = match &self.form {
            Form::Direct(sender) => Form::Direct(sender.clone()),
            Form::Loopback(sender) => Form::Loopback(sender.clone()),
            Form::Linked(carrier, to) => Form::Linked(carrier.clone(), *to),
            Form::Switched(targets) => Form::Switched(targets.clone()),
        };
        Self { form }
    }
}

/// The receiving end: one role's, read by one task or thread.
#[derive(Debug)]
pub struct Inbox<M> {
    receiver: mpsc::Receiver<M>,
}

/// A new inbox for `capacity` messages and its sending end.
pub fn inbox<M: Wire>(capacity: usize, loopback: bool) -> (Outbox<M>, Inbox<M>) {
    let (sender, receiver) = mpsc::channel(capacity);
    let form = if loopback { Form::Loopback(sender) } else { Form::Direct(sender) };
    (Outbox { form }, Inbox { receiver })
}

impl<M> Outbox<M> {
    /// To an inbox of another process.
    pub fn linked(carrier: Arc<dyn Carrier>, to: Address) -> Self {
        Self { form: Form::Linked(carrier, to) }
    }

    /// To whoever the switch is set to, nobody at first.
    pub fn switched() -> (Self, Switch<M>) {
        let targets = Arc::new(Targets::default());
        (Self { form: Form::Switched(targets.clone()) }, Switch::new(targets))
    }

    /// The other process behind it. None for an inbox of this process, and for a switch that is
    /// set to nobody or to several.
    pub fn server(&self) -> Option<ServerId> {
        match &self.form {
            Form::Direct(_) | Form::Loopback(_) => None,
            Form::Linked(carrier, _) => Some(carrier.server()),
            Form::Switched(targets) => targets.only().and_then(|outbox| outbox.server()),
        }
    }

    /// The processes it may lead to now: one; none or several for a switch. None stands for an
    /// inbox of this process.
    pub fn servers(&self) -> Vec<Option<ServerId>> {
        match &self.form {
            Form::Direct(_) | Form::Loopback(_) => vec![None],
            Form::Linked(carrier, _) => vec![Some(carrier.server())],
            Form::Switched(targets) => targets.all().iter().flat_map(Outbox::servers).collect(),
        }
    }

    /// Whether both lead to the same inbox over the same way. Two to another process are not the
    /// same once its link was made anew.
    pub fn leads_where(&self, other: &Self) -> bool {
        match (&self.form, &other.form) {
            (
                Form::Direct(mine) | Form::Loopback(mine),
                Form::Direct(others) | Form::Loopback(others),
            ) => mine.same_channel(others),
            (Form::Linked(mine, to), Form::Linked(others, others_to)) => {
                to == others_to && Arc::ptr_eq(mine, others)
            }
            (Form::Switched(mine), Form::Switched(others)) => Arc::ptr_eq(mine, others),
            _ => false,
        }
    }

    /// Messages waiting now, for the role or for its process.
    pub fn depth(&self) -> usize {
        match &self.form {
            Form::Direct(sender) | Form::Loopback(sender) => {
                sender.max_capacity() - sender.capacity()
            }
            Form::Linked(carrier, _) => carrier.waiting(),
            Form::Switched(targets) => targets.all().iter().map(Outbox::depth).sum(),
        }
    }
}

impl<M: Wire> Outbox<M> {
    /// Waits until there may be room, or nobody is there any more.
    pub(super) async fn has_room(&self) {
        match &self.form {
            Form::Direct(sender) | Form::Loopback(sender) => drop(sender.reserve().await),
            // Nothing tells when a link or a switch has room again.
            Form::Linked(..) | Form::Switched(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }

    /// Sends without waiting. `Ok` means that the message is on its way, not that it is there; one
    /// that is [`Delivery::Reliable`] then gets lost only with the other process.
    ///
    /// # Errors
    /// Gives the message back if there is no room, or nobody to send it to any more.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.send_to_one(message).map(|_| ())
    }

    /// Sends, and tells which process has the message now; none: this one. For questions that are
    /// asked again when that process dies.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_to_one(&self, message: M) -> Result<Option<ServerId>, SendError<M>> {
        match &self.form {
            Form::Direct(sender) => put(sender, message).map(|()| None),
            Form::Loopback(sender) => match M::decode(message.encode()) {
                Ok(message) => put(sender, message).map(|()| None),
                Err(error) => {
                    error!(%error, "a message did not survive its own wire form; dropped");
                    Ok(None)
                }
            },
            Form::Linked(carrier, to) => {
                match carrier.carry(*to, message.delivery(), &|| message.encode()) {
                    Ok(()) => Ok(Some(carrier.server())),
                    Err(NotCarried::Full) => Err(SendError::Full(message)),
                    Err(NotCarried::Closed) => Err(SendError::Closed(message)),
                }
            }
            Form::Switched(targets) => targets.send(message),
        }
    }
}

fn put<M>(sender: &mpsc::Sender<M>, message: M) -> Result<(), SendError<M>> {
    sender.try_send(message).map_err(|error| match error {
        mpsc::error::TrySendError::Full(message) => SendError::Full(message),
        mpsc::error::TrySendError::Closed(message) => SendError::Closed(message),
    })
}

impl<M> Inbox<M> {
    /// The next message; none once every outbox is gone.
    pub async fn recv(&mut self) -> Option<M> {
        self.receiver.recv().await
    }

    /// Waits for one message and takes up to `most` of those that are there. 0: every outbox is
    /// gone.
    pub async fn recv_many(&mut self, into: &mut Vec<M>, most: usize) -> usize {
        self.receiver.recv_many(into, most).await
    }

    /// Messages waiting now.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Takes no more messages: senders learn that the role has ended. What is there already can
    /// still be read.
    pub fn close(&mut self) {
        self.receiver.close();
    }

    /// A message that is there now; for threads that must not wait.
    pub fn try_recv(&mut self) -> Option<M> {
        self.receiver.try_recv().ok()
    }
}
