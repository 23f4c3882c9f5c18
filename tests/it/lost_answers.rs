//! The database has committed and nobody hears of it: what came of it is found out without anybody
//! asking again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use throng::client::Event;
use throng::ids::{EntityId, ItemId};
use throng::proto::{self, ErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::player::{Player, count, refusal};
use crate::postgres::Cluster;
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED, within};

scenarios![what_was_committed_unheard_is_found_out];

/// A line to PostgreSQL that can lose the answer to a commit, and the connection with it.
struct Lossy {
    address: SocketAddr,
    /// What a transaction must have said so that its commit's answer is lost; once.
    loses: Arc<Mutex<Option<&'static str>>>,
}

impl Lossy {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let loses = Arc::new(Mutex::new(None));
        let armed = loses.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, armed.clone()));
            }
        });
        Self { address, loses }
    }

    /// Loses the next answer to a commit of something that is kept as `outcome`.
    fn lose(&self, outcome: &'static str) {
        *self.loses.lock().unwrap() = Some(outcome);
    }

    /// Whether that has happened.
    fn has_lost(&self) -> bool {
        self.loses.lock().unwrap().is_none()
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, armed: Arc<Mutex<Option<&'static str>>>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    // What the client has said since its last commit.
    let mut said = Vec::new();
    let mut losing = false;
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                said.extend_from_slice(&up[..count]);
                if contains(&said, "COMMIT\0") {
                    let mut armed = armed.lock().unwrap();
                    losing = armed.is_some_and(|outcome| contains(&said, outcome));
                    if losing {
                        *armed = None;
                    }
                    said.clear();
                }
                if server.write_all(&up[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                // It is committed by now.
                if losing || client.write_all(&down[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// A cluster of its own behind a lossy line, with a server on it.
async fn behind_a_lossy_line(topology: Topology) -> (Cluster, Lossy, Server) {
    let (cluster, address) = tokio::task::spawn_blocking(|| {
        let cluster = Cluster::start_on_tcp();
        let address = cluster.database();
        (cluster, address)
    })
    .await
    .unwrap();
    let place = address.split(['@', '/']).nth(3).unwrap().to_owned();
    let line = Lossy::to(place.parse().unwrap()).await;
    let address = address.replace(&place, &line.address.to_string());
    let server = tokio::task::spawn_blocking(move || {
        let settings = [UNHURRIED, &[("store.url", &address)]].concat();
        Server::start_with(topology, &settings)
    })
    .await
    .unwrap();
    (cluster, line, server)
}

/// The next inventory; it comes by itself, whatever it may answer late.
async fn told(player: &mut Player) -> proto::Inventory {
    player
        .until("an inventory without a question", |event| match event {
            Event::Inventory(inventory) => Some(inventory.clone()),
            _ => None,
        })
        .await
}

/// How many potions are in the database.
async fn kept(server: &Server, id: EntityId) -> u32 {
    let store = server.store().await;
    let state = store.player(id.player().unwrap()).await.unwrap().unwrap();
    store.close().await;
    let potions = state.inventory.iter().filter(|stack| &*stack.kind == "healing_potion");
    potions.map(|stack| stack.quantity).sum()
}

async fn what_was_committed_unheard_is_found_out(topology: Topology) {
    let (_cluster, line, server) = behind_a_lossy_line(topology).await;
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    let (hers, his) = (ann.id, bob.id);
    ann.sees(his).await;
    let potions = ItemId(ann.entered.inventory[0].item_id);
    let has = |inventory: &proto::Inventory| count(&inventory.items, "healing_potion");

    line.lose("{\"gift\":");
    let refused = refusal(ann.give_item(his, potions, 1).await);
    assert_eq!(refused, ErrorCode::ErrorUnavailable);
    assert!(line.has_lost());
    assert_eq!(has(&told(&mut ann).await), 2, "without a question");
    let got = told(&mut bob).await;
    assert_eq!((has(&got), got.giver_id), (4, hers.0));
    assert_eq!((kept(&server, hers).await, kept(&server, his).await), (2, 4));

    line.lose("{\"receipt\":");
    let refused = refusal(ann.drop_item(potions, 2).await);
    assert_eq!(refused, ErrorCode::ErrorUnavailable);
    assert!(line.has_lost());
    assert_eq!(has(&told(&mut ann).await), 0);
    let lying = bob.nearest("healing_potion").await;
    line.lose("{\"receipt\":");
    let refused = refusal(bob.pick_up(lying).await);
    assert_eq!(refused, ErrorCode::ErrorUnavailable);
    assert!(line.has_lost());
    assert_eq!(has(&told(&mut bob).await), 6, "the thing is one's own");
    bob.loses(lying).await;
    assert_eq!((kept(&server, hers).await, kept(&server, his).await), (0, 6));

    // Nothing is in the way of what comes after.
    let his_potions = ItemId(bob.inventory().await.unwrap().items[0].item_id);
    within("a gift", async {
        while let Err(error) = bob.give_item(hers, his_potions, 5).await {
            assert_eq!(error.code(), Some(ErrorCode::ErrorRateLimited), "{error}");
        }
    })
    .await;
    let got = told(&mut ann).await;
    assert_eq!((has(&got), got.giver_id), (5, his.0));
}
