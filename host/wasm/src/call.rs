//! One call into a guest of either encoding: its store, its time, and what went wrong.

use std::sync::Arc;

use shunt_routing::{Failure, FailureCause};
use wasmtime::{Engine, Store, Trap, UpdateDeadline, WasmBacktrace};

use crate::engine::Ticker;
use crate::guest::{Guest, Room};
use crate::instance::Terms;
use crate::limits::{DETAIL_BYTES_MAX, FUEL_PER_US};

/// The store of a new instance, with its limits.
pub(crate) fn store(
    engine: &Engine,
    fuel: bool,
    terms: &Terms,
    room: Room,
    ticker: &Arc<Ticker>,
) -> Store<Guest> {
    let mut store = Store::new(engine, Guest::new(room, terms));
    store.limiter(|guest| &mut guest.room);
    if !fuel {
        let ticker = Arc::clone(ticker);
        store.epoch_deadline_callback(move |mut store| {
            let budget = &mut store.data_mut().budget;
            if !budget.is_watched() {
                ticker.watch();
            }
            Ok(if budget.is_spent() {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Continue(1)
            })
        });
    }
    store
}

/// Gives a call its time. The deadline comes before the ticker is touched: see there.
#[inline]
pub(crate) fn begin(store: &mut Store<Guest>, ticker: &Ticker, limit_us: u64, fuel: bool) {
    store.data_mut().begin_call(limit_us.saturating_mul(1_000));
    if fuel {
        // It fails only on an engine without fuel.
        let _ = store.set_fuel(limit_us.saturating_mul(FUEL_PER_US));
    } else {
        store.set_epoch_deadline(1);
        ticker.touch();
    }
}

/// Ends what [`begin`] began.
#[inline]
pub(crate) fn end(store: &mut Store<Guest>, ticker: &Ticker) {
    let guest = store.data_mut();
    if guest.budget.is_watched() {
        ticker.unwatch();
    }
    guest.end_call();
}

/// What a failed call was: a closed list of causes, and a text for people.
#[cold]
pub(crate) fn failure(store: &Store<Guest>, error: &wasmtime::Error) -> Failure {
    let guest = store.data();
    let trap = error.downcast_ref::<Trap>();
    let cause = match trap {
        Some(Trap::Interrupt | Trap::OutOfFuel) => {
            let limit_us = guest.budget.limit_ns / 1_000;
            let detail = format!("the call took more than {limit_us} us of processor time");
            return Failure::new(FailureCause::Timeout, detail);
        }
        _ if guest.room.refused => FailureCause::Memory,
        _ => FailureCause::Trap,
    };
    let mut detail = match trap {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let frame = error.downcast_ref::<WasmBacktrace>().and_then(|trace| trace.frames().first());
    if let Some(name) = frame.and_then(|frame| frame.func_name()) {
        detail.push_str(" in ");
        detail.push_str(name);
    }
    cut(&mut detail);
    Failure::new(cause, detail)
}

/// Cuts a text that a guest may have made to what is kept of it.
pub(crate) fn cut(detail: &mut String) {
    if detail.len() > DETAIL_BYTES_MAX {
        let end = (0..=DETAIL_BYTES_MAX).rev().find(|&end| detail.is_char_boundary(end));
        detail.truncate(end.unwrap_or(0));
    }
}
