//! Short histories, each with what the oracle must say of it.

use super::*;
use crate::oracle::Misuse;

struct Story {
    oracle: Oracle,
    clock_ms: i64,
    told: Vec<Violation>,
}

impl Story {
    /// A running boot with the entity `a`, created at 1,000,000 ms.
    fn new() -> Self {
        let run = Run::new(0, Defect::None);
        let mut story = Story { oracle: run.oracle, clock_ms: 1_000_000, told: Vec::new() };
        let create = story.send(Kind::Create, json!({"Id": "a"}));
        let created = fields(json!({}));
        story.answer(create, &shown(1, created));
        assert_eq!(story.told, []);
        story
    }

    fn at(&self) -> Moment {
        Moment { mono_ms: 0, clock_ms: self.clock_ms }
    }

    fn pass(&mut self, ms: i64) {
        self.clock_ms += ms;
        self.oracle.clock(self.at());
    }

    fn send(&mut self, kind: Kind, body: Value) -> OpId {
        let request = Request::new(TENANT, SET, kind).body(body.as_object().unwrap());
        self.oracle.send(self.at(), request)
    }

    fn act(&mut self, action: &str, body: Value) -> OpId {
        self.send(Kind::Act { id: "a".into(), action: action.into() }, body)
    }

    fn read(&mut self, answer: &Answer) {
        let read = self.send(Kind::Read { id: "a".into() }, json!({}));
        self.answer(read, answer);
    }

    fn answer(&mut self, op: OpId, answer: &Answer) {
        self.told.extend(self.oracle.answer(self.at(), op, answer).unwrap());
    }

    fn lose(&mut self, op: OpId) {
        self.oracle.lost(self.at(), op);
    }

    fn reboot(&mut self) {
        self.oracle.boot_ended(self.at());
        self.oracle.boot_started(self.at()).unwrap();
    }

    fn told(&mut self) -> Vec<(Invariant, &'static str)> {
        self.told.drain(..).map(|violation| (violation.invariant, violation.place)).collect()
    }
}

/// The fields of `a` after its creation, with some of them changed.
fn fields(changes: Value) -> Map<String, Value> {
    let fields = json!({
        "Id": "a", "Status": "Created", "user_message": "", "system_prompt": "", "draft": "", "token": "", "big": "",
        "turns": 0, "ready": false, "notes": [], "tags": [], "echo": "", "payload": "", "alarm": "", "rings": 0,
        "task_id": "", "task_name": "",
    });
    let mut fields = fields.as_object().unwrap().clone();
    fields.extend(changes.as_object().unwrap().clone());
    fields
}

fn shown(sequence_nr: u64, fields: Map<String, Value>) -> Answer {
    let view = EntityView { sequence_nr, fields, ..EntityView::default() };
    Answer::Entity { status: 200, view }
}

fn noted(sequence_nr: u64, notes: Value) -> Answer {
    shown(sequence_nr, fields(json!({"notes": notes})))
}

#[test]
fn a_lost_action_may_appear_until_its_boot_has_ended_and_was_read_since() {
    let mut story = Story::new();
    let note = story.act("Note", json!({"notes": 1}));
    story.lose(note);
    story.read(&noted(1, json!([])));
    story.read(&noted(2, json!([1])));
    assert_eq!(story.told(), []);

    let second = story.act("Note", json!({"notes": 2}));
    story.lose(second);
    story.reboot();
    story.read(&noted(2, json!([1])));
    assert_eq!(story.told(), []);
    story.read(&noted(3, json!([1, 2])));
    assert_eq!(story.told(), [(Invariant::I2, "event of no request")]);
}

#[test]
fn what_was_seen_or_acknowledged_never_goes_away() {
    let mut story = Story::new();
    let seen = story.act("Note", json!({"notes": 1}));
    story.lose(seen);
    story.read(&noted(2, json!([1])));
    story.reboot();
    story.read(&noted(1, json!([])));
    assert_eq!(story.told(), [(Invariant::I2, "event not shown")]);
    let acked = story.act("Note", json!({"notes": 2}));
    story.answer(acked, &noted(3, json!([1, 2])));
    story.read(&noted(2, json!([1])));
    assert_eq!(story.told(), [(Invariant::I1, "event not shown")]);
    story.read(&error(404, "EntityNotFound"));
    assert_eq!(story.told(), [(Invariant::I1, "entity not shown")]);
}

