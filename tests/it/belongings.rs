//! Things that change hands, lie about or are done away with: what players see is what is kept,
//! also when everything dies at once.

use throng::client::Event;
use throng::ids::{EntityId, ItemId};
use throng::proto::{self, ErrorCode, QuestState};
use throng::store::Store;

use crate::player::{Player, refusal};
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED, within};
use crate::text::{TextClient, field, word};

scenarios![things_change_hands_by_lines, things_change_hands_by_packets];

/// What one carries: id, kind and quantity of each stack, oldest first, and gold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Belongings {
    stacks: Vec<(u64, String, u32)>,
    gold: u64,
}

impl Belongings {
    fn new(mut stacks: Vec<(u64, String, u32)>, gold: u64) -> Self {
        stacks.sort_unstable();
        Self { stacks, gold }
    }

    fn carried(items: &[proto::Item], gold: u64) -> Self {
        let stack = |item: &proto::Item| (item.item_id, item.kind.clone(), item.quantity);
        Self::new(items.iter().map(stack).collect(), gold)
    }

    /// What somebody sees who asks by a packet.
    async fn asked(player: &mut Player) -> Self {
        let inventory = player.inventory().await.unwrap();
        Self::carried(&inventory.items, inventory.gold)
    }

    /// What somebody sees who has just come.
    fn brought(player: &Player) -> Self {
        let gold = player.entered.player.as_ref().unwrap().gold;
        Self::carried(&player.entered.inventory, gold)
    }

    /// What somebody sees who asks by a line.
    async fn listed(client: &mut TextClient) -> Self {
        // Other inventories may be on their way: the answer comes behind that to PING.
        client.ask("PING", "PONG").await;
        let listed = client.ask("INVENTORY", "INVENTORY").await;
        let mut stacks = Vec::new();
        for _ in 0..word(&listed, 1).parse().unwrap() {
            let line = client.expect("ITEM ").await;
            let id = word(&line, 1).parse().unwrap();
            stacks.push((id, word(&line, 2).to_owned(), word(&line, 3).parse().unwrap()));
        }
        Self::new(stacks, word(&listed, 2).parse().unwrap())
    }

    /// What is in the database.
    async fn kept(store: &Store, id: EntityId) -> Self {
        let state = store.player(id.player().unwrap()).await.unwrap().unwrap();
        let stacks = state.inventory.iter();
        let stacks = stacks.map(|stack| (stack.id.0, stack.kind.to_string(), stack.quantity));
        Self::new(stacks.collect(), state.gold)
    }

    fn count(&self, kind: &str) -> u32 {
        self.stacks.iter().filter(|stack| stack.1 == kind).map(|stack| stack.2).sum()
    }

    /// The oldest stack of a kind.
    fn stack(&self, kind: &str) -> ItemId {
        let found = self.stacks.iter().find(|stack| stack.1 == kind);
        ItemId(found.unwrap_or_else(|| panic!("no {kind} in {self:?}")).0)
    }
}

/// Waits for what somebody has given.
async fn is_given(player: &mut Player, giver: u64) {
    player
        .until("a gift", |event| match event {
            Event::Inventory(inventory) => (inventory.giver_id == giver).then_some(()),
            _ => None,
        })
        .await;
}

/// Kills everything, without warning, and starts it again: both have what they had.
async fn survives_a_crash(server: &mut Server, all: [(EntityId, &str, Belongings); 2]) {
    let store = server.store().await;
    for (id, name, seen) in &all {
        assert_eq!(Belongings::kept(&store, *id).await, *seen, "{name}'s, in the database");
    }
    store.close().await;
    server.kill().await;
    server.start_again();
    for (_, name, seen) in &all {
        let mut player = Player::again(server, name).await;
        assert_eq!(Belongings::brought(&player), *seen, "{name}'s, after the crash");
        assert_eq!(Belongings::asked(&mut player).await, *seen);
    }
}

async fn things_change_hands_by_lines(topology: Topology) {
    let mut server = Server::start_with(topology, UNHURRIED);
    let mut bob = Player::new(&server, "Bob").await;
    let mut ann = TextClient::player(&server, "Ann").await;
    let (hers, his) = (EntityId(ann.id), bob.id);
    bob.sees(hers).await;
    ann.find("Bob", |line| line.starts_with("PLAYER_INFO") && line.contains(":Bob:")).await;

    // What one drops another may take.
    let potions = Belongings::listed(&mut ann).await.stack("healing_potion");
    ann.ask(&format!("DROP {potions} 2"), "INVENTORY 1 ").await;
    let lying = bob.nearest("healing_potion").await;
    assert_eq!(bob.pick_up(lying).await.unwrap().amount, 2);
    assert_eq!(Belongings::asked(&mut bob).await.count("healing_potion"), 5);
    assert_eq!(Belongings::listed(&mut ann).await.count("healing_potion"), 1);

    ann.ask(&format!("GIVE {potions} {his} 2"), "ERROR").await;
    ann.ask(&format!("GIVE {potions} {hers}"), "ERROR").await;
    ann.ask(&format!("GIVE {potions} {his}"), "INVENTORY 0 ").await;
    is_given(&mut bob, hers.0).await;
    assert_eq!(Belongings::asked(&mut bob).await.count("healing_potion"), 6);

    let gold = earn(&mut ann).await;
    ann.ask(&format!("GIVE GOLD {his} {}", gold + 1), "ERROR").await;
    ann.ask(&format!("GIVE GOLD {his} {gold}"), "INVENTORY 0 0").await;
    is_given(&mut bob, hers.0).await;
    let has = Belongings::asked(&mut bob).await;
    assert_eq!(has.gold, gold);
    bob.give_gold(hers, 1).await.unwrap();
    ann.expect(&format!("ITEM_GIVEN {his}")).await;
    ann.expect("INVENTORY 0 1").await;
    bob.give_item(hers, has.stack("healing_potion"), 3).await.unwrap();
    ann.expect(&format!("ITEM_GIVEN {his}")).await;
    let potions = Belongings::listed(&mut ann).await.stack("healing_potion");
    ann.ask(&format!("DESTROY {potions} 4"), "ERROR").await;
    ann.ask(&format!("DESTROY {potions} 1"), "INVENTORY 1 1").await;

    ann.ask("QUEST ABANDON tour", "ERROR").await;
    ann.ask("QUEST ACCEPT tour", "QUEST tour active").await;
    ann.ask("QUEST ABANDON tour", "QUEST tour available").await;
    ann.ask("QUEST ABANDON tour", "ERROR").await;

    let (hers_seen, his_seen) =
        (Belongings::listed(&mut ann).await, Belongings::asked(&mut bob).await);
    assert_eq!((hers_seen.count("healing_potion"), hers_seen.gold), (2, 1));
    assert_eq!((his_seen.count("healing_potion"), his_seen.gold), (3, gold - 1));
    survives_a_crash(&mut server, [(hers, "Ann", hers_seen), (his, "Bob", his_seen)]).await;
    let mut ann = Player::again(&server, "Ann").await;
    assert_eq!(state(&ann.quest_log().await.unwrap(), "tour"), QuestState::QuestAvailable);
}

