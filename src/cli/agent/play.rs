//! `rl play`: an agent at play, in the terminal or as a picture that moves.

use super::super::output::{Output, Result, check_free, message, printable};
use super::super::progress;
use super::AgentFile;
use crate::Error;
use crate::dataset::Image;
use crate::export::write_atomically;
use crate::report::animation::{self, SOURCES};
use crate::train::Model;
use crate::train::observe;
use crate::train::task::reinforcement::{Episode, Moment, Player};
use clap::Args;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

/// Watch an agent play an episode: in the terminal, or as a GIF with the gates of its zoo beside it.
#[derive(Args)]
#[command(after_help = "\
Beside the picture of a zoo, each bar is a layer, and its colours are the sources, as long as their \
gates.

Examples:
  zoo-tuning rl play run/model.safetensors
  zoo-tuning rl play run/model.safetensors --seed 3 --out episode.gif")]
pub struct Arguments {
    #[command(flatten)]
    agent: AgentFile,
    /// The GIF to write [default: the terminal]
    #[arg(long, value_name = "FILE.gif")]
    out: Option<PathBuf>,
    /// Replace FILE if it exists
    #[arg(long, requires = "out")]
    force: bool,
    /// Steps to show at most; the episode is played to its end
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Steps a second
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100))]
    speed: u32,
}

pub fn run(arguments: &Arguments, output: &mut Output) -> Result {
    let Arguments { agent, out, force, steps, speed } = arguments;
    if let Some(out) = out {
        if out.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("gif")) {
            let problem = format!("{} should end in .gif", out.display());
            return Err(Error::config("--out", problem).into());
        }
        if !force {
            check_free("--out", out)?;
        }
    } else if !io::stdout().is_terminal() {
        let problem = "where is the episode shown? This is no terminal; --out FILE.gif writes it";
        return Err(Error::config("--out", problem).into());
    }
    progress::catch_interrupts()?;
    let (model, settings) = agent.open()?;
    let player = Player::new(&model, settings)?;
    let pause = Duration::from_secs(1) / *speed;
    let (epsilon, seed) = (player.settings().test_epsilon, agent.seed);
    let episode = match out {
        None => player.watch(epsilon, seed, &mut |moment| in_terminal(moment, *steps, pause))?,
        Some(out) => {
            let (bytes, episode) =
                animation::episode(&player, seed, *steps, pause, &progress::interrupted)?;
            write_atomically(out, |file| file.write_all(&bytes))?;
            legend(&model);
            episode
        }
    };
    if output.json {
        return output.object(&episode);
    }
    let Episode { sum, length } = episode;
    output.line(format!("return {sum} in {length} steps"))?;
    out.as_ref().map_or(Ok(()), |out| output.line(out.display().to_string()))
}

/// Says which colour stands for which source.
fn legend(model: &Model) {
    let sources = observe::noted_sources(&model.notes);
    for ((name, _), [r, g, b]) in sources.iter().zip(SOURCES) {
        message(format!("#{r:02x}{g:02x}{b:02x} is {}", printable(name)));
    }
}

/// Shows a moment in the terminal, for a while.
fn in_terminal(moment: &Moment, steps: u64, pause: Duration) -> crate::Result<()> {
    if progress::interrupted() {
        return Err(Error::Interrupted { saved: None });
    }
    let Moment { environment, values, action, before, .. } = moment;
    if before.length >= steps {
        return Ok(());
    }
    // From the upper left corner, so that one picture takes the place of the other.
    let mut text = String::from(if before.length == 0 { "\x1b[2J\x1b[H" } else { "\x1b[H" });
    text += &cells(&environment.render()?);
    for (number, (name, value)) in environment.actions().iter().zip(*values).enumerate() {
        let mark = if number == *action { '>' } else { ' ' };
        let _ = writeln!(text, "{mark} {:10} {value:8.3}\x1b[K", printable(name));
    }
    let Episode { sum, length } = before;
    let _ = writeln!(text, "step {}, return {sum}\x1b[K", length + 1);
    let mut out = io::stdout().lock();
    let shown = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    shown.map_err(Error::io("write", "the terminal"))?;
    std::thread::sleep(pause);
    Ok(())
}

/// A picture in characters, each of which is two cells, one above the other.
fn cells(picture: &Image) -> String {
    const WIDTH: usize = 40;
    let [_, height, width] = picture.shape();
    let columns = WIDTH.min(width);
    let rows = (height * columns / width.max(1)).max(2) / 2;
    let bytes = picture.rgb_bytes();
    let mut text = String::new();
    for row in 0..rows {
        for column in 0..columns {
            let of = |half: usize| {
                // The middle of the cell.
                let y = (2 * (2 * row + half) + 1) * height / (4 * rows);
                let x = (2 * column + 1) * width / (2 * columns);
                let at = 3 * (y * width + x);
                (bytes[at], bytes[at + 1], bytes[at + 2])
            };
            let ((r, g, b), (br, bg, bb)) = (of(0), of(1));
            let _ = write!(text, "\x1b[38;2;{r};{g};{b};48;2;{br};{bg};{bb}m▀");
        }
        text += "\x1b[0m\x1b[K\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_has_the_colours_of_two_cells() {
        // Red above blue.
        let values = [[1.0; 4], [0.0; 4], [0.0; 4], [0.0; 4], [0.0; 4], [1.0; 4]].concat();
        let picture = Image::new([3, 4, 2], [&values[..], &[]].concat()).unwrap();
        let text = cells(&picture);
        assert_eq!(text.matches('▀').count(), 4);
        assert_eq!(text.lines().count(), 2);
    }
}