#[test]
fn an_answer_must_fit_some_moment_between_request_and_answer() {
    let mut story = Story::new();
    let start = story.act("Start", json!({}));
    let configure = story.act("Configure", json!({}));
    let configured = fields(json!({"Status": "Configured", "ready": true}));
    story.answer(configure, &shown(2, configured.clone()));
    // It may have come before or after the other: both answers are right.
    let mut other = Story { oracle: story.oracle.clone(), clock_ms: story.clock_ms, told: vec![] };
    story.answer(start, &error(409, "WrongState"));
    let running = fields(json!({"Status": "Running", "ready": true}));
    other.answer(start, &shown(3, running));
    assert_eq!((story.told(), other.told()), (vec![], vec![]));
    let again = other.act("Start", json!({}));
    other.answer(again, &error(409, "GuardFalse"));
    assert_eq!(other.told(), [(Invariant::I18, "answer not allowed: GuardFalse")]);
}

#[test]
fn a_wrong_value_a_wrong_field_and_an_envelope_are_told_apart() {
    let mut story = Story::new();
    story.read(&shown(1, fields(json!({"turns": 1}))));
    story.read(&shown(1, fields(json!({"more": 1}))));
    story.read(&shown(1, fields(json!({"big": {"__temper_blob_ref": "x"}}))));
    let mut fewer = fields(json!({}));
    fewer.remove("tags");
    story.read(&shown(1, fewer));
    let places = ["value differs", "field of no write", "envelope shown", "field missing"];
    assert_eq!(story.told(), places.map(|place| (Invariant::I4, place)));
}

#[test]
fn near_its_deadline_a_value_may_be_there_or_not_until_its_timestamp_is_known() {
    let mut story = Story::new();
    let long = "x".repeat(2000);
    let patch = story.send(Kind::Patch { id: "a".into() }, json!({"system_prompt": long}));
    story.pass(10);
    let there = shown(2, fields(json!({"system_prompt": long})));
    story.answer(patch, &there);
    let mut expired = fields(json!({"system_prompt": null}));
    expired.insert("system_prompt".into(), Value::Null);
    let names = BTreeSet::from(["system_prompt".to_owned()]);
    let gone = EntityView { sequence_nr: 2, fields: expired, expired: names, select: None };
    let gone = Answer::Entity { status: 200, view: gone };

    story.pass(3_599_989);
    story.read(&gone);
    assert_eq!(story.told(), [(Invariant::I10, "expired too early")]);
    story.pass(5);
    story.read(&gone);
    story.read(&there);
    assert_eq!(story.told(), []);
    story.pass(6);
    story.read(&there);
    assert_eq!(story.told(), [(Invariant::I10, "read past its deadline")]);
}

#[test]
fn rows_of_an_unsettled_store_prove_nothing_of_what_is_in_doubt() {
    for (sight, told) in
        [(Sight::Idle, vec![]), (Sight::Settled, vec![(Invariant::I2, "event not shown")])]
    {
        let mut run = Run::new(0, Defect::None);
        let body = json!({"Id": "a"});
        let create = Request::new(TENANT, SET, Kind::Create).body(body.as_object().unwrap());
        let op = run.oracle.send(run.moment(), create.clone());
        run.serve(op, &create).unwrap();
        let mut story = Story { oracle: run.oracle.clone(), clock_ms: 1_000_000, told: vec![] };
        story.answer(op, &shown(1, fields(json!({}))));
        let body = json!({"notes": 1});
        let kind = Kind::Act { id: "a".into(), action: "Note".into() };
        let note = Request::new(TENANT, SET, kind).body(body.as_object().unwrap());
        let op = story.oracle.send(story.at(), note.clone());
        run.serve(op, &note).unwrap();
        story.lose(op);
        let rows = run.rows();
        assert_eq!(story.oracle.observe(story.at(), &rows, sight).violations, []);
        story.read(&noted(1, json!([])));
        assert_eq!(story.told(), told);
    }
}

/// Goal: whatever an actor answers, what its events brought is there (I5); what is refused before it is asked says
/// nothing of it. Method: an event whose put failed, and an answer of each kind while its row is missing.
#[test]
fn any_answer_of_an_actor_says_that_its_puts_are_made() {
    let a = || "a".to_owned();
    let start = || Kind::Act { id: a(), action: "Start".into() };
    let cases = [
        (start(), json!({}), error(409, "WrongState"), true),
        (Kind::Create, json!({"Id": "a"}), error(409, "EntityExists"), true),
        (start(), json!({}), unavailable(), false),
        (start(), json!({"Status": "x"}), error(400, "ReservedName"), false),
    ];
    for (kind, body, answer, is_told) in cases {
        let mut run = Run::new(0, Defect::None);
        let mut story = Story { oracle: run.oracle.clone(), clock_ms: 1_000_000, told: vec![] };
        let requests = [
            (Kind::Create, json!({"Id": "a"})),
            (Kind::Patch { id: a() }, json!({"user_message": "x".repeat(3_000)})),
        ];
        for (kind, body) in requests {
            let request = Request::new(TENANT, SET, kind).body(body.as_object().unwrap());
            let op = story.oracle.send(story.at(), request.clone());
            run.oracle = story.oracle.clone();
            run.serve(op, &request).unwrap();
            story.answer(op, &unavailable());
        }
        let mut rows = run.rows();
        rows.blobs.retain(|row| row.data.len() < 3_000);
        assert_eq!(story.oracle.observe(story.at(), &rows, Sight::Settled).violations, []);
        let op = story.send(kind, body);
        story.answer(op, &answer);
        assert_eq!(story.told(), [], "{answer:?}");
        let found = story.oracle.observe(story.at(), &rows, Sight::Settled).violations;
        let found: Vec<_> = found.iter().map(|one| (one.invariant, one.place)).collect();
        let expected = [(Invariant::I5, "row missing")];
        assert_eq!(found, expected[..usize::from(is_told)], "{answer:?}");
    }
}

