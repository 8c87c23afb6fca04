//! The functions that a guest may call, and what the host knows of a running guest.
//!
//! **Invariant:** every pointer and length that a guest gives is checked against its memory before a
//! byte moves; a wrong one is answered -3 and nothing is written. Every call is a point, and a
//! moment at which time is looked at.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::{Caller, Engine, Linker, ResourceLimiter};

use crate::defect;
use crate::seams::{GuestRun, Point, Seams, Usage};
use crate::store::EntityKey;

/// No such field.
const NO_SUCH_FIELD: i32 = -1;
/// The field's value cannot be had.
const NOT_RESOLVABLE: i32 = -2;
/// A pointer outside memory, a negative length, or a name that is no UTF-8.
const INVALID: i32 = -3;
/// The field's reference is expired.
const EXPIRED: i32 = -4;

/// What `host_read_field` says of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Readable {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It was expired when the run began.
    Expired,
    /// Neither its row nor the journal has it.
    Lost,
}

/// What a run is for, shared by the host functions and whoever drives the run.
pub(super) struct Errand {
    pub seams: Seams,
    pub tenant: String,
    pub entity: String,
    pub origin: String,
    /// The run, as [`GuestRun`] names it.
    pub of: (EntityKey, u64, String),
    /// What it may use in all.
    pub fuel: u64,
    /// The reading of the monotonic clock at which its time is over.
    pub deadline_ms: u64,
    /// What `host_get_context` gives.
    pub context: Vec<u8>,
    /// What `host_read_field` knows: the invocation's blob cache is in it.
    pub fields: BTreeMap<String, Readable>,
    /// Whether the guest waits in a host function, rather than at the end of a slice.
    pub in_call: AtomicBool,
}

impl Errand {
    pub async fn reach(&self, label: &'static str) {
        let Self { tenant, entity, origin, .. } = self;
        self.seams.points.reach(Point { label, tenant, entity, origin }).await;
    }

    /// The run, as its seam knows it.
    pub fn run(&self) -> GuestRun<'_> {
        let (EntityKey { entity_type, entity_id }, sequence_nr, integration) = &self.of;
        let (tenant, origin, sequence_nr) = (&self.tenant, &self.origin, *sequence_nr);
        GuestRun { tenant, entity_type, entity_id, sequence_nr, integration, origin }
    }

    /// Tells how much fuel is used when so much is left.
    pub fn tell(&self, left: wasmtime::Result<u64>, at: Usage) {
        let used = self.fuel.saturating_sub(left.unwrap_or(0));
        self.seams.points.guest_used(self.run(), used, at);
    }

    pub fn is_late(&self) -> bool {
        self.seams.clock.monotonic_ms() >= self.deadline_ms
    }
}

/// Why the host ended a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Memory,
    Late,
}

/// The host's side of one instance.
pub(super) struct Guest {
    pub errand: Arc<Errand>,
    pub memory_bytes: u64,
    pub result: Option<Vec<u8>>,
    pub ended: Option<Ended>,
}

/// Growth fails by rule, never by what the machine happens to have.
impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired as u64 <= self.memory_bytes {
            return Ok(true);
        }
        self.ended = Some(Ended::Memory);
        Err(wasmtime::Error::msg("the guest asked for more memory than it may have"))
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}

/// The functions of module `env`.
pub(super) fn linker(engine: &Engine) -> Linker<Guest> {
    let mut linker = Linker::new(engine);
    let defined = linker
        .func_wrap_async("env", "host_get_context", |guest, (pointer, length): (i32, i32)| {
            Box::new(called(guest, move |guest| {
                let context = Arc::clone(&guest.data().errand);
                write_whole(guest, &context.context, (pointer, length))
            }))
        })
        .and_then(|linker| {
            linker.func_wrap_async("env", "host_set_result", |guest, place: (i32, i32)| {
                Box::new(called(guest, move |guest| set_result(guest, place)))
            })
        })
        .and_then(|linker| {
            linker.func_wrap_async(
                "env",
                "host_log",
                |guest, (level, pointer, length): (i32, i32, i32)| {
                    Box::new(called(guest, move |guest| log(guest, level, (pointer, length))))
                },
            )
        })
        .and_then(|linker| {
            linker.func_wrap_async(
                "env",
                "host_read_field",
                |guest, (name, name_length, buffer, length): (i32, i32, i32, i32)| {
                    Box::new(called(guest, move |guest| {
                        read_field(guest, (name, name_length), (buffer, length))
                    }))
                },
            )
        });
    defined.expect("each name is defined once");
    linker
}

