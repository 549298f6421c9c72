//! Options that are named and understood but not supported yet, so that a script written for them
//! gets a plain answer instead of "unexpected argument".

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};

/// Options with a value.
const WITH_VALUE: &[&str] = &["prior"];

/// The commands that take them.
const COMMANDS: [&str; 3] = ["fill", "generate", "transform"];

/// Adds the options to the commands; help does not list them.
pub fn extend(command: Command) -> Command {
    let arguments = || {
        let named = |name: &&'static str| Arg::new(*name).long(*name).hide(true);
        WITH_VALUE
            .iter()
            .map(move |name| named(name).action(ArgAction::Append).allow_hyphen_values(true))
    };
    COMMANDS
        .iter()
        .fold(command, |command, name| command.mut_subcommand(name, |sub| sub.args(arguments())))
}

/// The first of the options that was given, with its dashes.
pub fn named(matches: &ArgMatches) -> Option<String> {
    let (command, matches) = matches.subcommand()?;
    if !COMMANDS.contains(&command) {
        return None;
    }
    let given = |name: &&&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let name = WITH_VALUE.iter().find(given)?;
    Some(format!("--{name}"))
}
