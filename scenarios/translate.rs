//! One step of a plan in three tongues: the platform's request, the model's, and a person's.
//!
//! **Invariant:** nothing is decided here. What the platform answered reaches the model as it was said.

use crate::foreign;
use crate::http::{Answer, Request, address, encoded};
use crate::lines::counted;
use crate::plan::{Action, Page, Part, Plan, Step, Values, Who, entity_id, tenant_name};
use crate::times::utc_ms;
use serde_json::{Map, Value};
use std::sync::Arc;
use stormglass_model::automaton::Automaton;
use stormglass_model::request as model;
use stormglass_model::words::length;

/// The entity sets that a plan's steps name by number. Clones are the same sets.
#[derive(Clone, Debug)]
pub struct Sets(Arc<[String]>);

impl Sets {
    /// The sets of the plan's specs.
    pub fn of(plan: &Plan) -> Sets {
        Sets::new(foreign::of_plan(plan).iter().map(|spec| &spec.automaton))
    }

    /// The sets of these automata, in their order.
    pub fn new<'a>(automata: impl IntoIterator<Item = &'a Automaton>) -> Sets {
        Sets(automata.into_iter().map(Automaton::set).collect())
    }

    /// The number of a set.
    pub fn number(&self, set: &str) -> Option<u32> {
        self.0.iter().position(|name| name == set).map(|at| at as u32)
    }

    /// The name of a set; one that no spec has for a number that is none.
    pub fn name(&self, set: u32) -> String {
        self.0.get(set as usize).cloned().unwrap_or_else(|| format!("Unknown{set}s"))
    }
}

/// Items of a list whose request names no number (contract, section 8).
const DEFAULT_TOP: usize = 100;

/// What the platform is asked; none for a step that is no request.
pub fn request(step: &Step, sets: &Sets) -> Option<Request> {
    let set = sets.name(step.action.set());
    let of = |who: &Who, method, member: &str| {
        let target = address(&set, &entity_id(*who)) + member;
        Request::new(&tenant_name(who.tenant), method, target)
    };
    let body = |values: &Values| body(object(values), step);
    let mut request = match &step.action {
        Action::Create { who, values } => {
            let request =
                Request::new(&tenant_name(who.tenant), "POST", format!("/tdata/{}", encoded(&set)));
            let mut fields = object(values);
            fields.insert("Id".to_string(), Value::from(entity_id(*who)));
            Request { body: self::body(fields, step), ..request }
        }
        Action::Act { who, action, values } => {
            let request = of(who, "POST", &format!("/Temper.{}", encoded(action)));
            Request { body: body(values), ..request }
        }
        Action::Patch { who, values } => Request { body: body(values), ..of(who, "PATCH", "") },
        Action::Delete { who } => of(who, "DELETE", ""),
        Action::Get { who } => of(who, "GET", ""),
        Action::History { who, page: None } => of(who, "GET", "/Temper.History"),
        Action::History { who, page: Some(Page { skip, top }) } => {
            of(who, "GET", &format!("/Temper.History?$top={top}&$skip={skip}"))
        }
        Action::List { tenant, top, part, .. } => {
            let target = format!("/tdata/{}{}", encoded(&set), options(*top, part));
            Request::new(&tenant_name(*tenant), "GET", target)
        }
        Action::Malformed { who, what } => what.request(*who, &set),
        _ => return None,
    };
    if let Some(sequence_nr) = step.if_match {
        let tags = versions(step.id, sequence_nr).into_iter();
        request.headers.extend(tags.map(|tag| ("if-match", tag)));
    }
    if let Some(key) = step.key {
        request.headers.push(("idempotency-key", format!("key-{key}")));
    }
    request.origin = format!("step {}", step.id);
    Some(request)
}

/// A body as a client may write it: canonical or not, which the platform must not notice.
fn body(fields: Map<String, Value>, step: &Step) -> Vec<u8> {
    let fields = Value::Object(fields);
    if step.id.is_multiple_of(3) {
        return serde_json::to_vec_pretty(&fields).expect("it is JSON");
    }
    fields.to_string().into_bytes()
}

