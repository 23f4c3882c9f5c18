//! What stands between two processes and can be told to fail: to cut, to fall silent, to let
//! nobody through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How it treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Passes everything on.
    Open,
    /// Keeps connections, and passes nothing on.
    Silent,
    /// Closes what comes.
    Closed,
}

/// Passes bytes on between whoever connects and one target.
pub(super) struct Proxy {
    pub address: SocketAddr,
    mood: watch::Sender<Mood>,
    /// Connections of an older number are cut.
    cuts: watch::Sender<u64>,
    /// Bytes that may still pass before the next cut; `u64::MAX`: no cut.
    budget: Arc<AtomicU64>,
}

impl Proxy {
    pub(super) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, moods) = watch::channel(Mood::Open);
        let (cuts, cut) = watch::channel(0);
        let budget = Arc::new(AtomicU64::new(u64::MAX));
        let (cutting, left) = (cuts.clone(), budget.clone());
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                if *moods.borrow() == Mood::Closed {
                    continue;
                }
                let Ok(to) = TcpStream::connect(target).await else { continue };
                let (moods, mut cut) = (moods.clone(), cut.clone());
                let (cutting, left) = (cutting.clone(), left.clone());
                tokio::spawn(async move {
                    cut.mark_unchanged();
                    let (from_read, from_write) = from.into_split();
                    let (to_read, to_write) = to.into_split();
                    let one = pass(from_read, to_write, moods.clone(), &left, &cutting);
                    let other = pass(to_read, from_write, moods, &left, &cutting);
                    tokio::select! {
                        _ = cut.changed() => {}
                        () = one => {}
                        () = other => {}
                    }
                });
            }
        });
        Self { address, mood, cuts, budget }
    }

    pub(super) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Cuts all connections.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all connections when so many more bytes have passed, wherever that is.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::SeqCst);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut mood: watch::Receiver<Mood>,
    budget: &AtomicU64,
    cuts: &watch::Sender<u64>,
) {
    let mut buffer = vec![0; 4_096];
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return };
        if read == 0 {
            return;
        }
        if mood.wait_for(|mood| *mood == Mood::Open).await.is_err() {
            return;
        }
        let take =
            |left: u64| Some(if left == u64::MAX { left } else { left - left.min(read as u64) });
        let before = budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap();
        let passing = read.min(usize::try_from(before).unwrap_or(usize::MAX));
        if to.write_all(&buffer[..passing]).await.is_err() {
            return;
        }
        if passing < read {
            budget.store(u64::MAX, Ordering::SeqCst);
            cuts.send_modify(|cuts| *cuts += 1);
            return;
        }
    }
}
