//! The state, on SQLite in a directory of the test.

use std::time::Duration;

use glancecast_proto::time::WallClock;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::model::{Copy, HostChoice, Inventory, Origin, Pinned, PushRequest, Status, Target};

#[tokio::test]
async fn the_queue_is_by_priority_and_then_by_age_and_a_push_is_taken_once() {
    let (_dir, store) = open().await;
    for (id, at, priority) in [("old", 1, 0), ("new", 2, 0), ("urgent", 3, 5)] {
        assert_eq!(store.accept(&push(id, at, priority)).await.expect("stored"), Accepted::New);
    }
    let mut taken = Vec::new();
    while let Some(next) = store.take_next("", WallClock(9)).await.expect("read") {
        assert_eq!(next.push.status, Status::Running);
        taken.push(next.push.id);
    }
    assert_eq!(taken, ["urgent", "old", "new"]);
    assert_eq!(store.queue_depth().await.expect("read"), 0);
}

#[tokio::test]
async fn a_key_makes_one_push_however_often_it_comes() {
    let (_dir, store) = open().await;
    let with_key = |id: &str, digest: &str| NewPush {
        idempotency: Some(("key".to_owned(), digest.to_owned())),
        ..push(id, 1, 0)
    };
    assert_eq!(store.accept(&with_key("a", "same")).await.expect("stored"), Accepted::New);
    assert_eq!(store.accept(&with_key("b", "same")).await.expect("read"), Accepted::Before("a".into()));
    assert_eq!(store.accept(&with_key("c", "other")).await.expect("read"), Accepted::OtherRequest);
    let mut elsewhere = with_key("d", "other");
    elsewhere.origin.user_id = "other".into();
    assert_eq!(store.accept(&elsewhere).await.expect("stored"), Accepted::New, "keys are a user's own");
}