/// A version that an entity must have, as one of the forms in which `If-Match` may say it: alone, in a list, in
/// a header of several. No entity is of version 0.
fn versions(step: u32, sequence_nr: u64) -> Vec<String> {
    let tag = format!("\"{sequence_nr}\"");
    if is_weak(step) {
        return vec![format!("W/{tag}")];
    }
    match step % 3 {
        0 => vec![tag],
        1 => vec![format!("\"0\", {tag}")],
        _ => vec!["\"0\"".to_string(), tag],
    }
}

/// Whether a step's `If-Match` is a weak tag.
fn is_weak(step: u32) -> bool {
    step % 7 == 6
}

/// The options of a list, after `?`.
fn options(top: Option<u32>, part: &Part) -> String {
    let literal = |value: &Value| match value {
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    };
    let filter = part.filter.as_ref().map(|(name, value)| {
        let filter = format!("{name} eq {}", literal(&value.value()));
        format!("$filter={}", encoded(&filter))
    });
    let select = part.select.as_ref().map(|names| format!("$select={}", encoded(&names.join(","))));
    let top = top.map(|top| format!("$top={top}"));
    let skip = (part.skip > 0).then(|| format!("$skip={}", part.skip));
    let all: Vec<String> = [top, skip, filter, select].into_iter().flatten().collect();
    if all.is_empty() { String::new() } else { format!("?{}", all.join("&")) }
}

/// What the model is told of the same step.
pub fn for_model(step: &Step, sets: &Sets) -> Option<model::Request> {
    let (tenant, kind, values) = match &step.action {
        Action::Create { who, values } => {
            let mut values = object(values);
            values.insert("Id".to_string(), Value::from(entity_id(*who)));
            (who.tenant, model::Kind::Create, values)
        }
        Action::Act { who, action, values } => {
            let kind = model::Kind::Act { id: entity_id(*who), action: action.clone() };
            (who.tenant, kind, object(values))
        }
        Action::Patch { who, values } => {
            (who.tenant, model::Kind::Patch { id: entity_id(*who) }, object(values))
        }
        Action::Delete { who } => {
            (who.tenant, model::Kind::Delete { id: entity_id(*who) }, Map::new())
        }
        Action::Get { who } => (who.tenant, model::Kind::Read { id: entity_id(*who) }, Map::new()),
        Action::History { who, .. } => {
            (who.tenant, model::Kind::History { id: entity_id(*who) }, Map::new())
        }
        Action::List { tenant, top, part, .. } => {
            let page = model::Page {
                top: top.map_or(DEFAULT_TOP, |top| top as usize),
                skip: part.skip as usize,
                filter: part.filter.as_ref().map(|(name, value)| (name.clone(), value.value())),
                select: part.select.as_ref().map(|names| names.iter().cloned().collect()),
            };
            (*tenant, model::Kind::List(page), Map::new())
        }
        _ => return None,
    };
    let set = sets.name(step.action.set());
    let mut request = model::Request::new(&tenant_name(tenant), &set, kind).body(&values);
    // A weak tag matches nothing (RFC 9110, section 13.1.1), as version 0 does.
    request.if_match = step.if_match.map(|version| if is_weak(step.id) { 0 } else { version });
    Some(match step.key {
        Some(key) => request.key(&format!("key-{key}")),
        None => request,
    })
}

fn object(values: &Values) -> Map<String, Value> {
    values.iter().map(|(name, recipe)| (name.clone(), recipe.value())).collect()
}

/// What the platform answered, for the model; none when it is nothing that the contract knows.
pub fn answer(step: &Step, answer: &Answer, sets: &Sets) -> Option<model::Answer> {
    let status = answer.status;
    if !answer.is_success() {
        let code = answer.code.clone().unwrap_or_default();
        return Some(model::Answer::Error { status, code });
    }
    if answer.body.is_null() {
        return Some(model::Answer::Empty { status });
    }
    match &step.action {
        Action::History { page, .. } => history(&answer.body, page.map_or(0, |page| page.skip)),
        Action::List { set, .. } => list(&answer.body, &sets.name(*set)),
        _ => {
            let view = model::EntityView::from_body(&answer.body)?;
            Some(model::Answer::Entity { status, view })
        }
    }
}

fn history(body: &Value, skip: u32) -> Option<model::Answer> {
    let events = body.get("value")?.as_array()?;
    let events = events.iter().map(history_event).collect::<Option<Vec<_>>>()?;
    let is_last = body.get("@temper.next_skip").is_none();
    let first_nr = u64::from(skip) + 1;
    Some(model::Answer::History(model::HistoryView { events, first_nr, is_last }))
}

