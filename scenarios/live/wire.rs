//! Requests and answers of the platform as HTTP has them.
//!
//! **Invariant:** it is written from the contract's section 8 and shares nothing with the router.

use serde_json::Value;
use stormglass_platform::{Answer, Op, Request};

/// A request as it goes over a socket.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Its method.
    pub method: &'static str,
    /// Path and query, encoded.
    pub target: String,
    /// Its headers, without the length of the body.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, with small letters in their names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Ask {
    /// A request of a tenant.
    pub fn new(method: &'static str, target: impl Into<String>, tenant: &str) -> Ask {
        let headers = vec![("X-Tenant-Id", tenant.to_string())];
        Ask { method, target: target.into(), headers, body: Vec::new() }
    }

    /// The same with another header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Ask {
        self.body = body.into();
        self
    }

    /// The request of the platform.
    pub fn of(request: &Request) -> Ask {
        let (method, target, body) = match &request.op {
            Op::Create { set, body } => ("POST", set.clone(), Some(body)),
            Op::Act { set, id, action, params } => {
                ("POST", format!("{}/Temper.{action}", address(set, id)), Some(params))
            }
            Op::Patch { set, id, body } => ("PATCH", address(set, id), Some(body)),
            Op::Delete { set, id } => ("DELETE", address(set, id), None),
            Op::Get { set, id } => ("GET", address(set, id), None),
            Op::List { set, top, skip, .. } => ("GET", format!("{set}?{}", page(*top, *skip)), None),
            Op::History { set, id, top, skip } => {
                let address = address(set, id);
                ("GET", format!("{address}/Temper.History?{}", page(*top, *skip)), None)
            }
        };
        let mut ask = Ask::new(method, format!("/tdata/{target}"), &request.tenant);
        if let Some(key) = &request.idempotency_key {
            ask = ask.header("Idempotency-Key", key);
        }
        if let Some(tag) = &request.if_match {
            ask = ask.header("If-Match", tag);
        }
        ask.body(body.map(|body| body.0.clone()).unwrap_or_default())
    }

    /// What goes over the socket.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: stormglass\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Reply {
    /// The value of a header, whose name is given in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is empty.
    ///
    /// # Errors
    /// It is neither.
    pub fn json(&self) -> Result<Value, String> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| format!("{}: {error}", self.status))
    }

    /// The platform's answer; an error in words if it is none.
    ///
    /// # Errors
    /// A body that is no JSON, a failure without a code that the contract has, a tag that is no number.
    pub fn answer(&self) -> Result<Answer, String> {
        let body = self.json()?;
        let code = match self.status {
            200..300 => None,
            status => {
                let code = body["error"]["code"].as_str().unwrap_or_default();
                let known = CODES.iter().find(|known| **known == code).copied();
                Some(known.ok_or_else(|| format!("{status} with the code `{code}`"))?)
            }
        };
        let number = |tag: &str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        let sequence_nr = match self.header("etag") {
            None => None,
            Some(tag) => Some(number(tag).ok_or_else(|| format!("the tag {tag}"))?),
        };
        Ok(Answer { status: self.status, code, body, sequence_nr })
    }
}

/// The codes of failures (contract, section 8).
const CODES: [&str; 18] = [
    "InvalidBody",
    "ReservedName",
    "InvalidName",
    "NotSupported",
    "UnknownSet",
    "UnknownAction",
    "UnknownPath",
    "MethodNotAllowed",
    "EntityNotFound",
    "WrongState",
    "GuardFalse",
    "EntityExists",
    "KeyReused",
    "PreconditionFailed",
    "BodyTooLarge",
    "BlobLost",
    "EventUndecodable",
    "Unavailable",
];

/// An entity's address: a quote doubled, every byte that is not plain as `%` and two digits.
pub fn address(set: &str, id: &str) -> String {
    let mut address = format!("{set}('");
    for byte in id.replace('\'', "''").bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'\'' {
            address.push(char::from(byte));
        } else {
            address += &format!("%{byte:02x}");
        }
    }
    address + "')"
}

fn page(top: Option<u64>, skip: u64) -> String {
    let skip = format!("$skip={skip}");
    top.map_or(skip.clone(), |top| format!("$top={top}&{skip}"))
}
