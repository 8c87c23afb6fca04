//! Calls with addresses outside memory, with negative lengths, and with what is no text and no level.
//!
//! **Invariant:** a host that keeps the contract refuses every call made here, and writes nothing.

use std::arch::wasm32::memory_size;
use stormglass_guest::imports::{host_get_context, host_log, host_read_field, host_set_result};
use stormglass_guest::Outcome;

const REFUSED: i32 = -3;
const INFO: i32 = 2;

/// Ranges that begin or end outside memory.
pub fn pointers() -> Outcome {
    let end = (memory_size(0) << 16) as i32;
    let ranges = [
        (end, 1),
        (end - 1, 2),
        (end + 4096, 64),
        (-1, 1),
        (-1, 2),
        (-64, 64),
        (i32::MIN, 8),
        (i32::MAX, 8),
        (16, i32::MAX),
        (i32::MAX, i32::MAX),
    ];
    every_call_refuses(&ranges)
}

/// Lengths below 0, at addresses inside memory and outside.
pub fn negative() -> Outcome {
    every_call_refuses(&[
        (16, -1),
        (16, -2),
        (16, i32::MIN),
        (0, -1),
        (-1, -1),
        (i32::MIN, i32::MIN),
    ])
}

/// Names and lines that are no UTF-8, cut or wrong, and levels that are none.
pub fn encoding() -> Outcome {
    let mut room = [0u8; 64];
    let (room_ptr, room_len) = (room.as_mut_ptr() as i32, room.len() as i32);
    let (line_ptr, line_len) = (b"line".as_ptr() as i32, 4);
    let mut answers = Vec::new();
    for bytes in
        [&b"\xff"[..], b"user_message\x80", b"user_message\xc3", b"\xed\xa0\x80", b"\xc0\x80"]
    {
        let (ptr, len) = (bytes.as_ptr() as i32, bytes.len() as i32);
        // SAFETY: the bytes and `room` are alive and as long as they are said to be.
        answers.push(unsafe { host_log(INFO, ptr, len) });
        answers.push(unsafe { host_read_field(ptr, len, room_ptr, room_len) });
    }
    for level in [-1, 4, i32::MIN, i32::MAX] {
        // SAFETY: the host only reads, and only the line.
        answers.push(unsafe { host_log(level, line_ptr, line_len) });
    }
    match answers.iter().position(|answer| *answer != REFUSED) {
        Some(index) => Outcome::failure(format_args!("encoding {index}: {}", answers[index])),
        None => Outcome::success(),
    }
}

/// Tries each range as each pointer of each function.
fn every_call_refuses(ranges: &[(i32, i32)]) -> Outcome {
    let name = "user_message";
    let (name_ptr, name_len) = (name.as_ptr() as i32, name.len() as i32);
    let mut room = [0u8; 64];
    let (room_ptr, room_len) = (room.as_mut_ptr() as i32, room.len() as i32);
    for &(ptr, len) in ranges {
        // SAFETY: the bad range makes the host refuse each call before it reads or writes anything; `room` and
        // `name` are alive and as long as they are said to be.
        let answers = unsafe {
            [
                ("host_get_context", host_get_context(ptr, len)),
                ("host_set_result", host_set_result(ptr, len)),
                ("host_log", host_log(INFO, ptr, len)),
                ("host_read_field name", host_read_field(ptr, len, room_ptr, room_len)),
                ("host_read_field buffer", host_read_field(name_ptr, name_len, ptr, len)),
                ("host_read_field both", host_read_field(ptr, len, ptr, len)),
            ]
        };
        for (call, answer) in answers {
            if answer != REFUSED {
                return Outcome::failure(format_args!("{call}({ptr}, {len}): {answer}"));
            }
        }
    }
    Outcome::success()
}
