//! Watching memory and disk, and housekeeping of the logs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shunt_broker::queue::MemoryBudget;
use shunt_broker::{Alarm, Broker, Shard, Task};
use shunt_types::ShardId;
use shunt_types::limits::QUEUE_MEMORY_MIN;

use crate::metadata::Compaction;
use crate::settings::Settings;

/// How often the node looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Part of the machine's memory that is the limit where none is set: RabbitMQ's.
const MEMORY_PART: f64 = 0.6;

/// What is watched, and against what.
pub(crate) struct Watch {
    broker: Arc<Broker>,
    compaction: Arc<Compaction>,
    folder: PathBuf,
    memory_limit: u64,
    disk_free_limit: u64,
    budget: MemoryBudget,
    /// Whether queues were told to keep little in memory.
    is_short: bool,
}

impl Watch {
    pub(crate) fn new(broker: Arc<Broker>, compaction: Compaction, settings: &Settings) -> Self {
        let memory_limit = match settings.node.memory_limit_bytes {
            0 => total_memory().map_or(u64::MAX, |total| (total as f64 * MEMORY_PART) as u64),
            limit => limit,
        };
        Self {
            broker,
            compaction: Arc::new(compaction),
            folder: settings.node.data_dir.clone(),
            memory_limit,
            disk_free_limit: settings.node.disk_free_limit_bytes,
            budget: memory_budget(settings),
            is_short: false,
        }
    }

    /// Looks again and again, until it is aborted.
    pub(crate) async fn run(mut self) {
        loop {
            self.look();
            for damage in self.broker.take_damage_reports() {
                tracing::error!(damage, "a message can't be read back from the log");
            }
            self.broker.inbox(ShardId(0)).post(Task::Call(Box::new(Shard::reclaim)));
            let compaction = self.compaction.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || compaction.run_if_due()).await {
                tracing::error!(%error, "the metadata log can't be compacted");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Queues keep less in memory well before the alarm stops publishers.
    fn set_budget(&mut self, used: u64) {
        self.is_short = is_short(self.is_short, used, self.memory_limit);
        let short = MemoryBudget { logged: QUEUE_MEMORY_MIN, unlogged: QUEUE_MEMORY_MIN };
        self.broker.set_memory_budget(if self.is_short { short } else { self.budget });
    }

    fn look(&mut self) {
        if let Some(used) = resident_memory() {
            let is_low = used > self.memory_limit;
            self.set_budget(used);
            if self.broker.set_alarm(Alarm::Memory, is_low) {
                let limit = self.memory_limit;
                tracing::warn!(used, limit, is_low, "memory alarm: publishers wait while it is on");
            }
        }
        if let Ok(disk) = rustix::fs::statvfs(&self.folder) {
            let free = disk.f_bavail * disk.f_frsize;
            let is_low = free < self.disk_free_limit;
            self.broker.keep_spare_segments(!is_low);
            if self.broker.set_alarm(Alarm::Disk, is_low) {
                let limit = self.disk_free_limit;
                tracing::warn!(free, limit, is_low, "disk alarm: publishers wait while it is on");
            }
        }
    }
}

/// Whether queues should keep little in memory: from half of the limit on, and then until it is
/// clearly less, so that what they gave back does not come at once again.
fn is_short(was_short: bool, used: u64, limit: u64) -> bool {
    used > if was_short { limit / 5 * 2 } else { limit / 2 }
}

/// What one queue's ready messages may take of memory, by the settings.
pub(crate) fn memory_budget(settings: &Settings) -> MemoryBudget {
    let logged = settings.node.queue_memory_bytes;
    MemoryBudget { logged, unlogged: settings.node.queue_transient_memory_bytes.max(logged) }
}

/// The process's resident memory, in bytes.
fn resident_memory() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The machine's memory or, where that is less, what the process's group may use; in bytes.
fn total_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.split_whitespace().next()?.parse::<u64>().ok()? * 1024;
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
    Some(machine.min(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_until_it_is_clearly_enough() {
        let mut short = false;
        let mut looks = [40, 51, 49, 41, 40, 45, 50, 51].map(|used| {
            short = is_short(short, used, 100);
            short
        });
        assert_eq!(looks, [false, true, true, true, false, false, false, true]);
        looks = [0; 8].map(|used| is_short(true, used, u64::MAX));
        assert_eq!(looks, [false; 8]);
    }
}
