//! The toy platform of the self-test: journals, blobs and reads in the simplest form that keeps the
//! contract, with its wrong turns.

use super::*;

#[derive(Clone)]
pub(super) struct Toy {
    pub(super) journal: Vec<Arc<Event>>,
    pub(super) states: Vec<Arc<State>>,
    pub(super) is_started: bool,
}

impl Run {
    /// What the toy answers; none when it crashed on the way.
    pub(super) fn serve(&mut self, op: OpId, request: &Request) -> Option<Answer> {
        let rules = self.rules_of(&name_of(&request.set, ""));
        if let Some(allowed) = decide_alone(Some(&rules), request) {
            return Some(error(allowed[0].status, allowed[0].code));
        }
        let Some(id) = request.entity_id().map(|id| name_of(&request.set, id)) else {
            let ids: Vec<String> = self.toys.keys().cloned().collect();
            let live = ids.into_iter().filter(|id| {
                self.toys[id].state().existence == Existence::Live && entity_of(id).set == SET
            });
            let live: Vec<String> = live.collect();
            let items = live.into_iter().map(|id| (id.clone(), Listed::Entity(self.view(&id))));
            return Some(Answer::List(items.collect()));
        };
        self.start(&id);
        let mut ts = self.clock_ms;
        if self.defect == Defect::ClockOfAnotherDay && self.random.one_in(20) {
            ts += 86_400_000;
        }
        let stamp = Span::exactly(ts);
        let origin = Origin { op, boot: BootId(1), sent: Mark::ZERO, stamp };
        let mut state = self.toys[&id].state().clone();
        if self.defect == Defect::ForgetsKeys {
            state = Arc::new(State { keys: Arc::default(), ..(*state).clone() });
        }
        match decide(&rules, &state, request, origin) {
            Decision::Accept { event, state } => self.accept(&id, event, state),
            Decision::Repeat if state.existence == Existence::Deleted => {
                Some(Answer::Empty { status: 204 })
            }
            Decision::Repeat => Some(self.entity(&id)),
            Decision::Show if matches!(request.kind, Kind::History { .. }) => {
                Some(self.history(&id))
            }
            Decision::Show => {
                self.is_stale = self.defect == Defect::StaleReads && self.random.one_in(20);
                Some(self.entity(&id))
            }
            Decision::Reject(rejections) => {
                let lies =
                    self.defect == Defect::LiesAboutState && rejections[0].code == "WrongState";
                if self.defect == Defect::WritesRejected && rejections[0].code == "GuardFalse" {
                    self.write_rejected(&id, request, &state, origin);
                }
                Some(error(
                    rejections[0].status,
                    if lies { "GuardFalse" } else { rejections[0].code },
                ))
            }
        }
    }

    fn write_rejected(&mut self, id: &str, request: &Request, state: &State, origin: Origin) {
        let draft = crate::project::Draft { rules: &self.rules, state, request, origin };
        if let Ok((event, state)) = crate::project::project(&draft) {
            self.toys.get_mut(id).unwrap().append(Arc::new(event), Arc::new(state));
            self.owe(id);
        }
    }

    fn accept(&mut self, id: &str, event: Arc<Event>, state: Arc<State>) -> Option<Answer> {
        let is_deletion = event.action == "Deleted";
        // Another write protocol: the blobs first, and a crash before the event leaves orphans.
        let is_blobs_first = self.random.one_in(3);
        if is_blobs_first {
            self.put_all(&event);
            if self.random.one_in(10) {
                self.crash();
                return None;
            }
        }
        self.toys.get_mut(id).unwrap().append(event.clone(), state);
        self.owe(id);
        if self.random.one_in(25) {
            self.crash();
            return None;
        }
        self.put_all(&event);
        if self.random.one_in(4) {
            let goes_back = self.defect == Defect::SnapshotGoesBack;
            let back = if goes_back { self.random.below(3) } else { 0 };
            self.snapshots.insert(id.to_owned(), event.sequence_nr.saturating_sub(back));
        }
        Some(if is_deletion { Answer::Empty { status: 204 } } else { self.entity(id) })
    }

