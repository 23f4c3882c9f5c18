//! A gateway's session manager as the simulation has it: sessions that enter, play, are displaced
//! and end, and players that are brought in again. The steps are those of `gateway/`; there are no
//! connections, and instead of frames it looks into the zone.

use std::collections::BTreeMap;

use super::counts::Counts;
use super::desk::{Answer, Request, Requests};
use crate::ids::{PlayerId, RequestId, ServerId, SessionKey, SessionRef, TicketUse, ZoneId};
use crate::link::kept::Kept;
use crate::link::{Directory, Outbox, SendError};
use crate::msg::gateway::EnterRefusal;
use crate::msg::master::PresentSession;
use crate::msg::{GatewayMsg, MasterMsg, ZoneMsg};
use crate::proto::DisconnectReason;
use crate::world::command::Action;
use crate::world::content::Content;

/// As in `gateway/`: how often a player is looked for in another zone, and how long things take, ms.
const TRIES: u32 = 3;
const ENTER_WITHIN: u64 = 10_000;
const DISPLACED_FOR: u64 = 12_000;
const ASK_AGAIN: u64 = 2_000;
const BRING_IN_WITHIN: u64 = 30_000;
/// As in `gateway/introduce.rs`: who stood still for so long does not know whose its sessions are,
/// for how long, and for how long once the master has heard of them, ms.
const STOOD_STILL: u64 = 3_000;
const DOUBT: u64 = 10_000;
const MASTER_WITHIN: u64 = 2_000;
/// Looks in a row, ten a second, in which a player was not in its zone, until it is brought in.
const MISSED: u32 = 8;

#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    Entering { since: u64, ticket: Option<TicketUse>, granted: bool, tries: u32 },
    Attached,
    Displaced { since: u64 },
}

#[derive(Debug, Clone, Copy)]
struct Absence {
    since: u64,
    asked: u64,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub player: PlayerId,
    pub zone: Option<ZoneId>,
    pub stage: Stage,
    since: u64,
    absence: Option<Absence>,
    missed: u32,
}

/// The session manager.
pub(super) struct Gateway {
    server: ServerId,
    zones: Directory<ZoneId, ZoneMsg>,
    master: Outbox<MasterMsg>,
    requests: Requests,
    to_zones: BTreeMap<ZoneId, Kept<ZoneMsg>>,
    to_master: Kept<MasterMsg>,
    /// Who has left zones that did not run.
    left: Vec<(ZoneId, ZoneMsg)>,
    pub sessions: BTreeMap<SessionKey, Session>,
    next: u64,
    last_beat: u64,
    /// Until then nobody is brought in.
    doubtful_until: u64,
}

impl Gateway {
    pub(super) fn new(
        server: ServerId,
        zones: Directory<ZoneId, ZoneMsg>,
        master: Outbox<MasterMsg>,
        requests: Requests,
    ) -> Self {
        Self {
            server,
            zones,
            master,
            requests,
            to_zones: BTreeMap::new(),
            to_master: Kept::default(),
            left: Vec::new(),
            sessions: BTreeMap::new(),
            next: 0,
            last_beat: u64::MAX,
            doubtful_until: 0,
        }
    }

    pub(super) fn session_ref(&self, key: SessionKey) -> SessionRef {
        SessionRef { gateway: self.server, key }
    }

    /// A client comes with a ticket, or goes on with a session of another gateway.
    pub(super) fn begin(
        &mut self,
        player: PlayerId,
        ticket: Option<TicketUse>,
        now: u64,
    ) -> SessionKey {
        self.next = (self.next + 1).max(SessionKey::made_at(now).0);
        let key = SessionKey(self.next);
        let stage = Stage::Entering { since: now, ticket, granted: false, tries: 0 };
        let (zone, absence, missed) = (None, None, 0);
        let session = Session { player, zone, stage, since: now, absence, missed };
        self.sessions.insert(key, session);
        self.claim(key);
        key
    }

    fn claim(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(&key) else { return };
        let claim = MasterMsg::Claim {
            request: RequestId(key.0),
            player: session.player,
            name: format!("player_{}", session.player).into(),
            session: self.session_ref(key),
            device: String::new(),
        };
        if self.master.send(claim).is_err() {
            self.release(key);
        }
    }

    /// A client acts.
    pub(super) fn act(&mut self, key: SessionKey, action: Action) {
        let session_ref = self.session_ref(key);
        let Some(Session { player, zone: Some(zone), .. }) = self.sessions.get(&key) else {
            return;
        };
        let act = ZoneMsg::Act { player: *player, session: session_ref, request: 1, action };
        // Worth nothing later.
        let _ = self.zones.with(*zone, |outbox| outbox.send(act));
    }

