//! How many may connect, and what happens when descriptors run out.

use super::*;

#[tokio::test]
async fn an_address_is_refused_with_a_word_until_one_of_its_clients_logs_in() {
    let server = Server::start_with(1, ConnectionLimits::default(), Gate::new(100, 2));
    let refusal = Bytes::from(framed(b"too many"));
    let address = server.listen(Framing::Length, |config| config.refusal = refusal);
    let mut first = connect(address).await;
    let mut second = connect(address).await;
    assert_eq!(ask(&mut first, b"in").await.unwrap(), b"in");
    assert_eq!(ask(&mut second, b"in").await.unwrap(), b"in");
    let mut third = connect(address).await;
    send(&mut third, b"let me in").await;
    assert_eq!(receive(&mut third).await.unwrap(), b"too many");
    assert_eq!(receive(&mut third).await, None);
    assert_eq!(ask(&mut first, b"login").await.unwrap(), b"login");
    let mut fourth = connect(address).await;
    assert_eq!(ask(&mut fourth, b"in").await.unwrap(), b"in");
    server.end().await;
}

#[tokio::test]
async fn a_place_is_free_again_when_its_connection_has_ended() {
    let mut server = Server::start_with(1, ConnectionLimits::default(), Gate::new(1, 1));
    let address = server.listen(Framing::Length, |_| {});
    for _ in 0..3 {
        let mut client = connect(address).await;
        assert_eq!(ask(&mut client, b"quit").await.unwrap(), b"bye");
        assert_eq!(receive(&mut client).await, None);
        assert_eq!(receive(&mut connect(address).await).await, None);
        drop(client);
        server.opened().await;
        assert!(matches!(server.saw().await, Seen::Closed(..)));
        while server.gate.connections() > 0 {
            tokio::task::yield_now().await;
        }
    }
    server.end().await;
}

/// Runs in a process of its own, with few descriptors; see the next test.
#[tokio::test]
#[ignore = "started by running_out_of_descriptors_ends_when_some_are_free_again"]
async fn in_a_process_with_few_descriptors() {
    let server = Server::start(1);
    let address = server.listen(Framing::Length, |_| {});
    let mut served = connect(address).await;
    assert_eq!(ask(&mut served, b"early").await.unwrap(), b"early");
    // Both ends of each count, so the server runs out; the client may be the one that fails.
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(address).await {
        clients.push(client);
    }
    assert!(clients.len() < 64);
    assert_eq!(ask(&mut served, b"still served").await.unwrap(), b"still served");
    drop(clients);
    let mut late = connect(address).await;
    while soon(late.write_all(&framed(b"late"))).await.is_err() || receive_or_reset(&mut late).await
    {
        late = connect(address).await;
    }
    server.end().await;
}

/// Whether the connection was closed instead of answered.
async fn receive_or_reset(stream: &mut TcpStream) -> bool {
    soon(stream.read_exact(&mut [0; 8])).await.is_err()
}

#[cfg(unix)]
#[tokio::test]
async fn running_out_of_descriptors_ends_when_some_are_free_again() {
    let test = "net::tests::limits::in_a_process_with_few_descriptors";
    let program = std::env::current_exe().unwrap();
    let run = tokio::process::Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" --exact --ignored \"$1\""])
        .arg(program)
        .arg(test)
        .output();
    let output = soon(run).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
