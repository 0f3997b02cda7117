//! For which hosts a push is, as the group hears it.

use super::testing::{SESSION, at, config, group_key, key, name, named, reading};
use super::*;
use crate::audience::Inclusion;
use crate::units::Rate;
use crate::wire::{Announce, Audience, AudiencePage, Down, Kind};

#[test]
fn every_named_host_finds_itself_right_behind_the_first_announcement() {
    let mut sender = reading(config(named(2_000)));
    let mut said = heard(&mut sender, at(0));
    while let Some((now, SenderTimer::Audience)) = sender.poll_timeout() {
        assert!(now < at(1), "{now}");
        said.extend(heard(&mut sender, now));
    }
    let Heard::Announced(announce) = &said[0] else { panic!("pages come first") };
    assert_eq!(announce.audience, Audience::Named { names: 2_000 });
    assert_eq!(announce.agreement, sender.config().agreement.public());
    for (called, expected) in [
        ("compute-1", Inclusion::Included),
        ("compute-2000", Inclusion::Included),
        ("compute-2001", Inclusion::Excluded),
    ] {
        let mut inclusion = Inclusion::of(announce.audience, SESSION, &name(called));
        pages(&said).for_each(|page| inclusion.note(page));
        assert_eq!(inclusion, expected, "{called}");
    }
}

#[test]
fn pages_leave_no_faster_than_the_push() {
    let mut sender = reading(SenderConfig { pace: Pace::Fixed(Rate::mbit(10)), ..config(named(2_000)) });
    let (mut times, mut now) = (Vec::new(), at(0));
    while now < at(15) {
        let sent = pages(&heard(&mut sender, now)).count();
        assert!(sent <= 1, "{sent} pages at {now}");
        times.extend((sent > 0).then_some(now));
        (now, _) = sender.poll_timeout().expect("it goes on");
    }
    assert_eq!(times.len(), 12);
    assert!(times.is_sorted_by(|a, b| b.since(*a) > Duration::from_millis(1)), "{times:?}");
}

#[test]
fn pages_are_signed_where_the_session_is() {
    let mut sender = reading(SenderConfig { signer: Some(key(5)), ..config(named(3)) });
    let mut out = Vec::new();
    let mut page = None;
    while sender.poll_transmit(at(1), &mut out).is_some_and(|transmit| {
        page = (transmit.kind == Kind::Audience).then(|| out.clone());
        page.is_none()
    }) {}
    let page = page.expect("it follows the announcement");
    let verifier = |seed| Some(key(seed).public().within(group_key().scope(SESSION)));
    let opened =
        |seed| Down::open(sender.cipher(), sender.config().geometry, verifier(seed), &page, |_| Ok(()));
    assert!(matches!(opened(5), Ok((_, Down::Audience(_)))));
    assert_eq!(opened(6), Err(Discard::BadSignature));
}

#[test]
fn a_push_for_everyone_has_no_pages() {
    for expected in [Expected::Anyone, Expected::Count(3)] {
        let mut sender = reading(config(expected));
        let mut said = Vec::new();
        for ms in 0..300 {
            said.extend(heard(&mut sender, at(ms)));
        }
        assert_eq!(pages(&said).count(), 0);
        let Heard::Announced(announce) = &said[0] else { panic!("pages come first") };
        assert_eq!(announce.audience, Audience::Everyone);
    }
}

#[test]
fn a_host_that_begins_late_hears_its_page_within_half_a_second() {
    let mut sender = reading(config(named(2_000)));
    run(&mut sender, 0..1_000);
    let mut inclusion = Inclusion::of(Audience::Named { names: 2_000 }, SESSION, &name("compute-77"));
    let said = run(&mut sender, 1_000..1_600);
    pages(&said).for_each(|page| inclusion.note(page));
    assert_eq!(inclusion, Inclusion::Included);
    let (pages, announcements) = (pages(&said).count(), said.len() - pages(&said).count());
    assert!(pages < 4 * announcements, "{pages} pages beside {announcements} announcements");
}

#[test]
fn one_way_the_first_symbol_waits_until_all_pages_were_sent_three_times() {
    for mbit in [100, 1] {
        let mut sender = reading(SenderConfig {
            one_way: Some(OneWay { overhead: 0.1, passes: 1 }),
            pace: Pace::Fixed(Rate::mbit(mbit)),
            ..config(named(1_000))
        });
        let (mut said, mut now) = (Vec::new(), at(0));
        while sender.poll_job(JobRoom::ANY).is_none() {
            said.extend(heard(&mut sender, now));
            (now, _) = sender.poll_timeout().expect("it goes on");
            sender.handle_timeout(now);
        }
        let mut first: Vec<&AudiencePage> = pages(&said).collect();
        let times = pages(&said).filter(|page| *page == first[0]).count();
        first.dedup();
        assert!(times >= 3, "{times} times at {mbit} Mbit/s");
        assert!(now >= at(500) && now < at(3_000), "{now} at {mbit} Mbit/s");
    }
}

#[test]
#[should_panic(expected = "AUDIENCE_MAX")]
fn a_push_for_nobody_is_none() {
    Sender::new(at(0), config(named(0)));
}

/// Something that the group hears about the audience.
#[derive(Debug)]
enum Heard {
    Announced(Box<Announce>),
    Page(AudiencePage),
}

/// What leaves from `times.start` on, each millisecond.
fn run(sender: &mut Sender, times: std::ops::Range<u64>) -> Vec<Heard> {
    times.flat_map(|ms| heard(sender, at(ms))).collect()
}

/// What leaves now.
fn heard(sender: &mut Sender, now: Moment) -> Vec<Heard> {
    let (mut heard, mut out) = (Vec::new(), Vec::new());
    while let Some(transmit) = sender.poll_transmit(now, &mut out) {
        match transmit.kind {
            Kind::Announce => {
                let announced = Announce::open(&group_key(), &out).expect("ours");
                heard.push(Heard::Announced(Box::new(announced.announce)));
            }
            Kind::Audience => {
                let opened = Down::open(sender.cipher(), sender.config().geometry, None, &out, |_| Ok(()));
                let Ok((_, Down::Audience(page))) = opened else { panic!("{opened:?}") };
                heard.push(Heard::Page(page));
            }
            _ => {}
        }
    }
    heard
}

fn pages(heard: &[Heard]) -> impl Iterator<Item = &AudiencePage> {
    heard.iter().filter_map(|heard| match heard {
        Heard::Page(page) => Some(page),
        Heard::Announced(_) => None,
    })
}
