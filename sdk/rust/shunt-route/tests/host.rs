//! The host as a test sets it up.

use shunt_route::testing::HostStub;
use shunt_route::{BindingIndex, host};

#[test]
fn clock_and_log() {
    HostStub::with(|stub| stub.now_ms = 1_700_000_000_000);
    assert_eq!(host::now_ms(), 1_700_000_000_000);
    host::log(host::Level::Warn, "slow");
    let log = HostStub::with(|stub| stub.log.clone());
    assert_eq!(log, [(host::Level::Warn, "slow".into())]);
}

#[test]
fn random_goes_on_from_its_seed() {
    let (first, second) = (host::random(), host::random());
    assert_ne!(first, second);
    HostStub::with(|stub| stub.seed = 0);
    assert_eq!(host::random(), first);
}

#[test]
fn load_is_of_queues() {
    let queue = BindingIndex(3);
    HostStub::with(|stub| stub.load.insert((queue, host::Load::Ready), 12));
    assert_eq!(host::queue_load(queue, host::Load::Ready), Some(12));
    assert_eq!(host::queue_load(queue, host::Load::Unacked), None);
}

#[test]
fn state_is_kept_up_to_a_limit() {
    let long = [7; 1000];
    assert_eq!(host::state_get(b"key"), None);
    assert_eq!(host::state_put(b"key", b"value"), Ok(()));
    assert_eq!(host::state_get(b"key"), Some(b"value".to_vec()));
    assert_eq!(host::state_put(b"key", &long), Ok(()));
    assert_eq!(host::state_get(b"key"), Some(long.to_vec()));

    HostStub::with(|stub| stub.state_length_max = Some(1003));
    assert_eq!(host::state_put(b"key", &[7; 1001]), Err(host::StateFull));
    assert_eq!(host::state_get(b"key"), Some(long.to_vec()));
    host::state_remove(b"key");
    assert_eq!(host::state_get(b"key"), None);
}