/// One host call: a point first, then a look at the time, then what it does.
async fn called(
    mut guest: Caller<'_, Guest>,
    work: impl FnOnce(&mut Caller<'_, Guest>) -> i32 + Send,
) -> wasmtime::Result<i32> {
    let errand = Arc::clone(&guest.data().errand);
    errand.tell(guest.get_fuel(), Usage::Call);
    errand.in_call.store(true, Ordering::Relaxed);
    errand.reach("guest.call").await;
    errand.in_call.store(false, Ordering::Relaxed);
    if errand.is_late() {
        guest.data_mut().ended = Some(Ended::Late);
        return Err(wasmtime::Error::msg("the guest took too long"));
    }
    Ok(work(&mut guest))
}

/// The guest's memory at a pointer and length of its own; nothing where they are wrong.
fn memory<'a>(
    guest: &'a mut Caller<'_, Guest>,
    (pointer, length): (i32, i32),
) -> Option<&'a mut [u8]> {
    // A pointer is an unsigned number that WebAssembly hands over as a signed one.
    let start = usize::try_from(u32::from_ne_bytes(pointer.to_ne_bytes())).ok()?;
    let range: Range<usize> = start..start.checked_add(usize::try_from(length).ok()?)?;
    let memory = guest.get_export("memory")?.into_memory()?;
    memory.data_mut(guest).get_mut(range)
}

/// Writes a value into a buffer that holds it whole, else tells the size that would.
fn write_whole(guest: &mut Caller<'_, Guest>, value: &[u8], place: (i32, i32)) -> i32 {
    let Some(buffer) = memory(guest, place) else { return INVALID };
    let Ok(size) = i32::try_from(value.len()) else { return NOT_RESOLVABLE };
    if let Some(buffer) = buffer.get_mut(..value.len()) {
        buffer.copy_from_slice(value);
    }
    size
}

fn set_result(guest: &mut Caller<'_, Guest>, place: (i32, i32)) -> i32 {
    let Some(result) = memory(guest, place).map(|bytes| bytes.to_vec()) else { return INVALID };
    guest.data_mut().result = Some(result);
    0
}

fn log(guest: &mut Caller<'_, Guest>, level: i32, place: (i32, i32)) -> i32 {
    let errand = Arc::clone(&guest.data().errand);
    let Some(bytes) = memory(guest, place) else { return INVALID };
    let Ok(message) = std::str::from_utf8(bytes) else { return INVALID };
    let entity = errand.entity.as_str();
    match level {
        0 => tracing::error!(target: "guest", entity, message),
        1 => tracing::warn!(target: "guest", entity, message),
        2 => tracing::info!(target: "guest", entity, message),
        3 => tracing::debug!(target: "guest", entity, message),
        _ => return INVALID,
    }
    0
}

fn read_field(guest: &mut Caller<'_, Guest>, name: (i32, i32), buffer: (i32, i32)) -> i32 {
    let errand = Arc::clone(&guest.data().errand);
    let Some(name) = memory(guest, name).map(|bytes| bytes.to_vec()) else { return INVALID };
    let Ok(name) = String::from_utf8(name) else { return INVALID };
    if memory(guest, buffer).is_none() {
        return INVALID;
    }
    match errand.fields.get(&name) {
        None => NO_SUCH_FIELD,
        Some(Readable::Expired) => EXPIRED,
        Some(Readable::Lost) => NOT_RESOLVABLE,
        Some(Readable::Bytes(value)) => {
            if defect!("guest-off-by-one") && usize::try_from(buffer.1) == Ok(value.len()) {
                return buffer.1;
            }
            write_whole(guest, value, buffer)
        }
    }
}
