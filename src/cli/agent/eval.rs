//! `rl eval`: what an agent's episodes come to.

use super::super::output::{Output, Result};
use super::super::progress;
use super::AgentFile;
use crate::Error;
use crate::train::task::reinforcement::{
    Episode, Player, Returns, human_normalised, interquartile_interval,
};
use clap::Args;
use serde::Serialize;

/// Play episodes with an agent, and say what they come to.
///
/// Returns are sums of the rewards as the environment gives them, never clipped. Beside their mean
/// stands the interquartile mean with a 95 % interval by bootstrap, and what a random policy comes to in
/// as many episodes; of Atari, also the human-normalised score.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning rl eval run/model.safetensors
  zoo-tuning rl eval run/model.safetensors --episodes 1000 --seed 2 --json")]
pub struct Arguments {
    #[command(flatten)]
    agent: AgentFile,
    /// How many to play
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    episodes: u32,
}

#[derive(Serialize)]
struct Report {
    environment: String,
    episodes: Vec<Episode>,
    mean: f64,
    std: f64,
    interquartile_mean: f64,
    interquartile_interval: Option<[f64; 2]>,
    length: f64,
    random_mean: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    human_normalised: Option<f64>,
}

pub fn run(arguments: &Arguments, output: &mut Output) -> Result {
    progress::catch_interrupts()?;
    let (model, settings) = arguments.agent.open()?;
    let (count, seed) = (arguments.episodes as usize, arguments.agent.seed);
    let bar = progress::counted("episodes", count);
    let player = Player::new(&model, settings)?;
    let epsilon = player.settings().test_epsilon;
    let each = |done: usize| {
        bar.set_position(done as u64);
        match progress::interrupted() {
            true => Err(Error::Interrupted { saved: None }),
            false => Ok(()),
        }
    };
    let episodes = player.episodes(count, epsilon, seed, each)?;
    bar.finish_and_clear();
    let random = Returns::of(&player.settings().random_episodes(count, seed)?);
    let found = Returns::of(&episodes);
    let sums: Vec<f64> = episodes.iter().map(|episode| episode.sum).collect();
    let interval = interquartile_interval(&[sums], seed);
    let environment = player.settings().environment.clone();
    let human = human_normalised(&environment, found.mean);
    if output.json {
        return output.object(&Report {
            environment,
            episodes,
            mean: found.mean,
            std: found.std,
            interquartile_mean: found.interquartile_mean,
            interquartile_interval: interval,
            length: found.length,
            random_mean: random.mean,
            human_normalised: human,
        });
    }
    let row = |name: &str, returns: &Returns| {
        let number = |value: f64| format!("{value:.2}");
        let Returns { mean, std, interquartile_mean, length, .. } = *returns;
        vec![name.to_owned(), number(mean), number(std), number(interquartile_mean), number(length)]
    };
    output.line(format!("{count} episodes of {environment}, {epsilon} of all actions random"))?;
    let head = ["", "mean return", "std", "interquartile mean", "mean length"];
    output.table(&[
        head.map(str::to_owned).to_vec(),
        row("agent", &found),
        row("random", &random),
    ])?;
    if let Some([low, high]) = interval {
        output.line(format!("95 % interval of the interquartile mean: {low:.2} to {high:.2}"))?;
    }
    human.map_or(Ok(()), |human| output.line(format!("human-normalised score: {human:.3}")))
}
