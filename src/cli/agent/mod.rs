//! `rl`: agents, from training to play.

mod eval;
mod play;

use super::output::{Output, Result};
use super::train;
use crate::train::Model;
use crate::train::task::ReinforcementConfig;
use crate::{Error, environment};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Agents that learn from rewards: train one from a zoo, measure it, watch it play.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<Train>),
    Eval(eval::Arguments),
    Play(play::Arguments),
    Games(Games),
}

/// Train an agent in an environment.
///
/// What train does, for agents: the run is a folder with a page, which --resume goes on with to the
/// same bits. Settings are those of the preset minatar for boards, and of data-efficient-rainbow for
/// pixels, unless --preset names another; default is none of them.
#[derive(Args)]
#[command(
    args_override_self = true,
    after_help = "\
Examples:

An agent of its own, then one from a zoo of three that know other games:
  zoo-tuning rl train bricks --form scratch --out bricks
  zoo-tuning rl train catch --zoo bricks/model.safetensors dive/model.safetensors \\
      cross/model.safetensors --total-steps 200000 --out catch
  zoo-tuning rl eval catch/model.safetensors
  zoo-tuning rl play catch/model.safetensors --out catch.gif

The real Atari (docs/environments.md says what it needs), and going on after a break:
  zoo-tuning rl train atari:Alien --form scratch --out alien
  zoo-tuning rl train --resume alien"
)]
struct Train {
    /// What to act in: a name that games lists, with :pixels for a grey picture, atari:NAME or gym:ID
    #[arg(value_name = "ENVIRONMENT", required_unless_present_any = ["resume", "config"])]
    in_environment: Option<String>,
    #[command(flatten)]
    train: train::Arguments,
}

/// List the games that need nothing else.
#[derive(Args)]
struct Games {}

pub fn run(arguments: Arguments, threads: Option<u16>, output: &mut Output) -> Result {
    match arguments.command {
        Command::Train(arguments) => {
            let Train { in_environment, mut train } = *arguments;
            if let Some(name) = in_environment {
                train.act_in(name)?;
            }
            train.profiling.clone().watch(|| train::run(train, threads, output))
        }
        Command::Eval(arguments) => eval::run(&arguments, output),
        Command::Play(arguments) => play::run(&arguments, output),
        Command::Games(_) => games(output),
    }
}

fn games(output: &mut Output) -> Result {
    let mut rows = vec![vec!["name".to_owned(), "game".to_owned()]];
    for game in environment::games() {
        rows.push(vec![game.name.to_owned(), game.about.to_owned()]);
    }
    output.table(&rows)
}

/// A network's file, and what its agent acts in.
#[derive(Args)]
struct AgentFile {
    /// The network: model.safetensors of a run
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Act there instead of where it learned; its actions have to be the same in number
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// The interpreter of Python, for Atari and Gymnasium [default: the environment variable ZOO_PYTHON, or
    /// python3]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Share of random actions [default: as when it was measured]
    #[arg(long, value_name = "SHARE")]
    epsilon: Option<f64>,
    /// Seed of what is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl AgentFile {
    /// The network and its settings.
    fn open(&self) -> crate::Result<(Model, ReinforcementConfig)> {
        let model = Model::open(&self.model, None)?;
        let Some(mut settings) = model.agent()? else {
            let problem = "is no agent: its file does not say what it acts in";
            return Err(Error::config(self.model.display().to_string(), problem));
        };
        if let Some(environment) = &self.environment {
            settings.environment.clone_from(environment);
        }
        settings.python.clone_from(&self.python);
        if let Some(epsilon) = self.epsilon {
            settings.test_epsilon = epsilon;
        }
        settings.check()?;
        Ok((model, settings))
    }
}