#[test]
fn a_request_is_answered_once() {
    let mut story = Story::new();
    let note = story.act("Note", json!({"notes": 1}));
    story.lose(note);
    let late = story.oracle.answer(story.at(), note, &unavailable());
    assert_eq!(late, Err(Misuse::NotOpen(note)));
}

#[test]
fn a_page_that_is_not_full_says_that_nothing_follows() {
    let mut story = Story::new();
    let create = story.send(Kind::Create, json!({"Id": "b"}));
    story.answer(create, &shown(1, fields(json!({"Id": "b"}))));
    let delete = story.send(Kind::Delete { id: "a".into() }, json!({}));
    let item = |id: &str| {
        let view = EntityView {
            sequence_nr: 1,
            fields: fields(json!({"Id": id})),
            ..EntityView::default()
        };
        (id.to_owned(), Listed::Entity(view))
    };
    // While `a` is deleted a page of one holds `a` or `b`: empty, it says that neither is there.
    for (page, told) in [
        (vec![item("a")], vec![]),
        (vec![item("b")], vec![]),
        (vec![], vec![(Invariant::I18, "entity left out")]),
    ] {
        let oracle = story.oracle.clone();
        let mut one = Story { oracle, clock_ms: story.clock_ms, told: vec![] };
        let list = one.send(Kind::List(crate::request::Page::first(1)), json!({}));
        one.answer(list, &Answer::List(page));
        assert_eq!(one.told(), told);
    }
    story.lose(delete);
}

/// Goal: a page that skips, filters or selects is judged by what it says. Method: three entities, one of
/// each colour, and pages that are right and wrong in one way each.
#[test]
fn pages_begin_where_they_should_and_hold_what_was_asked() {
    let mut story = Story::new();
    let delete = story.send(Kind::Delete { id: "a".into() }, json!({}));
    story.answer(delete, &Answer::Empty { status: 204 });
    for id in ["b", "c", "d"] {
        let create = story.send(Kind::Create, json!({"Id": id, "big": id}));
        story.answer(create, &shown(1, fields(json!({"Id": id, "big": id}))));
    }
    let item = |id: &str, only: &[&str]| {
        let mut fields = fields(json!({"Id": id, "big": id}));
        fields.retain(|name, _| only.is_empty() || only.contains(&name.as_str()));
        let view = EntityView { sequence_nr: 1, fields, ..EntityView::default() };
        (id.to_owned(), Listed::Entity(view))
    };
    let first = crate::request::Page::first;
    let skipping = |skip| crate::request::Page { skip, ..first(2) };
    let of = |name: &str| crate::request::Page {
        filter: Some(("big".to_owned(), json!(name))),
        ..first(2)
    };
    let select = Some(BTreeSet::from(["big".to_owned()]));
    let selecting = crate::request::Page { select, ..first(1) };
    let wrong = |place| vec![(Invariant::I18, place)];
    for (page, items, told) in [
        (skipping(1), vec![item("c", &[]), item("d", &[])], vec![]),
        (skipping(1), vec![item("b", &[]), item("c", &[])], wrong("page begins elsewhere")),
        (skipping(2), vec![item("d", &[])], vec![]),
        (skipping(2), vec![], wrong("page begins elsewhere")),
        (skipping(3), vec![], vec![]),
        (of("c"), vec![item("c", &[])], vec![]),
        (of("c"), vec![], wrong("entity left out")),
        (of("c"), vec![item("c", &[]), item("d", &[])], wrong("item that the filter refuses")),
        (of("e"), vec![], vec![]),
        (selecting.clone(), vec![item("b", &["Id", "big"])], vec![]),
        (selecting, vec![item("b", &[])], vec![(Invariant::I4, "field of no write")]),
    ] {
        let oracle = story.oracle.clone();
        let mut one = Story { oracle, clock_ms: story.clock_ms, told: vec![] };
        let list = one.send(Kind::List(page.clone()), json!({}));
        one.answer(list, &Answer::List(items));
        assert_eq!(one.told(), told, "{page:?}");
    }
}

