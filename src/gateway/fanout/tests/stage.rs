//! The made-up zone: what happens in it, and how its frames reach the fan-out or don't.

use super::*;

impl Stage {
    pub(super) fn new(bandwidth: (u32, u32)) -> Self {
        let content = Content { zones: vec![zone()], ..Content::default() };
        Self {
            tick: 0,
            things: BTreeMap::new(),
            descriptors: Descriptors::default(),
            changed: BTreeMap::new(),
            events: Vec::new(),
            events_made: 0,
            fanout: Fanout::new(Arc::new(content), &GatewayConfig::default()),
            conns: Vec::new(),
            wires: Wires {
                now: crate::tick::now(),
                written: BTreeMap::new(),
                slow: vec![],
                closed: vec![],
            },
            backlog: Backlog::default(),
            bandwidth,
        }
    }

    /// Puts a player there, with 100 health; its id is 1,000 more than its handle.
    pub(super) fn put(&mut self, handle: u16, x: f32, y: f32) {
        let thing = Thing {
            id: EntityId(1_000 + u64::from(handle)),
            at: Point { x, y },
            health: 100,
            level: 1,
            shown_at: PackedPosition::NOWHERE,
        };
        self.things.insert(handle, thing);
        self.changed.insert(handle, true);
    }

    /// The player of a handle looks on over a connection of its own.
    pub(super) fn look_on(&mut self, handle: u16) -> ConnId {
        let id = ConnId(self.conns.len() as u64);
        let shelf = Rc::<Shelf>::default();
        let mut outlet = Outlet::new(None, 256, false, shelf);
        outlet.log = Some(Box::<ReliableLog>::default());
        let playing = Playing {
            session: SessionKey(id.0),
            player: PlayerId(self.things[&handle].id.0),
            zone: ZONE,
            handle: None,
            eye: self.things[&handle].at,
            views: Default::default(),
            budgets: Budgets::new(self.bandwidth.0, self.bandwidth.1, 20.0),
            told: None,
            reset: true,
            absent: 0,
            unproven: None,
            muted: false,
        };
        let now = self.wires.now;
        self.conns.push(Some(Box::new(Conn {
            id,
            peer: Peer { address: [127, 0, 0, 1].into(), framing: Framing::Length },
            opened: now,
            heard: now,
            received: 0,
            strikes: Strikes::default(),
            rates: RateGate::new(now),
            state: State::InWorld(Box::new(playing)),
            outlet,
            pending: Vec::new(),
            logged_in: None,
            withheld: Withheld::default(),
            answered: false,
        })));
        self.fanout.watch(ZONE, id.place());
        id
    }

    pub(super) fn id(&self, handle: u16) -> EntityId {
        self.things[&handle].id
    }

    fn thing(&mut self, handle: u16, announced: bool) -> &mut Thing {
        *self.changed.entry(handle).or_default() |= announced;
        self.things.get_mut(&handle).unwrap()
    }

    /// One strikes another, as the world has it: an attack, a loss of health that only events tell,
    /// perhaps a death, which is announced.
    pub(super) fn strike(&mut self, by: u16, victim: u16, amount: u32) {
        let attacker = self.id(by);
        let thing = self.thing(victim, false);
        if thing.health == 0 {
            return;
        }
        let damage = amount.min(thing.health);
        thing.health -= damage;
        let (victim_id, remaining) = (thing.id, thing.health);
        self.events.push(EventKind::PlayerAttack { attacker, target: victim_id, damage });
        let (of, victim) = (victim, victim_id);
        self.events.push(EventKind::PlayerDamage { victim, attacker, damage, remaining });
        if remaining == 0 {
            self.thing(of, true);
            self.events.push(EventKind::PlayerDeath { victim, killer: attacker });
        }
    }

    pub(super) fn heal(&mut self, handle: u16, to: u32) {
        self.thing(handle, true).health = to;
    }

    pub(super) fn rise(&mut self, handle: u16) {
        self.thing(handle, true).level += 1;
    }

    pub(super) fn walk(&mut self, handle: u16, x: f32, y: f32) {
        if let Some(thing) = self.things.get_mut(&handle) {
            thing.at = Point { x, y };
        }
    }