/// Hunts a wolf by hand for the gold it carries; gives how much that was.
async fn earn(ann: &mut TextClient) -> u64 {
    let wolf =
        ann.find("a wolf", |line| line.starts_with("NPC_INFO") && line.contains(":wolf:")).await;
    let wolf = field(&wolf, 1).to_owned();
    ann.send(&format!("ATTACK {wolf}")).await;
    ann.expect("EVENT_ATTACK").await;
    ann.send(&format!("SKILL power_strike {wolf}")).await;
    ann.expect("EVENT_DEATH").await;
    within("gold", async {
        loop {
            let gold = Belongings::listed(ann).await.gold;
            if gold > 0 {
                return gold;
            }
        }
    })
    .await
}

async fn things_change_hands_by_packets(topology: Topology) {
    let mut server = Server::start_with(topology, UNHURRIED);
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    let (hers, his) = (ann.id, bob.id);
    ann.sees(his).await;

    // A thing of which each lies by itself.
    let boulder = ann.nearest("boulder").await;
    let at = ann.view().get(boulder).unwrap().newest.at;
    ann.go(at.x, at.y).await;
    ann.pick_up(boulder).await.unwrap();
    let has = Belongings::asked(&mut ann).await;
    let (boulder, potions) = (has.stack("boulder"), has.stack("healing_potion"));
    bob.go(20.0, 0.0).await;
    ann.sees_at(his, 20.0, 0.0).await;
    assert_eq!(refusal(ann.give_item(his, boulder, 1).await), ErrorCode::ErrorOutOfRange);
    bob.go(at.x, at.y).await;
    ann.sees_at(his, at.x, at.y).await;
    let left = ann.give_item(his, boulder, 0).await.unwrap();
    assert_eq!(Belongings::carried(&left.items, left.gold).count("boulder"), 0);
    is_given(&mut bob, hers.0).await;
    assert_eq!(refusal(ann.give_item(his, boulder, 1).await), ErrorCode::ErrorNoSuchItem);
    assert_eq!(refusal(ann.give_item(his, potions, 4).await), ErrorCode::ErrorNoSuchItem);
    refusal(ann.give_gold(his, 1).await);
    let nobody = EntityId(1 << 30);
    refusal(ann.give_item(nobody, potions, 1).await);

    // Both at once, as long as the one's is in the other's way.
    let his_potions = Belongings::asked(&mut bob).await.stack("healing_potion");
    tokio::join!(give(&mut ann, his, potions), give(&mut bob, hers, his_potions));
    let dropped = bob.drop_item(his_potions, 0).await.unwrap();
    let lies = 3 - Belongings::carried(&dropped.items, 0).count("healing_potion");
    let lying = ann.nearest("healing_potion").await;
    assert_eq!(ann.pick_up(lying).await.unwrap().amount, lies);
    ann.destroy_item(potions, 1).await.unwrap();
    ann.accept_quest("tour").await.unwrap();
    ann.abandon_quest("tour").await.unwrap();
    let again = ann.abandon_quest("tour").await;
    assert_eq!(refusal(again), ErrorCode::ErrorQuestState);

    let (hers_seen, his_seen) =
        (Belongings::asked(&mut ann).await, Belongings::asked(&mut bob).await);
    let sum = |kind| (hers_seen.count(kind), his_seen.count(kind));
    assert_eq!((sum("boulder"), sum("healing_potion")), ((0, 1), (2 + lies, 3 - lies)));
    survives_a_crash(&mut server, [(hers, "Ann", hers_seen), (his, "Bob", his_seen)]).await;
}

/// Gives one thing of a stack, again and again until the other is not busy.
async fn give(giver: &mut Player, to: EntityId, item: ItemId) {
    within("a gift", async {
        while let Err(error) = giver.give_item(to, item, 1).await {
            assert_eq!(error.code(), Some(ErrorCode::ErrorRateLimited), "{error}");
        }
    })
    .await;
}

fn state(log: &proto::QuestLog, quest: &str) -> QuestState {
    let found = log.quests.iter().find(|known| known.quest == quest);
    found.unwrap_or_else(|| panic!("no {quest} in {log:?}")).state()
}
