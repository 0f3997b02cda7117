//! The file of a session on this host: its state in the store, and its current holder.
//!
//! An object has one unfinished file. The search for a place begins only when no earlier attempt is open: no
//! unfinished file is still being put away, and no search still unanswered.

use super::effects::{Attempt, Opened};
use crate::wire::Announce;

/// The file of the current session, and what is outstanding of earlier attempts. `U` is the shell's handle of an
/// unfinished file, `E` that of a file that existed before.
pub(super) struct Placement<U, E> {
    current: Option<(Attempt, Place<U, E>)>,
    /// The number of unfinished files of earlier attempts that are being put away, and of their unanswered
    /// searches.
    outstanding: u32,
}

/// The state of a session's file.
enum Place<U, E> {
    /// The search has not begun.
    Wanted(Box<Announce>),
    /// The store is searching.
    Sought,
    Unfinished(U),
    Existing(E),
    /// The store found no place, or it has the file to publish or compare it.
    Gone,
}

impl<U: Clone, E> Placement<U, E> {
    pub(super) fn new() -> Self {
        Self { current: None, outstanding: 0 }
    }

    /// Begins a session, which needs a place.
    ///
    /// # Panics
    /// If the session before it was not left.
    pub(super) fn join(&mut self, attempt: Attempt, announce: Announce) {
        assert!(self.current.is_none(), "one session at a time");
        self.current = Some((attempt, Place::Wanted(Box::new(announce))));
    }

    /// Returns the search that is to begin now, if any.
    pub(super) fn next_search(&mut self) -> Option<(Attempt, Box<Announce>)> {
        if self.outstanding > 0 {
            return None;
        }
        let (attempt, place) = self.current.as_mut()?;
        match std::mem::replace(place, Place::Sought) {
            Place::Wanted(announce) => Some((*attempt, announce)),
            other => {
                *place = other;
                None
            }
        }
    }

    /// Whether the current session waits for the search of `attempt`.
    pub(super) fn is_sought_by(&self, attempt: Attempt) -> bool {
        matches!(self.current, Some((of, Place::Sought)) if of == attempt)
    }

    /// Records what the search of the current session found.
    pub(super) fn put(&mut self, found: Found<U, E>) {
        let (_, place) = self.current.as_mut().expect("a session is at work");
        assert!(matches!(place, Place::Sought), "a search is answered once");
        *place = match found {
            Found::Unfinished(file) => Place::Unfinished(file),
            Found::Existing(file) => Place::Existing(file),
            Found::Nothing => Place::Gone,
        };
    }

    /// Records what the search of an attempt that was left found. Returns an unfinished file that is to be put
    /// away.
    pub(super) fn put_late<F>(&mut self, opened: Result<Opened<U, E>, F>) -> Option<U> {
        match opened {
            Ok(Opened::Unfinished { file, .. }) => Some(file),
            Ok(Opened::Existing(_)) | Err(_) => {
                self.settle();
                None
            }
        }
    }

    /// Returns the unfinished file, to write a block into it.
    ///
    /// # Panics
    /// If the session has none; blocks come out only if it has.
    pub(super) fn unfinished(&self) -> U {
        match &self.current {
            Some((_, Place::Unfinished(file))) => file.clone(),
            _ => unreachable!("blocks are of unfinished files"),
        }
    }

    /// Hands the unfinished file to the store, which publishes it.
    ///
    /// # Panics
    /// If the session has none; only an unfinished file is published.
    pub(super) fn give_unfinished(&mut self) -> U {
        match self.give() {
            Some(Place::Unfinished(file)) => file,
            _ => unreachable!("only an unfinished file is published"),
        }
    }

    /// Hands the existing file to the store, which compares it.
    ///
    /// # Panics
    /// If the session has none; only an existing file is compared.
    pub(super) fn give_existing(&mut self) -> E {
        match self.give() {
            Some(Place::Existing(file)) => file,
            _ => unreachable!("only an existing file is compared"),
        }
    }

    /// Leaves the session. Returns its unfinished file, which is to be put away.
    pub(super) fn leave(&mut self) -> Option<U> {
        match self.current.take()?.1 {
            Place::Unfinished(file) => {
                self.outstanding += 1;
                Some(file)
            }
            Place::Sought => {
                self.outstanding += 1;
                None
            }
            Place::Wanted(_) | Place::Existing(_) | Place::Gone => None,
        }
    }

    /// Closes one of the earlier attempts: its unfinished file is put away, or its search found none.
    ///
    /// # Panics
    /// If nothing was outstanding.
    pub(super) fn settle(&mut self) {
        self.outstanding = self.outstanding.checked_sub(1).expect("each file is put away once");
    }

