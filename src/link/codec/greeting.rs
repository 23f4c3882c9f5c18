//! The steps by which a link begins, on the wire. Who says which when, and what is proven, is
//! `link/tcp`'s business; here bytes become checked values and back.

use bytes::Bytes;
use prost::Message;

use super::DecodeError;
use super::reading::{self, At, each, present};
use super::shared::put_role;
use crate::link::Identity;
use crate::link::conversation::{Said, SessionId};
use crate::proto::link::Greeting;
use crate::proto::link::greeting as wire;
use crate::role::Roles;
use wire::Step as Body;

/// Longest host name, bytes.
const HOST_MAX: usize = 253;
/// Longest version of a program, and longest words of a refusal, bytes.
const WORDS_MAX: usize = 256;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Which versions the sender speaks, and its nonce.
    Challenge(Challenge),
    /// The dialer's proof.
    Proof([u8; 32]),
    /// Who the sender is, with its proof.
    Introduction {
        /// An encoded [`Identity`]: the proof is over these bytes.
        identity: Bytes,
        /// The proof.
        mac: [u8; 32],
        /// What a dialer knows of the conversation.
        said: Said,
    },
    /// The acceptor takes the link, and what it knows of the conversation.
    Ready(Said),
    /// The acceptor does not.
    Refused(Refusal, String),
}

/// How a greeting begins; every version understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The newest version that the sender speaks.
    pub newest: u32,
    /// The oldest.
    pub oldest: u32,
    /// Random.
    pub nonce: [u8; 32],
}

/// Why an acceptor takes no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No common version.
    Version,
    /// The proof is wrong.
    Proof,
    /// It is the dialer's own process.
    Itself,
    /// Another connection of the pair goes before this one.
    Duplicate,
}

/// A step as the body of its frame.
pub fn encode(step: &Step) -> Bytes {
    let body = match step {
        Step::Challenge(Challenge { newest, oldest, nonce }) => Body::Challenge(wire::Challenge {
            newest: *newest,
            oldest: *oldest,
            nonce: Bytes::copy_from_slice(nonce),
        }),
        Step::Proof(mac) => Body::Proof(wire::Proof { mac: Bytes::copy_from_slice(mac) }),
        Step::Introduction { identity, mac, said } => Body::Introduction(wire::Introduction {
            identity: identity.clone(),
            mac: Bytes::copy_from_slice(mac),
            standing: Some(put_said(*said)),
        }),
        Step::Ready(said) => Body::Ready(wire::Ready { standing: Some(put_said(*said)) }),
        Step::Refused(refusal, message) => Body::Refused(wire::Refused {
            reason: put_refusal(*refusal).into(),
            message: message.clone(),
        }),
    };
    Greeting { step: Some(body) }.encode_to_vec().into()
}

/// Reads a step.
///
/// # Errors
/// Names the field that is missing or wrong.
pub fn decode(frame: Bytes) -> Result<Step, DecodeError> {
    let Greeting { step } = Greeting::decode(frame)?;
    Ok(match present(At("Greeting", "step"), step)? {
        Body::Challenge(wire::Challenge { newest, oldest, nonce }) => Step::Challenge(Challenge {
            newest,
            oldest,
            nonce: array(At("Challenge", "nonce"), &nonce)?,
        }),
        Body::Proof(wire::Proof { mac }) => Step::Proof(array(At("Proof", "mac"), &mac)?),
        Body::Introduction(wire::Introduction { identity, mac, standing }) => Step::Introduction {
            identity,
            mac: array(At("Introduction", "mac"), &mac)?,
            said: standing.map(read_said).transpose()?.unwrap_or_default(),
        },
        Body::Ready(wire::Ready { standing }) => {
            Step::Ready(read_said(present(At("Ready", "standing"), standing)?)?)
        }
        Body::Refused(wire::Refused { reason, message }) => {
            let reason = reading::known(At("Refused", "reason"), reason)?;
            let kept = message.chars().filter(|letter| !letter.is_control()).take(WORDS_MAX);
            Step::Refused(read_refusal(reason)?, kept.collect())
        }
    })
}

/// An identity as its proof covers it.
pub fn put_identity(identity: &Identity) -> Bytes {
    let Identity { server, roles, host, port, version } = identity;
    let identity = wire::Identity {
        server_id: server.0,
        roles: roles.iter().map(|role| put_role(role).into()).collect(),
        host: host.clone(),
        port: (*port).into(),
        version: version.clone(),
    };
    identity.encode_to_vec().into()
}

