//! Players that trade blows, loot, pick things up, use them and walk over the border, whatever
//! becomes of the servers, and write down what they were told of their belongings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use throng::client::{Client, ClientError, Endpoint, Event, Recovery};
use throng::geometry::Point;
use throng::ids::{EntityId, ItemId};
use throng::proto::{self, EntityKind, EventKind};
use throng::tick;
use tokio::sync::watch;

use crate::player::{PASSWORD, Player};
use crate::server::{PATIENCE, within};

/// How long an answer is waited for that may have died with a process.
const ANSWER: Duration = Duration::from_millis(700);

/// Stacks by id, each with its kind and quantity, and gold.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Belongings {
    pub stacks: BTreeMap<u64, (String, u32)>,
    pub gold: u64,
}

impl From<&proto::Inventory> for Belongings {
    fn from(told: &proto::Inventory) -> Self {
        let stacks = told.items.iter();
        let stacks = stacks.map(|item| (item.item_id, (item.kind.clone(), item.quantity)));
        Self { stacks: stacks.collect(), gold: told.gold }
    }
}

/// What a bot has done and was told.
#[derive(Debug, Default)]
pub struct Record {
    pub player: u64,
    pub name: String,
    /// What it began with.
    pub first: Belongings,
    /// All that it was ever told it has.
    pub told: BTreeSet<Belongings>,
    /// Pick-ups that were asked for, and those that were confirmed.
    pub picks: (u32, u32),
    /// Items that were to be used, and those that were.
    pub uses: (u32, u32),
    /// Blows that were answered.
    pub blows: u32,
    /// Zones entered by walking.
    pub crossings: u32,
    /// How often the connection was lost, and how often the session went on.
    pub losses: u32,
    pub resumptions: u32,
    /// Log-ins after the first one.
    pub log_ins: u32,
}

/// One of them.
pub struct Bot {
    player: Player,
    gateways: Vec<Endpoint>,
    chance: ChaCha8Rng,
    record: Record,
    /// The stack to drink from next.
    potion: Option<u64>,
}

impl Bot {
    /// A new player at one of the gateways.
    pub async fn new(gateways: Vec<Endpoint>, number: usize, seed: u64) -> Self {
        let name = format!("Bot{number}");
        let gateway = gateways[number % gateways.len()].clone();
        let mut player = Player::new_at(gateway, &name).await;
        player.set_recovery(Some(recovery(&name)));
        let first = Belongings::from(&player.inventory().await.expect("an inventory"));
        let record = Record {
            player: player.id.0,
            name,
            told: BTreeSet::from([first.clone()]),
            first,
            ..Record::default()
        };
        let chance = ChaCha8Rng::seed_from_u64(seed ^ number as u64);
        Self { player, gateways, chance, record, potion: None }
    }

    /// Plays until told to stop, then comes to rest: its connection stands, and it has been told
    /// what it has.
    pub async fn play(mut self, mut stop: watch::Receiver<bool>) -> Self {
        while !*stop.borrow_and_update() {
            let done = self.turn().await;
            self.settle(done).await;
        }
        let name = self.record.name.clone();
        within(&format!("{name}: rest"), async {
            loop {
                let asked = tokio::time::timeout(ANSWER, self.player.client.inventory()).await;
                match asked {
                    Ok(Ok(told)) => return self.note(&Event::Inventory(told)),
                    Ok(Err(error)) => self.settle(Err(error)).await,
                    Err(_) => {}
                }
                // In a crowd much waits to be taken.
                let heard = self.listen(ANSWER).await;
                self.settle(heard).await;
            }
        })
        .await;
        self
    }

    /// Leaves the world; gives what it has written down.
    pub async fn leave(mut self) -> Record {
        let heard = self.listen(Duration::ZERO).await;
        self.settle(heard).await;
        let name = self.record.name.clone();
        self.player.client.logout().await.unwrap_or_else(|e| panic!("{name}: {e}"));
        self.record
    }

    /// Does one thing and listens for a moment.
    async fn turn(&mut self) -> Result<(), ClientError> {
        match self.chance.random_range(0..100) {
            0..40 => self.strike().await?,
            40..65 => self.pick_up().await?,
            65..75 => self.drink().await?,
            _ => self.wander().await?,
        }
        let moment = Duration::from_millis(self.chance.random_range(30..150));
        self.listen(moment).await
    }

    /// Strikes whoever is in reach: wolves, and other bots.
    async fn strike(&mut self) -> Result<(), ClientError> {
        let alive =
            |about: &proto::EntityEnter| about.health > 0 && about.kind() != EntityKind::EntityItem;
        let Some((target, at)) = self.choose(alive) else { return Ok(()) };
        if self.place().distance(at) > 9.0 {
            self.player.move_to(at.x, at.y).await?;
            return Ok(());
        }
        let blow = tokio::time::timeout(ANSWER, self.player.client.attack(target)).await;
        if tolerated(blow)?.is_some() {
            self.record.blows += 1;
        }
        Ok(())
    }