fn history_event(event: &Value) -> Option<model::HistoryEvent> {
    let text = |name: &str| Some(event.get(name)?.as_str()?.to_string());
    let expired = match event.get("@temper.expired") {
        None => Default::default(),
        Some(names) => {
            let names = names.as_array()?.iter();
            names.map(|name| name.as_str().map(str::to_string)).collect::<Option<_>>()?
        }
    };
    Some(model::HistoryEvent {
        sequence_nr: event.get("sequence_nr")?.as_u64()?,
        action: text("action")?,
        from: text("from")?,
        to: text("to")?,
        timestamp_ms: utc_ms(event.get("timestamp")?.as_str()?)?,
        params: event.get("params")?.as_object()?.clone(),
        expired,
    })
}

/// Everything that a body, or an item of it, says has expired.
pub fn expired(body: &Value) -> Vec<&Value> {
    let own = body.get("@temper.expired");
    let items = body.get("value").and_then(Value::as_array);
    let of_items = items.into_iter().flatten().filter_map(|item| item.get("@temper.expired"));
    own.into_iter().chain(of_items).collect()
}

/// What an answer says twice and not the same both times; nothing where it agrees with itself.
pub fn contradiction(step: &Step, answer: &Answer, sets: &Sets) -> Option<String> {
    let body = &answer.body;
    let set = sets.name(step.action.set());
    match &step.action {
        _ if !answer.is_success() || body.is_null() => None,
        Action::History { page, .. } => count_differs(body, page.map_or(0, |page| page.skip)),
        Action::List { .. } => {
            let items = body.get("value").and_then(Value::as_array)?;
            let entities = items.iter().filter(|item| item.get("@temper.error").is_none());
            entities.filter(|item| !agrees(item, &set)).map(Value::to_string).next()
        }
        _ => (!agrees(body, &set)).then(|| body.to_string()),
    }
}

fn count_differs(body: &Value, skip: u32) -> Option<String> {
    let count = body.get("@odata.count").and_then(Value::as_u64);
    let events = body.get("value").and_then(Value::as_array)?.len() as u64;
    let (shown, next) = (u64::from(skip) + events, body.get("@temper.next_skip"));
    if let Some(next) = next.filter(|next| next.as_u64() != Some(shown)) {
        return Some(format!(
            "the page ends at {shown}, the next one is said to begin after {next}"
        ));
    }
    // An actor that is behind its journal counts too few: that is told of the journal, not of the count.
    let is_right = count.is_some_and(|count| match next.is_none() {
        true => events == 0 || count <= shown,
        false => count > shown,
    });
    (!is_right).then(|| format!("{count:?} events in all, the page ends at {shown}"))
}

/// Whether id, status, counters and bools of an entity's body are those of its fields.
fn agrees(body: &Value, set: &str) -> bool {
    let field = |name: &str| body.get("fields").and_then(|fields| fields.get(name));
    let is_field = |name: &str, value: &Value| field(name) == Some(value);
    let id = body.get("entity_id").and_then(Value::as_str);
    let address = body.get("@odata.id").and_then(Value::as_str);
    let is_its_id = id.is_some() && address.and_then(|at| id_of_address(set, at)).as_deref() == id;
    let has_status = field("Status").is_none_or(|status| Some(status) == body.get("status"));
    let has_group = |group: &str| {
        let group = body.get(group).and_then(Value::as_object);
        group.is_some_and(|group| group.iter().all(|(name, value)| is_field(name, value)))
    };
    let has_id = id.is_some_and(|id| is_field("Id", &Value::from(id)));
    is_its_id && has_id && has_status && has_group("counters") && has_group("booleans")
}

fn list(body: &Value, set: &str) -> Option<model::Answer> {
    let item = |item: &Value| {
        if let Some(error) = item.get("@temper.error") {
            let code = error.get("code")?.as_str()?.to_string();
            let id = id_of_address(set, item.get("@odata.id")?.as_str()?)?;
            return Some((id, model::Listed::Failed { code }));
        }
        let id = item.get("entity_id")?.as_str()?.to_string();
        Some((id, model::Listed::Entity(model::EntityView::from_body(item)?)))
    };
    let items = body.get("value")?.as_array()?.iter().map(item).collect::<Option<Vec<_>>>()?;
    Some(model::Answer::List(items))
}

