//! Passwords that come by standard input, so that no list of processes and no history of a shell
//! shows them.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, ensure};

/// What stands for a password that comes by standard input.
const STDIN: &str = "-";

/// The password itself, which is the next line of standard input where `-` is given. `what` is
/// asked for at a terminal, and named where nothing comes.
pub(crate) fn resolve(given: &str, what: &str) -> anyhow::Result<String> {
    if given != STDIN {
        return Ok(given.to_owned());
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        // Who can't be asked can still type.
        let _ = write!(io::stderr(), "{what}: ");
    }
    let mut line = String::new();
    // The standard library's one buffer keeps what follows the line for the next call.
    stdin.lock().read_line(&mut line).with_context(|| format!("can't read {what}"))?;
    let password = line.trim_end_matches(['\r', '\n']);
    ensure!(!password.is_empty(), "{what} is expected on standard input, and nothing came");
    Ok(password.to_owned())
}
