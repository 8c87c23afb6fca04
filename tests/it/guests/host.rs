//! A plain host, written from section 9 of the contract and apart from the platform's: what a guest is given, what it
//! answers, and how it ends.
//!
//! **Invariant:** without a [`Wrong`] it answers as the contract says, to the byte. A guest that is to notice a wrong host
//! is shown one.

use std::collections::BTreeMap;
use std::ops::Range;
use wasmtime::{
    Caller, Config, Engine, Extern, Linker, Module, Store, StoreLimits, StoreLimitsBuilder, Trap,
};

const FUEL_MAX: u64 = 1_000_000_000;
const MEMORY_MAX_BYTES: usize = 64 << 20;
const REFUSED: i32 = -3;

/// A mistake that a host could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A buffer that is exactly as long as the value counts as too short.
    ExactIsShort,
    /// A buffer that is too short is filled as far as it goes.
    ShortIsFilled,
    /// The end of a range is not looked at, only its beginning.
    EndUnchecked,
    /// A negative length is taken for none.
    NegativeIsEmpty,
    /// Text is mended until it is UTF-8.
    TextIsMended,
}

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// `run` returned this number.
    Returned(i32),
    /// The guest trapped.
    Trapped(Trap),
}

/// A guest's end, its results and lines in order, and the fuel that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    pub end: End,
    pub results: Vec<String>,
    pub lines: Vec<String>,
    pub fuel: u64,
}

impl Ran {
    /// The result that counts, if `run` returned 0.
    pub fn result(&self) -> &str {
        assert_eq!(self.end, End::Returned(0));
        self.results.last().map_or("", String::as_str)
    }
}

/// What one invocation is given.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub context: String,
    pub fields: BTreeMap<String, Result<String, i32>>,
    pub wrong: Option<Wrong>,
}

struct Invocation {
    given: Given,
    results: Vec<String>,
    lines: Vec<String>,
    limits: StoreLimits,
}

/// A compiled guest.
pub struct Guest {
    engine: Engine,
    pub module: Module,
}

impl Guest {
    /// The committed module of this name.
    pub fn committed(name: &str) -> Guest {
        let path = format!("{}/../sdk/wasm/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
        let engine = Engine::new(Config::new().consume_fuel(true)).unwrap();
        let module = Module::new(&engine, std::fs::read(path).unwrap()).unwrap();
        Guest { engine, module }
    }

    /// Runs it in a fresh instance.
    pub fn run(&self, given: &Given) -> Ran {
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_MAX_BYTES).build();
        let (results, lines) = (Vec::new(), Vec::new());
        let invocation = Invocation { given: given.clone(), results, lines, limits };
        let mut store = Store::new(&self.engine, invocation);
        store.limiter(|invocation| &mut invocation.limits);
        store.set_fuel(FUEL_MAX).unwrap();
        let instance = linker(&self.engine).instantiate(&mut store, &self.module).unwrap();
        let run = instance.get_typed_func::<(i32, i32), i32>(&mut store, "run").unwrap();
        let end = match run.call(&mut store, (0, given.context.len() as i32)) {
            Ok(returned) => End::Returned(returned),
            Err(error) => End::Trapped(*error.downcast_ref::<Trap>().expect("a guest only traps")),
        };
        let fuel = FUEL_MAX - store.get_fuel().unwrap();
        let Invocation { results, lines, .. } = store.into_data();
        Ran { end, results, lines, fuel }
    }
}

fn linker(engine: &Engine) -> Linker<Invocation> {
    let mut linker = Linker::new(engine);
    let get_context = |mut caller: Caller<'_, Invocation>, buf: i32, len: i32| {
        let context = caller.data().given.context.clone().into_bytes();
        // Or a guest would not even learn what it is to try.
        give(&mut caller, &context, (buf, len), None)
    };
    let set_result = |mut caller: Caller<'_, Invocation>, ptr: i32, len: i32| {
        let Some(range) = range(&mut caller, ptr, len) else { return REFUSED };
        let result = String::from_utf8_lossy(&memory(&mut caller)[range]).into_owned();
        caller.data_mut().results.push(result);
        0
    };
    let log = |mut caller: Caller<'_, Invocation>, level: i32, ptr: i32, len: i32| match text(
        &mut caller,
        ptr,
        len,
    ) {
        Some(line) if (0..=3).contains(&level) => {
            caller.data_mut().lines.push(format!("{level} {line}"));
            0
        }
        _ => REFUSED,
    };
    let read_field =
        |mut caller: Caller<'_, Invocation>, name: i32, name_len: i32, buf: i32, len: i32| {
            let Some(name) = text(&mut caller, name, name_len) else { return REFUSED };
            if range(&mut caller, buf, len).is_none() {
                return REFUSED;
            }
            match caller.data().given.fields.get(&name).cloned() {
                Some(Ok(value)) => {
                    let wrong = caller.data().given.wrong;
                    give(&mut caller, value.as_bytes(), (buf, len), wrong)
                }
                Some(Err(code)) => code,
                None => -1,
            }
        };
    linker.func_wrap("env", "host_get_context", get_context).unwrap();
    linker.func_wrap("env", "host_set_result", set_result).unwrap();
    linker.func_wrap("env", "host_log", log).unwrap();
    linker.func_wrap("env", "host_read_field", read_field).unwrap();
    linker
}

/// The guest's memory from `ptr`, as long as `len` says, if all of it is there.
fn range(caller: &mut Caller<'_, Invocation>, ptr: i32, len: i32) -> Option<Range<usize>> {
    let wrong = caller.data().given.wrong;
    let size = memory(caller).len();
    let start = ptr as u32 as usize;
    let length = match usize::try_from(len) {
        Ok(length) => length,
        Err(_) if wrong == Some(Wrong::NegativeIsEmpty) => 0,
        Err(_) => return None,
    };
    if wrong == Some(Wrong::EndUnchecked) && start < size {
        return Some(start..size.min(start + length));
    }
    (start + length <= size).then_some(start..start + length)
}

fn memory<'a>(caller: &'a mut Caller<'_, Invocation>) -> &'a mut [u8] {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { panic!("no memory") };
    memory.data_mut(caller)
}

fn text(caller: &mut Caller<'_, Invocation>, ptr: i32, len: i32) -> Option<String> {
    let range = range(caller, ptr, len)?;
    let bytes = memory(caller)[range].to_vec();
    if caller.data().given.wrong == Some(Wrong::TextIsMended) {
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).ok()
}

fn give(
    caller: &mut Caller<'_, Invocation>,
    value: &[u8],
    (buf, len): (i32, i32),
    wrong: Option<Wrong>,
) -> i32 {
    let Some(range) = range(caller, buf, len) else { return REFUSED };
    let room = &mut memory(caller)[range];
    let fits = value.len() < room.len()
        || (value.len() == room.len() && wrong != Some(Wrong::ExactIsShort));
    if fits {
        room[..value.len()].copy_from_slice(value);
    } else if wrong == Some(Wrong::ShortIsFilled) {
        room.copy_from_slice(&value[..room.len()]);
    }
    value.len() as i32
}
