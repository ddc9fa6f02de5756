//! What can be undone and redone.

/// Most states that are kept.
const MAX_STATES: usize = 200;

/// States before and after the one that holds now.
#[derive(Clone, Debug)]
pub struct History<T> {
    past: Vec<T>,
    future: Vec<T>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { past: Vec::new(), future: Vec::new() }
    }
}

impl<T: PartialEq> History<T> {
    /// Remembers what held before a change; nothing can be redone after it.
    pub fn remember(&mut self, before: T) {
        self.future.clear();
        if self.past.last() != Some(&before) {
            self.past.push(before);
        }
        if self.past.len() > MAX_STATES {
            self.past.remove(0);
        }
    }

    /// The state before `now`.
    pub fn undo(&mut self, now: T) -> Option<T> {
        let before = self.past.pop()?;
        self.future.push(now);
        Some(before)
    }

    /// The state that was undone last.
    pub fn redo(&mut self, now: T) -> Option<T> {
        let after = self.future.pop()?;
        self.past.push(now);
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_in_order_and_a_change_ends_what_could_be_redone() {
        let mut history = History::default();
        history.remember(0);
        history.remember(1);
        assert_eq!(history.undo(2), Some(1));
        assert_eq!(history.undo(1), Some(0));
        assert_eq!(history.undo(0), None);
        assert_eq!(history.redo(0), Some(1));
        history.remember(1);
        assert_eq!(history.redo(9), None, "a change ends the future");
        assert_eq!(history.undo(9), Some(1));
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let mut history = History::default();
        for state in 0..1000 {
            history.remember(state);
        }
        let mut count = 0;
        while history.undo(0).is_some() {
            count += 1;
        }
        assert_eq!(count, MAX_STATES);
    }
}