#[tokio::test]
async fn pages_cover_a_list_of_equal_times_without_a_gap_or_a_double() {
    let (_dir, store) = open().await;
    for number in 0..25 {
        store.accept(&push(&format!("p{number:02}"), 7, 0)).await.expect("stored");
    }
    for is_ascending in [false, true] {
        let (mut seen, mut marker) = (Vec::new(), None);
        loop {
            let page = PushPage { limit: 10, marker: marker.clone(), is_ascending, ..PushPage::default() };
            let rows = store.pushes(&PushFilter::default(), &page).await.expect("read").expect("a marker");
            let Some((last, _)) = rows.last() else { break };
            marker = Some(last.id.clone());
            seen.extend(rows.into_iter().map(|(push, _)| push.id));
        }
        let mut expected: Vec<String> = (0..25).map(|number| format!("p{number:02}")).collect();
        if !is_ascending {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
    let page = PushPage { marker: Some("nobody".into()), limit: 1, ..PushPage::default() };
    assert!(store.pushes(&PushFilter::default(), &page).await.expect("read").is_none());
}

#[tokio::test]
async fn a_filter_finds_pushes_by_state_image_and_time() {
    let (_dir, store) = open().await;
    store.accept(&push("a", 1, 0)).await.expect("stored");
    store.accept(&push("b", 5, 0)).await.expect("stored");
    store.cancel("a", WallClock(9), "tester").await.expect("stored");
    let page = PushPage { limit: 10, ..PushPage::default() };
    let found = async |filter: PushFilter| {
        let rows = store.pushes(&filter, &page).await.expect("read").expect("no marker");
        rows.into_iter().map(|(push, _)| push.id).collect::<Vec<_>>()
    };
    assert_eq!(found(PushFilter { status: vec![Status::Cancelled], ..PushFilter::default() }).await, ["a"]);
    assert_eq!(found(PushFilter { image_id: Some("image".into()), ..PushFilter::default() }).await.len(), 2);
    assert!(found(PushFilter { image_id: Some("other".into()), ..PushFilter::default() }).await.is_empty());
    let since = TimeBound { key: SortKey::Created, operator: ">=", at: WallClock(5) };
    assert_eq!(found(PushFilter { bounds: vec![since], ..PushFilter::default() }).await, ["b"]);
}

#[tokio::test]
async fn every_change_of_a_push_is_an_event_with_the_next_number() {
    let (_dir, store) = open().await;
    store.accept(&push("a", 1, 0)).await.expect("stored");
    store.take_next("", WallClock(2)).await.expect("taken").expect("a push");
    store.begin_item("a", 0, WallClock(2)).await.expect("stored");
    let change = ItemChange {
        events: vec![(EventKind::Host, json!({"host": "c1"})), (EventKind::Progress, json!({"percent": 5}))],
        hosts: vec![host_row("c1", "joined")],
        progress: Some("{\"percent\":5}".into()),
        session: Some("5e54".into()),
        ..ItemChange::default()
    };
    store.record("a", 0, WallClock(3), &change).await.expect("stored");
    let end = ItemEnd {
        status: Status::Done,
        reason: None,
        exit_code: Some(0),
        root: Some("ab".into()),
        wire_bytes: Some(7),
        holding: Some(1),
    };
    let change = ItemChange {
        events: vec![(EventKind::Finished, json!({}))],
        hosts: vec![host_row("c1", "done")],
        end: Some(end),
        ..ItemChange::default()
    };
    store.record("a", 0, WallClock(4), &change).await.expect("stored");
    store.finish("a", WallClock(5), Status::Done, None).await.expect("stored");

    let events = store.events("a", 0, 100).await.expect("read");
    let kinds: Vec<(i64, &str)> = events.iter().map(|event| (event.seq, event.kind.as_str())).collect();
    assert_eq!(
        kinds,
        [(1, "status"), (2, "status"), (3, "host"), (4, "progress"), (5, "finished"), (6, "status")]
    );
    assert_eq!(store.events("a", 4, 1).await.expect("read")[0].seq, 5);
    let (push, items) = store.push("a").await.expect("read").expect("a push");
    assert_eq!((push.status, items[0].status, items[0].wire_bytes), (Status::Done, Status::Done, Some(7)));
    assert_eq!((items[0].session.as_deref(), items[0].root.as_deref()), (Some("5e54"), Some("ab")));
    let hosts = store.push_hosts("a", &[], None, 10).await.expect("read");
    assert_eq!(hosts, [host_row("c1", "done")], "a host has one row");
}

#[tokio::test]
async fn a_push_whose_controller_died_is_queued_again_and_a_cancelled_one_is_not() {
    let (_dir, store) = open().await;
    for id in ["a", "b"] {
        store.accept(&push(id, 1, 0)).await.expect("stored");
        store.take_next("", WallClock(2)).await.expect("taken").expect("a push");
        store.begin_item(id, 0, WallClock(2)).await.expect("stored");
    }
    store.cancel("b", WallClock(3), "tester").await.expect("stored");
    assert_eq!(status(&store, "b").await, Status::Running, "its child has not ended");
    assert_eq!(store.recover(WallClock(4)).await.expect("stored"), 2);
    assert_eq!((status(&store, "a").await, status(&store, "b").await), (Status::Queued, Status::Cancelled));
    assert_eq!(store.recover(WallClock(5)).await.expect("stored"), 0, "it is queued once");
    let told: Vec<String> =
        store.events("a", 0, 100).await.expect("read").into_iter().map(|e| e.body).collect();
    assert!(told[2].contains("interrupted") && told[3].contains("queued"), "{told:?}");
}

#[tokio::test]
async fn a_child_that_dies_each_time_fails_its_push() {
    let (_dir, store) = open().await;
    store.accept(&push("a", 1, 0)).await.expect("stored");
    for expected in [Status::Queued, Status::Failed] {
        store.take_next("", WallClock(2)).await.expect("taken").expect("a push");
        let status = store.put_back("a", WallClock(3), Interruption::Child, "it died").await.expect("stored");
        assert_eq!(status, expected);
    }
    let (push, items) = store.push("a").await.expect("read").expect("a push");
    assert!(push.reason.expect("a reason").contains("it died"));
    assert_eq!(items[0].status, Status::Failed);
}

#[tokio::test]
async fn one_controller_has_the_lease_until_it_ends() {
    let (_dir, store) = open().await;
    let time = Duration::from_millis(100);
    assert!(store.lease("a", WallClock(1_000), time).await.expect("stored"));
    assert!(!store.lease("b", WallClock(1_050), time).await.expect("read"));
    assert!(store.lease("a", WallClock(1_090), time).await.expect("stored"), "its holder renews it");
    assert!(!store.lease("b", WallClock(1_150), time).await.expect("read"));
    assert!(store.lease("b", WallClock(1_191), time).await.expect("stored"), "it has ended");
    assert!(!store.lease("a", WallClock(1_192), time).await.expect("read"));
    store.release("b").await.expect("stored");
    assert!(store.lease("a", WallClock(1_193), time).await.expect("stored"), "it was given up");
}

#[tokio::test]
async fn what_a_host_said_stays_while_it_is_silent() {
    let (_dir, store) = open().await;
    let copy = Copy {
        name: "debian".into(),
        image_id: Some("image".into()),
        bytes: 5,
        root: "ab".into(),
        pinned: Pinned::Until(7),
    };
    let said = |at: u64, state: &str, digest: Option<&str>, copies: Vec<Copy>| Inventory {
        host: "c1".into(),
        asked_at: WallClock(at),
        answered_at: (state == "answered").then_some(WallClock(at)),
        state: state.into(),
        reason: None,
        software: None,
        free_bytes: Some(9),
        digest: digest.map(str::to_owned),
        copies,
    };
    store.store_inventory("", &[said(1, "answered", Some("x"), vec![copy.clone()])]).await.expect("stored");
    store.store_inventory("", &[said(2, "never_answered", None, vec![])]).await.expect("stored");
    let host = store.hosts("", &HostsFilter::default()).await.expect("read").remove(0);
    assert_eq!(
        (host.state.as_str(), host.asked_at, host.answered_at),
        ("never_answered", WallClock(2), Some(WallClock(1)))
    );
    assert_eq!(store.copies_on("", "c1").await.expect("read"), std::slice::from_ref(&copy));
    store.store_inventory("", &[said(3, "answered", Some("y"), vec![])]).await.expect("stored");
    assert!(store.copies("", Some("image")).await.expect("read").is_empty(), "it was wiped");

    store.add_copies("", &["c1".into(), "c2".into()], &copy, WallClock(4)).await.expect("stored");
    store.add_copies("", &["c1".into()], &copy, WallClock(4)).await.expect("stored");
    let holders = store.copies("", Some("image")).await.expect("read");
    assert_eq!(holders.iter().map(|row| row.host.as_str()).collect::<Vec<_>>(), ["c1", "c2"]);
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_with_all_that_belongs_to_it() {
    let (_dir, store) = open().await;
    for number in 0..5 {
        let id = format!("p{number}");
        store.accept(&push(&id, number, 0)).await.expect("stored");
        store.cancel(&id, WallClock(10 + number), "tester").await.expect("stored");
    }
    store.accept(&push("waiting", 0, 0)).await.expect("stored");
    let forgotten = store.forget_old(WallClock(1_012), Duration::from_secs(1), 100).await.expect("stored");
    assert_eq!(forgotten, 2, "two ended before 12");
    assert_eq!(store.forget_old(WallClock(20), Duration::from_secs(1), 1).await.expect("stored"), 2);
    assert!(
        store.push("p4").await.expect("read").is_some() && store.push("p3").await.expect("read").is_none()
    );
    assert!(store.push("waiting").await.expect("read").is_some());
    assert!(store.events("p0", 0, 10).await.expect("read").is_empty());
}

#[tokio::test]
async fn all_is_there_after_the_database_was_opened_anew() {
    let (dir, store) = open().await;
    store.accept(&push("a", 1, 3)).await.expect("stored");
    store.close().await;
    let store = Store::open(&database(&dir)).await.expect("opened");
    let (read, items) = store.push("a").await.expect("read").expect("a push");
    assert_eq!((read.request, read.priority, items[0].target.bytes), (push("a", 1, 3).request, 3, Some(5)));
}

async fn open() -> (TempDir, Store) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&database(&dir)).await.expect("a database");
    (dir, store)
}

fn database(dir: &TempDir) -> Database {
    Database::Sqlite(dir.path().join("a state?#%.db"))
}

async fn status(store: &Store, id: &str) -> Status {
    store.push(id).await.expect("read").expect("a push").0.status
}

fn host_row(host: &str, state: &str) -> HostRow {
    HostRow { position: 0, host: host.into(), state: state.into(), reason: None, millis: Some(1) }
}

fn push(id: &str, at: u64, priority: i64) -> NewPush {
    NewPush {
        id: id.into(),
        at: WallClock(at),
        profile: None,
        priority,
        request: PushRequest {
            hosts: HostChoice::Names(vec!["c1".into()]),
            exclude: Vec::new(),
            reach: Default::default(),
            rate: None,
            timeout: None,
            pin: None,
            confirm: false,
            dry_run: false,
            placed_for: Default::default(),
        },
        targets: vec![Target {
            reference: "debian".into(),
            image_id: Some("image".into()),
            name: Some("debian".into()),
            bytes: Some(5),
        }],
        origin: Origin { user_id: "u".into(), user_name: "tester".into(), ..Origin::default() },
        idempotency: None,
    }
}
