//! Requests of a group, and what comes of each.
//!
//! **Invariant:** whoever asked is answered, lost with its boot, or late, which the judge is told; nothing is
//! waited for without a bound.

use super::{ASIDE, Run, aside};
use crate::check::{Going, PROGRESS_MS, Stop};
use crate::counts;
use crate::patience::{bounded, unless};
use crate::plan::{Action, Step};
use crate::server::{Said, Server, ask};
use crate::translate;
use std::collections::BTreeMap;
use stormglass_model::entity::OpId;
use tokio::sync::mpsc;

impl Run<'_> {
    /// Sends a group of requests at once. Whoever is told 5xx for a write asks the journal what became
    /// of it, as a careful client does.
    pub(super) async fn send(&mut self, group: &[Step]) -> Going {
        for (step, _) in self.exchange(group).await? {
            if let Some(who) = step.action.who().filter(|_| step.action.is_write()) {
                self.exchange(&[aside(Action::History { who, page: None })]).await?;
            }
        }
        Ok(())
    }

    /// Sends requests and waits until each is answered or lost; returns those that were answered 5xx.
    pub(super) async fn exchange(&mut self, group: &[Step]) -> Result<Vec<(Step, String)>, Stop> {
        let mut doubtful = Vec::new();
        let Some(connection) = self.server.as_ref().map(Server::connection) else {
            return Ok(doubtful);
        };
        let (results, mut answers) = mpsc::unbounded_channel();
        let mut open: BTreeMap<u32, (&Step, Option<OpId>)> = BTreeMap::new();
        self.judge.sending(group);
        for step in group {
            open.insert(step.id, (step, self.judge.sent(step)));
            self.world.request(format!("client {}", step.client), translate::brief(step));
            let (connection, results, step) = (connection.clone(), results.clone(), step.clone());
            let sets = self.judge.sets().clone();
            madsim::task::spawn(async move {
                let said = ask(&connection, &step, &sets).await;
                let _ = results.send((step.id, said));
            });
        }
        drop(results);
        self.stand(&open);
        self.points.let_time_overtake(self.overtaking_percent);
        while let Some((id, said)) = self.in_time(answers.recv(), &open).await? {
            let Some((step, op)) = open.remove(&id) else { continue };
            if matches!(&said, Said::Answer(answer) if answer.status >= 500) {
                doubtful.push((step.clone(), said.in_full()));
            }
            self.answered(step, op, &said)?;
            self.stand(&open);
        }
        self.points.let_time_overtake(0);
        self.judge.bounded()?;
        Ok(doubtful)
    }

    /// Waits for an answer as long as faults strike, and for the time in which it must come after the
    /// last one.
    pub(super) async fn in_time<T>(
        &mut self,
        answer: impl Future<Output = Option<T>>,
        open: &BTreeMap<u32, (&Step, Option<OpId>)>,
    ) -> Result<Option<T>, Stop> {
        let mut answer = std::pin::pin!(answer);
        let clock = self.world.clock();
        loop {
            let fault_count = self.judge.fault_count();
            clock.set_horizon(clock.monotonic_ms() + PROGRESS_MS);
            let wait = unless(answer.as_mut(), clock.sleep(PROGRESS_MS));
            let answered = bounded(&self.judge, wait).await?;
            clock.set_horizon(clock.monotonic_ms());
            if let Some(answered) = answered {
                return Ok(answered);
            }
            if self.judge.fault_count() == fault_count {
                let waiting: Vec<String> =
                    open.values().map(|(step, _)| translate::brief(step)).collect();
                self.judge.hangs(&waiting.join(", "))?;
                return Ok(None);
            }
        }
    }

    /// Tells the story of faults that have struck since the last call.
    pub(super) fn tell_strikes(&mut self) {
        for strike in self.world.first_strikes().split_off(self.told_strikes) {
            self.told_strikes += 1;
            if let Some(fault) = self.plan.faults.get(strike.fault) {
                self.story.fault(fault, &strike);
            }
        }
    }

    fn answered(&mut self, step: &Step, op: Option<OpId>, said: &Said) -> Going {
        self.tell_strikes();
        self.tell_guests();
        let words = said.in_words();
        self.world.answer(format!("client {}", step.client), words.as_str());
        self.tally.count(&counts::answer(words.split(' ').next().unwrap_or_default()));
        if let Said::Answer(answer) = said {
            self.tally.answered(step, answer);
        }
        if let Some(joining) = &mut self.joining {
            joining.answered(step, said);
        } else if step.id != ASIDE {
            self.follower.answered(step, said);
        }
        // The runner's own reads are many: they are told when they fail.
        if step.id != ASIDE || !matches!(said, Said::Answer(answer) if answer.status < 500) {
            self.story.step(step, &said.in_story());
        }
        match (op, said) {
            (_, Said::Odd(why)) => self.judge.odd(step, why),
            (None, Said::Answer(answer)) => self.judge.refused(step, answer),
            (Some(op), Said::Answer(answer)) => {
                if step.id == ASIDE && !step.action.is_write() {
                    self.last_read.push((step.clone(), answer.clone()));
                }
                self.judge.answered(step, op, answer)
            }
            (Some(op), _) => {
                self.judge.lost(op);
                Ok(())
            }
            (None, Said::Swept(said)) => {
                self.judge.swept(Some(said));
                Ok(())
            }
            (None, _) => {
                self.judge.swept(None);
                Ok(())
            }
        }
    }
}
