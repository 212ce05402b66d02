//! `bench [FILTER]`: measures everything whose name contains FILTER, one line of JSON for each
//! figure on standard output and a table on standard error. Exit code 2: nothing has that name.

use std::env;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use tests::bench::{BENCHES, build_program, table};

fn main() -> io::Result<ExitCode> {
    let filter = env::args().nth(1).unwrap_or_default();
    let chosen: Vec<_> = BENCHES.iter().filter(|bench| bench.id.contains(&filter)).collect();
    let mut errors = io::stderr().lock();
    if chosen.is_empty() {
        writeln!(errors, "no bench is called `{filter}`; there are:")?;
        for bench in BENCHES {
            writeln!(errors, "  {:<24} {}", bench.id, bench.what)?;
        }
        return Ok(ExitCode::from(2));
    }
    if cfg!(debug_assertions) {
        writeln!(errors, "bench: this is a debug build, and its numbers mean nothing")?;
    }
    if chosen.iter().any(|bench| bench.uses_program) && env::var_os("FRAMEGATE_BIN").is_none() {
        writeln!(errors, "bench: building the program")?;
        let program = build_program().map_err(io::Error::other)?;
        // A process cannot change its own environment safely, but it can begin again with another.
        let mut again = Command::new(env::current_exe()?);
        return Err(again.args(env::args_os().skip(1)).env("FRAMEGATE_BIN", program).exec());
    }
    let mut lines = Vec::new();
    for bench in chosen {
        writeln!(errors, "bench: {}: {}", bench.id, bench.what)?;
        match (bench.run)() {
            Ok(found) => {
                for line in found {
                    writeln!(io::stdout().lock(), "{}", line.json())?;
                    lines.push(line);
                }
            }
            Err(skipped) => writeln!(errors, "skipped: {}: {skipped}", bench.id)?,
        }
    }
    write!(errors, "\n{}", table(&lines))?;
    Ok(ExitCode::SUCCESS)
}