    pub(super) fn tell_zone(&mut self, zone: ZoneId, message: ZoneMsg) {
        let kept = self.to_zones.entry(zone).or_default();
        let untold = match self.zones.get(zone) {
            Some(outbox) => kept.send(message, |message| outbox.send(message)),
            None => Err(message),
        };
        if let Err(leave @ ZoneMsg::Leave { .. }) = untold {
            self.left.push((zone, leave));
        }
    }

    /// A zone is somewhere else now.
    pub(super) fn on_moved_zone(&mut self, zone: ZoneId) {
        let left = self.left.extract_if(.., |(of, _)| *of == zone).collect::<Vec<_>>();
        left.into_iter().for_each(|(_, leave)| self.tell_zone(zone, leave));
        self.ask_for_entries_again(zone);
    }

    fn tell_master(&mut self, message: MasterMsg) {
        let master = &self.master;
        let _ = self.to_master.send(message, |message| master.send(message));
    }

    pub(super) fn on_message(&mut self, message: GatewayMsg, now: u64, counts: &mut Counts) {
        match message {
            GatewayMsg::Entered { session, state, zone, .. } => {
                self.on_entered(session, state.id, zone, counts);
            }
            GatewayMsg::EnterRefused { session, reason } => self.on_refused(session, reason, now),
            GatewayMsg::Moved { session, player, zone } => match self.sessions.get_mut(&session) {
                Some(session) => {
                    counts.moved += 1;
                    session.absence = None;
                    session.zone = Some(zone);
                }
                None => self.send_home(session, player, zone),
            },
            GatewayMsg::Kick { session, reason, .. } => self.on_kick(session, reason, now, counts),
            GatewayMsg::Introduce { .. } => self.on_introduce(now),
            GatewayMsg::PresenceGranted { request, zone } => {
                self.on_presence(SessionKey(request.0), zone);
            }
            _ => {}
        }
    }

    /// Nobody plays it through that session any more.
    fn send_home(&mut self, key: SessionKey, player: PlayerId, zone: ZoneId) {
        let session = self.session_ref(key);
        self.tell_zone(zone, ZoneMsg::Leave { player, session });
    }