/// The id in `Sessions('id')`: percent-encoded, a quote doubled.
fn id_of_address(set: &str, address: &str) -> Option<String> {
    let quoted = address.strip_prefix(set)?.strip_prefix("('")?.strip_suffix("')")?;
    let mut bytes = Vec::new();
    let mut rest = quoted.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let is_doubled = text.split("''").all(|part| !part.contains('\''));
    is_doubled.then(|| text.replace("''", "'"))
}

/// The step in a few words.
pub fn brief(step: &Step) -> String {
    let key = step.key.map_or(String::new(), |key| format!(" key={key}"));
    let version = step.if_match.map_or(String::new(), |version| format!(" if-match={version}"));
    what(step) + &key + &version
}

fn what(step: &Step) -> String {
    let fields = |values: &Values| {
        let words = values.iter().map(|(name, recipe)| format!(" {name}={}", recipe.brief()));
        words.collect::<String>()
    };
    let name = |who: &Who| {
        let set = Some(who.set).filter(|set| *set > 0).map(|set| format!("set {set} "));
        let id = entity_id(*who);
        // Of an id that a plan made up the number says all.
        let id = id.split(' ').next().unwrap_or_default();
        match who.tenant {
            0 => format!("{}{id}", set.unwrap_or_default()),
            tenant => format!("{}tenant-{tenant}/{id}", set.unwrap_or_default()),
        }
    };
    match &step.action {
        Action::Create { who, values } => format!("Create {}{}", name(who), fields(values)),
        Action::Act { who, action, values } => {
            format!("{action} {}{}", name(who), fields(values))
        }
        Action::Patch { who, values } => format!("PATCH {}{}", name(who), fields(values)),
        Action::Delete { who } => format!("DELETE {}", name(who)),
        Action::Get { who } => format!("GET {}", name(who)),
        Action::History { who, page: None } => format!("GET {}/History", name(who)),
        Action::History { who, page: Some(Page { skip, top }) } => {
            format!("GET {}/History, {top} after {skip}", name(who))
        }
        Action::List { tenant, top, part, .. } => {
            let first = top.map_or("all".to_string(), |top| format!("the first {top}"));
            format!("GET {first} of tenant-{tenant}{}", part.brief())
        }
        Action::Malformed { who, what } => format!("{} for {}", what.name(), name(who)),
        Action::Sweep { tenant, max_rows } => {
            format!("sweep tenant-{tenant}, {}", counted(max_rows, "row"))
        }
        Action::Wait { ms } => format!("wait {}", length(*ms)),
        Action::StepClock { by_ms } => format!("clock set by {}", length(*by_ms)),
        Action::Checkpoint { tenant } => format!("checkpoint tenant-{tenant}"),
        Action::Rot { tenant, rot } => {
            format!("bits flip in {} of tenant-{tenant}", rot.place.name())
        }
        Action::Crash { .. } => "crash".to_string(),
        Action::Restart => "restart".to_string(),
        Action::Reconfigure { change } => format!("next boot: {}", change.brief()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a page of history says where the next one begins as it is. Method: a page that does, and those around.
    #[test]
    fn a_page_that_sends_its_reader_elsewhere_contradicts_itself() {
        let who = Who { tenant: 0, entity: 0, set: 0 };
        let page = Some(Page { skip: 2, top: 2 });
        let step = Step::alone(1, 1, Action::History { who, page });
        let answer = |next: Option<u64>| {
            let mut body = serde_json::json!({"@odata.count": 9, "value": [{}, {}]});
            body["@temper.next_skip"] = next.map_or(Value::Null, Value::from);
            Answer { status: 200, code: None, body, sequence_nr: Some(9) }
        };
        let told = |next| contradiction(&step, &answer(next), &Sets(Arc::new([])));
        assert_eq!(told(Some(4)), None);
        for wrong in [None, Some(0), Some(3), Some(5)] {
            assert!(told(wrong).is_some_and(|told| told.contains("ends at 4")), "{wrong:?}");
        }
    }

    #[test]
    fn ids_are_read_from_addresses() {
        assert_eq!(
            id_of_address("Sessions", "Sessions('s1%20o''%C3%A9')").as_deref(),
            Some("s1 o'\u{e9}")
        );
        assert_eq!(id_of_address("Sessions", "Others('s1')"), None);
    }
}
