//! A proven server that speaks for another, or for a role that it does not play, is not heard; what
//! it says of itself is.

use super::*;
use crate::ids::{RequestId, SessionKey, SessionRef};
use crate::msg::node::Introduction;
use crate::msg::{MasterMsg, NodeMsg};
use crate::role::Roles;

fn introduction(server: ServerId, roles: &str) -> NodeMsg {
    NodeMsg::Introduced(Box::new(Introduction {
        server,
        roles: roles.parse::<Roles>().unwrap().iter().collect(),
        started_at: 9,
        ticket_key: None,
        zones: vec![],
    }))
}

fn claim(gateway: ServerId) -> MasterMsg {
    MasterMsg::Claim {
        request: RequestId(1),
        player: PlayerId(1),
        name: "Ann".into(),
        session: SessionRef { gateway, key: SessionKey(1) },
        device: String::new(),
    }
}

#[tokio::test]
async fn a_server_is_heard_only_as_itself() {
    // The other one that it names is there, and linked too.
    let (one, mut two) = linked().await;
    let mut three = Node::start(3);
    three.links.dial(&two.address()).unwrap();
    assert!(three.up(two.server()).await && two.up(three.server()).await);
    let (nodes, mut node) = inbox(16, false);
    let (masters, mut master) = inbox(16, false);
    two.hosted.insert(Address::Node, nodes);
    two.hosted.insert(Address::Master, masters);

    let to_node = one.links.outbox(two.server(), Address::Node).unwrap();
    let to_master = one.links.outbox(two.server(), Address::Master).unwrap();
    let to_chat = one.chat_of(two.server());
    let (me, other) = (one.server(), three.server());
    let session = SessionRef { gateway: other, key: SessionKey(1) };
    let lost = MasterMsg::Lost { server: other, clean: true };
    for forged in [introduction(other, "gateway"), introduction(me, "master"), NodeMsg::Drain] {
        assert_eq!(to_node.send(forged), Ok(()));
    }
    for forged in [claim(other), MasterMsg::Released { player: PlayerId(1), session }, lost] {
        assert_eq!(to_master.send(forged), Ok(()));
    }
    assert_eq!(to_chat.send(ChatMsg::Left { player: PlayerId(1), session }), Ok(()));

    let own = (introduction(me, "gateway"), claim(me));
    assert_eq!(to_node.send(own.0.clone()), Ok(()));
    assert_eq!(to_master.send(own.1.clone()), Ok(()));
    assert_eq!(to_chat.send(word(1)), Ok(()));
    assert_eq!(two.word().await, 1, "the link goes on");
    // It was said last, so all else is here.
    assert_eq!((node.try_recv(), node.try_recv()), (Some(own.0), None));
    assert_eq!((master.try_recv(), master.try_recv()), (Some(own.1), None));

    // And the one that was named still speaks for itself.
    let to_master = three.links.outbox(two.server(), Address::Master).unwrap();
    assert_eq!(to_master.send(claim(other)), Ok(()));
    assert_eq!(three.chat_of(two.server()).send(word(2)), Ok(()));
    assert_eq!(two.word().await, 2);
    assert_eq!(master.try_recv(), Some(claim(other)));
}
