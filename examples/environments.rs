//! What agents act in: how fast it is, what it looks like, and, for other programs, its frames.
//!
//! ```sh
//! cargo run --release --example environments                              # speed, random returns
//! cargo run --release --example environments -- pictures docs/games       # a picture of each game
//! cargo run --release --example environments -- frames atari:Alien 1000 f # what check.py compares
//! ```

use image::{ExtendedColorType, save_buffer};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;
use zoo_tuning::environment::{Environment, Settings, games, open};
use zoo_tuning::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => games().iter().try_for_each(|game| speed(game.name, 2_000_000)),
        ["speed", name, steps] => speed(name, number(steps)?),
        ["pictures", folder] => pictures(Path::new(folder)),
        ["frames", name, steps, path] => frames(name, number(steps)?, Path::new(path)),
        _ => Err(Error::argument("environments", "see the beginning of this example")),
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| Error::argument("environments", format!("{text} is no number")))
}

/// Random actions, with a look at every frame.
fn speed(name: &str, steps: usize) -> Result<()> {
    let mut one = open(name, &Settings::default())?;
    let mut rng = fastrand::Rng::with_seed(1);
    let mut frame = vec![0; one.frame().iter().product()];
    let (mut episodes, mut rewards) = (0, 0.0);
    one.reset(0)?;
    let begin = Instant::now();
    for _ in 0..steps {
        let step = one.step(rng.usize(0..one.actions().len()))?;
        one.observe(&mut frame);
        rewards += f64::from(step.reward);
        if step.ended() {
            episodes += 1;
            one.reset(episodes)?;
        }
    }
    let rate = steps as f64 / begin.elapsed().as_secs_f64();
    let (mean, length) = (rewards / episodes as f64, steps as f64 / episodes as f64);
    println!("{name:24} {rate:10.0} steps/s, random return {mean:6.2}, length {length:6.1}");
    Ok(())
}

/// A picture of each game after some steps of an episode that lasts so long.
fn pictures(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    for game in games() {
        let mut one = open(game.name, &Settings::default())?;
        let mut rng = fastrand::Rng::with_seed(4);
        let mut seed = 0;
        while !lasts(&mut *one, seed, 45, &mut rng)? {
            seed += 1;
        }
        let picture = one.render()?;
        let [_, height, width] = picture.shape();
        let path = folder.join(format!("{}.png", game.name));
        let (pixels, size) = (picture.rgb_bytes(), (width as u32, height as u32));
        save_buffer(&path, &pixels, size.0, size.1, ExtendedColorType::Rgb8)
            .map_err(|error| Error::io("write", &path)(std::io::Error::other(error)))?;
    }
    Ok(())
}

fn lasts(
    one: &mut dyn Environment,
    seed: u64,
    steps: usize,
    rng: &mut fastrand::Rng,
) -> Result<bool> {
    one.reset(seed)?;
    for _ in 0..steps {
        if one.step(rng.usize(0..6))?.ended() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes reward, end and frame of each step; nothing is random, and actions follow a rule that another
/// program has too.
fn frames(name: &str, steps: usize, path: &Path) -> Result<()> {
    let mut one = open(name, &Settings { sticky: 0.0, no_ops: 0, ..Settings::default() })?;
    let mut file = BufWriter::new(File::create(path).map_err(Error::io("create", path))?);
    let mut frame = vec![0; one.frame().iter().product()];
    one.reset(0)?;
    let (mut used, count) = (std::time::Duration::ZERO, one.actions().len());
    for at in 0..steps {
        let begin = Instant::now();
        let step = one.step((at * 7 + at / 13) % count)?;
        one.observe(&mut frame);
        used += begin.elapsed();
        let head = [&step.reward.to_le_bytes()[..], &[step.terminated.into()]].concat();
        file.write_all(&head)
            .and_then(|()| file.write_all(&frame))
            .map_err(Error::io("write", path))?;
        if step.ended() {
            one.reset(0)?;
        }
    }
    println!("{:.1}", 1e6 * used.as_secs_f64() / steps as f64);
    file.flush().map_err(Error::io("write", path))
}
