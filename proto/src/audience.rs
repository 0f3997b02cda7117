//! Telling the hosts of a push or a query that it is for them, page by page, and what a host makes of it.

use crate::ids::{HostName, SessionId};
use crate::wire::{Audience, AudiencePage, Meant, NameHash};

/// The pages of one session, in the order in which they are sent, over and over.
pub(crate) struct Pages {
    audience: Audience,
    pages: Vec<AudiencePage>,
    next: usize,
}

impl Pages {
    /// The pages for a session that is for these hosts, in datagrams of `datagram` bytes; none if it is for everyone.
    pub(crate) fn new<'a>(
        session: SessionId,
        names: Option<impl ExactSizeIterator<Item = &'a HostName>>,
        datagram: usize,
    ) -> Self {
        let Some(names) = names else {
            return Self { audience: Audience::Everyone, pages: Vec::new(), next: 0 };
        };
        let audience = Audience::Named { names: names.len() as u32 };
        Self { audience, pages: AudiencePage::pages(session, names, datagram), next: 0 }
    }

    /// What the announcement or the query says.
    pub(crate) fn audience(&self) -> Audience {
        self.audience
    }

    /// The number of pages.
    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    /// The page that was the next one before.
    pub(crate) fn last(&self) -> Option<&AudiencePage> {
        let before = self.next.checked_sub(1).or(self.pages.len().checked_sub(1))?;
        self.pages.get(before)
    }

    /// The next page.
    pub(crate) fn next(&mut self) -> Option<AudiencePage> {
        let page = self.pages.get(self.next)?.clone();
        self.next = (self.next + 1) % self.pages.len();
        Some(page)
    }
}

/// Whether a session is for this host, as far as the host has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inclusion {
    /// It is.
    Included,
    /// The page that says so has not come yet.
    Unsettled(NameHash),
    /// It is not.
    Excluded,
}

impl Inclusion {
    /// What an announcement or a query says before any page was heard.
    pub(crate) fn of(audience: Audience, session: SessionId, name: &HostName) -> Self {
        match audience {
            Audience::Everyone => Self::Included,
            Audience::Named { .. } => Self::Unsettled(NameHash::of(session, name)),
        }
    }

    /// Whether a page settles the question.
    pub(crate) fn is_settled_by(self, page: &AudiencePage) -> bool {
        matches!(self, Self::Unsettled(hash) if page.says(hash) != Meant::NotHere)
    }

    /// Takes in a page, which was proven.
    pub(crate) fn note(&mut self, page: &AudiencePage) {
        if let Self::Unsettled(hash) = *self {
            match page.says(hash) {
                Meant::Yes => *self = Self::Included,
                Meant::No => *self = Self::Excluded,
                Meant::NotHere => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CONTROL_SMALL;

    #[test]
    fn pages_come_around_and_each_host_finds_itself_within_one_round() {
        let names: Vec<HostName> = (0..300).map(|at| host(&format!("compute-{at}"))).collect();
        let mut pages = Pages::new(SESSION, Some(names.iter()), CONTROL_SMALL);
        assert_eq!(pages.audience(), Audience::Named { names: 300 });
        let round: Vec<AudiencePage> = (0..pages.len()).filter_map(|_| pages.next()).collect();
        assert_eq!(pages.next().as_ref(), round.first(), "then it begins again");
        for (name, expected) in [
            ("compute-0", Inclusion::Included),
            ("compute-299", Inclusion::Included),
            ("x", Inclusion::Excluded),
        ] {
            let mut inclusion = Inclusion::of(pages.audience(), SESSION, &host(name));
            let settling = round.iter().filter(|page| inclusion.is_settled_by(page)).count();
            round.iter().for_each(|page| inclusion.note(page));
            assert_eq!((inclusion, settling), (expected, 1), "{name}");
        }
    }

    #[test]
    fn a_session_for_everyone_has_no_pages() {
        let mut pages = Pages::new(SESSION, None::<std::slice::Iter<'_, HostName>>, CONTROL_SMALL);
        assert_eq!((pages.audience(), pages.len(), pages.next()), (Audience::Everyone, 0, None));
        assert_eq!(Inclusion::of(Audience::Everyone, SESSION, &host("a")), Inclusion::Included);
    }

    fn host(name: &str) -> HostName {
        HostName::new(name).expect("plain")
    }

    const SESSION: SessionId = SessionId([5; 16]);
}