    pub(super) fn put_all(&mut self, event: &Event) {
        for written in event.writes.values() {
            if let Kept::Blob { ttl_ms } = written.kept {
                let deadline = ttl_ms.map(|ttl_ms| event.stamp.plus_ttl(ttl_ms).lo_ms);
                self.put(written.content.value(), deadline);
            }
        }
    }

    fn put(&mut self, value: &Value, deadline: Option<i64>) {
        let data = canonical(value).into_bytes();
        let key = crate::canonical::blob_key(&data);
        let first_wins = self.defect == Defect::FirstDeadlineWins;
        let row = self.blobs.entry(key).or_insert((data, deadline));
        if !first_wins {
            row.1 = row.1.zip(deadline).map(|(old, new)| old.max(new));
        }
    }

    /// Replay: puts what the state refers to and what has not expired.
    pub(super) fn start(&mut self, id: &str) {
        let toy = self.toys.entry(id.to_owned()).or_insert_with(|| Toy::new(&entity_of(id).id));
        if std::mem::replace(&mut toy.is_started, true) || self.defect == Defect::DropsBlobsOnReplay
        {
            return;
        }
        for (value, deadline) in toy.references() {
            let is_expired = deadline.is_some_and(|ms| self.clock_ms >= ms);
            match self.defect {
                Defect::DeadlineFromNow => {
                    self.put(&value, deadline.map(|_| self.clock_ms + 3_600_000));
                }
                _ if !is_expired || self.defect == Defect::ResurrectsOnReplay => {
                    self.put(&value, deadline)
                }
                _ => {}
            }
        }
    }

    fn entity(&mut self, id: &str) -> Answer {
        Answer::Entity { status: 200, view: self.view(id) }
    }

    fn view(&mut self, id: &str) -> EntityView {
        self.start(id);
        let now_ms = self.clock_ms;
        let toy = self.toys[id].clone();
        let is_stale = std::mem::take(&mut self.is_stale) && toy.journal.len() > 1;
        let version = toy.journal.len() - usize::from(is_stale);
        let state = &toy.states[version];
        let mut view = EntityView { sequence_nr: version as u64, ..EntityView::default() };
        for (name, field) in &state.fields {
            let deadline = toy.deadline(name, state);
            let late = i64::from(self.defect == Defect::ExpiresLate);
            let is_expired = deadline.is_some_and(|ms| now_ms >= ms + late);
            if is_expired && self.defect != Defect::ReadsExpired {
                view.fields.insert(name.clone(), Value::Null);
                view.expired.insert(name.clone());
                continue;
            }
            let value = field.written.content.value();
            view.fields.insert(name.clone(), value.clone());
            if let (Kept::Blob { .. }, false) = (&field.written.kept, is_expired) {
                // A row that was swept before the clock was set back is put back.
                if !self.blobs.contains_key(field.written.content.key())
                    && self.defect != Defect::DropsBlobsOnReplay
                {
                    self.put(value, deadline);
                }
            }
        }
        view
    }

    fn history(&self, id: &str) -> Answer {
        let toy = &self.toys[id];
        let tell = |event: &Arc<Event>| {
            let mut params = Map::new();
            let mut expired = BTreeSet::new();
            for (name, content) in &event.params {
                let deadline = match event.writes.get(name).map(|written| &written.kept) {
                    Some(Kept::Blob { ttl_ms: Some(ttl) }) => {
                        Some(event.stamp.plus_ttl(*ttl).lo_ms)
                    }
                    _ => None,
                };
                let is_expired = deadline.is_some_and(|ms| self.clock_ms >= ms);
                params.insert(
                    name.clone(),
                    if is_expired { Value::Null } else { content.value().clone() },
                );
                if is_expired {
                    expired.insert(name.clone());
                }
            }
            HistoryEvent {
                sequence_nr: event.sequence_nr,
                action: event.action.clone(),
                from: event.from.clone(),
                to: event.to.clone(),
                timestamp_ms: event.stamp.lo_ms,
                params,
                expired,
            }
        };
        let events = toy.journal.iter().map(tell).collect();
        Answer::History(HistoryView { events, first_nr: 1, is_last: true })
    }

