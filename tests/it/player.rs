//! A packet client in the world, with the waits that scenarios are made of.

use std::ops::{Deref, DerefMut};

use throng::client::{Client, ClientError, Endpoint, Event};
use throng::geometry::Point;
use throng::ids::EntityId;
use throng::proto::{self, EntityKind, ErrorCode, EventKind};

use crate::server::{PATIENCE, Server, within};

/// The password of every account that the tests make.
pub const PASSWORD: &str = "secret-word";

/// A client whose player is in the world.
pub struct Player {
    pub client: Client,
    pub name: String,
    pub id: EntityId,
    /// What the server said on entering.
    pub entered: proto::EnterWorldResponse,
}

impl Player {
    /// A new player.
    pub async fn new(server: &Server, name: &str) -> Self {
        Self::new_at(server.endpoint(), name).await
    }

    /// A new player who connects somewhere else than at the gateway.
    pub async fn new_at(endpoint: Endpoint, name: &str) -> Self {
        let mut client = Client::connect(endpoint).await.expect("a connection");
        client.register(name, PASSWORD).await.expect("a registration");
        Self::enter(client, name).await.expect("an entry")
    }

    /// One who has played before.
    pub async fn again(server: &Server, name: &str) -> Self {
        Self::enter(server.connect().await, name).await.expect("an entry")
    }

    /// Logs in on a connection and enters. The loss of the connection is the scenario's business.
    pub async fn enter(mut client: Client, name: &str) -> Result<Self, ClientError> {
        client.set_recovery(None);
        let login = client.login(name, PASSWORD).await?;
        let entered = client.enter(&login.session_token).await?;
        let id = EntityId(login.player_id);
        let mut player = Self { client, name: name.to_owned(), id, entered };
        player.sees(id).await;
        Ok(player)
    }

