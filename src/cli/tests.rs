use clap::CommandFactory;

use super::*;

/// The help of a command, as `-h` shows it.
fn short_help(path: &[&str]) -> String {
    let mut command = Cli::command();
    command.build();
    let found = path.iter().fold(&mut command, |command, name| {
        command.find_subcommand_mut(name).unwrap_or_else(|| panic!("no command {name}"))
    });
    found.render_help().to_string()
}

#[test]
fn the_command_line_makes_sense_to_clap() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_petrel() {
    insta::assert_snapshot!("petrel", short_help(&[]));
}

#[test]
fn the_help_of_petrel_with_all_settings() {
    insta::assert_snapshot!("petrel_all_settings", Cli::command().render_long_help().to_string());
}

#[test]
fn the_help_of_the_commands() {
    for path in [
        &["dev"][..],
        &["serve"],
        &["workflow", "apply"],
        &["case"],
        &["case", "start"],
        &["case", "history"],
        &["token"],
        &["fire"],
        &["check"],
        &["draw"],
        &["simulate"],
        &["import"],
        &["export"],
        &["history"],
        &["history", "export"],
        &["audit"],
        &["rebuild"],
        &["doctor"],
        &["level"],
    ] {
        insta::assert_snapshot!(path.join("_"), short_help(path));
    }
}

#[test]
fn every_command_and_flag_says_what_it_is_for() {
    fn check(command: &clap::Command) {
        assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
        for argument in command.get_arguments() {
            let name = format!("{} {}", command.get_name(), argument.get_id());
            assert!(argument.get_help().is_some(), "{name} says nothing");
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}
