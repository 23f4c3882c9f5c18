//! What keeps the data safe from mistakes: one server on one world, and copies of it.

use std::os::unix::fs::symlink;

use crate::player::Player;
use crate::server::{Server, Topology};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_data_is_refused_and_the_first_plays_on() {
    let mut server = Server::start(Topology::Direct);
    let mut ann = Player::new(&server, "Ann").await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("data").display().to_string();
    let link = elsewhere.path().join("link.db");
    symlink(server.data().join("throng.db"), &link).unwrap();
    let file = format!("store.url=sqlite:{}", server.data().join("throng.db").display());
    let link = format!("store.url=sqlite:{}", link.display());
    let (file, link) =
        (["--data-dir", &other, "--set", &file], ["--data-dir", &other, "--set", &link]);
    for place in [&[][..], &file, &link] {
        let (code, said) = server.command(place, "").await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("pid {}:", server.pid())), "{said}");
    }
    let (code, said) = server.command(&["account", "list"], "").await;
    assert!(code == Some(0) && said.contains("Ann"), "{said}");
    ann.move_to(75.0, 10.0).await.unwrap();
    Player::new(&server, "Bob").await.sees(ann.id).await;
    // Who dies leaves nothing behind that stops the next.
    server.kill().await;
    server.start_again();
    Player::again(&server, "Ann").await;
}
