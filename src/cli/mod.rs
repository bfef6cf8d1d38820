//! The command line: arguments in, text out. What it does lies in the library.
//!
//! Each subcommand is one file with a struct of its arguments and a `run`; to add one, add
//! its file here and a variant to `Command`.

mod agent;
mod bench;
mod collapse;
mod compare;
mod compared;
mod completions;
mod convert;
mod data;
mod demo;
mod demo_games;
mod demo_landmarks;
mod device;
mod devices;
mod eval;
mod explain;
mod gradcheck;
mod inspect;
mod landmarks;
mod man;
mod measure;
mod output;
mod predict;
mod processes;
mod profile;
mod progress;
mod prune;
mod report;
#[cfg(feature = "serve")]
mod serve;
mod train;
mod zoo;

use clap::{Parser, Subcommand};
use output::Output;
use std::ffi::OsString;
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
  zoo-tuning inspect untrusted.pth               what is in it? (nothing of it is run)
  zoo-tuning train --zoo data/zoo/*.safetensors --data data/digits/digits.csv.gz --out run
  zoo-tuning report run                          the run as a page
  zoo-tuning compare --zoo models/*.pth --data photos/ --out compared    is a zoo worth it?
  zoo-tuning eval run/model.safetensors --data data/digits/digits.csv.gz
  zoo-tuning collapse run/model.safetensors plain.safetensors
  zoo-tuning predict plain.safetensors image.png
  zoo-tuning rl train bricks --form scratch --out bricks      an agent that learns a game
  zoo-tuning serve run/model.safetensors         the same on a page, with gates and neighbours
  zoo-tuning convert plain.safetensors plain.pth
  zoo-tuning devices                             what it can be computed with
  zoo-tuning gradcheck                           every operation's gradient, checked
  zoo-tuning help train                          all options of a command, with examples

Results go to the standard output, messages to the standard error output. The exit code is 0 if
all went well, 1 after an error, 2 for wrong arguments, 130 after Ctrl-C.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Train(Box<train::Arguments>),
    Compare(Box<compare::Arguments>),
    Report(report::Arguments),
    Eval(eval::Arguments),
    Predict(predict::Arguments),
    Rl(agent::Arguments),
    Collapse(collapse::Arguments),
    Convert(convert::Arguments),
    #[cfg(feature = "serve")]
    Serve(serve::Arguments),
    Inspect(inspect::Arguments),
    Zoo(zoo::Arguments),
    Gradcheck(gradcheck::Arguments),
    Bench(bench::Arguments),
    Devices(devices::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Parses the arguments, runs the command, reports its error.
pub fn main() -> ExitCode {
    main_from(std::env::args_os()).into()
}

/// As [`main`], of other arguments than the process has, the program's name before them; the exit code.
/// Wrong arguments, and a question for help, end the process.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let Cli { global, command } = Cli::parse_from(arguments);
    let mut output = Output::new(&global);
    let result = run(command, &global, &mut output);
    match result.and_then(|()| output.finish()) {
        Ok(()) => 0,
        Err(stop) => output.report(stop),
    }
}

fn run(command: Command, global: &output::Global, output: &mut Output) -> output::Result {
    crate::tensor::buffer::limit()?;
    if !matches!(command, Command::Train(_)) {
        processes::alone()?;
    }
    if !matches!(command, Command::Train(_) | Command::Rl(_)) {
        // A run's configuration may give their number too.
        output::use_threads(global.threads)?;
    }
    match command {
        Command::Demo(arguments) => {
            arguments.profiling.clone().watch(|| demo::run(arguments, global.threads, output))
        }
        Command::Train(arguments) => {
            arguments.profiling.clone().watch(|| train::run(*arguments, global.threads, output))
        }
        Command::Compare(arguments) => compare::run(*arguments, output),
        Command::Report(arguments) => report::run(arguments, output),
        Command::Eval(arguments) => {
            arguments.profiling.clone().watch(|| eval::run(arguments, output))
        }
        Command::Rl(arguments) => agent::run(arguments, global.threads, output),
        Command::Predict(arguments) => {
            arguments.profiling.clone().watch(|| predict::run(arguments, output))
        }
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => serve::run(arguments, output),
        Command::Collapse(arguments) => collapse::run(arguments, output),
        Command::Convert(arguments) => convert::run(arguments, output),
        Command::Inspect(arguments) => inspect::run(arguments, output),
        Command::Zoo(arguments) => zoo::run(arguments, output),
        Command::Devices(arguments) => devices::run(arguments, output),
        Command::Completions(arguments) => completions::run(arguments, output),
        Command::Man(arguments) => man::run(arguments, output),
        Command::Gradcheck(arguments) => gradcheck::run(arguments, output),
        Command::Bench(arguments) => {
            arguments.profiling.clone().watch(|| bench::run(arguments, output))
        }
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
