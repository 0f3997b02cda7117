//! Packs the inputs of a fuzzer into one file and unpacks them, for `make fuzz` and `make fuzz-merge`.

use std::path::Path;
use std::process::ExitCode;

use glancecast_testkit::corpus;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["unpack", file, directory] => corpus::unpack(Path::new(file), Path::new(directory)),
        ["pack", directory, file] => corpus::pack(Path::new(directory), Path::new(file)),
        _ => {
            eprintln!("usage: corpus unpack FILE DIRECTORY | corpus pack DIRECTORY FILE");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corpus: {}: {error}", arguments[1]);
            ExitCode::FAILURE
        }
    }
}
