//! Help in two lengths: `-h` has the first thought of each option, `--help` all of it.

use clap::Command;

/// Shortens the help of all options and commands for `-h`.
pub(super) fn with_brief_help(command: Command) -> Command {
    let options = |command: Command| {
        command.mut_args(|arg| match arg.get_help().map(ToString::to_string) {
            Some(whole) if brief(&whole) != whole => arg.help(brief(&whole).to_owned()).long_help(whole),
            _ => arg,
        })
    };
    let hint = "glancecast COMMAND -h lists the options of a command, --help explains them with an example.";
    options(command.after_help(hint)).mut_subcommands(options)
}

/// Returns the text up to the end of its first thought.
fn brief(whole: &str) -> &str {
    let details = [". ", "; ", ": "].into_iter().flat_map(|end| whole.match_indices(end)).map(|(at, _)| at);
    let end = details.filter(|at| *at >= THOUGHT_BYTES_MIN).chain(whole.find(" [default")).min();
    &whole[..end.unwrap_or(whole.len())]
}

/// A shorter beginning is a word with its explanation behind it, as in `auto: ...`.
const THOUGHT_BYTES_MIN: usize = 20;

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    #[test]
    fn a_thought_ends_with_its_sentence_or_before_its_details() {
        for (whole, first) in [
            ("Interface to send on: name or address [default: any]", "Interface to send on"),
            ("Multicast group and port", "Multicast group and port"),
            ("Region of the cloud [default: any]", "Region of the cloud"),
            ("auto: as hard as the cores can; off; or a level", "auto: as hard as the cores can"),
            ("One sentence. Another one", "One sentence. Another one"),
            ("One long sentence here. Another one", "One long sentence here"),
        ] {
            assert_eq!(brief(whole), first);
        }
    }

    #[test]
    fn the_short_help_of_a_push_is_much_shorter_and_the_long_one_has_an_example() {
        let mut whole = command();
        let send = whole.find_subcommand_mut("send").expect("a command");
        let (short, long) = (send.render_help().to_string(), send.render_long_help().to_string());
        assert!(short.lines().count() * 2 < long.lines().count(), "{short}");
        assert!(long.contains("Example:") && long.contains("Exit codes:") && !short.contains("Exit codes:"));
        assert!(
            short.contains("--interface") && !short.contains("the one that the routing table has"),
            "{short}"
        );
    }
}
