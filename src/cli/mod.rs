//! The command line: arguments in, text out. What it does lies in the library.
//!
//! Each subcommand is one file with a struct of its arguments and a `run`; to add one, add
//! its file here and a variant to [`Command`].

mod collapse;
mod data;
mod demo;
mod eval;
mod gradcheck;
mod inspect;
mod output;

use clap::{Parser, Subcommand};
use output::Output;
use std::process::ExitCode;

/// Tune a whole zoo of pretrained networks to one task.
///
/// Zoo-Tuning (ICML 2021) aggregates the kernels of several pretrained networks, layer by
/// layer, into one network for a target task; its lite form collapses into a plain network of
/// the size of one source.
#[derive(Parser)]
#[command(name = "zoo-tuning", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: output::Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  zoo-tuning demo                                the main job, in about a minute
  zoo-tuning inspect data/zoo/*.safetensors      do these files form a zoo?
  zoo-tuning gradcheck                           every operation's gradient, checked
  zoo-tuning help eval                           all options of a command, with examples

Results go to the standard output, messages to the standard error output. The exit code is 0 if
all went well, 1 after an error, 2 for wrong arguments, 130 after Ctrl-C.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Inspect(inspect::Arguments),
    Eval(eval::Arguments),
    Collapse(collapse::Arguments),
    Gradcheck(gradcheck::Arguments),
}

/// Parses the arguments, runs the command, reports its error.
pub fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let mut output = Output::new(&global);
    let result = output::use_threads(global.threads).and_then(|()| match command {
        Command::Demo(arguments) => demo::run(arguments, global.threads, &mut output),
        Command::Inspect(arguments) => inspect::run(arguments, &mut output),
        Command::Eval(arguments) => eval::run(arguments, &mut output),
        Command::Collapse(arguments) => collapse::run(arguments, &mut output),
        Command::Gradcheck(arguments) => gradcheck::run(arguments, &mut output),
    });
    match result.and_then(|()| output.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => output.report(stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_make_sense_to_clap() {
        Cli::command().debug_assert();
    }
}