    pub(super) fn rows(&self) -> TenantRows {
        let key = entity_of;
        let mut rows = TenantRows { tenant: TENANT.into(), ..TenantRows::default() };
        for (id, toy) in &self.toys {
            rows.events.extend(toy.journal.iter().map(|event| self.row(id, event).into()));
        }
        for (blob_key, (data, expires_at_ms)) in &self.blobs {
            let (size_bytes, expires_at_ms) = (data.len() as u64, *expires_at_ms);
            let (key, data) = (blob_key.clone(), data.clone().into());
            rows.blobs.push(BlobRow { key, data, size_bytes, expires_at_ms });
        }
        for (id, nr) in &self.snapshots {
            rows.snapshots.push(SnapshotRow { entity: key(id), sequence_nr: *nr });
        }
        rows.outbox = self.outbox_rows();
        rows
    }

    fn row(&self, name: &str, event: &Event) -> EventRow {
        let value = |(name, content): (&String, &Arc<crate::canonical::Content>)| {
            (name.clone(), content.value().clone())
        };
        let mut params: Map<String, Value> = event.params.iter().map(value).collect();
        if self.defect == Defect::RewritesParams && event.action == "Configure" {
            params.insert("user_message".into(), json!(null));
        }
        let skips = self.defect == Defect::SkipsSequence && event.sequence_nr > 3;
        let mut kept = BTreeMap::new();
        for (name, written) in &event.writes {
            let row = match &written.kept {
                Kept::Inline
                    if self.defect == Defect::CeilingInclusive
                        && name == "user_message"
                        && written.content.size_bytes() == 1024 =>
                {
                    blob_of(written.content.key(), 1024, None)
                }
                Kept::Inline => KeptRow::Inline,
                Kept::Truncated { limit_bytes } => KeptRow::Truncated { limit_bytes: *limit_bytes },
                Kept::Blob { ttl_ms } => {
                    let deadline_ms = ttl_ms.map(|ttl| event.stamp.plus_ttl(ttl).lo_ms);
                    blob_of(written.content.key(), written.content.size_bytes(), deadline_ms)
                }
            };
            kept.insert(name.clone(), row);
        }
        EventRow {
            entity: entity_of(name),
            sequence_nr: event.sequence_nr + u64::from(skips),
            action: event.action.clone(),
            from: event.from.clone(),
            to: event.to.clone(),
            timestamp_ms: event.stamp.lo_ms,
            params,
            key: event.key.clone(),
            kept,
            ids: ids_of(event),
            intents: self.intent_rows(name, event),
        }
    }
}

impl Toy {
    fn new(id: &str) -> Self {
        Toy { journal: Vec::new(), states: vec![Arc::new(State::never(id))], is_started: false }
    }

    pub(super) fn state(&self) -> &Arc<State> {
        self.states.last().unwrap()
    }

    pub(super) fn append(&mut self, event: Arc<Event>, state: Arc<State>) {
        self.journal.push(event);
        self.states.push(state);
    }

    fn deadline(&self, name: &str, state: &State) -> Option<i64> {
        let field = &state.fields[name];
        match field.written.kept {
            Kept::Blob { ttl_ms: Some(ttl) } => {
                let event = &self.journal[field.sequence_nr as usize - 1];
                Some(event.stamp.plus_ttl(ttl).lo_ms)
            }
            _ => None,
        }
    }

    fn references(&self) -> Vec<(Value, Option<i64>)> {
        let state = self.state();
        let blobs =
            state.fields.iter().filter(|(_, f)| matches!(f.written.kept, Kept::Blob { .. }));
        let reference = |(name, field): (&String, &crate::entity::Field)| {
            (field.written.content.value().clone(), self.deadline(name, state))
        };
        blobs.map(reference).collect()
    }
}

fn blob_of(key: &str, size_bytes: u64, deadline_ms: Option<i64>) -> KeptRow {
    KeptRow::Blob { key: key.to_owned(), size_bytes, deadline_ms }
}

pub(super) fn error(status: u16, code: &str) -> Answer {
    Answer::Error { status, code: code.to_owned() }
}

pub(super) fn unavailable() -> Answer {
    error(503, "Unavailable")
}
