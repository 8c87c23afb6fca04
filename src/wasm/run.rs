//! One run of a module: an instance from the pool, driven slice by slice.
//!
//! **Invariant:** between two slices, and at each host call, others may run and time is looked at; a
//! run that is dropped there is gone without a trace.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use wasmtime::{Store, Trap};

use super::context;
use super::host::{Ended, Errand, Guest};
use super::modules::Usable;
use super::outcome::{Failure, Outcome};
use crate::entity::{EntityState, Recalled};
use crate::probe;
use crate::seams::Usage;
use crate::spec::Integration;
use crate::store::EntityKey;
use crate::tenant::Tenant;

/// A run whose time has begun.
pub(crate) struct Run<'a> {
    tenant: &'a Tenant,
    integration: &'a Integration,
    origin: &'a str,
    deadline_ms: u64,
}

impl<'a> Run<'a> {
    /// Begins the time that the integration allows; getting the state ready is part of it.
    pub fn begin(tenant: &'a Tenant, integration: &'a Integration, origin: &'a str) -> Self {
        let now_ms = tenant.core.seams.clock.monotonic_ms();
        let allowed_ms = integration.timeout_secs.saturating_mul(1000);
        Self { tenant, integration, origin, deadline_ms: now_ms.saturating_add(allowed_ms) }
    }

    /// Runs the integration's module for the event that triggered it.
    pub async fn run(self, recalled: Recalled) -> Outcome {
        let core = &self.tenant.core;
        let module = match core.modules.module(&self.integration.module) {
            Ok(module) => module,
            Err(reason) => {
                tracing::warn!(module = self.integration.module, reason, "module cannot be run");
                return Outcome::Failure(Failure::Module);
            }
        };
        // A slot is given back when the instance is gone, so it is dropped after it.
        let _slot = Arc::clone(module.slots).acquire_owned().await.expect("nobody closes it");
        let entity = format!("{}('{}')", recalled.state.entity_type, recalled.state.entity_id);
        let tenant = &self.tenant.name;
        let EntityState { entity_type, entity_id, sequence_nr, .. } = &recalled.state;
        let key = EntityKey { entity_type: entity_type.clone(), entity_id: entity_id.clone() };
        let of = (key, *sequence_nr, self.integration.name.clone());
        let (context, fields) = context::prepare(tenant, self.integration, recalled);
        let mut errand = Errand {
            seams: core.seams.clone(),
            tenant: tenant.clone(),
            entity,
            origin: self.origin.to_owned(),
            of,
            fuel: core.guests.fuel,
            deadline_ms: self.deadline_ms,
            context,
            fields,
            in_call: AtomicBool::new(false),
        };
        let given = core.seams.points.guest_fuel(errand.run());
        errand.fuel = given.unwrap_or(errand.fuel).min(errand.fuel);
        let errand = Arc::new(errand);
        errand.reach("guest.start").await;
        let outcome = if errand.is_late() {
            Outcome::Failure(Failure::Timeout)
        } else {
            self.drive(&module, &errand).await
        };
        errand.reach("guest.end").await;
        let outcome = match outcome {
            _ if errand.is_late() => Outcome::Failure(Failure::Timeout),
            outcome => outcome,
        };
        count(&outcome);
        outcome
    }

    /// Calls the guest, and comes by a point whenever a slice of its fuel is used up.
    async fn drive(&self, module: &Usable<'_>, errand: &Arc<Errand>) -> Outcome {
        let limits = self.tenant.core.guests;
        let guest = Guest {
            errand: Arc::clone(errand),
            memory_bytes: limits.memory_bytes,
            result: None,
            ended: None,
        };
        let mut store = Store::new(module.engine, guest);
        store.limiter(|guest| guest);
        store.set_fuel(errand.fuel).expect("the engine counts fuel");
        let sliced = store.fuel_async_yield_interval(Some(limits.slice_fuel));
        sliced.expect("a slice is not 0");
        let length = i32::try_from(errand.context.len()).unwrap_or(i32::MAX);
        let ended = {
            let mut call = pin!(async {
                let instance = module.module.instantiate_async(&mut store).await?;
                let run = instance.get_typed_func::<(i32, i32), i32>(&mut store, "run")?;
                run.call_async(&mut store, (0, length)).await
            });
            loop {
                let slice = poll_fn(|task| match call.as_mut().poll(task) {
                    Poll::Ready(ended) => Poll::Ready(Some(ended)),
                    // In a host function the guest waits for what it asked for.
                    Poll::Pending if errand.in_call.load(Ordering::Relaxed) => Poll::Pending,
                    Poll::Pending => Poll::Ready(None),
                });
                if let Some(ended) = slice.await {
                    break Some(ended);
                }
                give_way().await;
                errand.reach("guest.slice").await;
                if errand.is_late() {
                    break None;
                }
            }
        };
        let Some(ended) = ended else { return Outcome::Failure(Failure::Timeout) };
        let outcome = self.outcome(ended, store.data());
        let is_used_up = matches!(outcome, Outcome::Failure(Failure::Fuel));
        errand.tell(store.get_fuel(), if is_used_up { Usage::UsedUp } else { Usage::End });
        outcome
    }

    fn outcome(&self, ended: wasmtime::Result<i32>, guest: &Guest) -> Outcome {
        let error = match ended {
            Ok(0) => return Outcome::of_result(guest.result.as_deref()),
            Ok(_) => return Outcome::Failure(Failure::Result),
            Err(error) => error,
        };
        let (module, entity) = (self.integration.module.as_str(), guest.errand.entity.as_str());
        let reason = format!("{error:#}");
        tracing::warn!(module, entity, reason, "guest was ended");
        Outcome::Failure(match (guest.ended, error.downcast_ref::<Trap>()) {
            (Some(Ended::Memory), _) => Failure::Memory,
            (Some(Ended::Late), _) => Failure::Timeout,
            (None, Some(Trap::OutOfFuel)) => Failure::Fuel,
            (None, _) => Failure::Trap,
        })
    }
}

/// Lets the executor's other tasks run, also where points hold nobody up.
async fn give_way() {
    let mut is_given = false;
    poll_fn(|task| {
        if std::mem::replace(&mut is_given, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn count(outcome: &Outcome) {
    probe!("a guest ran");
    match outcome {
        Outcome::Failure(Failure::Trap) => {
            probe!("a guest trapped");
        }
        Outcome::Failure(Failure::Fuel) => {
            probe!("a guest ran out of fuel");
        }
        Outcome::Failure(Failure::Memory) => {
            probe!("a guest hit its memory limit");
        }
        Outcome::Failure(Failure::Timeout) => {
            probe!("a guest took too long");
        }
        Outcome::Failure(Failure::Result) => {
            probe!("a guest gave an invalid result");
        }
        _ => {}
    }
}
