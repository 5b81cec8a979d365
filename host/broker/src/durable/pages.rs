//! Messages that are in the log alone are read back: ahead of consumers on a thread of its own,
//! at once where somebody waits for one of them.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};
use shunt_storage::ReadError;
use shunt_types::QueueId;

use super::record::read_content;
use crate::broker::Broker;
use crate::queue::{Paged, Wanted};
use crate::shard::Task;

/// Reports of damage that wait to be taken; more are only counted.
const REPORTS_MAX: usize = 100;

/// What a queue wants to have read.
pub(crate) struct PageRequest {
    pub(crate) queue: QueueId,
    pub(crate) wanted: Vec<Wanted>,
}

/// The requests of all shards, for the thread that reads.
#[derive(Default)]
pub(crate) struct PageRequests {
    state: Mutex<Requests>,
    wake: Condvar,
}

#[derive(Default)]
struct Requests {
    waiting: VecDeque<PageRequest>,
    /// Some thread serves them.
    is_served: bool,
    is_closed: bool,
    reports: Vec<String>,
}

impl PageRequests {
    /// Leaves a request, or hands it back where nobody serves it.
    pub(crate) fn post(&self, request: PageRequest) -> Option<PageRequest> {
        let mut state = self.state.lock();
        if !state.is_served {
            return Some(request);
        }
        state.waiting.push_back(request);
        drop(state);
        self.wake.notify_one();
        None
    }

    fn next(&self) -> Option<PageRequest> {
        let mut state = self.state.lock();
        state.is_served = !state.is_closed;
        loop {
            if state.is_closed {
                return None;
            }
            match state.waiting.pop_front() {
                None => self.wake.wait(&mut state),
                request => return request,
            }
        }
    }

    fn report(&self, error: &ReadError) {
        let mut state = self.state.lock();
        if state.reports.len() < REPORTS_MAX {
            state.reports.push(describe(error));
        }
    }
}

impl Broker {
    /// Reads what queues ask for, until [`Broker::stop_page_reader`]; for a thread of its own.
    /// Without one, shards read for themselves.
    pub fn run_page_reader(&self) {
        while let Some(PageRequest { queue, wanted }) = self.pages().next() {
            let pages = self.read_pages(&wanted);
            let task = Task::Call(Box::new(move |shard| shard.take_pages(queue, pages)));
            self.inbox(queue.shard()).post(task);
        }
    }

    /// Ends the reading thread; what was asked for and not read is not answered.
    pub fn stop_page_reader(&self) {
        let mut state = self.pages().state.lock();
        state.is_closed = true;
        state.is_served = false;
        drop(state);
        self.pages().wake.notify_all();
    }

    /// Takes what was found wrong with records that were read back: each names file and offset.
    pub fn take_damage_reports(&self) -> Vec<String> {
        std::mem::take(&mut self.pages().state.lock().reports)
    }

    /// Reads messages back, now.
    pub(crate) fn read_pages(&self, wanted: &[Wanted]) -> Vec<(Wanted, Paged)> {
        let Some(log) = self.message_log() else { return Vec::new() };
        let positions: Vec<_> = wanted.iter().map(|wanted| wanted.position).collect();
        // Nothing that the log does not answer for counts as lost.
        let failed = wanted.iter().map(|wanted| (*wanted, Paged::Failed));
        let mut pages: Vec<_> = failed.collect();
        log.read_many(&positions, &mut |index, record| {
            let paged = match record {
                // The checksum was right, so that only another build can have written it.
                Ok(record) => read_content(record.body).map_or(Paged::Lost, Paged::Read),
                Err(error) => {
                    if !matches!(error, ReadError::Gone(_)) {
                        self.pages().report(&error);
                    }
                    match error {
                        ReadError::Io { .. } => Paged::Failed,
                        _ => Paged::Lost,
                    }
                }
            };
            pages[index].1 = paged;
        });
        pages
    }
}

/// An error with its causes.
fn describe(error: &ReadError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
