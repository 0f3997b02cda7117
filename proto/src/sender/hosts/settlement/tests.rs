use std::time::Duration;

use super::*;
use crate::rng::Rng;
use crate::wire::FailureKind;

/// Runs hellos, messages of superseded starts, silences, strangers and final reports in any order, of three names.
#[test]
fn the_sums_are_those_of_the_starts_whatever_happens() {
    for seed in 0..200 {
        let mut rng = Rng::new(&[seed; 32]);
        let mut draw = |below: u64| rng.below(Duration::from_micros(below)).as_micros() as u64;
        let expected = match seed % 3 {
            0 => Expected::Named(["a", "b"].map(name).into()),
            1 => Expected::Count(2),
            _ => Expected::Anyone,
        };
        let mut settlement = Settlement::new(expected);
        for step in 0..300 {
            let (now, id) = (Moment::from_micros(step), ReceiverId([draw(24) as u8; 8]));
            let name = name(["a", "b", "c"][usize::from(id.0[0] % 3)]);
            let state = settlement.get(id).map(|start| start.state());
            match (draw(7), state) {
                (0, _) => {
                    settlement.note_other_version(&name, "it speaks version 3");
                }
                (1, _) if settlement.is_meant(&name) => {
                    settlement.note_stranger(&name, PublicKey([1; 32]), Standing::Unknown);
                }
                (_, None) if settlement.is_meant(&name) => {
                    if let Ok(old) = settlement.room_for(&name, NOBODY) {
                        settlement.join(now, id, &name, HostState::Receiving);
                        old.into_iter().for_each(|old| settlement.forget(old));
                    }
                }
                (_, None) => {}
                (2, Some(_)) => {
                    let is_awaited = |start: &Start| start.is_awaited();
                    let awaited = settlement.get(id).is_some_and(is_awaited).then_some(id);
                    settlement.silence(awaited.into_iter().collect());
                }
                (_, Some(state)) => {
                    settlement.note_heard(id);
                    let ends = [FailureKind::Store, FailureKind::Stopping, FailureKind::UnknownSender];
                    match draw(6) as usize {
                        _ if state.is_settled() => {}
                        kind @ 0..3 => settlement.fail(id, ends[kind]),
                        3 => settlement.set_state(id, HostState::Busy),
                        4 => settlement.set_state(id, HostState::Done),
                        _ => settlement.set_state(id, HostState::Existing),
                    }
                }
            }
            settlement.recount();
        }
    }
}

#[test]
fn a_name_that_begins_anew_again_and_again_takes_the_places_of_its_own_starts() {
    let mut settlement = Settlement::new(Expected::Anyone);
    for step in 0..100 {
        let old = settlement.room_for(&name("a"), NOBODY).expect("always");
        settlement.join(
            Moment::from_micros(step),
            ReceiverId([step as u8; 8]),
            &name("a"),
            HostState::Receiving,
        );
        old.into_iter().for_each(|old| settlement.forget(old));
    }
    assert_eq!(settlement.starts.len(), 4);
    assert!(settlement.starts[&ReceiverId([99; 8])].is_receiving(), "the latest counts");
}

#[test]
fn no_start_that_counts_makes_room_for_another_of_its_name() {
    let mut settlement = Settlement::new(Expected::Anyone);
    for start in 1..=4 {
        assert_eq!(settlement.room_for(&name("a"), NOBODY), Ok(None));
        settlement.join(Moment::default(), ReceiverId([start; 8]), &name("a"), HostState::Receiving);
        settlement.fail(ReceiverId([start; 8]), FailureKind::Store);
    }
    assert_eq!(settlement.room_for(&name("a"), NOBODY), Err(crate::wire::Discard::UnknownHost));
    assert_eq!(settlement.room_for(&name("b"), NOBODY), Ok(None));
}

