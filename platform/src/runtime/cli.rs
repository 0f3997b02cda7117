//! What both command lines share: the exit codes, errors in one line on standard error, and output that may have no
//! reader: `println!` and its kind end the program where a pipe is closed or a disk is full.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

/// Success.
pub const EXIT_OK: u8 = 0;
/// The attempt failed: source, network, internal.
pub const EXIT_FAILED: u8 = 1;
/// A usage or configuration error: nothing was attempted.
pub const EXIT_USAGE: u8 = 2;
/// A service cannot start with its configuration (`EX_CONFIG` of sysexits.h): another attempt would end alike.
pub const EXIT_CONFIG: u8 = 78;
/// The push ended, but an expected host does not hold a proven copy.
pub const EXIT_INCOMPLETE: u8 = 3;

/// Parses the command line. Help and version are printed as usual.
///
/// # Errors
/// The exit code, after the message was printed.
pub fn parse<T: Parser>(program: &str) -> Result<T, ExitCode> {
    parse_from(program, std::env::args_os())
}

/// Parses these words as [`parse`] does the command line; the first one is the program's name.
///
/// # Errors
/// The exit code, after the message was printed.
pub fn parse_from<T: Parser>(
    program: &str,
    words: impl IntoIterator<Item = OsString>,
) -> Result<T, ExitCode> {
    T::try_parse_from(words).map_err(|error| match message(&error) {
        None => shown(&error),
        Some(message) => {
            tell(&format!("{program}: {message}"));
            ExitCode::from(EXIT_USAGE)
        }
    })
}

/// Returns what is wrong with the command line as one line, with what is similar and where help is; `None` if help or the
/// version was asked for.
pub fn message(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => None,
        _ => Some(one_line(&error.render().to_string())),
    }
}

/// Prints the help or the version that was asked for, and returns the exit code.
pub fn shown(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ExitCode::from(EXIT_USAGE),
        _ => ExitCode::from(EXIT_OK),
    }
}

/// Writes a result to standard output. A reader that has left (`| head`) has seen what it wanted.
///
/// # Errors
/// The error of the system if the result could not be written, as to a full disk.
pub fn print(text: &str) -> io::Result<()> {
    write_to(&mut io::stdout().lock(), text)
}

fn write_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line to standard error. If that is closed or full, nobody can be told.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Returns the message without clap's prefix and usage, its tips, and where help is.
fn one_line(rendered: &str) -> String {
    let mut line = String::new();
    for paragraph in rendered.split("\n\n") {
        let words = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let (is_first, tip) = (line.is_empty(), words.strip_prefix("tip: "));
        match (is_first, tip) {
            (true, _) => line.push_str(words.strip_prefix("error: ").unwrap_or(&words)),
            (false, Some(tip)) => line.push_str(&format!("; {}", tip.replace(" tip: ", "; "))),
            (false, None) => {}
        }
    }
    match usage(rendered) {
        Some(command) => format!("{line}; see {command} --help"),
        None => line,
    }
}

/// Returns the command whose usage clap shows: the words before the first that is no name.
fn usage(rendered: &str) -> Option<String> {
    let usage = rendered.lines().find_map(|line| line.strip_prefix("Usage: "))?;
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    Some(usage.split_whitespace().take_while(is_name).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_left_is_no_error_and_a_full_disk_is_one() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        drop(reader);
        write_to(&mut writer, "nobody reads this").expect("nobody misses it");
        let mut full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let error = write_to(&mut full, "lost").expect_err("it is lost");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[derive(Debug, Parser)]
    struct Args {
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        expect: u32,
    }

    #[test]
    fn every_mistake_is_one_line_that_names_the_flag() {
        for args in
            [&["x", "--expect", "0"][..], &["x"], &["x", "--expect"], &["x", "--expect", "1", "--what"]]
        {
            let error = Args::try_parse_from(args).expect_err("a mistake");
            let line = one_line(&error.render().to_string());
            assert!(!line.contains('\n') && !line.contains("Usage"), "{line}");
            assert!(line.contains("--expect") || line.contains("--what"), "{line}");
        }
    }

    #[test]
    fn a_slip_is_named_with_what_was_meant_and_where_help_is() {
        let error = Args::try_parse_from(["x", "--expact", "1"]).expect_err("a slip");
        let line = message(&error).expect("no help");
        assert!(
            line.starts_with("unexpected argument '--expact' found; a similar argument exists: '--expect'"),
            "{line}"
        );
        assert!(line.ends_with(" --help"), "{line}");
        assert_eq!(message(&Args::try_parse_from(["x", "--help"]).expect_err("help")), None);
    }
}
