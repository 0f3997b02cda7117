//! Whose answers count, and what two answers of one name are.

use super::tests::{Speaker, answer, answer_from, answer_pages, drain, heards, speaker, standings};
use super::*;
use crate::ids::ReceiverId;
use crate::known::UnknownHosts;
use crate::limits::HOSTS_MAX;
use crate::query::Standing;
use crate::query::testing::{ID, address, at, group, host_key, known, name, named, querier_config};

#[test]
fn an_impostor_that_answers_first_does_not_end_the_query() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1])));
    let impostor = Speaker { key: host_key(66), ..speaker(1) };
    answer(&mut querier, at(1), &impostor, 1).expect("no key is known");
    drain(&mut querier, at(1));
    assert!(!querier.is_finished(at(199)), "the host itself may still speak");
    let again = Speaker { receiver: ReceiverId([9; 8]), ..speaker(1) };
    answer(&mut querier, at(150), &again, 1).expect("the host itself");
    drain(&mut querier, at(200));
    assert!(querier.is_finished(at(200)));
    let rows = querier.rows();
    assert_eq!(standings(&rows), [Standing::Twice, Standing::Twice]);
    assert!(rows.iter().all(|row| row.standing.is_finding() && row.objects.is_empty()));
    let reason = rows[0].reason.as_ref().expect("why");
    assert!(reason.contains(&host_key(1).public().to_string()), "{reason}");
    assert!(reason.contains(&host_key(66).public().to_string()), "{reason}");
    assert_eq!(querier.tally().findings, 1);
    assert_eq!(querier.first_uses(), [], "neither key is to be remembered");
}

#[test]
fn a_known_host_is_waited_for_no_longer_than_until_it_has_answered() {
    let config =
        QuerierConfig { known: known(&[1, 2], UnknownHosts::Taken), ..querier_config(named(&[1, 2])) };
    let mut querier = Querier::new(at(0), config);
    for number in [1, 2] {
        assert!(!querier.is_finished(at(5)));
        answer(&mut querier, at(5), &speaker(number), 1).expect("known");
    }
    drain(&mut querier, at(5));
    assert!(querier.is_finished(at(5)));
    assert_eq!(standings(&querier.rows()), [Standing::Answered; 2]);
}

#[test]
fn one_host_that_is_not_known_makes_the_query_wait_for_impostors() {
    let config = QuerierConfig { known: known(&[1], UnknownHosts::Taken), ..querier_config(named(&[1, 2])) };
    let mut querier = Querier::new(at(0), config);
    for number in [1, 2] {
        answer(&mut querier, at(5), &speaker(number), 1).expect("new or known");
    }
    drain(&mut querier, at(5));
    assert!(!querier.is_finished(at(199)));
    assert!(querier.poll_timeout(at(5)).is_some_and(|due| due <= at(200)));
    drain(&mut querier, at(200));
    assert!(querier.is_finished(at(200)));
    let uses = querier.first_uses();
    assert_eq!(uses, [FirstUse { name: name(2), key: host_key(2).public() }]);
}

#[test]
fn a_changed_key_is_a_finding_that_counts_for_nothing_and_is_not_acknowledged() {
    let config = QuerierConfig { known: known(&[1], UnknownHosts::Taken), ..querier_config(named(&[1])) };
    let mut querier = Querier::new(at(0), config);
    let changed = Speaker { key: host_key(66), receiver: ReceiverId([9; 8]), ..speaker(1) };
    assert_eq!(answer(&mut querier, at(1), &changed, 1), Err(Discard::KeyChanged));
    assert_eq!(answer(&mut querier, at(2), &changed, 2), Err(Discard::KeyChanged));
    assert_eq!(heards(&mut querier, at(2)), []);
    assert!(!querier.is_finished(at(1_999)), "the host itself is still awaited");
    let rows = querier.rows();
    assert_eq!((standings(&rows), querier.tally().heard), (vec![Standing::KeyChanged], 0));
    assert!(rows[0].objects.is_empty() && rows[0].about.is_none() && rows[0].expected);
    let reason = rows[0].reason.as_ref().expect("why");
    for part in [
        host_key(1).public().to_string(),
        host_key(66).public().to_string(),
        format!("glancecast hosts --forget {}", name(1)),
    ] {
        assert!(reason.contains(&part), "{reason}");
    }

    answer(&mut querier, at(3), &speaker(1), 1).expect("the host itself");
    drain(&mut querier, at(3));
    assert!(querier.is_finished(at(3)));
    assert_eq!(standings(&querier.rows()), [Standing::KeyChanged, Standing::Answered]);
    assert_eq!(querier.tally().findings, 1, "it was answered, and somebody else spoke for it");
    assert_eq!(querier.first_uses(), []);
}

#[test]
fn where_only_known_hosts_count_others_are_named_and_not_believed() {
    let config =
        QuerierConfig { known: known(&[1], UnknownHosts::Refused), ..querier_config(named(&[1, 2])) };
    let mut querier = Querier::new(at(0), config);
    answer(&mut querier, at(1), &speaker(1), 1).expect("known");
    assert_eq!(answer(&mut querier, at(1), &speaker(2), 1), Err(Discard::UnknownKey));
    assert_eq!(answer(&mut querier, at(1), &speaker(2), 2), Err(Discard::UnknownKey));
    let rows = querier.rows();
    assert_eq!(standings(&rows), [Standing::Answered, Standing::UnknownKey]);
    assert!(rows[1].objects.is_empty() && rows[1].about.is_none());
    assert_eq!((querier.tally().findings, querier.first_uses()), (0, Vec::new()));
    assert!(!querier.is_finished(at(1_999)));
}

