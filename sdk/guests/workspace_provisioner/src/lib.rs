//! Reads `user_message` and answers with its length and its SHA-256.
//!
//! **Invariant:** both are of the bytes that the host gave, of which none is missing.

use stormglass_guest::{sha256, Context, Error, Object, Outcome};

stormglass_guest::export!(provision);

fn provision(context: &Context) -> Result<Outcome, Error> {
    let message = context.read_field_bytes("user_message")?;
    let params = Object::new()
        .integer("message_bytes", message.len() as u64)
        .text("message_sha256", &sha256::hex(&message));
    Ok(Outcome::success().params(params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormglass_guest::testing::Host;

    #[test]
    fn length_and_digest_are_those_of_the_bytes() {
        let run = Host::new("{}").field("user_message", "abé").run(provision);
        let digest = "0c69f3d5a35bad976c102db70586545f94a49f8b8b50d9f7a1f82dd1c1b5b842";
        assert_eq!(
            run.result(),
            format!(
                r#"{{"success":true,"params":{{"message_bytes":4,"message_sha256":"{digest}"}}}}"#
            )
        );
        assert_eq!(run.returned(), 0);
    }

    #[test]
    fn a_field_that_cannot_be_read_is_a_failure_that_says_why() {
        let said = |code| {
            let run = Host::new("{}").refused("user_message", code).run(provision);
            run.result().to_owned()
        };
        assert_eq!(said(-1), r#"{"success":false,"error":"user_message: no such field"}"#);
        assert_eq!(said(-2), r#"{"success":false,"error":"user_message: not resolvable"}"#);
        assert_eq!(said(-3), r#"{"success":false,"error":"user_message: invalid"}"#);
        assert_eq!(said(-4), r#"{"success":false,"error":"user_message: expired"}"#);
    }
}
