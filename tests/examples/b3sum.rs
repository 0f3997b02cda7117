//! Prints the BLAKE3 sum and the name of each file, as `b3sum` does; `make demo` compares its images with the output.

use std::path::Path;
use std::process::ExitCode;

use glancecast_tests::image::blake3_of;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("b3sum: which files?");
        return ExitCode::from(2);
    }
    for file in &files {
        println!("{}  {file}", blake3_of(Path::new(file)));
    }
    ExitCode::SUCCESS
}
