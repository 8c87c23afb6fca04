//! Modes that need no pointer of their own: what never ends, and buffers around the size of a value.
//!
//! **Invariant:** a buffer's bytes beyond what the host may write are looked at, too.

use crate::message_size;
use stormglass_guest::{read_field_into, trap, Error, Object, Outcome};

/// Fills buffers before the host sees them: no byte of UTF-8.
const UNTOUCHED: u8 = 0xff;
/// Bytes behind a buffer that the host was not lent.
const GUARD_BYTES: usize = 16;

/// Never ends.
pub fn endless() -> ! {
    #[allow(clippy::empty_loop)]
    loop {}
}

/// Asks for memory until there is none, and then is as helpless as any program.
pub fn hog() -> ! {
    #[cfg(target_arch = "wasm32")]
    while std::arch::wasm32::memory_grow(0, 16) != usize::MAX {}
    trap()
}

/// Calls itself until the stack ends. The host sees each frame, so no compiler can make a loop of it.
#[allow(unconditional_recursion)]
pub fn dive(depth: u8) -> u8 {
    let mut frame = [depth; 64];
    read_field_into("", &mut frame);
    dive(depth.wrapping_add(1)).wrapping_add(frame[0])
}

/// A buffer that is one byte short for `user_message` must stay as it is, and the answer is the size needed.
pub fn short() -> Result<Outcome, Error> {
    let size = message_size()?;
    let mut buffer = vec![UNTOUCHED; size + GUARD_BYTES];
    if size > 0 {
        let answer = read_field_into("user_message", &mut buffer[..size - 1]);
        let untouched = buffer.iter().all(|byte| *byte == UNTOUCHED);
        if answer != size as i32 || !untouched {
            trap();
        }
    }
    Ok(Outcome::success().params(Object::new().integer("needed", size as u64)))
}

/// A buffer that is exactly as long as `user_message` must be filled, and nothing behind it touched.
pub fn exact() -> Result<Outcome, Error> {
    let size = message_size()?;
    let mut buffer = vec![UNTOUCHED; size + GUARD_BYTES];
    let answer = read_field_into("user_message", &mut buffer[..size]);
    let (value, guard) = buffer.split_at(size);
    let written = value.iter().all(|byte| *byte != UNTOUCHED);
    let kept = guard.iter().all(|byte| *byte == UNTOUCHED);
    if answer != size as i32 || !written || !kept {
        trap();
    }
    Ok(Outcome::success().params(Object::new().integer("read", size as u64)))
}
