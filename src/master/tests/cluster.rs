//! Servers that come, break off, drain and die, and what the others hear of it.

use super::*;
use crate::msg::master::{ServerStatus, ZoneStatus};

/// A zone server that runs these, each under its origin.
fn host(server: u64, zones: &[(u16, u64)]) -> ServerStatus {
    let MasterMsg::Status(status) = status(server, 0) else { panic!("a status") };
    let run = |(zone, origin): &(u16, u64)| {
        let (zone, origin) = (ZoneId(*zone), *origin);
        ZoneStatus { zone, players: 0, origin }
    };
    ServerStatus { zones: zones.iter().map(run).collect(), ..*status }
}

fn says(status: ServerStatus) -> MasterMsg {
    MasterMsg::Status(Box::new(status))
}

/// The ids in the last list of all servers, if one came.
fn members(inbox: &mut Inbox<NodeMsg>) -> Option<Vec<u64>> {
    let last = all(inbox).into_iter().rfind(|message| matches!(message, NodeMsg::Members(_)));
    let Some(NodeMsg::Members(members)) = last else { return None };
    Some(members.iter().map(|member| member.server.0).collect())
}

/// The gateways in the last list of them that login got, if it got one.
fn servers(inbox: &mut Inbox<LoginMsg>) -> Option<Vec<u64>> {
    let last = all(inbox).into_iter().rfind(|message| matches!(message, LoginMsg::Servers(_)));
    let Some(LoginMsg::Servers(servers)) = last else { return None };
    Some(servers.iter().map(|server| server.id.0).collect())
}

fn run(zone: u16) -> HostMsg {
    HostMsg::Run { zone: ZoneId(zone) }
}

fn hand_over(zone: u16, to: u64) -> HostMsg {
    HostMsg::Move { zone: ZoneId(zone), to: ServerId(to) }
}

#[tokio::test]
async fn everybody_hears_at_once_who_comes_and_who_goes() {
    let mut bench = Bench::new().await;
    bench.hear(status(1, 0));
    assert_eq!(members(&mut bench.nodes[1]), Some(vec![1]));
    bench.hear(status(2, 0));
    for node in &mut bench.nodes {
        assert_eq!(members(node), Some(vec![1, 2]));
    }
    bench.hear(status(2, 0));
    assert_eq!(members(&mut bench.nodes[0]), None, "nothing has changed");
    bench.hear(MasterMsg::Lost { server: ServerId(2), clean: true });
    assert_eq!(members(&mut bench.nodes[0]), Some(vec![1]));
    bench.second_at(1_000);
    assert_eq!(members(&mut bench.nodes[0]), Some(vec![1]), "and from time to time again");
    bench.hear_at(1_000, says(ServerStatus { link_port: 0, ..host(3, &[]) }));
    assert_eq!(members(&mut bench.nodes[0]), Some(vec![1]), "nobody can link to it");
}

#[tokio::test]
async fn newcomers_go_to_no_gateway_that_drains_is_silent_or_is_dead() {
    let mut bench = Bench::new().await;
    bench.hear(status(1, 0));
    bench.hear(status(2, 5));
    assert_eq!(servers(&mut bench.login), Some(vec![1, 2]));
    bench.hear(MasterMsg::Lost { server: ServerId(1), clean: false });
    assert_eq!(servers(&mut bench.login), Some(vec![2]), "its link has broken");
    bench.hear_at(500, status(1, 0));
    assert_eq!(servers(&mut bench.login), Some(vec![1, 2]), "and is there again");
    bench.hear_at(500, says(ServerStatus { draining: true, ..host(1, &[]) }));
    assert_eq!(servers(&mut bench.login), Some(vec![2]));
    bench.second_at(3_000);
    assert_eq!(servers(&mut bench.login), Some(vec![]), "the other has been silent for 3 s");
    let heard = all(&mut bench.gateways[0]);
    let last = heard.iter().rfind(|message| matches!(message, GatewayMsg::Servers(_)));
    assert!(matches!(last, Some(GatewayMsg::Servers(servers)) if servers.is_empty()));
}

#[tokio::test]
async fn a_new_master_places_nothing_before_it_has_heard_who_runs_what() {
    let mut bench = Bench::new_in_cluster().await;
    bench.hear(says(host(1, &[])));
    bench.second_at(1_000);
    bench.hear_at(1_500, says(host(2, &[(1, 7)])));
    bench.second_at(2_000);
    assert_eq!(all(&mut bench.hosts[0]), []);
    bench.hear_at(2_900, says(host(1, &[])));
    bench.hear_at(2_900, says(host(2, &[(1, 7)])));
    bench.second_at(3_000);
    assert_eq!(all(&mut bench.hosts[0]), [run(2)], "nobody has reported that one");
    assert_eq!(all(&mut bench.hosts[1]), []);
}