#[test]
fn made_up_names_leave_the_places_of_known_hosts_alone() {
    let mut settlement = Settlement::new(Expected::Anyone);
    let known = |this_one| Known { this_one, absent: 3 };
    let taken = fill(&mut settlement, known(false));
    assert_eq!(taken, HOSTS_MAX - 3);
    assert_eq!(settlement.room_for(&name("compute-1"), known(true)), Ok(None));
    let many = Known { this_one: false, absent: 100_000 };
    assert_eq!(
        fill(&mut Settlement::new(Expected::Anyone), many),
        HOSTS_MAX / 2,
        "of a long list half are kept"
    );
}

#[test]
fn in_a_push_as_wide_as_possible_a_host_that_begins_anew_takes_its_own_place() {
    let names: BTreeSet<HostName> = (0..HOSTS_MAX).map(|at| name(&format!("compute-{at}"))).collect();
    let mut settlement = Settlement::new(Expected::Named(names.clone()));
    for (at, name) in names.iter().enumerate() {
        assert_eq!(settlement.room_for(name, NOBODY), Ok(None));
        settlement.join(Moment::default(), id(at), name, HostState::Receiving);
    }
    let old = id(names.iter().position(|known| *known == name("compute-7")).expect("named"));
    assert_eq!(settlement.room_for(&name("compute-7"), NOBODY), Ok(Some(old)));
}

/// Joins made-up names until there is no room; returns how many.
fn fill(settlement: &mut Settlement, known: Known) -> usize {
    for at in 0.. {
        let name = name(&format!("made-up-{at}"));
        if settlement.room_for(&name, known).is_err() {
            return at;
        }
        settlement.join(Moment::default(), id(at), &name, HostState::Receiving);
    }
    unreachable!("the loop ends when there is no room")
}

fn id(at: usize) -> ReceiverId {
    ReceiverId((at as u64).to_be_bytes())
}

fn name(text: &str) -> HostName {
    HostName::new(text).expect("plain")
}

/// No host is known.
const NOBODY: Known = Known { this_one: false, absent: 0 };

impl Settlement {
    /// Does [`Settlement::recount`] unless that would take long.
    pub(super) fn recount_few(&self) {
        if self.starts.len() <= 64 {
            self.recount();
        }
    }

    /// Computes the sums anew from the starts and compares them.
    ///
    /// # Panics
    /// If one of them is wrong.
    pub(in crate::sender::hosts) fn recount(&self) {
        let mut tally = Tally::default();
        for (id, start) in &self.starts {
            let place = &self.places[&start.name];
            assert_eq!(place.counted.contains(id), !start.is_superseded, "{id:?} counts once");
            assert_eq!(place.superseded.contains(id), start.is_superseded, "{id:?} is in one list");
            if start.is_superseded {
                continue;
            }
            assert_eq!(start.missed_since, None);
            tally.heard += 1;
            tally.done += u32::from(start.state.is_done());
            tally.failed += u32::from(start.state == HostState::Failed);
            tally.silent += u32::from(start.state == HostState::Silent);
            tally.busy += u32::from(start.state == HostState::Busy);
        }
        assert_eq!(self.tally, tally);
        let listed: usize =
            self.places.values().map(|place| place.counted.len() + place.superseded.len()).sum();
        assert_eq!(listed, self.starts.len());
        assert!(self.places.values().all(|place| !place.counted.is_empty()));
        let missed = self.starts.iter().filter_map(|(&id, start)| Some((start.missed_since?, id)));
        assert_eq!(self.missed, missed.collect());
        let is_settled = |place: &Place| place.counted.iter().all(|id| self.starts[id].state.is_settled());
        let settled: BTreeSet<&HostName> =
            self.places.iter().filter(|(_, place)| is_settled(place)).map(|(name, _)| name).collect();
        assert!(self.settled_names.iter().eq(settled.iter().copied()), "{:?}", self.settled_names);
        if let Expected::Named(names) = &self.expected {
            let open = names.iter().filter(|name| !settled.contains(*name));
            assert!(self.awaited.iter().eq(open), "{:?}", self.awaited);
            assert!(self.strangers.names().all(|name| self.awaited.contains(name)));
        } else {
            assert!(self.awaited.is_empty());
        }
        assert!(!self.places.keys().any(|name| self.strangers.contains(name)));
    }
}
