//! Request bodies: read within the limit, parsed as a JSON object, each field checked by name.
//!
//! Fields nobody knows are ignored, so that newer servers can register with an older master.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::ids::ServerId;
use crate::master::registry::{Kind, Registration};
use crate::names::{ChatText, Name};

/// Most bytes of a request's body.
pub(super) const BODY_MAX: usize = 16 * 1024;
/// Largest capacity of one server, and most clients that it can say it has.
const CAPACITY_MAX: u64 = 10_000_000;
/// Longest host name or address.
const HOST_MAX: usize = 253;
/// Longest region tag and kick message, bytes.
const TEXT_MAX: usize = 128;

/// A JSON object.
pub(super) type Fields = Map<String, Value>;

/// Reads a body that must be a JSON object.
pub(super) async fn fields(headers: &HeaderMap, body: Body) -> Result<Fields, ApiError> {
    let too_large = || {
        let message = format!("the body has more than {BODY_MAX} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|n| n > BODY_MAX as u64) {
        return Err(too_large());
    }
    let bytes = axum::body::to_bytes(body, BODY_MAX).await.map_err(|error| {
        let limit = std::error::Error::source(&error)
            .is_some_and(|source| source.to_string().contains("length limit"));
        if limit { too_large() } else { ApiError::bad_request("the body broke off") }
    })?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ApiError::bad_request("the body is not a JSON object")),
        Err(error) => Err(ApiError::bad_request(format!("the body is not JSON: {error}"))),
    }
}

/// The body of `/register`.
pub(super) fn registration(fields: &Fields) -> Result<Registration, ApiError> {
    Ok(Registration {
        kind: kind(fields)?,
        host: host(fields)?,
        // In range, so it fits.
        port: number(fields, "port", 1, 65_535)? as u16,
        capacity: number(fields, "capacity", 1, CAPACITY_MAX)? as u32,
        region: optional_text(fields, "region")?,
    })
}

/// The field `type`: a number, or the name of one.
pub(super) fn kind(fields: &Fields) -> Result<Kind, ApiError> {
    let known = match present(fields, "type")? {
        number @ Value::Number(_) => whole(number).and_then(Kind::from_number),
        Value::String(name) => name.parse().ok(),
        _ => None,
    };
    known.ok_or_else(|| {
        let names: Vec<String> =
            Kind::ALL.iter().zip(0..).map(|(kind, n)| format!("{n} {kind}")).collect();
        wrong("type", &format!("one of {}, as number or name", names.join(", ")))
    })
}

/// The field `server_id`.
pub(super) fn server_id(fields: &Fields) -> Result<ServerId, ApiError> {
    number(fields, "server_id", 1, (1 << 53) - 1).map(ServerId)
}

/// The field `current_load`: how many clients the server has, be it more than its capacity.
pub(super) fn clients(fields: &Fields) -> Result<u32, ApiError> {
    // In range, so it fits.
    number(fields, "current_load", 0, CAPACITY_MAX).map(|count| count as u32)
}

/// The field `name`: a player's.
pub(super) fn player_name(fields: &Fields) -> Result<Name, ApiError> {
    let text = present(fields, "name")?.as_str().ok_or_else(|| wrong("name", "a text"))?;
    Name::parse(text).map_err(|why| ApiError::bad_request(format!("name: {why}")))
}

/// The field `text`: words for everybody.
pub(super) fn announcement(fields: &Fields) -> Result<ChatText, ApiError> {
    let text = present(fields, "text")?.as_str().ok_or_else(|| wrong("text", "a text"))?;
    ChatText::parse(text).map_err(|why| ApiError::bad_request(format!("text: {why}")))
}

/// The field `server`: an id, or a text that means a server.
pub(super) fn server(fields: &Fields) -> Result<String, ApiError> {
    match present(fields, "server")? {
        Value::Number(id) if id.is_u64() => Ok(id.to_string()),
        Value::String(text) if !text.is_empty() && text.len() <= TEXT_MAX => Ok(text.clone()),
        _ => Err(wrong("server", "a server's id or name")),
    }
}

/// A short text that may be missing; it is then empty.
pub(super) fn optional_text(fields: &Fields, field: &str) -> Result<String, ApiError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text))
            if text.len() <= TEXT_MAX && !text.chars().any(char::is_control) =>
        {
            Ok(text.clone())
        }
        Some(_) => {
            let wanted = format!("a text of at most {TEXT_MAX} bytes without control characters");
            Err(wrong(field, &wanted))
        }
    }
}

fn host(fields: &Fields) -> Result<String, ApiError> {
    let fits = |text: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        !text.is_empty() && text.len() <= HOST_MAX && text.bytes().all(plain)
    };
    let text = present(fields, "host")?.as_str().filter(fits);
    text.map(str::to_owned).ok_or_else(|| wrong("host", "a host name or an IP address"))
}

fn present<'a>(fields: &'a Fields, field: &str) -> Result<&'a Value, ApiError> {
    fields.get(field).ok_or_else(|| ApiError::bad_request(format!("{field} is missing")))
}

fn number(fields: &Fields, field: &str, least: u64, most: u64) -> Result<u64, ApiError> {
    whole(present(fields, field)?)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| wrong(field, &format!("a whole number, {least} to {most}")))
}

/// A number without a fraction, however it is written: for JSON 50 and 50.0 are one number, and there
/// are languages that write the second.
fn whole(value: &Value) -> Option<u64> {
    let exact =
        |number: &f64| number.fract() == 0.0 && (0.0..=(1u64 << 53) as f64).contains(number);
    value.as_u64().or_else(|| value.as_f64().filter(exact).map(|number| number as u64))
}

fn wrong(field: &str, wanted: &str) -> ApiError {
    ApiError::bad_request(format!("{field} must be {wanted}"))
}
