//! Clients that pour: each has its turn, none is read beyond what the service wants, and what a
//! shard's own stall has kept from it is nobody's silence.

use super::*;

/// So many small frames in one piece.
fn many(count: usize) -> Vec<u8> {
    framed(b"yy").repeat(count)
}

impl Server {
    /// Has the only shard stand still while something is done.
    async fn while_it_stands<T>(&self, work: impl Future<Output = T>) -> T {
        let barrier = Arc::new(Barrier::new(2));
        self.shards.send(0, Tell::Stand(barrier.clone())).unwrap();
        let reach = || {
            let barrier = barrier.clone();
            tokio::task::spawn_blocking(move || barrier.wait())
        };
        soon(reach()).await.unwrap();
        let done = work.await;
        soon(reach()).await.unwrap();
        done
    }
}

#[tokio::test]
async fn who_pours_has_a_turn_and_who_says_a_word_is_next() {
    let server = Server::start(1);
    let address = server.listen(Framing::Length, |_| {});
    let (mut pours, mut asks) = (connect(address).await, connect(address).await);
    assert_eq!(ask(&mut pours, b"in").await.unwrap(), b"in");
    assert_eq!(ask(&mut asks, b"in").await.unwrap(), b"in");
    server
        .while_it_stands(async {
            soon(pours.write_all(&many(3_000))).await.unwrap();
            send(&mut asks, b"how many").await;
        })
        .await;
    let before: usize =
        String::from_utf8(receive(&mut asks).await.unwrap()).unwrap().parse().unwrap();
    assert!(before <= 2 + 64, "{before} frames of another came first");
    for _ in 0..3_000 {
        assert_eq!(receive(&mut pours).await.unwrap(), b"yy", "and nothing is lost");
    }
    server.end().await;
}

#[tokio::test]
async fn nothing_is_read_of_who_is_paused_and_nothing_is_lost() {
    let mut server = Server::start(1);
    let mut client = connect(server.listen(Framing::Length, |_| {})).await;
    let conn = server.opened().await;
    // More than one read brings: what the kernel still holds is reckoned by its size.
    let began = tokio::time::Instant::now();
    let bytes = [framed(b"first"), framed(b"pause"), many(2_000), framed(b"last")].concat();
    server.while_it_stands(async { soon(client.write_all(&bytes)).await.unwrap() }).await;
    let Seen::Paused(paused, waiting) = server.saw().await else { panic!("no pause") };
    assert_eq!(paused, conn);
    assert!((1_900..2_100).contains(&waiting), "{waiting}");
    for expected in [&b"first"[..], b"pause"] {
        assert_eq!(receive(&mut client).await.unwrap(), expected);
    }
    for _ in 0..2_000 {
        assert_eq!(receive(&mut client).await.unwrap(), b"yy");
    }
    assert!(began.elapsed() >= PAUSE, "it was paused");
    assert_eq!(receive(&mut client).await.unwrap(), b"last");
    server.end().await;
}

#[tokio::test]
async fn what_comes_during_a_pause_is_read_after_it() {
    let mut server = Server::start(1);
    for framing in [Framing::Length, Framing::Lines] {
        let mut client = connect(server.listen(framing, |_| {})).await;
        let conn = server.opened().await;
        let frame = |body: &[u8]| match framing {
            Framing::Length => framed(body),
            Framing::Lines => [body, b"\n"].concat(),
        };
        soon(client.write_all(&frame(b"pause"))).await.unwrap();
        assert_eq!(server.saw().await, Seen::Paused(conn, 0));
        soon(client.write_all(&frame(b"later"))).await.unwrap();
        let expected = [frame(b"pause"), frame(b"later")].concat();
        let mut read = vec![0; expected.len()];
        soon(client.read_exact(&mut read)).await.unwrap();
        assert_eq!(read, expected);
        // One that goes away while it is paused is gone after it.
        soon(client.write_all(&frame(b"pause"))).await.unwrap();
        assert_eq!(server.saw().await, Seen::Paused(conn, 0));
        drop(client);
        assert_eq!(server.saw().await, Seen::Closed(conn, CloseReason::Peer));
    }
    server.end().await;
}

#[tokio::test]
async fn who_is_told_to_go_while_paused_reads_why() {
    let mut server = Server::start(1);
    let mut client = connect(server.listen(Framing::Length, |_| {})).await;
    let conn = server.opened().await;
    let bytes = [framed(b"pause"), many(5_000)].concat();
    soon(client.write_all(&bytes)).await.unwrap();
    assert!(matches!(server.saw().await, Seen::Paused(..)));
    server.shards.send(0, Tell::Say(conn, framed(b"go").into())).unwrap();
    server.shards.send(0, Tell::Close(conn)).unwrap();
    assert_eq!(receive(&mut client).await.unwrap(), b"pause");
    let mut last = Vec::new();
    while let Some(said) = receive(&mut client).await {
        last = said;
    }
    assert_eq!(last, b"go", "not a reset");
    server.end().await;
}

#[tokio::test]
async fn a_stall_of_the_shard_is_nobodys_silence() {
    // A frame must be whole within 200 ms here.
    let mut server = Server::start(1);
    let mut client = connect(server.listen(Framing::Length, |_| {})).await;
    let conn = server.opened().await;
    let (start, rest) = (&framed(b"in two parts")[..7], &framed(b"in two parts")[7..]);
    assert_eq!(ask(&mut client, b"in").await.unwrap(), b"in");
    soon(client.write_all(start)).await.unwrap();
    server.while_it_stands(tokio::time::sleep(Duration::from_millis(900))).await;
    soon(client.write_all(rest)).await.unwrap();
    assert_eq!(receive(&mut client).await.unwrap(), b"in two parts");
    // Its own silence is.
    soon(client.write_all(start)).await.unwrap();
    assert_eq!(server.saw().await, Seen::Closed(conn, CloseReason::Stalled));
    server.end().await;
}
