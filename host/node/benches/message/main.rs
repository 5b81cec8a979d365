//! What a message passes, piece by piece: nanoseconds, and instructions beside them, which are the
//! same however busy the machine is. `cargo bench -p shunt`, or of some pieces alone
//! `cargo bench -p shunt --bench message -- topic`.
//!
//! Instructions are counted by valgrind (`apt-get install valgrind`), which runs this program once
//! more for each piece, twice: with few rounds and with many, so that what is set up before falls
//! out of the difference. They are those of user space.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

#[path = "../../src/allocator.rs"]
mod allocator;
mod pieces;

use std::process::Command;
use std::time::Duration;

use pieces::{Piece, pieces};

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

/// Time for one measurement; the best of [`MEASUREMENTS`] counts, as the others were disturbed.
const MEASUREMENT: Duration = Duration::from_millis(20);
const MEASUREMENTS: usize = 15;

/// Rounds under valgrind.
const FEW: u64 = 500;
const MANY: u64 = 2_500;

/// Asks this program to run one piece so many times and no more: `--run ROUNDS PIECE`.
const RUN: &str = "--run";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [run, rounds, name] = &arguments[..]
        && run == RUN
    {
        let rounds: u64 = rounds.parse().unwrap();
        let piece = pieces().into_iter().find(|piece| piece.name == *name).unwrap();
        let mut round = (piece.prepare)();
        (0..rounds).for_each(|_| round());
        return;
    }
    // `cargo test --benches` passes no `--bench`: then it is enough that it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with("--"));
    let wanted = |piece: &Piece| wanted.is_none_or(|part| piece.name.contains(part.as_str()));
    println!("{:58} {:>9} {:>13}", "", "ns", "instructions");
    let mut uncounted = Vec::new();
    let mut has_valgrind = true;
    for piece in pieces().into_iter().filter(wanted) {
        let ns = nanoseconds(&piece);
        let counted = if has_valgrind { instructions(&piece) } else { Err(Uncounted::NoValgrind) };
        let instructions = counted.as_ref().map_or("-".to_owned(), |count| format!("{count:.0}"));
        println!("{:58} {ns:9.1} {instructions:>13}", piece.name);
        match counted {
            Ok(_) => {}
            Err(Uncounted::NoValgrind) => has_valgrind = false,
            Err(Uncounted::Failed(why)) => uncounted.push((piece.name, why)),
        }
    }
    if !has_valgrind {
        println!(
            "\nInstructions are counted by valgrind, which is not here: apt-get install valgrind"
        );
    }
    for (name, why) in uncounted {
        println!("\nNot counted: {name}: {why}");
    }
}

/// Why there is no number of instructions.
enum Uncounted {
    NoValgrind,
    /// It could not run this piece.
    Failed(String),
}

/// One round of a piece, in the best of several measurements.
fn nanoseconds(piece: &Piece) -> f64 {
    let mut round = (piece.prepare)();
    let mut best = f64::INFINITY;
    for _ in 0..MEASUREMENTS {
        let (begun, mut rounds) = (now(), 0u32);
        while now() - begun < MEASUREMENT {
            (0..100).for_each(|_| round());
            rounds += 100;
        }
        best = best.min((now() - begun).as_nanos() as f64 / f64::from(rounds));
    }
    best / piece.messages
}

/// Instructions of one round.
fn instructions(piece: &Piece) -> Result<f64, Uncounted> {
    let (few, many) = (collected(piece.name, FEW)?, collected(piece.name, MANY)?);
    Ok((many as f64 - few as f64) / (MANY - FEW) as f64 / piece.messages)
}

fn collected(name: &str, rounds: u64) -> Result<u64, Uncounted> {
    let failed = |why: &str| Uncounted::Failed(why.trim().to_owned());
    let program = std::env::current_exe().map_err(|error| failed(&error.to_string()))?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([RUN, &rounds.to_string(), name])
        .output()
        .map_err(|_| Uncounted::NoValgrind)?;
    let said = String::from_utf8_lossy(&run.stderr);
    let after = |mark: &str| said.lines().find_map(|line| Some(line.split_once(mark)?.1));
    if !run.status.success() {
        let why = after("Process terminating with ").or_else(|| said.lines().last());
        return Err(failed(why.unwrap_or_default()));
    }
    let count = after("Collected : ").and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| failed("valgrind printed no number"))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