    pub(super) fn say(&mut self, handle: u16, text: &str) {
        let speaker = self.id(handle);
        let (name, text, shout) = ("Ann".into(), text.into(), false);
        self.events.push(EventKind::ChatMessage { speaker, name, text, shout });
    }

    fn descriptor(&self, handle: u16) -> bytes::Bytes {
        let thing = &self.things[&handle];
        let appearance = Appearance {
            look: Looks::Player,
            name: format!("player{handle}").into(),
            level: thing.level,
            health: thing.health,
            max_health: 100,
            guild: None,
            quantity: 0,
            speed: 5.0,
        };
        server::entity_descriptor(thing.id, &zone(), Handle(handle), &appearance)
    }

    fn encode_event(&mut self, kind: EventKind) -> FrameEvent {
        self.events_made += 1;
        let [actor, target] = kind.concerns();
        let of = |id: EntityId| self.things.iter().find(|(_, thing)| thing.id == id);
        let place = if kind.health().is_some() { target } else { actor };
        let at = of(place).map_or(Point::default(), |(_, thing)| thing.at);
        let health = kind.health().and_then(|(id, left)| {
            let (handle, thing) = of(id)?;
            Some(HealthTold { handle: Handle(*handle), settled: thing.health == left })
        });
        let (audience, weight, concerns) = (kind.audience(ZONE), kind.weight(), kind.concerns());
        let event = Event { id: EventId(self.events_made), tick: Tick(self.tick), at, kind };
        let packet = server::event(&event, ZONE);
        let (kind, payload) = (packet.kind, packet.payload);
        FrameEvent { at, audience, weight, concerns, health, kind, payload }
    }

    /// The zone's next frame.
    pub(super) fn frame(&mut self) -> Arc<EncodedFrame> {
        self.tick += 1;
        self.wires.now += crate::tick::TICK;
        let changed = std::mem::take(&mut self.changed);
        for handle in changed.keys() {
            let descriptor = self.descriptor(*handle);
            self.descriptors.set(Handle(*handle), descriptor);
        }
        let kinds = std::mem::take(&mut self.events);
        let events = kinds.into_iter().map(|kind| self.encode_event(kind)).collect();
        let count = self.things.keys().last().map_or(0, |last| usize::from(*last) + 1);
        let mut ids = vec![EntityId::default(); count];
        let mut entities = Vec::new();
        for (handle, thing) in &mut self.things {
            let pose = Pose { at: thing.at, rotation: 0.0 };
            let packed = PackedPosition::pack(Handle(*handle), pose, &BOUNDS);
            entities.push((packed, thing.at, packed != thing.shown_at));
            thing.shown_at = packed;
            ids[usize::from(*handle)] = thing.id;
        }
        let handles = |announced: bool| {
            let those = changed.iter().filter(move |(_, loud)| **loud || !announced);
            those.map(|(handle, _)| Handle(*handle)).collect()
        };
        Arc::new(EncodedFrame {
            frame: Frame::assemble(ZONE, 7, Tick(self.tick), BOUNDS, &entities, ids),
            descriptors: self.descriptors.clone(),
            entered: vec![],
            left: vec![],
            described: handles(false),
            announced: handles(true),
            events,
            wire: WireBytes::default(),
        })
    }

    /// A tick whose frame comes.
    pub(super) fn step(&mut self) {
        let frame = self.frame();
        let missed = self.backlog.take();
        self.fanout.frame(&mut self.conns, &mut self.wires, &frame, &missed);
    }

    /// A tick whose frame is lost on its way.
    pub(super) fn lose(&mut self) {
        let frame = self.frame();
        self.backlog.keep(&frame.events);
    }

    /// A tick whose frame comes with the next one.
    pub(super) fn pass_over(&mut self) {
        let frame = self.frame();
        let missed = self.backlog.take();
        self.fanout.pass_over(&mut self.conns, &mut self.wires, &frame, &missed);
    }

    /// What a client was sent since the last call.
    pub(super) fn heard(&mut self, conn: ConnId) -> Vec<Said> {
        read(&self.sent(conn))
    }

    /// The same as bytes.
    pub(super) fn sent(&mut self, conn: ConnId) -> Vec<u8> {
        self.wires.written.remove(&conn).unwrap_or_default()
    }

    pub(super) fn conn(&mut self, conn: ConnId) -> &mut Conn {
        self.conns[conn.place()].as_deref_mut().unwrap()
    }
}
