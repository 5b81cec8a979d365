//! The processor time of a process, from `/proc`.

use std::fs;

use anyhow::Context as _;

/// The unit of the times in `/proc`, fixed by Linux's ABI for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process, by what stands under `/proc`.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    stat_path: String,
}

impl Process {
    /// The process of this program.
    pub(crate) fn own() -> Self {
        Self { stat_path: "/proc/self/stat".to_owned() }
    }

    /// Another process.
    pub(crate) fn by_id(id: u32) -> Self {
        Self { stat_path: format!("/proc/{id}/stat") }
    }

    /// Seconds of processor time that it has used, in user and kernel mode together.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(&self.stat_path).with_context(|| self.stat_path.clone())?;
        cpu_seconds(&stat).with_context(|| format!("{} is not as expected", self.stat_path))
    }
}

/// Fields 14 and 15 of `stat`. The second field is a name in parentheses that may hold anything,
/// so fields count from behind it.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut fields = behind_name.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some((user + kernel) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_hold_anything() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 3 0 99";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("garbage"), None);
    }
}
