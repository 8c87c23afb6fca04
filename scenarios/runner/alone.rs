//! Steps that are no requests: time, crashes, restarts, rot.
//!
//! **Invariant:** one stands in a group of its own; what it does to the disk or the clock the judge knows before
//! anything is asked again.

use super::Run;
use crate::check::Going;
use crate::counts;
use crate::damage::{self, Hit, Rot};
use crate::patience::bounded;
use crate::plan::{Action, Step, tenant_name};
use crate::server::Server;
use std::collections::BTreeMap;
use stormglass_model::entity::EntityKey;
use stormglass_sim::Ending;

impl Run<'_> {
    /// A step that is not sent to the server.
    pub(super) async fn alone(&mut self, step: &Step) -> Going {
        match &step.action {
            Action::Wait { ms } => {
                self.story.step(step, "");
                self.pass(*ms).await?;
            }
            Action::StepClock { by_ms } => {
                self.judge.clock();
                self.world.step_clock(*by_ms);
                self.judge.clock_stepped();
                self.stand(&BTreeMap::new());
                self.story.step(step, "");
            }
            Action::Crash { ending } => self.end_boot(ending),
            Action::Checkpoint { tenant } => {
                self.world.enter(&format!("step {}", step.id));
                let done = match &self.server {
                    Some(server) => damage::checkpoint(self.world, server.boot(), *tenant).await,
                    None => false,
                };
                self.story.step(step, if done { "" } else { "nothing done" });
            }
            Action::Rot { tenant, rot } => self.rot(step, *tenant, rot),
            Action::Reconfigure { change } => {
                self.announced.push(change.clone());
                self.tally.count(&counts::change(change.kind()));
                self.story.step(step, "");
            }
            Action::Restart => {
                if let Some(connection) = self.server.as_ref().map(Server::connection) {
                    let open = BTreeMap::from([(step.id, (step, None))]);
                    let stops = async { Some(connection.shutdown().await) };
                    let has_stopped = self.in_time(stops, &open).await?.unwrap_or(false);
                    self.story.step(step, if has_stopped { "stopped" } else { "lost" });
                    self.was_stopped = has_stopped && self.world.is_running();
                }
                self.end_boot(&Ending::ProcessKill);
            }
            _ => {}
        }
        Ok(())
    }

    /// Flips bits at rest, and has the judge know what was hit.
    fn rot(&mut self, step: &Step, tenant: u32, rot: &Rot) {
        self.judge.note_damage();
        match damage::strike(self.world, &tenant_name(tenant), rot) {
            Hit::Nothing => self.story.step(step, "nothing there"),
            Hit::File => {
                self.tally.count(&counts::rotten("file"));
                self.judge.note_damage();
                self.story.step(step, "in a file");
            }
            Hit::Row(entities) => {
                let ids: Vec<String> = entities.iter().map(EntityKey::to_string).collect();
                self.tally.count(&counts::rotten(rot.place.name()));
                self.judge.row_damaged(tenant, entities);
                self.story.step(step, &format!("in a row of {}", ids.join(", ")));
            }
        }
    }

    /// Lets time pass: every timer up to its end is met.
    pub(super) async fn pass(&mut self, ms: i64) -> Going {
        let clock = self.world.clock();
        clock.set_horizon(clock.monotonic_ms() + ms);
        let passed = async {
            clock.sleep(ms).await;
            self.points.quiet().await;
        };
        bounded(&self.judge, passed).await?;
        clock.set_horizon(clock.monotonic_ms());
        Ok(())
    }
}
