//! A login storm: many more want in than can be hashed. Each is told its place or when to come
//! again, all get their answer, and who plays does not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use throng::client::{Client, ClientError, Endpoint, Event};
use throng::proto::ErrorCode;

use crate::player::{PASSWORD, Player};
use crate::scenarios;
use crate::server::{Server, Topology, plain, within};

scenarios![a_login_storm_is_taken_in_turn];

/// Those who want in at once.
const CROWD: usize = 48;
/// How many of them may wait.
const QUEUE: &str = "6";
/// The zone in which newcomers stand.
const FIELD: u32 = 1;
/// Ticks that a player's view may stand still: one second.
const STILL: u64 = 20;

/// What one of the crowd was told on its way.
#[derive(Debug, Default)]
struct Told {
    /// Its places in the queue.
    places: Vec<u32>,
    /// How often it was sent away with a time to come again.
    later: u32,
}

/// Wants in until it has its answer. The name is nobody's, which costs the server as much as one
/// that is somebody's.
async fn insists(endpoint: Endpoint, name: String) -> Told {
    let mut told = Told::default();
    loop {
        let mut client = Client::connect(endpoint.clone()).await.expect("a connection");
        let answer = client.login(&name, PASSWORD).await;
        // What came before the answer is there already.
        while let Ok(Ok(event)) = tokio::time::timeout(Duration::ZERO, client.next()).await {
            if let Event::LoginQueue(queue) = event {
                assert!(queue.position >= 1 && queue.length >= queue.position, "{queue:?}");
                told.places.push(queue.position);
            }
        }
        match answer {
            Err(ClientError::Refused { code: ErrorCode::ErrorBadCredentials, .. }) => return told,
            Err(ClientError::Refused {
                code: ErrorCode::ErrorUnavailable,
                retry_after: Some(wait),
                ..
            }) => {
                told.later += 1;
                tokio::time::sleep(wait).await;
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Walks to and fro, so that there is something to see in every tick, until told to stop; gives the
/// ticks of the positions that came.
async fn walks(mut player: Player, stop: Arc<AtomicBool>) -> Vec<u64> {
    let (mut ticks, mut east) = (Vec::new(), false);
    while !stop.load(Ordering::Relaxed) {
        // Each way takes longer than it is gone.
        let x = if east { 95.0 } else { -250.0 };
        east = !east;
        player.move_to(x, 0.0).await.expect("a connection");
        let until = ticks.len() + 100;
        while ticks.len() < until && !stop.load(Ordering::Relaxed) {
            match player.next().await.expect("the connection holds") {
                Event::SyncPositions(positions) if positions.zone_id == FIELD => {
                    ticks.push(positions.tick);
                }
                _ => {}
            }
        }
    }
    ticks
}

async fn a_login_storm_is_taken_in_turn(topology: Topology) {
    let server = Server::start_with(
        topology,
        &[
            ("login.queue_length", QUEUE),
            ("login.failures_per_address", "100000"),
            ("login.argon2.memory_kib", "8192"),
            ("login.argon2.passes", "2"),
        ],
    );
    let ann = Player::new(&server, "Ann").await;
    server.connect().await.register("Carl", PASSWORD).await.expect("a registration");
    let stop = Arc::new(AtomicBool::new(false));
    let walking = tokio::spawn(walks(ann, stop.clone()));

    let doors = [server.endpoint(), plain(server.address("login"))];
    let crowd = (0..CROWD).map(|number| {
        let door = doors[number % doors.len()].clone();
        tokio::spawn(insists(door, format!("nobody_{number}")))
    });
    let crowd: Vec<_> = crowd.collect();
    let carl = within("Carl's entry", async {
        loop {
            match Player::enter(server.connect().await, "Carl").await {
                Ok(carl) => return carl,
                Err(ClientError::Refused { retry_after: Some(wait), .. }) => {
                    tokio::time::sleep(wait).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    let mut told = Vec::new();
    for one in crowd {
        told.push(within("an answer", one).await.expect("none of them panics"));
    }
    stop.store(true, Ordering::Relaxed);
    let ticks = within("Ann's end", walking).await.expect("Ann plays on");
    drop(carl);

    assert!(told.iter().any(|one| one.later > 0), "nobody was sent away: {told:?}");
    let places: Vec<u32> = told.iter().flat_map(|one| one.places.clone()).collect();
    assert!(places.iter().any(|place| *place > 1), "nobody was told a place: {told:?}");
    assert!(places.iter().all(|place| *place <= 6), "more wait than may: {places:?}");
    let still = ticks.windows(2).map(|pair| pair[1] - pair[0]).max().expect("Ann has seen ticks");
    assert!(still <= STILL, "Ann saw nothing for {still} ticks, of {} seen", ticks.len());
}
