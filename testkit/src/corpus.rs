//! The corpora of the fuzzers: a file for each fuzzer, with one input a line in [`hex`], sorted. An empty line is an
//! empty input.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::hex;

/// Runs every input of `tests/fuzz/corpus/TARGET.hex`; prints the line of each, to identify the one that fails.
///
/// # Panics
/// If the file cannot be read, or has fewer inputs than any fuzzer finds.
pub fn replay(target: &str, run: fn(&[u8])) {
    let file = file_of(target);
    let inputs = read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(inputs.len() >= 10, "{} inputs in {}", inputs.len(), file.display());
    for (line, input) in (1..).zip(inputs) {
        println!("{target}.hex:{line}");
        run(&input);
    }
}

/// Returns the file of a target's corpus.
pub fn file_of(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fuzz/corpus/{target}.hex"))
}

/// Returns the inputs in a corpus file.
///
/// # Errors
/// If it cannot be read, or a line is not hex.
pub fn read(file: &Path) -> io::Result<Vec<Vec<u8>>> {
    let text = fs::read_to_string(file)?;
    let bad = |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not hex: {line:?}"));
    text.lines().map(|line| hex::decode(line).ok_or_else(|| bad(line))).collect()
}

/// Writes each input to a file of its own in `directory`, as libFuzzer expects; creates the directory.
///
/// # Errors
/// If a file cannot be read or written.
pub fn unpack(file: &Path, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (line, input) in (1..).zip(read(file)?) {
        fs::write(directory.join(format!("{line:04}")), input)?;
    }
    Ok(())
}

/// Packs the files in `directory`, whatever their names; equal inputs become one line.
///
/// # Errors
/// If a file cannot be read or written.
pub fn pack(directory: &Path, file: &Path) -> io::Result<()> {
    let read = |entry: io::Result<fs::DirEntry>| fs::read(entry?.path());
    let inputs: BTreeSet<Vec<u8>> = fs::read_dir(directory)?.map(read).collect::<io::Result<_>>()?;
    write(file, &inputs)
}

/// Writes a corpus file.
///
/// # Errors
/// If it cannot be written.
pub fn write(file: &Path, inputs: &BTreeSet<Vec<u8>>) -> io::Result<()> {
    fs::write(file, inputs.iter().map(|input| hex::encode(input) + "\n").collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_what_was_there() {
        let work = std::env::temp_dir().join(format!("glancecast-testkit-{}", std::process::id()));
        let (loose, packed, again) = (work.join("loose"), work.join("packed.hex"), work.join("again"));
        let inputs: [&[u8]; 5] = [b"", b"\n", b"abc", &[0, 0xFF], b"abc"];
        fs::create_dir_all(&loose).expect("a directory");
        for (at, input) in inputs.iter().enumerate() {
            fs::write(loose.join(at.to_string()), input).expect("a file");
        }
        pack(&loose, &packed).expect("packed");
        assert_eq!(read(&packed).expect("readable"), [&b""[..], &[0, 0xFF], b"\n", b"abc"]);
        unpack(&packed, &again).expect("unpacked");
        assert_eq!(fs::read_dir(&again).expect("a directory").count(), 4);
        fs::remove_dir_all(&work).expect("ours");
    }
}
