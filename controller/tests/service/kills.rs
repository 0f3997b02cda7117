//! Ends of the controller and of its children at any moment.

use std::time::Duration;

use glancecast_testkit::Rng;

use crate::service::{Service, until, until_file};

#[tokio::test]
async fn a_child_that_dies_is_started_once_more_and_then_the_push_fails() {
    let service = Service::start(&[]).await;
    let once = service.push("dies-once").await;
    service.wait_for(&once, "done").await;
    let each_time = service.push("dies").await;
    let failed = service.wait_for(&each_time, "failed").await;
    assert!(failed["reason"].as_str().expect("a reason").contains("signal 9"), "{failed}");
    let begun = |image: &str| {
        let calls = service.calls();
        calls.iter().filter(|call| call.starts_with(&format!("begin {image} "))).count()
    };
    assert_eq!((begun("dies-once"), begun("dies")), (2, 2));
}

#[tokio::test]
async fn a_controller_that_is_stopped_ends_its_child_and_goes_on_when_it_is_started_again() {
    let mut service = Service::start(&[]).await;
    let id = service.push("waits").await;
    service.wait_for(&id, "running").await;
    until_file(&service.path("calls")).await;
    service.stop();
    assert!(service.calls().last().expect("calls").starts_with("end waits"), "{:?}", service.calls());
    std::fs::write(service.path("go"), "").expect("written");
    service.again().await;
    service.wait_for(&id, "done").await;
    assert!(service.calls().iter().all(|call| !call.starts_with("overlap")), "{:?}", service.calls());
}

/// GLANCECAST_KILLS=30 kills it as often.
#[tokio::test]
async fn no_push_is_lost_or_doubled_when_the_controller_is_killed_at_any_moment() {
    let seed = std::env::var("GLANCECAST_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(Rng::seed_from_clock);
    println!("GLANCECAST_TEST_SEED={seed}");
    let kills = std::env::var("GLANCECAST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let mut rng = Rng::new(seed);
    let mut service = Service::start(&[]).await;
    let mut ids = Vec::new();
    for _ in 0..kills {
        ids.push(service.push("some").await);
        tokio::time::sleep(Duration::from_millis(rng.below(600))).await;
        service.kill();
        service.again().await;
    }
    for id in &ids {
        let push = until("the push has ended", || async {
            let push = service.get(&format!("/v1/pushes/{id}")).await["push"].take();
            matches!(push["status"].as_str(), Some("done" | "failed" | "partial" | "cancelled"))
                .then_some(push)
        })
        .await;
        assert_eq!(push["status"], "done", "{push}");
    }
    let calls = service.calls();
    assert!(calls.iter().all(|call| !call.starts_with("overlap")), "two children at a time: {calls:?}");
    let listed = service.get("/v1/pushes").await;
    assert_eq!(listed["pushes"].as_array().map(Vec::len), Some(ids.len()));
}

#[tokio::test]
async fn of_two_controllers_one_pushes_and_the_other_goes_on_when_it_is_killed() {
    let mut first = Service::start(&[]).await;
    let database = first.path("state/state.db");
    let id = first.push("waits").await;
    first.wait_for(&id, "running").await;
    until_file(&first.path("lock")).await;
    // Both have the state in common, and the first one's token.
    let mut second = Service::prepare(&["--database", database.to_str().expect("text")]);
    std::fs::copy(first.path("state/admin.token"), second.path("state/admin.token")).expect("copied");
    second.again().await;
    assert_eq!(
        second.get(&format!("/v1/pushes/{id}")).await["push"]["status"],
        "running",
        "both tell the same"
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(second.calls().is_empty(), "it does not push");
    first.kill();
    // On another machine the child would have ended with it.
    std::fs::write(first.path("go"), "").expect("written");
    std::fs::write(second.path("go"), "").expect("written");
    second.wait_for(&id, "done").await;
    assert!(second.calls().iter().any(|call| call.starts_with("begin waits")), "{:?}", second.calls());
}