fn lost(code: &str) -> Answer {
    Answer::Error { status: 500, code: code.into() }
}

fn a() -> EntityKey {
    EntityKey { tenant: TENANT.into(), set: SET.into(), id: "a".into() }
}

/// Goal: who rests on damaged rows gets his values or a typed error, and nobody else gets that error.
/// Method: every answer to a read of an entity at event 3, damaged and not.
#[test]
fn damaged_rows_are_answered_exactly_or_named() {
    let answers = [
        (noted(3, json!([1, 2])), None),
        (lost("BlobLost"), None),
        (lost("EventUndecodable"), None),
        (lost("InternalError"), Some("damage answered with an error that does not name it")),
        (noted(2, json!([1])), Some("event not shown")),
        (noted(3, json!([1, 3])), Some("value differs")),
        (noted(3, Value::Null), Some("value differs")),
        (Answer::Error { status: 404, code: "EntityNotFound".into() }, Some("entity not shown")),
    ];
    for (at, (answer, place)) in answers.into_iter().enumerate() {
        let mut story = Story::new();
        for note in [1, 2] {
            let note = story.act("Note", json!({"notes": note}));
            story.lose(note);
        }
        story.read(&noted(3, json!([1, 2])));
        assert_eq!(story.told(), []);
        let mut honest = Story { oracle: story.oracle.clone(), told: Vec::new(), ..story };
        honest.read(&answer);
        // Of whole rows only the first of them may be said.
        assert_eq!(honest.told().is_empty(), at == 0, "{answer:?}");
        story.oracle.rows_damaged(TENANT, [a()].into());
        story.read(&answer);
        let told = story.told();
        assert!(told.iter().all(|(invariant, _)| *invariant == Invariant::I22), "{told:?}");
        assert_eq!(told.first().map(|(_, place)| *place), place, "{answer:?}");
    }
}

/// Goal: where a damaged file may be of two moments, a row of the outbox may call what its event is gone for, and of
/// its entity nothing more is said; of others everything. Method: the same wrong answer, with such a row and without.
#[test]
fn a_row_whose_event_is_gone_may_be_acted_upon_where_pages_mix() {
    for (action, pages_mix, is_told) in
        [("Remind", true, false), ("Remind", false, true), ("Configure", true, true)]
    {
        let mut story = Story::new();
        let ready = json!({"Status": "Configured", "ready": true});
        let shows = if action == "Configure" { ready } else { json!({}) };
        let act = story.act(action, json!({}));
        story.answer(act, &shown(2, fields(shows)));
        assert_eq!(story.told(), []);
        if pages_mix {
            story.oracle.logs_are_brought_to_files();
        }
        story.oracle.file_damaged(TENANT);
        story.read(&shown(2, fields(json!({"error": "failed"}))));
        assert_eq!(!story.told().is_empty(), is_told, "{action} {pages_mix}");
    }
}

/// Goal: of a damaged file an earlier whole version is no violation, and everything else is.
#[test]
fn a_damaged_file_shows_whole_versions_only() {
    let mut story = Story::new();
    for note in [1, 2] {
        let act = story.act("Note", json!({"notes": note}));
        let notes = if note == 1 { json!([1]) } else { json!([1, 2]) };
        story.answer(act, &noted(note + 1, notes));
    }
    let whole = story.oracle.clone();
    story.oracle.file_damaged(TENANT);
    for wrong in [noted(2, json!([2])), noted(3, json!([1])), noted(2, Value::Null)] {
        story.read(&wrong);
        let told = story.told();
        assert!(matches!(told[..], [(Invariant::I22, _)]), "{wrong:?} {told:?}");
    }
    story.read(&lost("EventUndecodable"));
    story.read(&noted(2, json!([1])));
    // From there on events are added as ever.
    let act = story.act("Note", json!({"notes": 7}));
    story.answer(act, &noted(3, json!([1, 7])));
    story.read(&noted(3, json!([1, 7])));
    assert_eq!(story.told(), []);
    // An older image of the disk, from before the damage: all of it holds again.
    story.oracle.go_back_to(&whole);
    story.reboot();
    story.read(&noted(2, json!([1])));
    assert!(matches!(story.told()[..], [(Invariant::I1 | Invariant::I2 | Invariant::I18, _)]));
    story.read(&noted(3, json!([1, 2])));
    assert_eq!(story.told(), []);
}
