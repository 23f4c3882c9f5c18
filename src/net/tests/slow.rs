//! Clients that read too slowly, and what that does to others: nothing.

use super::*;

#[tokio::test]
async fn who_does_not_read_is_cut_and_twenty_others_miss_nothing() {
    let mut server = Server::start(1);
    let address = server.listen(Framing::Length, |_| {});
    let _silent = connect(address).await;
    let slow = server.opened().await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(connect(address).await);
        server.opened().await;
    }
    // In lock-step, so that only who does not read at all falls behind.
    let mut cut_at = None;
    for round in 0..2_000u32 {
        let body = [&round.to_le_bytes()[..], &[7; 16_000]].concat();
        server.shards.send(0, Tell::SayAll(framed(&body).into())).unwrap();
        for reader in &mut readers {
            assert_eq!(receive(reader).await.unwrap(), body);
        }
        match server.seen.try_recv() {
            Ok(Seen::Closed(conn, reason)) => {
                assert_eq!((conn, reason), (slow, CloseReason::TooSlow));
                cut_at = Some(round);
            }
            Ok(Seen::Drained(conn)) => assert_ne!(conn, slow),
            _ => {}
        }
        if cut_at.is_some_and(|cut| round > cut + 5) {
            break;
        }
    }
    assert!(cut_at.is_some(), "the slow client was never cut");
    server.end().await;
}

#[tokio::test]
async fn what_waits_arrives_in_order_once_the_client_reads() {
    let mut server = Server::start(1);
    let mut client = connect(server.listen(Framing::Length, |_| {})).await;
    let conn = server.opened().await;
    let mut said = Vec::new();
    let mut waiting = 0;
    // Two writes that wait, the second behind the first.
    while waiting < 2 {
        let body = vec![said.len() as u8; 20_000];
        server.shards.send(0, Tell::Say(conn, framed(&body).into())).unwrap();
        said.push(body);
        waiting += usize::from(server.saw().await == Seen::Said(Written::Waiting));
    }
    for body in said {
        assert_eq!(receive(&mut client).await.unwrap(), body);
    }
    assert_eq!(server.saw().await, Seen::Drained(conn));
    assert_eq!(ask(&mut client, b"again").await.unwrap(), b"again");
    server.end().await;
}

#[tokio::test]
async fn a_refused_write_takes_nothing() {
    let mut server = Server::start(1);
    let mut client = connect(server.listen(Framing::Length, |_| {})).await;
    let conn = server.opened().await;
    let huge = Bytes::from(vec![7; 128 * 1_024 + 1]);
    server.shards.send(0, Tell::Say(conn, huge)).unwrap();
    assert_eq!(server.saw().await, Seen::Said(Written::Refused));
    assert_eq!(ask(&mut client, b"clean").await.unwrap(), b"clean");
    server.shards.send(0, Tell::Say(ConnId(u64::MAX), Bytes::from_static(b"x"))).unwrap();
    assert_eq!(server.saw().await, Seen::Said(Written::Refused));
    server.end().await;
}

#[tokio::test]
async fn bytes_that_wait_too_long_cut_the_client() {
    let limits = ConnectionLimits {
        slow_after: Duration::from_millis(100),
        sweep: Duration::from_millis(20),
        ..ConnectionLimits::default()
    };
    let mut server = Server::start_with(1, limits, Gate::new(10, 10));
    let _client = connect(server.listen(Framing::Length, |_| {})).await;
    let conn = server.opened().await;
    let reason = loop {
        server.shards.send(0, Tell::Say(conn, Bytes::from(vec![7; 50_000]))).unwrap();
        if let Seen::Closed(_, reason) = server.saw().await {
            break reason;
        }
    };
    assert_eq!(reason, CloseReason::TooSlow);
    server.end().await;
}