    fn give(&mut self) -> Option<Place<U, E>> {
        self.current.as_mut().map(|(_, place)| std::mem::replace(place, Place::Gone))
    }
}

/// The result of the search for a place.
pub(super) enum Found<U, E> {
    Unfinished(U),
    Existing(E),
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::testing::announce;

    type Files = Placement<&'static str, &'static str>;

    #[test]
    fn a_place_is_looked_for_once() {
        let mut placement = joined(1);
        assert_eq!(placement.next_search().map(|(attempt, _)| attempt), Some(Attempt(1)));
        assert!(placement.next_search().is_none());
        assert!(placement.is_sought_by(Attempt(1)) && !placement.is_sought_by(Attempt(2)));
    }

    #[test]
    fn blocks_are_written_to_the_unfinished_file_until_it_is_published() {
        let mut placement = found(1, Found::Unfinished("new"));
        assert_eq!((placement.unfinished(), placement.unfinished()), ("new", "new"));
        assert_eq!(placement.give_unfinished(), "new");
        assert_eq!(placement.leave(), None, "the store has it");
        assert_searches(&mut placement, 2);
    }

    #[test]
    fn a_file_that_was_there_is_compared_and_never_put_away() {
        let mut placement = found(1, Found::Existing("old"));
        assert_eq!(placement.give_existing(), "old");
        assert_eq!(placement.leave(), None);
        let mut placement = found(1, Found::Existing("old"));
        assert_eq!(placement.leave(), None);
        assert_searches(&mut placement, 2);
    }

    #[test]
    fn no_place_is_looked_for_while_an_unfinished_file_is_put_away() {
        let mut placement = found(1, Found::Unfinished("first"));
        assert_eq!(placement.leave(), Some("first"));
        placement.join(Attempt(2), announce());
        assert!(placement.next_search().is_none());
        placement.settle();
        assert_eq!(placement.next_search().map(|(attempt, _)| attempt), Some(Attempt(2)));
    }

    #[test]
    fn a_file_that_is_found_too_late_is_put_away_before_the_next_search() {
        let mut placement = joined(1);
        let _ = placement.next_search();
        assert_eq!(placement.leave(), None);
        placement.join(Attempt(2), announce());
        assert!(placement.next_search().is_none(), "the first search goes on");
        let late = Opened::Unfinished { file: "late", kept: Vec::new() };
        assert_eq!(placement.put_late::<()>(Ok(late)), Some("late"));
        assert!(placement.next_search().is_none(), "it is being put away");
        placement.settle();
        assert!(placement.next_search().is_some());
    }

    #[test]
    fn a_late_search_that_finds_no_unfinished_file_leaves_nothing_to_put_away() {
        for late in [Ok(Opened::Existing("old")), Err(())] {
            let mut placement = joined(1);
            let _ = placement.next_search();
            assert_eq!(placement.leave(), None);
            assert_eq!(placement.put_late(late), None);
            assert_searches(&mut placement, 2);
        }
    }

    #[test]
    fn a_session_without_a_place_leaves_nothing_behind() {
        let mut placement = joined(1);
        assert_eq!(placement.leave(), None, "nobody has looked for its place");
        assert_searches(&mut placement, 2);
        let mut placement = found(1, Found::Nothing);
        assert_eq!(placement.leave(), None, "there was none");
        assert_searches(&mut placement, 2);
    }

    #[test]
    #[should_panic(expected = "only an existing file is compared")]
    fn an_unfinished_file_is_not_compared() {
        found(1, Found::Unfinished("new")).give_existing();
    }

    #[test]
    #[should_panic(expected = "each file is put away once")]
    fn a_file_is_put_away_once() {
        let mut placement = found(1, Found::Unfinished("new"));
        let _ = placement.leave();
        placement.settle();
        placement.settle();
    }

    fn joined(attempt: u64) -> Files {
        let mut placement = Placement::new();
        placement.join(Attempt(attempt), announce());
        placement
    }

    fn found(attempt: u64, found: Found<&'static str, &'static str>) -> Files {
        let mut placement = joined(attempt);
        let _ = placement.next_search();
        placement.put(found);
        placement
    }

    /// Asserts that the search for the next session's place begins at once.
    fn assert_searches(placement: &mut Files, attempt: u64) {
        placement.join(Attempt(attempt), announce());
        assert_eq!(placement.next_search().map(|(attempt, _)| attempt), Some(Attempt(attempt)));
    }
}
