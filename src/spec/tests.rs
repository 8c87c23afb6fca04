//! What specs mean, and what their authors are told.

use serde_json::json;

use super::*;

const SESSION: &str = include_str!("../../tests/specs/session.ioa.toml");
const CART: &str = include_str!("../../tests/specs/cart.ioa.toml");
const RECORD: &str = include_str!("../../tests/specs/record.ioa.toml");
const JOB: &str = include_str!("../../tests/specs/job.ioa.toml");

const HEAD: &str = "[automaton]\nname = \"T\"\nstates = [\"A\", \"B\"]\ninitial = \"A\"\n";

/// The messages about a spec that has [`HEAD`] before it.
fn told(rest: &str) -> Vec<String> {
    let diagnostics = match parse("t.toml", &format!("{HEAD}{rest}"), false) {
        Ok(parsed) => parsed.warnings,
        Err(error) => error.diagnostics,
    };
    diagnostics.iter().map(ToString::to_string).collect()
}

#[test]
fn the_own_specs_parse_and_say_what_is_not_executed() {
    let session = parse("session", SESSION, false).unwrap();
    assert_eq!(session.warnings, []);
    assert_eq!(session.automaton.variables[6].initial, json!(["new"]));
    let cart = parse("cart", CART, false).unwrap();
    let warnings: Vec<String> = cart.warnings.iter().map(|one| one.problem.to_string()).collect();
    assert_eq!(warnings, ["`visits` is not declared; taken for a counter"]);
    let not_executed =
        ["invariant Cheap", "agent_trigger", "context_entity", "field_invariant", "key"];
    assert_eq!(cart.automaton.not_executed, not_executed);
    let record = parse("record", RECORD, false).unwrap();
    assert_eq!((record.warnings.len(), record.automaton.actions.len()), (0, 0));
    let job = parse("job", JOB, false).unwrap();
    let warnings: Vec<String> = job.warnings.iter().map(|one| one.problem.to_string()).collect();
    assert_eq!(
        warnings,
        [
            "has no effect; by its name it adds 1 to every counter",
            "has no effect; by its name it takes 1 from every counter",
        ]
    );
    assert_eq!(
        job.automaton.not_executed,
        [
            "integration hook (webhook)",
            "triggers tell_parent (entity)",
            "liveness Ends",
            "admission",
            "state_timeout",
            "webhook",
        ]
    );
    let table = TransitionTable::new(job.automaton);
    assert_eq!(table.entity_set(), "Jobs");
    let triggered = |name| {
        let action = table.action(name).unwrap();
        table.triggered(action).map(|one| one.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(triggered("Start"), ["work"]);
    assert_eq!(triggered("Fail"), ["report_failure"]);
    assert!(TransitionTable::new(session.automaton).action("SessionClosed").is_none());
}

#[test]
fn every_error_names_file_line_column_and_key() {
    let cases = [
        (
            "[[state]]\nname = \"x\"\ntype = \"string\"\noverflow_inline_max_byts = 3\n",
            "t.toml:8:1: state.overflow_inline_max_byts: unknown key, did you mean \
                `overflow_inline_max_bytes`?",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"string\"\noverflow_ttl_seconds = \"0\"\n",
            "t.toml:8:24: state.overflow_ttl_seconds: 0 is not between 1 and 3153600000",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"string\"\noverflow_inline_max_bytes = \"1k\"\n",
            "t.toml:8:29: state.overflow_inline_max_bytes: `1k` is not a number",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"string\"\noverflow_inline_max_bytes = -1\n",
            "t.toml:8:29: state.overflow_inline_max_bytes: -1 is not between 0 and \
                18446744073709551614",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"list\"\noverflow_ttl_seconds = 5\n",
            "t.toml:8:24: state.overflow_ttl_seconds: `x` is a list, not a string",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"conter\"\n",
            "t.toml:7:8: state.type: `conter` is no type of variable, did you mean `counter`?",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"bool\"\ninitial = \"maybe\"\n",
            "t.toml:8:11: state.initial: initial value \"maybe\" is not a bool",
        ),
        (
            "[[action]]\nname = \"Go\"\nfrom = [\"A\", \"C\"]\n",
            "t.toml:7:14: action.from: `C` is no state, did you mean `A`?",
        ),
        (
            "[[action]]\nname = \"Go\"\nguard = \"n == 3\"\n",
            "t.toml:7:9: action.guard: malformed guard `n == 3`; the forms are `FLAG`, `!FLAG`, \
             `is_true FLAG`, `is_false FLAG`, `COUNTER > N` (or >=, <, <=), `min COUNTER N`, \
             `max COUNTER N`, `list_contains LIST VALUE`, `list_length_min LIST N`",
        ),
        (
            "[[action]]\nname = \"Go\"\neffect = \"incrment n\"\n",
            "t.toml:7:10: action.effect: unknown effect `incrment`, did you mean `increment`?",
        ),
        ("[[action]]\nname = \"Updated\"\n", "t.toml:6:8: action.name: `Updated` is reserved"),
        (
            "[[action]]\nname = \"Go\"\nparams = [\"Status\"]\n",
            "t.toml:7:11: action.params: `Status` is reserved",
        ),
        (
            "[[integration]]\nname = \"i\"\ntrigger = \"t\"\ntype = \"wasm\"\n",
            "t.toml:5:1: integration.module: wasm integration `i` has no module",
        ),
        (
            "[[integration]]\nname = \"i\"\ntrigger = \"t\"\nmodule = \"m\"\non_failure = \"Fail\"\n\
                [[action]]\nname = \"t\"\n",
            "t.toml:9:14: integration.on_failure: `Fail` is no action",
        ),
        (
            "[[action]]\nname = \"Go\"\n[[action]]\nname = \"Go\"\nto = \"B\"\n",
            "t.toml:7:1: action.name: `Go` is defined twice, differently",
        ),
        (
            "[[action]]\nname = \"Go\"\n[[action]]\nname = \"Go\"\n",
            "t.toml:7:1: warning: action.name: `Go` is defined twice, equally",
        ),
        (
            "[[action]]\nname = \"Go\"\nguard = [{ type = \"state_in\", values = [\"C\"] }]\n",
            "t.toml:5:1: action.guard: `C` is no state, did you mean `A`?",
        ),
        (
            "[[action]]\nname = \"Go\"\neffect = \"increment Status\"\n",
            "t.toml:5:1: action.effect: `Status` is reserved",
        ),
        (
            "[[action]]\nname = \"Go\"\neffect = \"increment n\"\n",
            "t.toml:5:1: warning: action.effect: `n` is not declared; taken for a counter",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"string\"\n[[action]]\nname = \"Go\"\nguard = \"x\"\n",
            "t.toml:8:1: warning: action.guard: `x` is a string, so this guard never sees a bool",
        ),
        (
            "[[invariant]]\nname = \"i\"\nassert = \"status in ['C'] => n > 0\"\n",
            "t.toml:7:10: invariant.assert: `C` is no state, did you mean `A`?",
        ),
        (
            "[[invariant]]\nname = \"i\"\nwhen = [\"C\"]\nassert = \"n > 0\"\n",
            "t.toml:7:9: invariant.when: `C` is no state, did you mean `A`?",
        ),
        (
            "[[integration]]\nname = \"i\"\ntrigger = \"t\"\nmodule = \"m\"\n",
            "t.toml:5:1: warning: integration.trigger: `t` is neither a trigger effect nor an action, \
                so nothing runs this",
        ),
        (
            "[[integration]]\nname = \"i\"\ntrigger = \"t\"\nmodule = \"m\"\nconfig = 3\n\
                [[action]]\nname = \"t\"\n",
            "t.toml:9:10: integration.config: expected a table",
        ),
        (
            "[[integration]]\ntrigger = \"t\"\nmodule = \"m\"\n",
            "t.toml:5:1: integration.name: missing",
        ),
        (
            "[[acton]]\nname = \"Go\"\n",
            "t.toml:5:3: warning: acton: is no section and not executed, did you mean `action`?",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"string\"\noverflow_ttl_seconds = 3153600001\n",
            "t.toml:8:24: state.overflow_ttl_seconds: 3153600001 is not between 1 and 3153600000",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"string\"\noverflow_inline_max_bytes = 1.5\n",
            "t.toml:8:29: state.overflow_inline_max_bytes: `1.5` is not a number",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"counter\"\ninitial = \"-1\"\n",
            "t.toml:8:11: state.initial: initial value \"-1\" is not a counter",
        ),
        (
            "[[action]]\nname = \"Go\"\neffect = '[{ type = \"spaw\", entity_type = \"T\" }]'\n",
            "t.toml:7:10: action.effect.type: unknown effect `spaw`, did you mean `spawn`?",
        ),
        (
            "[[action]]\nname = \"Go\"\neffect = [{ type = \"schedule\", action = \"No\", delay_seconds = 1 }]\n",
            "t.toml:5:1: action.effect: `No` is no action, did you mean `Go`?",
        ),
        (
            "[[action]]\nname = \"Go\"\neffect = [{ type = \"increment\", var = \"n\", by = 2 }]\n\
                [[state]]\nname = \"n\"\ntype = \"counter\"\n",
            "t.toml:7:44: action.effect.by: unknown key",
        ),
        (
            "[[action]]\nname = \"Go\"\nparams = [\"__temper_x\"]\n",
            "t.toml:7:11: action.params: `__temper_x` is reserved",
        ),
        (
            "[[state]]\nname = \"x\"\ntype = \"string\"\n[[state]]\nname = \"x\"\ntype = \"bool\"\n",
            "t.toml:8:1: state.name: `x` is defined twice, differently",
        ),
        ("[[action]]\nname = 3\n", "t.toml:6:8: action.name: expected a string"),
        ("[[state]]\n", "t.toml:5:1: state.name: missing"),
    ];
    for (rest, expected) in cases {
        assert_eq!(told(rest), [expected], "for {rest}");
    }
}

/// A counter that only a later action's effect declares counts like any other.
#[test]
fn items_are_counted_in_every_counter_of_the_whole_spec() {
    let actions =
        "[[action]]\nname = \"AddItem\"\n[[action]]\nname = \"Go\"\neffect = \"increment n\"\n";
    let parsed = parse("t", &format!("{HEAD}{actions}"), false).unwrap();
    assert_eq!(parsed.automaton.actions[0].effects, [Effect::Increment("n".to_owned())]);
}

/// Goal: an error is shown where it stands. Method: what is marked is cut out of the text again.
#[test]
fn a_diagnostic_says_how_much_of_its_line_it_is_about() {
    let text = format!("{HEAD}[[action]]\nname = \"Go\"\nguard = \"n == 3\"\n");
    let error = parse("t", &text, false).unwrap_err();
    let found = &error.diagnostics[0];
    let line = text.lines().nth(found.line - 1).unwrap();
    assert_eq!(&line[found.column - 1..][..found.width], "\"n == 3\"");
}

#[test]
fn text_that_is_no_toml_is_placed_too() {
    let error = parse("x.toml", "[automaton]\nname = \"a\"\nname = \"b\"\n", false).unwrap_err();
    assert_eq!(error.to_string(), "x.toml:3:1: spec: duplicate key");
}

#[test]
fn lenient_parsing_takes_newer_keys_for_warnings() {
    let text = format!("{HEAD}[[action]]\nname = \"Go\"\nretries = 3\n");
    assert!(parse("t", &text, false).is_err());
    assert_eq!(parse("t", &text, true).unwrap().warnings.len(), 1);
    let held = r#"effect = '[{ type = "emit", name = "e", loud = true }]'"#;
    let text = format!("{HEAD}[[action]]\nname = \"Go\"\n{held}\n");
    assert!(parse("t", &text, false).is_err());
    assert_eq!(parse("t", &text, true).unwrap().warnings.len(), 1);
}

/// Goal: public specs of the older platform stay readable. Method: parse a folder that is not part
/// of this project, where there is one; the one file that is no TOML must be refused.
#[test]
fn extra_specs_parse() {
    let Ok(folder) = std::env::var("STORMGLASS_EXTRA_SPECS") else {
        return;
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.display().to_string();
        if !file.ends_with(".ioa.toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let result = parse(&file, &text, false);
        let valid_toml = toml::de::DeTable::parse(&text).is_ok();
        assert_eq!(result.is_ok(), valid_toml, "{:?}", result.err().map(|error| error.to_string()));
    }
}

#[test]
fn the_time_of_an_integration_is_a_number_of_seconds() {
    let spec = |timeout: &str| {
        format!(
            "[automaton]
            name = 'Job'
            states = ['Open']
            initial = 'Open'
            [[integration]]
            name = 'work'
            trigger = 'work'
            type = 'wasm'
            module = 'worker'
            {timeout}"
        )
    };
    let seconds = |timeout: &str| {
        let parsed = parse("job", &spec(timeout), false).map_err(|error| error.to_string())?;
        Ok(parsed.automaton.integrations[0].timeout_secs)
    };
    assert_eq!(seconds(""), Ok(30));
    assert_eq!(seconds("timeout_secs = 7"), Ok(7));
    assert_eq!(seconds("[integration.config]\ntimeout_secs = '8'"), Ok(8));
    assert_eq!(seconds("timeout_secs = 7\n[integration.config]\ntimeout_secs = '8'"), Ok(8));
    let held = |value: &str| format!("[integration.config]\ntimeout_secs = {value}");
    for (timeout, key, problem) in [
        ("timeout_secs = 0".to_owned(), "integration.timeout_secs", "0 is not between"),
        (held("0"), "integration.config.timeout_secs", "0 is not between"),
        (held("-1"), "integration.config.timeout_secs", "-1 is not between"),
        (held("'soon'"), "integration.config.timeout_secs", "`soon` is not a number"),
        (held("1.5"), "integration.config.timeout_secs", "`1.5` is not a number"),
        (held("[]"), "integration.config.timeout_secs", "expected a number"),
    ] {
        let error: String = seconds(&timeout).unwrap_err();
        assert!(error.contains(&format!("{key}: {problem}")), "{error}");
    }
}
