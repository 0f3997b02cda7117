//! Tables that a command makes anew and compares with the file that keeps them, so that a change is reviewed as a diff.

use std::fs;
use std::process::ExitCode;

/// Compares what was made with `file`, and writes it there if it differs. Returns the exit code of the command: success if
/// nothing has changed.
pub fn compare(file: &str, made: &str) -> ExitCode {
    if fs::read_to_string(file).is_ok_and(|kept| kept == made) {
        println!("as in {file}");
        return ExitCode::SUCCESS;
    }
    match fs::write(file, made) {
        Ok(()) => eprintln!("{file} has changed: review the difference"),
        Err(error) => eprintln!("cannot write {file}: {error}"),
    }
    ExitCode::FAILURE
}
