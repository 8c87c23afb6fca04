//! The end of a run: faults stop, everything is visited, and the store is recovered once more.
//!
//! **Invariant:** nothing here depends on what the steps were: every run ends in the same way. A crash that a plan
//! has in it cuts it off, and it begins anew. It ends at rest (I16):
//! every request has its end, every entity is read and written, nothing is owed but what lies in the future, and
//! no row is left that the sweeper had the time to take. Each wait is bounded: by minutes, and by two days and
//! an interval for the sweeper.

use super::{CHECK, Run, aside};
use crate::check::{Going, PROGRESS_MS, Stop};
use crate::counts;
use crate::patience::unless;
use crate::plan::Action;
use crate::recipe::Recipe;
use crate::server::Server;
use stormglass_sim::Ending;

/// What the scopes of the end are parts of: `end 1`, and when a crash has cut that off `end 2`.
const END: &str = "end";
/// Minutes after which nothing may be owed any more but what lies in the future.
const REST_MINUTES_MAX: u32 = 10;

/// What the runner does with every entity after the last step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// As soon as faults have stopped: what is answered then may still be 503.
    FirstReads,
    /// A minute later.
    ReadsAndWrites,
    /// After a last kill.
    LastReads,
}

impl Run<'_> {
    /// Faults stop; everything must answer, and a recovered store must have the same rows.
    pub(super) async fn finish(&mut self) -> Going {
        self.step_kind = CHECK;
        self.moved = self.world.idle_faults();
        // What is compared at the end must not depend on when an idle actor goes.
        self.overtaking_percent = 0;
        self.world.leave_crashes_of(END);
        let to_come = self.world.idle_faults();
        self.moved.retain(|fault| !to_come.contains(fault));
        self.tally.phases.guests().limit_no_more();
        self.world.set_quota(None);
        loop {
            self.end_count += 1;
            self.world.enter_whole(&format!("{END} {}", self.end_count));
            self.crashes_before = self.world.crash_count();
            match self.come_to_an_end().await {
                Err(Stop::CutOff) if self.server.is_some() => self.settle().await?,
                Err(Stop::CutOff) => {}
                ended => {
                    self.moved.extend(self.world.idle_faults());
                    return ended;
                }
            }
        }
    }

    async fn come_to_an_end(&mut self) -> Going {
        self.story.tell("check", "faults stop; every entity is read");
        self.visit_everything(Visit::FirstReads).await?;
        self.pass_a_minute().await?;
        self.join().await?;
        self.story.tell("check", "a minute later every entity is read and written");
        self.visit_everything(Visit::ReadsAndWrites).await?;
        if let Some([ahead_ms, swept_ms]) = self.judge.until_swept().await {
            self.story.tell("check", "rows expire and are swept");
            self.pass_whole(ahead_ms).await?;
            let began_ms = self.world.clock().now_utc_ms();
            self.pass_whole(swept_ms).await?;
            self.judge.has_caught_up(began_ms)?;
        }
        self.come_to_rest().await?;
        self.join().await?;
        let (before, is_settled) = (self.judge.rows(), self.judge.is_settled());
        self.end_boot(&Ending::ProcessKill);
        self.crashes_before += 1;
        self.settle().await?;
        self.story.tell("check", "after a last kill every entity is read, rows are compared");
        self.visit_everything(Visit::LastReads).await?;
        self.follower.last_read(&self.last_read);
        if is_settled {
            self.judge.same(&before, &self.judge.rows())?;
        }
        let config = self.config()?;
        self.judge.replays_alike(&self.points, config, &self.last_read).await
    }

    /// What has come due since has its minute as well, and so has what that leaves to be done: until nothing is
    /// owed but what lies in the future (I16).
    async fn come_to_rest(&mut self) -> Going {
        for _ in 0..REST_MINUTES_MAX {
            if !self.judge.is_due().await {
                return Ok(());
            }
            self.pass_a_minute().await?;
        }
        if self.judge.is_due().await {
            self.tally.count(counts::NEVER_AT_REST);
            // Specs of others may make of each end a beginning; only the workload's are known to come to one.
            if self.plan.specs.is_none() {
                return self.judge.never_at_rest();
            }
        }
        Ok(())
    }

    /// A minute without faults, in which all is done that was due when it began (I15).
    async fn pass_a_minute(&mut self) -> Going {
        let began_ms = self.world.clock().now_utc_ms();
        self.pass_whole(PROGRESS_MS).await?;
        self.judge.overdue(began_ms)
    }

    /// Lets time pass, as long as the server runs, and has the judge look.
    async fn pass_whole(&mut self, ms: i64) -> Going {
        let Some(boot) = self.server.as_ref().map(|server| Server::boot(server).clone()) else {
            return Err(Stop::CutOff);
        };
        let passed = unless(self.pass(ms), boot.ended()).await;
        let clock = self.world.clock();
        clock.set_horizon(clock.monotonic_ms());
        passed.unwrap_or(Ok(()))?;
        self.settle().await?;
        self.whole()
    }

    /// Whether nothing has cut the end off.
    fn whole(&self) -> Going {
        if self.world.crash_count() > self.crashes_before { Err(Stop::CutOff) } else { Ok(()) }
    }

    /// Reads every entity that was ever asked for; a write shows whether its actor and its journal
    /// still agree. Histories come from the journal alone: they are read once, at the end.
    async fn visit_everything(&mut self, visit: Visit) -> Going {
        self.be_up().await?;
        self.whole()?;
        self.last_read.clear();
        self.join().await?;
        for who in self.judge.visited().await {
            let values = vec![("colour".to_string(), Recipe::Words("grey".to_string()))];
            let more = match visit {
                Visit::FirstReads => None,
                Visit::ReadsAndWrites => Some(Action::Patch { who, values }),
                Visit::LastReads => Some(Action::History { who, page: None }),
            };
            for action in [Action::Get { who }].into_iter().chain(more) {
                let step = aside(action);
                let doubtful = self.exchange(std::slice::from_ref(&step)).await?;
                self.whole()?;
                if visit != Visit::FirstReads
                    && let Some((_, said)) = doubtful.first()
                {
                    self.judge.unavailable(&step, said)?;
                }
            }
            self.join().await?;
        }
        self.settle().await?;
        self.whole()?;
        if visit == Visit::FirstReads {
            self.first_reads_are_over();
        }
        Ok(())
    }
}