    /// The next event for which `fits` gives something; others before it are passed over.
    pub async fn until<T>(&mut self, what: &str, mut fits: impl FnMut(&Event) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let find = async {
            loop {
                match self.client.next().await {
                    Ok(event) => {
                        if let Some(found) = fits(&event) {
                            return Ok(found);
                        }
                        if !matches!(event, Event::SyncPositions(_)) {
                            seen.push(event);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, find).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => panic!("{}: {error} before {what}; came: {seen:#?}", self.name),
            Err(_) => panic!("{}: {what} did not come; came: {seen:#?}", self.name),
        }
    }

    /// Reads until the view is as `holds` says.
    pub async fn until_view(&mut self, what: &str, holds: impl Fn(&Client) -> bool) {
        let name = self.name.clone();
        within(&format!("{name}: {what}"), async {
            while !holds(&self.client) {
                self.client.next().await.unwrap_or_else(|e| panic!("{name}: {e} before {what}"));
            }
        })
        .await;
    }

    /// Waits until an entity is in view.
    pub async fn sees(&mut self, id: EntityId) {
        self.until_view(&format!("{id} in view"), |client| client.view().get(id).is_some()).await;
    }

    /// Waits until an entity is out of view.
    pub async fn loses(&mut self, id: EntityId) {
        self.until_view(&format!("{id} gone"), |client| client.view().get(id).is_none()).await;
    }

    /// Waits until an entity is seen within a metre of a place.
    pub async fn sees_at(&mut self, id: EntityId, x: f32, y: f32) {
        let there = Point { x, y };
        self.until_view(&format!("{id} at {x} {y}"), |client| {
            let seen = client.view().get(id);
            seen.is_some_and(|seen| seen.newest.at.distance_squared(there) < 1.0)
        })
        .await;
    }

    /// Walks somewhere and waits for the arrival.
    pub async fn go(&mut self, x: f32, y: f32) {
        self.client.move_to(x, y).await.expect("a connection");
        self.sees_at(self.id, x, y).await;
    }

    /// Where one's own player was last seen.
    pub fn place(&self) -> Point {
        self.client.view().get(self.id).expect("one sees oneself").newest.at
    }

    /// The nearest living entity of a template, once there is one.
    pub async fn nearest(&mut self, template: &str) -> EntityId {
        let find = |client: &Client, here: Point| {
            let alive = |seen: &throng::client::Seen| {
                seen.about.template == template
                    && (seen.about.health > 0 || seen.about.kind() == EntityKind::EntityItem)
            };
            let distance = |at: Point| here.distance_squared(at);
            let found = client.view().iter().filter(|(_, seen)| alive(seen));
            found
                .min_by(|(_, a), (_, b)| distance(a.newest.at).total_cmp(&distance(b.newest.at)))
                .map(|(id, _)| id)
        };
        self.sees(self.id).await;
        let here = self.place();
        self.until_view(&format!("a {template}"), |client| find(client, here).is_some()).await;
        find(&self.client, here).expect("just seen")
    }

    /// Strikes until the target is dead; gives the event of its death.
    pub async fn kill(&mut self, target: EntityId) -> proto::GameEvent {
        let me = self.id.0;
        within("a death", async {
            loop {
                match self.client.attack(target).await {
                    Ok(_) => {}
                    Err(ClientError::Refused { code, retry_after, .. }) => match code {
                        ErrorCode::ErrorTargetDead | ErrorCode::ErrorNoSuchTarget => break,
                        ErrorCode::ErrorCooldown => {}
                        _ => panic!("{code:?} ({retry_after:?}) for a blow at {target}"),
                    },
                    Err(error) => panic!("{error} for a blow at {target}"),
                }
                // The pause between two blows; nothing tells its end.
                tokio::time::sleep(std::time::Duration::from_millis(155)).await;
            }
        })
        .await;
        self.game(EventKind::EventPlayerDeath, |event| {
            event.target_id == target.0 && event.actor_id == me
        })
        .await
    }

    /// The next event of a kind that fits.
    pub async fn game(
        &mut self,
        kind: EventKind,
        fits: impl Fn(&proto::GameEvent) -> bool,
    ) -> proto::GameEvent {
        self.until(kind.as_str_name(), |event| match event {
            Event::Game(event) if event.kind() == kind && fits(event) => Some(event.clone()),
            _ => None,
        })
        .await
    }

    /// The next chat message with this text.
    pub async fn hears(&mut self, text: &str) -> proto::ChatMessage {
        self.until(&format!("'{text}'"), |event| match event {
            Event::Chat(chat) if chat.text == text => Some(chat.clone()),
            _ => None,
        })
        .await
    }

    /// Reads until the server has answered a heartbeat sent now, and gives all that came until
    /// then: what is not in it was not sent before.
    pub async fn so_far(&mut self) -> Vec<Event> {
        self.client.ping().await.expect("a heartbeat's answer");
        let mut came = Vec::new();
        // All that has come waits in the client: nothing of it takes time.
        while let Ok(event) =
            tokio::time::timeout(std::time::Duration::ZERO, self.client.next()).await
        {
            came.push(event.expect("a connection"));
        }
        came
    }

    /// Waits for the server's parting word.
    pub async fn sent_away(&mut self) -> proto::DisconnectNotice {
        self.until("a parting word", |event| match event {
            Event::Disconnect(notice) => Some(notice.clone()),
            _ => None,
        })
        .await
    }

    /// How many of an item one carries, of the kind with this key.
    pub async fn carries(&mut self, kind: &str) -> u32 {
        let inventory = self.client.inventory().await.expect("an inventory");
        count(&inventory.items, kind)
    }
}

impl Deref for Player {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Player {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// How many of a kind are in a list of stacks.
pub fn count(items: &[proto::Item], kind: &str) -> u32 {
    items.iter().filter(|item| item.kind == kind).map(|item| item.quantity).sum()
}

/// The code of a refusal.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> ErrorCode {
    match result {
        Err(ClientError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}
