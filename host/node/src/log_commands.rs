//! `shunt log`: the logs of a stopped node, checked and repaired.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};
use shunt_storage::{
    CutTail, Damage, DataFolder, FileCheck, LogRole, Repair, check_log, repair_log,
};

use crate::cli::{LogAction, LogCommand, SettingsArgs};
use crate::output::{self, OutputFormat};

/// The logs of a folder: their folders in it, and what they are.
const LOGS: [(&str, LogRole); 2] =
    [("metadata", LogRole::Metadata), ("messages", LogRole::Messages)];

/// Exit codes beside 0.
const DAMAGED: u8 = 1;
const UNREADABLE: u8 = 2;

/// Performs the command; answers its exit code.
pub(crate) fn run(command: LogCommand) -> ExitCode {
    let outcome = match command.action {
        LogAction::Check { settings, output } => check(&settings, output),
        LogAction::Repair { settings, write, output } => repair(&settings, write, output),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DAMAGED),
        Err(error) => {
            output::error(&format!("{error:#}"));
            ExitCode::from(UNREADABLE)
        }
    }
}

/// Whether there is no damage.
fn check(settings: &SettingsArgs, format: OutputFormat) -> anyhow::Result<bool> {
    let folder = DataFolder::open_existing(&crate::load(settings)?.settings.node.data_dir)?;
    let mut files = Vec::new();
    for (name, role) in LOGS {
        let Some(disk) = folder.existing_disk(name)? else { continue };
        let mut progress = Progress::new(name);
        check_log(&disk, role, &mut |file, done, total| {
            progress.reached(done, total);
            files.push(file);
        })?;
    }
    let damaged: usize = files.iter().map(|file| file.damaged.len()).sum();
    output::print(&match format {
        OutputFormat::Human => report(&files, damaged),
        OutputFormat::Json => {
            let files: Vec<_> = files.iter().map(file_json).collect();
            format!("{:#}\n", json!({"clean": damaged == 0, "damaged": damaged, "files": files}))
        }
    })?;
    Ok(damaged == 0)
}

/// Whether nothing is beyond repair.
fn repair(settings: &SettingsArgs, write: bool, format: OutputFormat) -> anyhow::Result<bool> {
    let folder = DataFolder::open_existing(&crate::load(settings)?.settings.node.data_dir)?;
    let mut steps = Vec::new();
    let mut failed = None;
    for (name, role) in LOGS {
        let Some(disk) = folder.existing_disk(name)? else { continue };
        if let Err(error) = repair_log(&disk, role, write, &mut |step| steps.push(step)) {
            failed = Some(error);
            break;
        }
    }
    let beyond = steps.iter().filter(|step| matches!(step, Repair::Beyond(_))).count();
    output::print(&match format {
        OutputFormat::Human => steps_report(&steps, write),
        OutputFormat::Json => {
            let steps: Vec<_> = steps.iter().map(step_json).collect();
            format!("{:#}\n", json!({"written": write, "beyond_repair": beyond, "steps": steps}))
        }
    })?;
    failed.map_or(Ok(beyond == 0), |error| Err(error.into()))
}

fn report(files: &[FileCheck], damaged: usize) -> String {
    let mut text = String::new();
    for file in files {
        let (path, records, size) = (file.path.display(), file.records, file.size);
        let _ = writeln!(text, "{path}: {records} records, {size} bytes");
        for Damage { offset, size, reason, .. } in &file.damaged {
            let _ = writeln!(text, "  damaged at offset {offset}, {size} bytes: {reason}");
        }
        if let Some(CutTail { offset, size, .. }) = &file.cut_tail {
            let _ = writeln!(
                text,
                "  torn at offset {offset}, {size} bytes: confirmed to nobody, cut by a start"
            );
        }
        if let Some(why) = file.leftover {
            let _ = writeln!(text, "  not needed, removed by a start: {why}");
        }
    }
    text.push_str(&match damaged {
        0 => "no damage\n".to_owned(),
        1 => "1 place is damaged\n".to_owned(),
        many => format!("{many} places are damaged\n"),
    });
    text
}

fn steps_report(steps: &[Repair], write: bool) -> String {
    let mut text = String::new();
    for step in steps {
        let _ = match step {
            Repair::CutTail(CutTail { path, offset, size }) => {
                writeln!(text, "{}: cut {size} bytes at offset {offset}", path.display())
            }
            Repair::TakeOut { path, damaged, kept } => {
                let (path, kept) = (path.display(), kept.display());
                for Damage { offset, size, reason, .. } in damaged {
                    let _ = writeln!(
                        text,
                        "{path}: take out {size} bytes at offset {offset}: {reason}"
                    );
                }
                writeln!(text, "{path}: keep the file as it was in {kept}")
            }
            Repair::RewriteIndex(path) => writeln!(text, "{}: write it again", path.display()),
            Repair::RemoveLeftover { path, why } => {
                writeln!(text, "{}: remove it: {why}", path.display())
            }
            Repair::Beyond(Damage { path, offset, reason, .. }) => writeln!(
                text,
                "{}: beyond repair: damaged at offset {offset}: {reason}",
                path.display()
            ),
        };
    }
    text.push_str(match (steps.is_empty(), write) {
        (true, _) => "nothing to repair\n",
        (false, true) => "done\n",
        (false, false) => "nothing was changed; --write does it\n",
    });
    text
}

fn file_json(file: &FileCheck) -> Value {
    json!({
        "path": file.path.to_string_lossy(),
        "size": file.size,
        "records": file.records,
        "damaged": file.damaged.iter().map(damage_json).collect::<Vec<_>>(),
        "cut_tail": file.cut_tail.as_ref().map(|cut| json!({"offset": cut.offset, "size": cut.size})),
        "leftover": file.leftover,
    })
}

fn damage_json(damage: &Damage) -> Value {
    json!({"offset": damage.offset, "size": damage.size, "reason": damage.reason})
}

fn step_json(step: &Repair) -> Value {
    match step {
        Repair::CutTail(CutTail { path, offset, size }) => {
            json!({"step": "cut_tail", "path": path.to_string_lossy(), "offset": offset, "size": size})
        }
        Repair::TakeOut { path, damaged, kept } => json!({
            "step": "take_out",
            "path": path.to_string_lossy(),
            "damaged": damaged.iter().map(damage_json).collect::<Vec<_>>(),
            "kept": kept.to_string_lossy(),
        }),
        Repair::RewriteIndex(path) => {
            json!({"step": "rewrite_index", "path": path.to_string_lossy()})
        }
        Repair::RemoveLeftover { path, why } => {
            json!({"step": "remove_leftover", "path": path.to_string_lossy(), "reason": why})
        }
        Repair::Beyond(damage) => json!({
            "step": "beyond_repair",
            "path": damage.path.to_string_lossy(),
            "damaged": [damage_json(damage)],
        }),
    }
}

/// One line on a terminal that is written over and over; elsewhere nothing.
struct Progress {
    log: &'static str,
    is_shown: bool,
}

impl Progress {
    fn new(log: &'static str) -> Self {
        Self { log, is_shown: io::stderr().is_terminal() }
    }

    fn reached(&mut self, done: u64, total: u64) {
        if self.is_shown {
            let per_cent = done.saturating_mul(100).checked_div(total).unwrap_or(100).min(100);
            let log = self.log;
            // A terminal that has gone away misses nothing.
            let _ = write!(io::stderr(), "\r{log}: {done} of {total} bytes, {per_cent} %");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            // Takes the line away.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
