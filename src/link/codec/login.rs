//! `LoginMsg` on the wire.

use std::net::IpAddr;

use bytes::Bytes;

use super::reading::{self, At, present};
use super::shared::{put_servers, servers};
use super::{DecodeError, body_of, enveloped, not_for};
use crate::ids::RequestId;
use crate::link::{Delivery, Wire};
use crate::msg::LoginMsg;
use crate::msg::login::Credentials;
use crate::proto::link as wire;
use wire::envelope::Body;
use wire::login_exchange::Exchange;
use wire::presence::Presence;

impl Wire for LoginMsg {
    fn encode(&self) -> Bytes {
        let exchange = |request: &RequestId, exchange| {
            Body::LoginExchange(wire::LoginExchange {
                request_id: request.0,
                exchange: Some(exchange),
            })
        };
        enveloped(match self {
            LoginMsg::Login { from, request, credentials, device, address } => {
                let question = wire::LoginQuestion {
                    from: from.0,
                    credentials: Some(put_credentials(credentials)),
                    device: device.clone(),
                    address: put_address(*address).into(),
                };
                exchange(request, Exchange::Login(question))
            }
            LoginMsg::Register { from, request, credentials, address } => {
                let question = wire::RegisterQuestion {
                    from: from.0,
                    credentials: Some(put_credentials(credentials)),
                    address: put_address(*address).into(),
                };
                exchange(request, Exchange::Register(question))
            }
            LoginMsg::Servers(servers) => {
                Body::LoadBalance(wire::LoadBalance { servers: put_servers(servers) })
            }
            LoginMsg::Presence { request, device } => {
                let found = wire::PresenceFound { request_id: request.0, device: device.clone() };
                Body::Presence(wire::Presence { presence: Some(Presence::Found(found)) })
            }
        })
    }

    fn delivery(&self) -> Delivery {
        match self {
            LoginMsg::Servers(_) => Delivery::Droppable,
            _ => Delivery::Reliable,
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        match body_of(bytes)? {
            Body::LoginExchange(wire::LoginExchange { request_id, exchange }) => {
                let exchange = present(At("LoginExchange", "exchange"), exchange)?;
                read_question(RequestId(request_id), exchange)
            }
            Body::LoadBalance(wire::LoadBalance { servers: list }) => {
                Ok(LoginMsg::Servers(servers(list)?))
            }
            Body::Presence(wire::Presence { presence }) => {
                match present(At("Presence", "presence"), presence)? {
                    Presence::Found(wire::PresenceFound { request_id, device }) => {
                        Ok(LoginMsg::Presence { request: RequestId(request_id), device })
                    }
                    Presence::Joined(_)
                    | Presence::Left(_)
                    | Presence::Claim(_)
                    | Presence::Released(_)
                    | Presence::WhereIs(_)
                    | Presence::Granted(_)
                    | Presence::Conduct(_)
                    | Presence::Present(_) => Err(not_for("LoginMsg")),
                }
            }
            Body::Input(_)
            | Body::Delivery(_)
            | Body::Frame(_)
            | Body::Acknowledgement(_)
            | Body::PlayerTransfer(_)
            | Body::ZoneChange(_)
            | Body::ChatBroadcast(_)
            | Body::GuildMessage(_)
            | Body::GlobalEvent(_)
            | Body::ServerStatus(_)
            | Body::SessionControl(_)
            | Body::Watch(_)
            | Body::Combat(_)
            | Body::Talk(_)
            | Body::Node(_)
            | Body::Hosting(_) => Err(not_for("LoginMsg")),
        }
    }
}

fn read_question(request: RequestId, exchange: Exchange) -> Result<LoginMsg, DecodeError> {
    match exchange {
        Exchange::Login(wire::LoginQuestion { from, credentials, device, address }) => {
            const NAME: &str = "LoginQuestion";
            Ok(LoginMsg::Login {
                from: reading::server(At(NAME, "from"), from)?,
                request,
                credentials: read_credentials(At(NAME, "credentials"), credentials)?,
                device,
                address: read_address(At(NAME, "address"), &address)?,
            })
        }
        Exchange::Register(wire::RegisterQuestion { from, credentials, address }) => {
            const NAME: &str = "RegisterQuestion";
            Ok(LoginMsg::Register {
                from: reading::server(At(NAME, "from"), from)?,
                request,
                credentials: read_credentials(At(NAME, "credentials"), credentials)?,
                address: read_address(At(NAME, "address"), &address)?,
            })
        }
        Exchange::Decided(_) | Exchange::Queued(_) | Exchange::RegisterDecided(_) => {
            Err(not_for("LoginMsg"))
        }
    }
}

fn put_credentials(credentials: &Credentials) -> wire::Credentials {
    let Credentials { name, secret } = credentials;
    wire::Credentials { name: name.as_str().to_owned(), secret: secret.clone() }
}

fn read_credentials(
    at: At,
    credentials: Option<wire::Credentials>,
) -> Result<Credentials, DecodeError> {
    let wire::Credentials { name, secret } = present(at, credentials)?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if secret.len() != 64 || !secret.bytes().all(hex) {
        return Err(At("Credentials", "secret").wrong("not 64 lower-case hex digits"));
    }
    Ok(Credentials { name: reading::name(At("Credentials", "name"), &name)?, secret })
}

fn put_address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn read_address(at: At, bytes: &[u8]) -> Result<IpAddr, DecodeError> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        Ok(octets.into())
    } else if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        Ok(octets.into())
    } else {
        Err(at.wrong("not 4 or 16 bytes of address"))
    }
}