/// Reads an identity whose proof was right.
///
/// # Errors
/// Names the field that is missing or wrong.
pub fn read_identity(bytes: Bytes) -> Result<Identity, DecodeError> {
    const NAME: &str = "Identity";
    let wire::Identity { server_id, roles, host, port, version } = wire::Identity::decode(bytes)?;
    let roles = each(roles, |role| reading::role(At(NAME, "roles"), role))?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !plain(&host) || host.len() > HOST_MAX {
        return Err(At(NAME, "host").wrong("no host's name or address"));
    }
    if !plain(&version) || version.len() > WORDS_MAX {
        return Err(At(NAME, "version").wrong("no version"));
    }
    Ok(Identity {
        server: reading::server(At(NAME, "server_id"), server_id)?,
        roles: Roles::of(roles).ok_or(At(NAME, "roles").wrong("empty"))?,
        host,
        port: reading::port(At(NAME, "port"), port)?,
        version,
    })
}

fn array<const N: usize>(at: At, bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| at.wrong("not as long as it must be"))
}

fn put_said(said: Said) -> wire::Standing {
    let Said { session, applied } = said;
    let session = session.map(|SessionId(id)| Bytes::copy_from_slice(&id.to_be_bytes()));
    wire::Standing { session: session.unwrap_or_default(), applied }
}

fn read_said(standing: wire::Standing) -> Result<Said, DecodeError> {
    let wire::Standing { session, applied } = standing;
    let session = match session.is_empty() {
        true => None,
        false => Some(SessionId(u128::from_be_bytes(array(At("Standing", "session"), &session)?))),
    };
    Ok(Said { session, applied })
}

fn put_refusal(refusal: Refusal) -> wire::Reason {
    match refusal {
        Refusal::Version => wire::Reason::Version,
        Refusal::Proof => wire::Reason::Proof,
        Refusal::Itself => wire::Reason::Itself,
        Refusal::Duplicate => wire::Reason::Duplicate,
    }
}

fn read_refusal(reason: wire::Reason) -> Result<Refusal, DecodeError> {
    match reason {
        wire::Reason::Version => Ok(Refusal::Version),
        wire::Reason::Proof => Ok(Refusal::Proof),
        wire::Reason::Itself => Ok(Refusal::Itself),
        wire::Reason::Duplicate => Ok(Refusal::Duplicate),
        wire::Reason::Unspecified => Err(At("Refused", "reason").wrong("not set")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ServerId;

    fn me() -> Identity {
        Identity {
            server: ServerId(7),
            roles: "chat,zone".parse().unwrap(),
            host: "zone.example".into(),
            port: 8091,
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn every_step_survives() {
        let said = Said { session: Some(SessionId(u128::MAX - 5)), applied: 9 };
        let steps = [
            Step::Challenge(Challenge { newest: 3, oldest: 2, nonce: [7; 32] }),
            Step::Proof([8; 32]),
            Step::Introduction { identity: put_identity(&me()), mac: [9; 32], said },
            Step::Ready(Said::default()),
            Step::Refused(Refusal::Version, "speak 3".into()),
            Step::Refused(Refusal::Duplicate, String::new()),
        ];
        for step in steps {
            assert_eq!(decode(encode(&step)).unwrap(), step);
        }
        assert_eq!(read_identity(put_identity(&me())).unwrap(), me());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |change: fn(&mut Identity)| {
            let mut identity = me();
            change(&mut identity);
            read_identity(put_identity(&identity)).unwrap_err().to_string()
        };
        assert_eq!(wrong(|it| it.server = ServerId(0)), "Identity.server_id is no server's id");
        assert_eq!(
            wrong(|it| it.host = "a b".into()),
            "Identity.host is no host's name or address"
        );
        assert_eq!(wrong(|it| it.version = "x".repeat(300)), "Identity.version is no version");
        let short =
            Greeting { step: Some(Body::Proof(wire::Proof { mac: Bytes::from_static(b"short") })) };
        let error = decode(short.encode_to_vec().into()).unwrap_err();
        assert_eq!(error.to_string(), "Proof.mac is not as long as it must be");
        assert_eq!(decode(Bytes::new()).unwrap_err().to_string(), "Greeting.step is not set");
        assert!(decode(Bytes::from_static(b"\xff\xff\xff")).is_err());
    }
}
