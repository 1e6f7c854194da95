//! The engine: refusal at once, one request's failure, abandonment, order, draining.

use std::sync::Arc;

use tissuecast::genome::{Chromosome, Locus, Position, Strand};
use tissuecast::inference::{Engine, EngineError, Limits};
use tissuecast::model::{ModelError, Scale, Target};

use crate::http_support::{Door, NearestTwo, reference};

fn target(tss: u32) -> Target {
    place("12", tss)
}

fn place(chromosome: &str, tss: u32) -> Target {
    let position = Position::new(tss).unwrap();
    let locus = Locus::new(Chromosome::parse(chromosome).unwrap(), position, position, Strand::Forward);
    Target { locus, biotype: None, promoter: None, gene: None, measured: Vec::new() }
}

fn engine(model: NearestTwo, queue_rows: usize, batch_rows: usize) -> Engine {
    Engine::start("test", Arc::new(model), reference("small"), Limits { queue_rows, batch_rows }).unwrap()
}

fn held() -> (Arc<Door>, NearestTwo) {
    let door = Arc::new(Door::default());
    (Arc::clone(&door), NearestTwo { door: Some(door), ..NearestTwo::new(Scale::Log2) })
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_takes_again_when_it_has_room() {
    let (door, model) = held();
    let engine = engine(model, 1, 1);
    let working = engine.submit(vec![target(1)]).unwrap();
    door.wait_for_arrival(1);
    let waiting = engine.submit(vec![target(2)]).unwrap();
    for _ in 0..1_000 {
        assert!(matches!(engine.submit(vec![target(3)]), Err(EngineError::Overloaded)));
    }
    door.open();
    assert_eq!(working.wait().await.unwrap().predictions.len(), 1);
    assert_eq!(waiting.wait().await.unwrap().predictions.len(), 1);
    assert_eq!(engine.predict(vec![target(4)]).await.unwrap().predictions.len(), 1);
}

#[tokio::test]
async fn space_is_counted_in_rows_and_an_oversized_request_runs_in_slices() {
    let (door, model) = held();
    let engine = engine(model, 4, 2);
    let first = engine.submit(vec![target(1)]).unwrap();
    door.wait_for_arrival(1);
    let three = engine.submit((2..5).map(target).collect()).unwrap();
    assert!(matches!(engine.submit(vec![target(9), target(9)]), Err(EngineError::Overloaded)), "3 + 2 rows > 4");
    let one = engine.submit(vec![target(5)]).unwrap();
    door.open();
    for (pending, rows) in [(first, 1), (three, 3), (one, 1)] {
        assert_eq!(pending.wait().await.unwrap().predictions.len(), rows);
    }
    let many = engine.predict((1..=9).map(target).collect()).await.unwrap();
    assert_eq!(many.predictions.len(), 9, "more rows than the queue holds are taken when nothing waits");
}

#[tokio::test]
async fn a_panic_fails_its_own_request_only() {
    let (door, mut model) = held();
    model.panics_at = Some(666);
    let engine = engine(model, 64, 64);
    let first = engine.submit(vec![target(1)]).unwrap();
    door.wait_for_arrival(1);
    // These three are gathered into one batch while the first is held.
    let good = engine.submit(vec![target(2)]).unwrap();
    let bad = engine.submit(vec![target(666)]).unwrap();
    let after = engine.submit(vec![target(3)]).unwrap();
    door.open();
    assert!(first.wait().await.is_ok());
    assert!(good.wait().await.is_ok());
    assert!(matches!(bad.wait().await, Err(EngineError::Panicked)));
    assert!(after.wait().await.is_ok());
    assert!(engine.is_ready());
}

#[tokio::test]
async fn three_failures_in_a_row_make_it_unfit_until_it_succeeds() {
    let engine = engine(NearestTwo { panics_at: Some(666), ..NearestTwo::new(Scale::Log2) }, 8, 8);
    for failed in 1..=3 {
        assert!(engine.is_ready(), "after {} failures", failed - 1);
        assert!(matches!(engine.predict(vec![target(666)]).await, Err(EngineError::Panicked)));
    }
    assert!(!engine.is_ready());
    engine.predict(vec![target(1)]).await.unwrap();
    assert!(engine.is_ready());
}

#[tokio::test]
async fn a_target_without_neighbours_does_not_make_it_unfit() {
    let engine = engine(NearestTwo::new(Scale::Log2), 8, 8);
    for _ in 0..4 {
        let error = engine.predict(vec![place("X", 1)]).await.unwrap_err();
        assert!(matches!(error, EngineError::Failed(ModelError::NoReferenceGene)));
    }
    assert!(engine.is_ready());
}

#[tokio::test]
async fn an_abandoned_request_is_never_computed_and_order_is_kept() {
    let (door, model) = held();
    let computed = Arc::clone(&model.computed);
    let engine = engine(model, 64, 2);
    let first = engine.submit(vec![target(1)]).unwrap();
    door.wait_for_arrival(1);
    let abandoned = engine.submit(vec![target(77)]).unwrap();
    let kept: Vec<_> = (2..8).map(|tss| engine.submit(vec![target(tss)]).unwrap()).collect();
    drop(abandoned);
    door.open();
    first.wait().await.unwrap();
    for pending in kept {
        pending.wait().await.unwrap();
    }
    assert_eq!(*computed.lock().unwrap(), [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn closing_answers_what_was_accepted_and_takes_no_more() {
    let (door, model) = held();
    let engine = Arc::new(engine(model, 64, 1));
    let pending: Vec<_> = (1..5).map(|tss| engine.submit(vec![target(tss)]).unwrap()).collect();
    door.open();
    let closing = Arc::clone(&engine);
    tokio::task::spawn_blocking(move || closing.close()).await.unwrap();
    assert!(matches!(engine.submit(vec![target(9)]), Err(EngineError::Unavailable)));
    assert!(!engine.is_ready());
    for one in pending {
        assert_eq!(one.wait().await.unwrap().predictions.len(), 1);
    }
}

#[tokio::test]
async fn alone_and_in_a_batch_the_numbers_are_the_same() {
    let engine = engine(NearestTwo::new(Scale::Log2), 64, 3);
    let batch = engine.predict((1..8).map(|n| target(n * 1_000)).collect()).await.unwrap().predictions;
    for (n, together) in (1..8).zip(batch) {
        assert_eq!(engine.predict(vec![target(n * 1_000)]).await.unwrap().predictions, [together]);
    }
}
