//! Reads the field that `integration_config.field` names and gives it back as a string; on demand, what it was shown.
//!
//! **Invariant:** the string is the text that the host gave: of a string the string, of anything else its JSON.

use stormglass_guest::{sha256, Context, Error, Object, Outcome};

stormglass_guest::export!(echo);

fn echo(context: &Context) -> Result<Outcome, Error> {
    const FIELD: [&str; 2] = ["integration_config", "field"];
    let field = context.text_at(&FIELD).ok_or_else(|| Error::NoSuchField(FIELD.join(".")))?;
    match (context.read_field_string(&field), shown(context)) {
        (Ok(text), None) => Ok(Outcome::success().params(Object::new().text("echo", &text))),
        (Ok(text), Some(shown)) => {
            let params = Object::new().text("echo", &text).text("shown", &shown);
            Ok(Outcome::success().params(params))
        }
        (Err(error), None) => Err(error),
        (Err(error), Some(shown)) => Ok(Outcome::failure(format!("{error}, shown {shown}"))),
    }
}

/// The entity's status and version, and of the param that `integration_config.shown` names the hash of its JSON.
fn shown(context: &Context) -> Option<String> {
    let name = context.text_at(&["integration_config", "shown"])?;
    let param = match context.at(&["trigger_params", &name]) {
        None => "absent".to_owned(),
        Some(param) if param.is_null() => "null".to_owned(),
        Some(param) if param.get("__temper_blob_ref").is_some() => "reference".to_owned(),
        Some(param) => sha256::hex(param.json().as_bytes()),
    };
    let status = context.text_at(&["entity_state", "status"]).unwrap_or_default();
    let version = context.at(&["entity_state", "sequence_nr"])?.as_integer()?;
    Some(format!("{status} {version} {param}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormglass_guest::testing::Host;

    fn host() -> Host {
        Host::new(r#"{"integration_config":{"field":"system_prompt"}}"#)
    }

    #[test]
    fn the_named_field_comes_back_as_it_was_read() {
        let echoed = |text: &str| host().field("system_prompt", text).run(echo).result().to_owned();
        assert_eq!(echoed("a\"b"), r#"{"success":true,"params":{"echo":"a\"b"}}"#);
        assert_eq!(echoed(r#"["x",1]"#), r#"{"success":true,"params":{"echo":"[\"x\",1]"}}"#);
        assert_eq!(echoed(""), r#"{"success":true,"params":{"echo":""}}"#);
    }

    #[test]
    fn errors_name_the_field() {
        let run = host().refused("system_prompt", -4).run(echo);
        assert_eq!(run.result(), r#"{"success":false,"error":"system_prompt: expired"}"#);
        let run = Host::new(r#"{"integration_config":{}}"#).run(echo);
        assert_eq!(
            run.result(),
            r#"{"success":false,"error":"integration_config.field: no such field"}"#
        );
    }

    #[test]
    fn what_was_shown_is_told_beside_what_was_read_or_why_it_was_not() {
        let host = |params: &str| {
            let state = r#""entity_state":{"sequence_nr":7,"status":"Open"}"#;
            let config = r#""integration_config":{"field":"a","shown":"b"}"#;
            Host::new(&format!(r#"{{{state},{config},"trigger_params":{params}}}"#))
        };
        let told = |params: &str| host(params).field("a", "x").run(echo).result().to_owned();
        let with = |shown: &str| {
            format!(r#"{{"success":true,"params":{{"echo":"x","shown":"Open 7 {shown}"}}}}"#)
        };
        assert_eq!(told("{}"), with("absent"));
        assert_eq!(told(r#"{"b":null}"#), with("null"));
        assert_eq!(told(r#"{"b":{"__temper_blob_ref":"k"}}"#), with("reference"));
        let digest = sha256::hex(br#""text""#);
        assert_eq!(told(r#"{"b":"text"}"#), with(&digest));
        let run = host("{}").refused("a", -4).run(echo);
        let error = r#"{"success":false,"error":"a: expired, shown Open 7 absent"}"#;
        assert_eq!(run.result(), error);
    }
}
