//! Other processes, as Linux tells them: for tests that wait for some, and end some.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// Waits until something has happened in other processes.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes are waited for; no run is in this one"
)]
pub fn until(mut happened: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if happened() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain");
}

/// Sends a signal to a process.
pub fn signal(name: &str, process: u32) {
    let kill = format!("kill -{name} {process}");
    let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
    assert!(status.success(), "{kill}");
}

/// State and parent of a process, as Linux tells them; nothing once it is gone.
pub fn state(process: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_string(), fields.next()?.parse().ok()?))
}

/// The children of a process that have not ended.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("Linux has it").filter_map(Result::ok);
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child =
        |process: &u32| state(*process).is_some_and(|(how, of)| of == parent && how != "Z");
    numbers.filter(is_child).collect()
}
