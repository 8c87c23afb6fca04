//! A list that grows at one end and clones for nothing.
//!
//! **Invariant:** pushing to one clone never shows in another. The disk keeps its pending operations
//! in such lists, so that an image of the disk need not copy them.

use std::sync::Arc;

/// Values pushed while no clone shared them, and what was pushed before.
struct Segment<T> {
    values: Vec<T>,
    before: Option<Arc<Segment<T>>>,
}

/// Values in the order they were pushed.
pub struct Log<T> {
    last: Option<Arc<Segment<T>>>,
}

impl<T> Log<T> {
    /// An empty log.
    pub fn new() -> Log<T> {
        Log { last: None }
    }

    /// Appends `value`. Never copies: a segment that a clone shares stays as it is.
    pub fn push(&mut self, value: T) {
        match self.own_segment() {
            Some(segment) => segment.values.push(value),
            None => {
                let before = self.last.take();
                self.last = Some(Arc::new(Segment { values: vec![value], before }));
            }
        }
    }

    /// Forgets all values, and keeps their room for the next ones if no clone shares it.
    pub fn clear(&mut self) {
        match self.own_segment() {
            Some(segment) if segment.before.is_none() => segment.values.clear(),
            _ => *self = Log::new(),
        }
    }

    /// The newest value first.
    pub fn newest_first(&self) -> impl Iterator<Item = &T> {
        let last = self.last.as_deref();
        std::iter::successors(last, |segment| segment.before.as_deref())
            .flat_map(|segment| segment.values.iter().rev())
    }

    fn own_segment(&mut self) -> Option<&mut Segment<T>> {
        self.last.as_mut().and_then(Arc::get_mut)
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log { last: self.last.clone() }
    }
}

impl<T> Drop for Log<T> {
    /// One by one: the recursion that the compiler would write overflows the stack on a long log.
    fn drop(&mut self) {
        let mut next = self.last.take();
        while let Some(mut segment) = next.and_then(Arc::into_inner) {
            next = segment.before.take();
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
    fn clearing_leaves_clones_alone() {
        let mut log = Log::new();
        log.push(1);
        let early = log.clone();
        log.clear();
        log.push(2);
        log.clear();
        log.push(3);
        assert_eq!(log.newest_first().collect::<Vec<_>>(), [&3]);
        assert_eq!(early.newest_first().collect::<Vec<_>>(), [&1]);
    }

    #[test]
    fn a_long_log_is_dropped_without_recursion() {
        let (mut log, mut clones) = (Log::new(), Vec::new());
        for i in 0..1_000_000 {
            log.push(i);
            // Each clone that is kept ends a segment.
            clones.push(log.clone());
        }
        drop(clones);
        drop(log);
    }
}
