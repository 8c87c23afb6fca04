//! Reads the field that `integration_config.field` names and gives it back as a string.
//!
//! **Invariant:** the string is the text that the host gave: of a string the string, of anything else its JSON.

use stormglass_guest::{Context, Error, Object, Outcome};

stormglass_guest::export!(echo);

fn echo(context: &Context) -> Result<Outcome, Error> {
    const FIELD: [&str; 2] = ["integration_config", "field"];
    let field = context.text_at(&FIELD).ok_or_else(|| Error::NoSuchField(FIELD.join(".")))?;
    let text = context.read_field_string(&field)?;
    Ok(Outcome::success().params(Object::new().text("echo", &text)))
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
}
