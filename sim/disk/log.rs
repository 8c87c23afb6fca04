//! A list that grows at one end and clones for nothing.
//!
//! **Invariant:** pushing to one clone never shows in another. The disk keeps its pending operations
//! in such lists, so that an image of the disk need not copy them.

use std::sync::Arc;

struct Entry<T> {
    value: T,
    before: Option<Arc<Entry<T>>>,
}

/// Values in the order they were pushed.
pub struct Log<T> {
    last: Option<Arc<Entry<T>>>,
}

impl<T> Log<T> {
    /// An empty log.
    pub fn new() -> Log<T> {
        Log { last: None }
    }

    /// Appends `value`.
    pub fn push(&mut self, value: T) {
        self.last = Some(Arc::new(Entry { value, before: self.last.take() }));
    }

    /// The newest value first.
    pub fn newest_first(&self) -> impl Iterator<Item = &T> {
        let mut next = self.last.as_deref();
        std::iter::from_fn(move || {
            let entry = next?;
            next = entry.before.as_deref();
            Some(&entry.value)
        })
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log { last: self.last.clone() }
    }
}

impl<T> Drop for Log<T> {
    /// Entry by entry: the recursion that the compiler would write overflows the stack on a long log.
    fn drop(&mut self) {
        let mut next = self.last.take();
        while let Some(mut entry) = next.and_then(Arc::into_inner) {
            next = entry.before.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_its_own_end() {
        let mut log = Log::new();
        log.push(1);
        let early = log.clone();
        log.push(2);
        assert_eq!(log.newest_first().collect::<Vec<_>>(), [&2, &1]);
        assert_eq!(early.newest_first().collect::<Vec<_>>(), [&1]);
    }

    #[test]
    fn a_long_log_is_dropped_without_recursion() {
        let mut log = Log::new();
        for i in 0..1_000_000 {
            log.push(i);
        }
        drop(log);
    }
}