    /// Picks something up, or goes where it lies.
    async fn pick_up(&mut self) -> Result<(), ClientError> {
        let lies = |about: &proto::EntityEnter| about.kind() == EntityKind::EntityItem;
        let Some((thing, at)) = self.choose(lies) else { return Ok(()) };
        if self.place().distance(at) > 2.5 {
            self.player.move_to(at.x, at.y).await?;
            return Ok(());
        }
        self.record.picks.0 += 1;
        let picked = tokio::time::timeout(ANSWER, self.player.client.pick_up(thing)).await;
        if let Some(event) = tolerated(picked)? {
            self.note(&Event::Game(event));
        }
        Ok(())
    }

    /// Uses a potion, if it has one.
    async fn drink(&mut self) -> Result<(), ClientError> {
        let Some(potion) = self.potion else { return Ok(()) };
        self.record.uses.0 += 1;
        let used = tokio::time::timeout(ANSWER, self.player.client.use_item(ItemId(potion))).await;
        if let Some(told) = tolerated(used)? {
            self.note(&Event::Inventory(told));
        }
        Ok(())
    }

    /// Walks somewhere around the border.
    async fn wander(&mut self) -> Result<(), ClientError> {
        let x = self.chance.random_range(-20.0..20.0);
        let y = self.chance.random_range(-12.0..12.0);
        self.player.move_to(x, y).await.map(drop)
    }

    /// One of the three nearest that fit.
    fn choose(&mut self, fits: impl Fn(&proto::EntityEnter) -> bool) -> Option<(EntityId, Point)> {
        let (me, here) = (self.player.id, self.place());
        let seen = self.player.view().iter();
        let seen = seen.filter(|(id, seen)| *id != me && fits(&seen.about));
        let mut near: Vec<_> = seen.map(|(id, seen)| (id, seen.newest.at)).collect();
        near.sort_by(|(_, a), (_, b)| here.distance(*a).total_cmp(&here.distance(*b)));
        near.truncate(3);
        (!near.is_empty()).then(|| near[self.chance.random_range(0..near.len())])
    }

    fn place(&self) -> Point {
        let seen = self.player.view().get(self.player.id);
        seen.map_or(Point { x: 0.0, y: 0.0 }, |seen| seen.newest.at)
    }

    /// Takes in what comes within a while.
    async fn listen(&mut self, moment: Duration) -> Result<(), ClientError> {
        let until = tick::now() + moment;
        loop {
            match tokio::time::timeout_at(until.into(), self.player.client.next()).await {
                Ok(event) => self.note(&event?),
                Err(_) => return Ok(()),
            }
        }
    }

    fn note(&mut self, event: &Event) {
        let record = &mut self.record;
        match event {
            Event::Inventory(told) => {
                record.told.insert(told.into());
                record.uses.1 += u32::from(told.used_item_id != 0);
                self.potion = told.items.iter().find(|item| item.usable).map(|item| item.item_id);
            }
            Event::Game(game) if game.actor_id == record.player => match game.kind() {
                EventKind::EventItemPickup => record.picks.1 += 1,
                EventKind::EventZoneChange => record.crossings += 1,
                _ => {}
            },
            Event::Reconnecting { .. } => record.losses += 1,
            Event::Resumed(resumed) => {
                record.resumptions += u32::from(!resumed.anew);
                record.log_ins += u32::from(resumed.anew);
            }
            _ => {}
        }
    }

    /// The client library goes on by itself as long as it can; then one logs in again.
    async fn settle(&mut self, done: Result<(), ClientError>) {
        if done.is_ok() {
            return;
        }
        let until = tick::now() + PATIENCE;
        let mut error = done.err();
        while let Some(problem) = error.take() {
            let name = self.record.name.clone();
            assert!(tick::now() < until, "{name} does not come back: {problem}");
            let gateway = self.chance.random_range(0..self.gateways.len());
            match anew(self.gateways[gateway].clone(), &name).await {
                Ok(player) => {
                    self.player = player;
                    self.record.log_ins += 1;
                }
                Err(problem) => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    error = Some(problem);
                }
            }
        }
    }
}

fn recovery(name: &str) -> Recovery {
    Recovery { log_in: Some((name.to_owned(), PASSWORD.to_owned())), ..Recovery::default() }
}

/// Logs in again from nothing.
async fn anew(gateway: Endpoint, name: &str) -> Result<Player, ClientError> {
    let mut client = Client::connect(gateway).await?;
    client.set_recovery(Some(recovery(name)));
    let login = client.login(name, PASSWORD).await?;
    let entered = client.enter(&login.session_token).await?;
    Ok(Player { client, name: name.to_owned(), id: EntityId(login.player_id), entered })
}

/// An answer; none if it was refused, or did not come: then it may still come later, as an event.
fn tolerated<T, E>(answer: Result<Result<T, ClientError>, E>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(ClientError::Refused { .. } | ClientError::Interrupted { .. })) | Err(_) => Ok(None),
        Ok(Err(ClientError::Timeout { .. })) => Ok(None),
        Ok(Err(error)) => Err(error),
    }
}
