//! Requests that are none: each with the rejections that the contract allows for it (sections 4, 5, 8).
//!
//! **Invariant:** what is wrong with one is wrong whatever the state of the platform, so that its answer
//! does not depend on anything but itself, and nothing comes of it.

use crate::http::{Request, address, encoded};
use crate::plan::{Who, entity_id, tenant_name};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each name says what is wrong")]
pub enum Malformed {
    NoTenant,
    TwoTenants,
    TenantOfBadForm,
    UnknownSet,
    UnknownPath,
    WrongMethod,
    UnknownOption,
    TopNoNumber,
    TopTooLarge,
    FilterOfBadForm,
    PercentOfBadForm,
    QuoteOfBadForm,
    EmptyId,
    LongId,
    LongKey,
    PlatformKey,
    BodyNoJson,
    BodyNoObject,
    BodyNoUtf8,
    BodyTooLarge,
    DuplicateKey,
    HugeNumber,
    HugeInteger,
    LoneSurrogate,
    DeepNesting,
    Envelope,
    ReservedDeep,
    ReservedParam,
}

use Malformed::*;

impl Malformed {
    /// Its name, as plans write it.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("none is hidden");
        value.get_name().to_string()
    }

    /// The only answer that it may get: status and code.
    pub fn rejection(self) -> (u16, &'static str) {
        match self {
            UnknownSet => (404, "UnknownSet"),
            UnknownPath => (404, "UnknownPath"),
            WrongMethod => (405, "MethodNotAllowed"),
            UnknownOption | TopNoNumber | TopTooLarge | FilterOfBadForm => (400, "NotSupported"),
            NoTenant | TwoTenants | TenantOfBadForm | PercentOfBadForm | QuoteOfBadForm
            | EmptyId | LongId | LongKey => (400, "InvalidName"),
            PlatformKey | Envelope | ReservedDeep | ReservedParam => (400, "ReservedName"),
            BodyTooLarge => (413, "BodyTooLarge"),
            BodyNoJson | BodyNoObject | BodyNoUtf8 | DuplicateKey | HugeNumber | HugeInteger
            | LoneSurrogate | DeepNesting => (400, "InvalidBody"),
        }
    }

    /// The request: of an action of the entity, or a list of its set, with this one flaw.
    pub fn request(self, who: Who, set: &str) -> Request {
        let tenant = tenant_name(who.tenant);
        let entity = address(set, &entity_id(who));
        let list = format!("/tdata/{}", encoded(set));
        let get = |target: String| Request::new(&tenant, "GET", target);
        let act = |body: &[u8]| {
            let target = format!("{entity}/Temper.Write");
            Request { body: body.to_vec(), ..Request::new(&tenant, "POST", target) }
        };
        let keyed = |key: String| {
            let mut request = act(b"{}");
            request.headers.push(("idempotency-key", key));
            request
        };
        match self {
            NoTenant => Request { headers: Vec::new(), ..get(entity) },
            TwoTenants => {
                let mut request = get(entity.clone());
                request.headers.push(("x-tenant-id", "tenant-1".to_string()));
                request
            }
            TenantOfBadForm => Request::new("Not_A_Tenant", "GET", entity),
            UnknownSet => get("/tdata/Nothings('a')".to_string()),
            UnknownPath => get(format!("{entity}/Elsewhere")),
            WrongMethod => Request::new(&tenant, "PUT", entity),
            UnknownOption => get(format!("{list}?$expand=notes")),
            TopNoNumber => get(format!("{list}?$top=some")),
            TopTooLarge => get(format!("{list}?$top=1001")),
            FilterOfBadForm => get(format!("{list}?$filter=turns%20gt%201")),
            PercentOfBadForm => get(format!("/tdata/{}('%zz')", encoded(set))),
            QuoteOfBadForm => get(format!("/tdata/{}('a'b')", encoded(set))),
            EmptyId => get(address(set, "")),
            LongId => get(address(set, &"i".repeat(256))),
            LongKey => keyed("k".repeat(256)),
            PlatformKey => keyed("temper:1:0".to_string()),
            BodyNoJson => act(b"{\"draft\": "),
            BodyNoObject => act(b"[{}]"),
            BodyNoUtf8 => act(b"{\"draft\": \"\xff\"}"),
            BodyTooLarge => act(&vec![b' '; 8 * 1024 * 1024 + 1]),
            DuplicateKey => act(br#"{"draft": [{"a": 1, "b": 2, "a": 1}]}"#),
            HugeNumber => act(br#"{"draft": 1e400}"#),
            HugeInteger => act(br#"{"draft": 18446744073709551616}"#),
            LoneSurrogate => act(br#"{"draft": "\ud800"}"#),
            DeepNesting => {
                let (open, close) = ("[".repeat(101), "]".repeat(101));
                act(format!(r#"{{"draft": {open}{close}}}"#).as_bytes())
            }
            Envelope => act(&envelope()),
            ReservedDeep => act(br#"{"draft": [[{"a": {"__temper_x": null}}]]}"#),
            ReservedParam => act(br#"{"Status": "Done"}"#),
        }
    }
}

/// A reference to a blob, just as the platform writes it.
fn envelope() -> Vec<u8> {
    let key = format!("field-overflow/sha256/{}.json", "0".repeat(64));
    let body = serde_json::json!({"draft": {
        "__temper_blob_ref": key,
        "__temper_blob_size": 2_000,
        "__temper_blob_encoding": "json",
    }});
    body.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_writes_each_kind_by_its_name() {
        for what in Malformed::value_variants() {
            assert_eq!(serde_json::to_value(what).expect("a name"), what.name().as_str());
        }
    }
}