#[tokio::test]
async fn a_whole_world_in_one_process_waits_for_nothing() {
    let mut bench = Bench::new().await;
    bench.hear(says(host(1, &[])));
    assert_eq!(all(&mut bench.hosts[0]), [run(1), run(2)]);
    bench.hear(says(host(1, &[(1, 7)])));
    bench.second_at(999);
    assert_eq!(all(&mut bench.hosts[0]), []);
    bench.second_at(1_000);
    assert_eq!(all(&mut bench.hosts[0]), [run(2)], "told again until it runs");
}

#[tokio::test]
async fn zones_of_a_killed_server_run_elsewhere_within_two_seconds() {
    let mut bench = Bench::new().await;
    bench.hear(says(host(1, &[(1, 7)])));
    bench.hear(says(host(2, &[(2, 8)])));
    all(&mut bench.hosts[1]);
    bench.hear_at(100, MasterMsg::Lost { server: ServerId(1), clean: false });
    assert_eq!(all(&mut bench.hosts[1]), [], "its link may only have broken");
    bench.hear_at(900, says(host(2, &[(2, 8)])));
    bench.second_at(1_100);
    assert_eq!(all(&mut bench.hosts[1]), [run(1)]);
    bench.hear_at(1_200, says(host(2, &[(2, 8), (1, 9)])));
    all(&mut bench.hosts[0]);
    // It wakes and has not found out yet that its lease is lost.
    bench.hear_at(1_300, says(host(1, &[(1, 7)])));
    let running = bench.master.placement.homes().next().unwrap().1.place.server();
    assert_eq!(running, Some(ServerId(2)));
    assert_eq!(all(&mut bench.hosts[0]), [], "it gives up by itself");
}

#[tokio::test]
async fn a_silent_server_loses_its_zones_after_six_seconds() {
    let mut bench = Bench::new().await;
    bench.hear(says(host(1, &[(1, 7), (2, 7)])));
    for second in 0..=6 {
        let other = says(ServerStatus { capacity: 0, ..host(2, &[]) });
        bench.hear_at(second * 1_000, if second < 6 { other } else { says(host(2, &[])) });
        all(&mut bench.hosts[1]);
        bench.second_at(second * 1_000);
        let told = all(&mut bench.hosts[1]);
        assert_eq!(told.is_empty(), second < 6, "after {second} s: {told:?}");
    }
}

#[tokio::test]
async fn a_server_that_comes_gets_its_share_at_once() {
    let mut bench = Bench::new().await;
    bench.hear(says(host(1, &[(1, 7), (2, 7)])));
    all(&mut bench.hosts[0]);
    bench.hear(says(host(2, &[])));
    assert_eq!(all(&mut bench.hosts[0]), [hand_over(1, 2)]);
}

#[tokio::test]
async fn operators_drain_a_server_and_move_zones() {
    let mut bench = Bench::new().await;
    let now = bench.start;
    bench.hear(says(host(1, &[(1, 7)])));
    all(&mut bench.hosts[0]);
    bench.hear(says(host(2, &[(2, 8)])));
    let moved = bench.master.on_move(ZoneId(1), ServerId(2), now).unwrap();
    assert_eq!((moved.from, moved.to, moved.under_way), (Some(ServerId(1)), ServerId(2), true));
    assert_eq!(all(&mut bench.hosts[0]), [hand_over(1, 2)]);
    bench.hear(says(host(1, &[])));
    bench.hear(says(host(2, &[(2, 8), (1, 9)])));
    let again = bench.master.on_move(ZoneId(1), ServerId(2), now).unwrap();
    assert!(!again.under_way);
    assert_eq!(all(&mut bench.hosts[1]), [hand_over(2, 1)], "the other evens it out");
    bench.hear(says(host(2, &[(1, 9)])));
    bench.hear(says(host(1, &[(2, 10)])));
    all(&mut bench.nodes[1]);
    assert_eq!(bench.master.on_drain(ServerId(2), now), Ok(()));
    let told = all(&mut bench.nodes[1]);
    assert!(told.contains(&NodeMsg::Drain), "{told:?}");
    assert_eq!(all(&mut bench.hosts[1]), [hand_over(1, 1)]);
    assert_eq!(servers(&mut bench.login), Some(vec![1]));
    let unknown = bench.master.on_drain(ServerId(9), now);
    assert_eq!(unknown, Err(query::DrainError::Unknown));
    bench.master.peers.nodes.remove(ServerId(1));
    let unlinked = bench.master.on_drain(ServerId(1), now);
    assert_eq!(unlinked, Err(query::DrainError::Unreachable));
}

#[tokio::test]
async fn a_new_master_moves_nothing_by_hand_either() {
    let mut bench = Bench::new_in_cluster().await;
    bench.hear(says(host(1, &[(1, 7)])));
    let early = bench.master.on_move(ZoneId(1), ServerId(1), bench.start);
    assert_eq!(early, Err(placement::MoveError::Settling));
    assert!(bench.master.snapshot(bench.start).settling);
}
