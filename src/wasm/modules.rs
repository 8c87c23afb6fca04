//! The engine, and the modules that integrations name, compiled once and shared by every start.
//!
//! **Invariant:** a module that cannot run is kept with the reason, and so ends its triggers with
//! `error = "module"`; it never keeps a platform from starting.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use wasmtime::{
    Config, Engine, ExternType, InstanceAllocationStrategy, InstancePre, Module,
    PoolingAllocationConfig, ValType,
};

use super::host::{self, Guest};

/// The largest module in bytes.
pub const MODULE_MAX: usize = 10 * 1024 * 1024;

/// The most memory that a guest can be given, in bytes.
pub const MEMORY_MAX: u64 = 256 * 1024 * 1024;

/// Runs at the same time, of all platforms that share the modules: each has a slot of the pool.
const SLOTS: u32 = 64;

/// A guest's own stack; what is left of the fiber's is for host functions.
const WASM_STACK_BYTES: usize = 512 * 1024;
const FIBER_STACK_BYTES: usize = 2 * 1024 * 1024;

/// What one run of a module may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestLimits {
    /// Fuel, roughly one for each instruction.
    pub fuel: u64,
    /// Fuel between two moments at which time is looked at and others may run.
    pub slice_fuel: u64,
    /// Linear memory, at most [`MEMORY_MAX`].
    pub memory_bytes: u64,
}

impl Default for GuestLimits {
    fn default() -> Self {
        Self { fuel: 1_000_000_000, slice_fuel: 10_000_000, memory_bytes: 64 * 1024 * 1024 }
    }
}

/// Modules that were read, usable or not. Clones are the same modules.
#[derive(Clone, Default)]
pub struct Modules(Option<Arc<Read>>);

struct Read {
    engine: OnceLock<Engine>,
    modules: BTreeMap<String, Held>,
    slots: Arc<Semaphore>,
}

/// A module as it was read, and compiled when it is first asked for: most starts need few of them.
struct Held {
    bytes: Vec<u8>,
    compiled: OnceLock<Result<InstancePre<Guest>, String>>,
}

impl Read {
    fn engine(&self) -> &Engine {
        let made = || Engine::new(&settings()).expect("these settings go together");
        self.engine.get_or_init(made)
    }

    fn compiled<'a>(&self, name: &str, held: &'a Held) -> Result<&'a InstancePre<Guest>, &'a str> {
        let compiled = held.compiled.get_or_init(|| {
            let module = compile(self.engine(), &held.bytes);
            if let Err(reason) = &module {
                tracing::warn!(module = name, reason, "module cannot be run");
            }
            module
        });
        compiled.as_ref().map_err(String::as_str)
    }
}

impl Modules {
    /// Takes modules, each under the name that integrations call it by, to be compiled when they are
    /// first needed, once. Of two with one name the last counts.
    pub fn read(modules: &[(String, Vec<u8>)]) -> Self {
        if modules.is_empty() {
            return Self::default();
        }
        let held = |bytes: &Vec<u8>| Held { bytes: bytes.clone(), compiled: OnceLock::new() };
        let modules = modules.iter().map(|(name, bytes)| (name.clone(), held(bytes))).collect();
        let slots = Arc::new(Semaphore::new(SLOTS as usize));
        Self(Some(Arc::new(Read { engine: OnceLock::new(), modules, slots })))
    }

    /// Every name, with the reason for which its module cannot be run. Compiles each that is not yet.
    pub fn names(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().flat_map(|read| {
            let reason = |name, held| read.compiled(name, held).err();
            read.modules.iter().map(move |(name, held)| (name.as_str(), reason(name, held)))
        })
    }

    /// A module that can run.
    pub(super) fn module(&self, name: &str) -> Result<Usable<'_>, &str> {
        let read = self.0.as_ref().ok_or("there are no modules")?;
        let held = read.modules.get(name).ok_or("there is no such module")?;
        let module = read.compiled(name, held)?;
        Ok(Usable { engine: read.engine(), module, slots: &read.slots })
    }
}

impl fmt::Debug for Modules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().flat_map(|read| read.modules.keys());
        formatter.debug_set().entries(names).finish()
    }
}

/// A module and what its runs need.
pub(super) struct Usable<'a> {
    pub engine: &'a Engine,
    pub module: &'a InstancePre<Guest>,
    pub slots: &'a Arc<Semaphore>,
}

/// The same everywhere. Faults of a guest are found by checks in its code, not by signals: handlers
/// belong to the whole process, which also has a harness's or an embedder's own.
fn settings() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(SLOTS)
        .total_memories(SLOTS)
        .total_tables(SLOTS)
        .total_stacks(SLOTS)
        .max_memories_per_module(1)
        .max_tables_per_module(1)
        .table_elements(10_000)
        .max_memory_size(MEMORY_MAX as usize)
        .max_unused_warm_slots(4);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(MEMORY_MAX)
        .memory_guard_size(0)
        .guard_before_linear_memory(false)
        .signals_based_traps(false)
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES);
    config
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<InstancePre<Guest>, String> {
    if bytes.len() > MODULE_MAX {
        return Err(format!("it has {} bytes, more than {MODULE_MAX}", bytes.len()));
    }
    let module = Module::new(engine, bytes).map_err(|error| format!("{error:#}"))?;
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err("it exports no memory `memory`".to_owned());
    }
    let is_run = |export: ExternType| {
        let ExternType::Func(run) = export else { return false };
        run.params().all(|kind| matches!(kind, ValType::I32))
            && run.results().all(|kind| matches!(kind, ValType::I32))
            && (run.params().len(), run.results().len()) == (2, 1)
    };
    if !module.get_export("run").is_some_and(is_run) {
        return Err("it exports no function `run` from two i32 to one".to_owned());
    }
    host::linker(engine).instantiate_pre(&module).map_err(|error| format!("{error:#}"))
}
