//! Does to its host what `trigger_params.mode` says, and the host must survive it.
//!
//! **Invariant:** a mode that looks at the host's answers succeeds only if each of them was right.

mod modes;
#[cfg(target_arch = "wasm32")]
mod wild;

use stormglass_guest::{set_result, trap, Answer, Context, Error, Object, Outcome};

stormglass_guest::export!(misbehave);

fn misbehave(context: &Context) -> i32 {
    let mode = context.text_at(&["trigger_params", "mode"]).unwrap_or_default();
    match mode.as_str() {
        "trap" => trap(),
        "loop" => modes::endless(),
        "memory" => modes::hog(),
        "recurse" => i32::from(modes::dive(0)),
        #[cfg(target_arch = "wasm32")]
        "pointers" => wild::pointers().finish(),
        #[cfg(target_arch = "wasm32")]
        "negative" => wild::negative().finish(),
        #[cfg(target_arch = "wasm32")]
        "encoding" => wild::encoding().finish(),
        "panic" => panic!("the glass broke"),
        "short" => modes::short().finish(),
        "exact" => modes::exact().finish(),
        "silent" => 0,
        "returns_nonzero" => Outcome::success().finish() + 7,
        "twice" => Outcome::failure("first").finish() + Outcome::success().finish(),
        other => sends(other),
    }
}

/// Modes that are nothing but a result.
fn sends(mode: &str) -> i32 {
    let outcome = match mode {
        "not_json" => return as_it_is(r#"{"success":true"#),
        "not_object" => return as_it_is(r#"[{"success":true}]"#),
        "no_success" => return as_it_is(r#"{"params":{}}"#),
        "params_list" => return as_it_is(r#"{"success":true,"params":[1]}"#),
        "action_number" => return as_it_is(r#"{"success":true,"action":1}"#),
        "reserved_deep" => {
            return as_it_is(r#"{"success":true,"params":{"a":[{"__temper_x":1}]}}"#)
        }
        "duplicate_keys" => return as_it_is(r#"{"success":false,"success":true}"#),
        "large" => Outcome::success().params(Object::new().text("payload", &"x".repeat(300 << 10))),
        "reserved" => Outcome::success().params(Object::new().integer("__temper_x", 1)),
        "unknown_action" => Outcome::success().action("NoSuchAction"),
        "named_action" => Outcome::success().action("Ring"),
        "fails" => Outcome::failure("no luck"),
        _ => Outcome::success(),
    };
    outcome.finish()
}

fn as_it_is(result: &str) -> i32 {
    set_result(result).map_or(1, |()| 0)
}

/// How long `user_message` is.
fn message_size() -> Result<usize, Error> {
    let answer = stormglass_guest::read_field_into("user_message", &mut []);
    usize::try_from(answer).map_err(|_| Error::from_code(answer, "user_message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormglass_guest::testing::Host;

    fn run(mode: &str, message: &str) -> Host {
        let context = Object::new().object("trigger_params", &Object::new().text("mode", mode));
        Host::new(&context.to_json()).field("user_message", message).run(misbehave)
    }

    #[test]
    fn buffers_that_are_short_or_exact_are_answered_by_the_contract() {
        for (message, size) in [("", 0), ("a", 1), ("four", 4)] {
            let needed = format!(r#"{{"success":true,"params":{{"needed":{size}}}}}"#);
            assert_eq!(run("short", message).result(), needed);
            let read = format!(r#"{{"success":true,"params":{{"read":{size}}}}}"#);
            assert_eq!(run("exact", message).result(), read);
        }
    }

    #[test]
    fn results_are_as_bad_as_they_are_meant_to_be() {
        assert_eq!(run("not_json", "").result(), r#"{"success":true"#);
        assert_eq!(run("reserved", "").result(), r#"{"success":true,"params":{"__temper_x":1}}"#);
        assert_eq!(run("named_action", "").result(), r#"{"success":true,"action":"Ring"}"#);
        assert_eq!(
            run("large", "").result().len(),
            (300 << 10) + r#"{"success":true,"params":{"payload":""}}"#.len()
        );
        assert_eq!(run("silent", "").result_count(), 0);
        assert_eq!(run("returns_nonzero", "").returned(), 7);
        let twice = run("twice", "");
        assert_eq!(
            (twice.result_count(), twice.result(), twice.returned()),
            (2, r#"{"success":true}"#, 0)
        );
        assert_eq!(run("whatever", "").result(), r#"{"success":true}"#);
    }
}
