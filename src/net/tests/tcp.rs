//! Frames, faults and endings over plain TCP.

use super::*;

#[tokio::test]
async fn frames_are_echoed_whole_however_they_arrive() {
    let server = Server::start(1);
    let mut client = connect(server.listen(Framing::Length, |_| {})).await;
    assert_eq!(ask(&mut client, b"hello").await.unwrap(), b"hello");
    for byte in framed(b"byte by byte") {
        soon(client.write_all(&[byte])).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(receive(&mut client).await.unwrap(), b"byte by byte");
    let three = [framed(b"one"), framed(b"two"), framed(b"three")].concat();
    soon(client.write_all(&three)).await.unwrap();
    for expected in [&b"one"[..], b"two", b"three"] {
        assert_eq!(receive(&mut client).await.unwrap(), expected);
    }
    server.end().await;
}

#[tokio::test]
async fn lines_are_echoed_with_either_end() {
    let mut server = Server::start(1);
    let mut client = connect(server.listen(Framing::Lines, |_| {})).await;
    soon(client.write_all(b"PING\r\nCHAT h\xc3\xa4\n")).await.unwrap();
    let mut read = [0; 14];
    soon(client.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"PING\nCHAT h\xc3\xa4\n");
    let conn = server.opened().await;
    soon(client.write_all(b"\xff\n")).await.unwrap();
    let fault = Seen::Closed(conn, CloseReason::BadFrame(FrameFault::NotUtf8));
    assert_eq!(server.saw().await, fault);
    server.end().await;
}

#[tokio::test]
async fn a_thousand_connections_are_dealt_evenly_and_all_answered() {
    let mut server = Server::start(2);
    let address = server.listen(Framing::Length, |_| {});
    let mut clients = Vec::new();
    for i in 0..1_000u32 {
        let mut client = connect(address).await;
        send(&mut client, &i.to_le_bytes()).await;
        clients.push(client);
    }
    for (i, client) in clients.iter_mut().enumerate() {
        assert_eq!(receive(client).await.unwrap(), (i as u32).to_le_bytes());
    }
    assert_eq!(server.shards.connections(), [500, 500]);
    assert_eq!(server.gate.connections(), 1_000);
    drop(clients);
    let mut closed = 0;
    while closed < 1_000 {
        closed += usize::from(matches!(server.saw().await, Seen::Closed(_, CloseReason::Peer)));
    }
    server.end().await;
}

#[tokio::test]
async fn empty_and_oversized_frames_are_answered_and_closed() {
    let mut server = Server::start(1);
    let address = server.listen(Framing::Length, |_| {});
    let too_long = FrameFault::TooLong { length: 1_025, limit: 1_024 };
    for (bytes, fault) in [
        (vec![0; 4], FrameFault::Empty),
        // The answer arrives although thousands of bytes behind the fault were never wanted.
        ([&1_025u32.to_le_bytes()[..], &[7; 40_000]].concat(), too_long),
    ] {
        let mut client = connect(address).await;
        soon(client.write_all(&bytes)).await.unwrap();
        assert_eq!(receive(&mut client).await.unwrap(), fault.to_string().as_bytes());
        assert_eq!(receive(&mut client).await, None);
        let conn = server.opened().await;
        assert_eq!(server.saw().await, Seen::Closed(conn, CloseReason::BadFrame(fault)));
    }
    server.end().await;
}

#[tokio::test]
async fn frames_are_handled_although_the_end_comes_with_them() {
    let mut server = Server::start(1);
    let address = server.listen(Framing::Length, |_| {});
    // In one segment or in two, before the shard looks or after: nothing may be lost.
    for round in 0..200u32 {
        let mut client = connect(address).await;
        let conn = server.opened().await;
        let body = round.to_le_bytes();
        soon(client.write_all(&[framed(&body), framed(b"last")].concat())).await.unwrap();
        soon(client.shutdown()).await.unwrap();
        assert_eq!(receive(&mut client).await.unwrap(), body);
        assert_eq!(receive(&mut client).await.unwrap(), b"last");
        assert_eq!(receive(&mut client).await, None);
        assert_eq!(server.saw().await, Seen::Closed(conn, CloseReason::Peer));
    }
    server.end().await;
}

#[tokio::test]
async fn who_sends_more_than_a_round_reads_is_read_to_the_end_and_delays_nobody() {
    const FRAMES: u32 = 8_000;
    // All of it may wait, so that the echo is never refused.
    let limits = ConnectionLimits { outbound_bytes: 16 << 20, ..ConnectionLimits::default() };
    let server = Server::start_with(1, limits, Gate::new(10, 10));
    let address = server.listen(Framing::Length, |_| {});
    let (mut reading, mut writing) = connect(address).await.into_split();
    let flood = tokio::spawn(async move {
        let frames: Vec<u8> = (0..FRAMES).flat_map(|i| framed(&[i as u8; 1_000])).collect();
        soon(writing.write_all(&frames)).await.unwrap();
        writing
    });
    let mut other = connect(address).await;
    for i in 0..FRAMES {
        assert_eq!(receive(&mut reading).await.unwrap(), [i as u8; 1_000]);
        if i % 1_000 == 0 {
            assert_eq!(ask(&mut other, b"meanwhile").await.unwrap(), b"meanwhile");
        }
    }
    drop(soon(flood).await.unwrap());
    server.end().await;
}

#[tokio::test]
async fn every_message_wakes_a_shard_that_is_falling_asleep() {
    // No sweep comes to the help of a lost wake.
    let sweep = Duration::from_secs(3_600);
    let limits = ConnectionLimits { sweep, ..ConnectionLimits::default() };
    let mut server = Server::start_with(1, limits, Gate::new(10, 10));
    for _ in 0..5_000 {
        server.shards.send(0, Tell::Say(ConnId(u64::MAX), Bytes::new())).unwrap();
        assert_eq!(server.saw().await, Seen::Said(Written::Refused));
    }
    server.end().await;
}

#[tokio::test]
async fn a_frame_limit_can_be_raised() {
    let server = Server::start(1);
    let mut client = connect(server.listen(Framing::Length, |_| {})).await;
    assert_eq!(ask(&mut client, b"login").await.unwrap(), b"login");
    assert_eq!(ask(&mut client, &[7; 16_384]).await.unwrap(), [7; 16_384]);
    assert!(ask(&mut client, &[7; 16_385]).await.unwrap().starts_with(b"16385 bytes"));
    assert_eq!(receive(&mut client).await, None);
    server.end().await;
}

#[tokio::test]
async fn half_a_frame_and_silence_ends_that_connection_alone() {
    let mut server = Server::start(1);
    let address = server.listen(Framing::Length, |_| {});
    let mut other = connect(address).await;
    server.opened().await;
    let mut client = connect(address).await;
    let conn = server.opened().await;
    soon(client.write_all(&framed(b"half")[..6])).await.unwrap();
    assert_eq!(server.saw().await, Seen::Closed(conn, CloseReason::Stalled));
    assert_eq!(receive(&mut client).await, None);
    assert_eq!(ask(&mut other, b"still here").await.unwrap(), b"still here");
    server.end().await;
}

#[tokio::test]
async fn a_farewell_is_delivered_before_the_end() {
    let mut server = Server::start(1);
    let address = server.listen(Framing::Length, |_| {});
    let mut client = connect(address).await;
    let conn = server.opened().await;
    soon(client.write_all(&[framed(b"quit"), framed(b"never read")].concat())).await.unwrap();
    assert_eq!(receive(&mut client).await.unwrap(), b"bye");
    assert_eq!(receive(&mut client).await, None);
    assert_eq!(server.saw().await, Seen::Closed(conn, CloseReason::Service));
    // Told from another place than the connection's own frame.
    let mut client = connect(address).await;
    let conn = server.opened().await;
    server.shards.send(0, Tell::Close(conn)).unwrap();
    assert_eq!(receive(&mut client).await, None);
    assert_eq!(server.saw().await, Seen::Closed(conn, CloseReason::Service));
    server.end().await;
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_nothing_else() {
    let mut server = Server::start(1);
    let address = server.listen(Framing::Length, |_| {});
    let mut other = connect(address).await;
    server.opened().await;
    let mut client = connect(address).await;
    let conn = server.opened().await;
    assert_eq!(ask(&mut client, b"panic").await, None);
    assert_eq!(server.saw().await, Seen::Closed(conn, CloseReason::Service));
    server.shards.send(0, Tell::Panic).unwrap();
    assert_eq!(ask(&mut other, b"alive").await.unwrap(), b"alive");
    server.end().await;
}

#[tokio::test]
async fn stopping_says_goodbye_flushes_and_ends_the_threads() {
    let mut server = Server::start(1);
    let mut client = connect(server.listen(Framing::Length, |_| {})).await;
    let conn = server.opened().await;
    // More than the socket takes, so that much waits when the end comes.
    let chunk = Bytes::from(framed(&[7; 50_000]));
    let mut chunks = 0;
    loop {
        server.shards.send(0, Tell::Say(conn, chunk.clone())).unwrap();
        match server.saw().await {
            Seen::Said(Written::Refused) => break,
            Seen::Said(_) => chunks += 1,
            _ => {}
        }
    }
    server.shards.send(0, Tell::Say(conn, Bytes::from(framed(b"goodbye")))).unwrap();
    server.stop.cancel();
    for _ in 0..chunks {
        assert_eq!(receive(&mut client).await.unwrap().len(), 50_000);
    }
    assert_eq!(receive(&mut client).await.unwrap(), b"goodbye");
    assert_eq!(receive(&mut client).await, None);
    drop(client);
    soon(server.shards.join()).await;
    let mut last = server.saw().await;
    while let Ok(seen) = server.seen.try_recv() {
        last = seen;
    }
    assert_eq!(last, Seen::Closed(conn, CloseReason::Shutdown));
    assert_eq!(server.gate.connections(), 0);
}