    fn on_presence(&mut self, key: SessionKey, zone: Option<ZoneId>) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Stage::Entering { granted, .. } = &mut session.stage else { return };
        if std::mem::replace(granted, true) {
            return;
        }
        match zone {
            Some(zone) => self.ask_zone(key, zone),
            None => {
                let player = session.player;
                self.requests.lock().push((self.server, Request::Player { session: key, player }));
            }
        }
    }

    pub(super) fn on_answer(&mut self, answer: Answer, content: &Content) {
        let Answer::Found { session, state } = answer else { return };
        let zone = state.map(|state| content.zone_at(state.pose.at).or(content.zones.first()));
        match zone.flatten().map(|zone| zone.id) {
            Some(zone) => self.ask_zone(session, zone),
            None => self.release(session),
        }
    }

    fn ask_zone(&mut self, key: SessionKey, zone: ZoneId) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Stage::Entering { ticket, .. } = session.stage else { return };
        let enter = ZoneMsg::Enter { player: session.player, session: session_ref, ticket };
        session.zone = Some(zone);
        if self.zones.get(zone).is_none_or(|outbox| outbox.send(enter).is_err()) {
            self.release(key);
        }
    }

    /// What was asked where the zone ran before may be lost.
    fn ask_for_entries_again(&mut self, zone: ZoneId) {
        let waits = |session: &Session| {
            session.zone == Some(zone) && matches!(session.stage, Stage::Entering { .. })
        };
        let waiting = self.sessions.iter().filter(|(_, session)| waits(session));
        for key in waiting.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.ask_zone(key, zone);
        }
    }

    fn on_entered(&mut self, key: SessionKey, player: PlayerId, zone: ZoneId, counts: &mut Counts) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return self.send_home(key, player, zone);
        };
        session.zone = Some(zone);
        match session.stage {
            Stage::Entering { .. } => {
                counts.entered += 1;
                session.stage = Stage::Attached;
            }
            Stage::Attached => session.absence = None,
            Stage::Displaced { .. } => {}
        }
    }

    fn on_refused(&mut self, key: SessionKey, reason: EnterRefusal, now: u64) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        match (&mut session.stage, reason) {
            (Stage::Entering { tries, ticket, .. }, EnterRefusal::Elsewhere(zone))
                if *tries < TRIES =>
            {
                *tries += 1;
                *ticket = None;
                self.ask_zone(key, zone);
            }
            (Stage::Entering { granted: false, .. }, EnterRefusal::Superseded(by)) => {
                self.next = self.next.max(by.0) + 1;
                let younger = SessionKey(self.next);
                if let Some(session) = self.sessions.remove(&key) {
                    self.sessions.insert(younger, session);
                }
                self.claim(younger);
            }
            (Stage::Entering { .. } | Stage::Displaced { .. }, _) => self.release(key),
            (_, EnterRefusal::Superseded(_)) => session.stage = Stage::Displaced { since: now },
            (_, EnterRefusal::Elsewhere(zone))
                if session.absence.is_some() && session.zone != Some(zone) =>
            {
                session.zone = Some(zone);
                self.bring_in(key, now);
            }
            _ => {}
        }
    }

    fn on_kick(&mut self, key: SessionKey, why: DisconnectReason, now: u64, counts: &mut Counts) {
        if why != DisconnectReason::DisconnectLoggedInElsewhere {
            return self.release(key);
        }
        if let Some(session) = self.sessions.get_mut(&key) {
            if matches!(session.stage, Stage::Displaced { .. }) {
                return self.release(key);
            }
            counts.displaced += 1;
            session.stage = Stage::Displaced { since: now };
            session.absence = None;
        }
    }

    /// There is a new master.
    pub(super) fn on_introduce(&mut self, now: u64) {
        self.doubtful_until = self.doubtful_until.min(now + MASTER_WITHIN);
        let present = |(key, session): (&SessionKey, &Session)| PresentSession {
            player: session.player,
            name: format!("player_{}", session.player).into(),
            session: self.session_ref(*key),
            device: String::new(),
            zone: session.zone,
            since: session.since,
        };
        let plays =
            |(_, session): &(&SessionKey, &Session)| matches!(session.stage, Stage::Attached);
        let sessions: Vec<_> = self.sessions.iter().filter(plays).map(present).collect();
        self.tell_master(MasterMsg::Present { sessions });
        let waits =
            |session: &Session| matches!(session.stage, Stage::Entering { granted: false, .. });
        let waiting = self.sessions.iter().filter(|(_, session)| waits(session));
        for key in waiting.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.claim(key);
        }
    }

    /// A session ends, and with it its player leaves.
    pub(super) fn release(&mut self, key: SessionKey) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.remove(&key) else { return };
        let player = session.player;
        if let Some(zone) = session.zone {
            self.send_home(key, player, zone);
        }
        self.tell_master(MasterMsg::Released { player, session: session_ref });
    }

    fn bring_in(&mut self, key: SessionKey, now: u64) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let (Some(zone), Some(absence)) = (session.zone, &mut session.absence) else { return };
        absence.asked = now;
        let player = session.player;
        self.tell_zone(zone, ZoneMsg::Enter { player, session: session_ref, ticket: None });
    }

    /// Ten times a second. `sees`: whether a zone shows a player, if its frames come.
    pub(super) fn beat(
        &mut self,
        now: u64,
        sees: impl Fn(ZoneId, PlayerId) -> Option<bool>,
        counts: &mut Counts,
    ) {
        if now > self.last_beat.saturating_add(STOOD_STILL) {
            self.doubtful_until = now + DOUBT;
        }
        self.last_beat = now;
        let certain = now >= self.doubtful_until;
        let (mut ended, mut absent) = (Vec::new(), Vec::new());
        for (key, session) in &mut self.sessions {
            let overdue = match session.stage {
                Stage::Entering { since, .. } => now > since + ENTER_WITHIN,
                Stage::Attached => false,
                Stage::Displaced { since } => now > since + DISPLACED_FOR,
            };
            if overdue {
                ended.push(*key);
            }
            let (Stage::Attached, Some(zone)) = (session.stage, session.zone) else { continue };
            let seen = sees(zone, session.player);
            session.missed = if seen == Some(false) { session.missed + 1 } else { 0 };
            match &mut session.absence {
                Some(absence) if self.zones.get(zone).is_none() => absence.since = now,
                Some(absence) if now > absence.since + BRING_IN_WITHIN => ended.push(*key),
                Some(absence) if certain && now > absence.asked + ASK_AGAIN => absent.push(*key),
                Some(_) => {}
                None if certain && session.missed > MISSED => {
                    counts.brought_in += 1;
                    session.absence = Some(Absence { since: now, asked: now });
                    absent.push(*key);
                }
                None => {}
            }
        }
        ended.into_iter().for_each(|key| self.release(key));
        absent.into_iter().for_each(|key| self.bring_in(key, now));
        self.send_again();
    }

    fn send_again(&mut self) {
        for (zone, kept) in &mut self.to_zones {
            let outbox = self.zones.get(*zone);
            kept.send_again(|message| match &outbox {
                Some(outbox) => outbox.send(message),
                None => Err(SendError::Closed(message)),
            });
        }
        let master = &self.master;
        self.to_master.send_again(|message| master.send(message));
    }

    /// Messages that nobody takes.
    pub(super) fn waiting(&self) -> usize {
        self.to_zones.values().map(Kept::len).sum::<usize>() + self.to_master.len()
    }
}