#[test]
fn a_copy_of_a_host_is_a_finding_although_its_key_is_known() {
    let config = QuerierConfig { known: known(&[1], UnknownHosts::Taken), ..querier_config(named(&[1])) };
    let mut querier = Querier::new(at(0), config);
    let copy = Speaker { receiver: ReceiverId([9; 8]), ..speaker(1) };
    answer(&mut querier, at(1), &speaker(1), 1).expect("known");
    answer(&mut querier, at(1), &copy, 1).expect("known");
    let rows = querier.rows();
    assert_eq!(standings(&rows), [Standing::Twice, Standing::Twice]);
    assert!(rows[0].reason.as_ref().is_some_and(|reason| reason.contains("a copy of it")), "{rows:?}");
    assert!(rows.iter().all(|row| row.about.is_some()));
    assert_eq!(querier.tally().findings, 1);
    let third = Speaker { receiver: ReceiverId([10; 8]), ..speaker(1) };
    assert_eq!(answer(&mut querier, at(2), &third, 1), Err(Discard::UnknownHost), "two show it");
}

#[test]
fn made_up_keys_take_no_place_from_the_key_that_is_known() {
    let config = QuerierConfig { known: known(&[1], UnknownHosts::Taken), ..querier_config(named(&[1])) };
    let mut querier = Querier::new(at(0), config);
    for number in 20..200 {
        let impostor = Speaker { key: host_key(number), receiver: ReceiverId([number; 8]), ..speaker(1) };
        assert!(answer_from(&mut querier, at(1), address(number), &impostor, 1).is_err());
    }
    assert_eq!(querier.rows().len(), 4, "not more than show it");
    answer(&mut querier, at(1), &speaker(1), 1).expect("the host itself");
    assert!(standings(&querier.rows()).contains(&Standing::Answered));
}

#[test]
fn hosts_that_the_query_is_not_for_are_not_listened_to() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1, 2])));
    assert_eq!(answer(&mut querier, at(1), &speaker(3), 1), Err(Discard::Unlisted));
    assert_eq!(heards(&mut querier, at(1)), []);
    assert_eq!(standings(&querier.rows()), [Standing::NeverAnswered; 2]);
    assert_eq!(querier.discards().of(Discard::Unlisted), 1);
    let mut everyone = Querier::new(at(0), querier_config(Expected::Count(1)));
    answer(&mut everyone, at(1), &speaker(3), 1).expect("everyone may");
}

#[test]
fn nobody_speaks_for_a_host_that_has_begun_to_answer() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1])));
    answer_pages(&mut querier, &speaker(1), 3, 0, 1).expect("the first page");
    let forged = Speaker { key: host_key(66), ..speaker(1) };
    for page in [0, 1] {
        assert_eq!(answer_pages(&mut querier, &forged, 3, page, 9), Err(Discard::BadSignature));
    }
    answer_pages(&mut querier, &speaker(1), 3, 1, 2).expect("its number was not used up");
    let renamed = Speaker { name: name(2), ..speaker(1) };
    let mut everyone = Querier::new(at(0), querier_config(Expected::Anyone));
    answer_pages(&mut everyone, &speaker(1), 3, 0, 1).expect("the first page");
    assert_eq!(answer_pages(&mut everyone, &renamed, 3, 0, 2), Err(Discard::Malformed), "it keeps its name");
}

#[test]
fn a_page_of_a_host_that_was_not_heard_is_no_answer() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1])));
    assert_eq!(answer_pages(&mut querier, &speaker(1), 3, 1, 1), Err(Discard::UnknownHost));
}

#[test]
fn an_answer_that_was_signed_for_another_group_or_query_is_none_here() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1])));
    let scopes = [
        GroupKey::new([8; 32]).scope(ID),
        Scope { session: SessionId([3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]), ..group().scope(ID) },
    ];
    for scope in scopes {
        let speaker = Speaker { scope, ..speaker(1) };
        assert_eq!(answer(&mut querier, at(1), &speaker, 1), Err(Discard::BadSignature));
    }
}

#[test]
fn made_up_answers_are_checked_a_few_times_and_hosts_are_still_heard() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1])));
    for number in 1..=200 {
        let stranger = Speaker { receiver: ReceiverId([number; 8]), name: name(77), ..speaker(9) };
        let _ = answer_from(&mut querier, at(1_000), address(66), &stranger, 1);
    }
    assert_eq!(querier.discards().of(Discard::Unlisted), 10);
    assert_eq!(querier.discards().of(Discard::OverBudget), 190);
    answer(&mut querier, at(1_000), &speaker(1), 1).expect("from its own address");
}

#[test]
fn made_up_hosts_leave_places_for_those_that_are_known() {
    let config =
        QuerierConfig { known: known(&[1], UnknownHosts::Taken), ..querier_config(Expected::Count(1)) };
    let mut querier = Querier::new(at(0), config);
    let mut refused = 0;
    for number in 0..HOSTS_MAX as u64 + 20 {
        let made_up = Speaker {
            name: HostName::new(&format!("made-up-{number}")).expect("plain"),
            receiver: ReceiverId((number + 1_000_000).to_be_bytes()),
            ..speaker(9)
        };
        let result = answer_from(&mut querier, at(number), address((number % 250) as u8), &made_up, 1);
        refused += u32::from(result == Err(Discard::UnknownHost));
    }
    assert_eq!(refused, 20);
    answer_from(&mut querier, at(20_000), ([10, 0, 9, 9], 1).into(), &speaker(1), 1)
        .expect("it has its place");
}
