//! An environment of one's own, outside of the crate: a walk along a corridor, which agents act in as
//! in every other one.

use zoo_tuning::dataset::Image;
use zoo_tuning::environment::{Environment, Step};
use zoo_tuning::{Error, Result};

/// A corridor of cells, of which one has a treasure.
struct Corridor {
    actions: Vec<String>,
    me: usize,
    treasure: usize,
    steps: u8,
}

const LENGTH: usize = 10;
const LONGEST: u8 = 30;

impl Corridor {
    fn new() -> Self {
        Self { actions: vec!["left".into(), "right".into()], me: 0, treasure: 0, steps: LONGEST }
    }
}

impl Environment for Corridor {
    fn name(&self) -> &str {
        "corridor"
    }

    /// Two planes of one row: I, and the treasure.
    fn frame(&self) -> [usize; 3] {
        [2, 1, LENGTH]
    }

    fn stack(&self) -> usize {
        1
    }

    fn actions(&self) -> &[String] {
        &self.actions
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        let mut rng = fastrand::Rng::with_seed(seed);
        (self.me, self.steps) = (LENGTH / 2, 0);
        self.treasure = if rng.bool() { 0 } else { LENGTH - 1 };
        Ok(())
    }

    fn step(&mut self, action: usize) -> Result<Step> {
        if self.steps >= LONGEST || action >= self.actions.len() {
            return Err(Error::argument(
                "step",
                "no episode is going on, or there is no such action",
            ));
        }
        self.steps += 1;
        self.me =
            if action == 0 { self.me.saturating_sub(1) } else { (self.me + 1).min(LENGTH - 1) };
        let terminated = self.me == self.treasure;
        let truncated = !terminated && self.steps == LONGEST;
        if terminated {
            self.steps = LONGEST;
        }
        Ok(Step {
            reward: f32::from(u8::from(terminated)),
            terminated,
            truncated,
            life_lost: terminated,
        })
    }

    fn observe(&self, into: &mut [u8]) {
        into.fill(0);
        into[self.me] = 255;
        into[LENGTH + self.treasure] = 255;
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok(vec![self.me as u8, self.treasure as u8, self.steps])
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        match *state {
            [me, treasure, steps] if usize::from(me.max(treasure)) < LENGTH => {
                (self.me, self.treasure, self.steps) = (me.into(), treasure.into(), steps);
                Ok(())
            }
            _ => Err(Error::argument("restore", "this is no state of a corridor")),
        }
    }

    fn render(&self) -> Result<Image> {
        let mut frame = vec![0; 2 * LENGTH];
        self.observe(&mut frame);
        frame.resize(3 * LENGTH, 0);
        Image::new([3, 1, LENGTH], frame.iter().map(|value| f32::from(*value) / 255.0).collect())
    }
}

fn main() -> Result<()> {
    let mut corridor = Corridor::new();
    let mut rng = fastrand::Rng::with_seed(1);
    for seed in 0..5 {
        corridor.reset(seed)?;
        let mut steps = Vec::new();
        loop {
            let action = rng.usize(0..corridor.actions().len());
            let step = corridor.step(action)?;
            steps.push(corridor.actions()[action].chars().next().unwrap_or_default());
            if step.ended() {
                let walk: String = steps.iter().collect();
                println!("episode {seed}: reward {} after {walk}", step.reward);
                break;
            }
        }
    }
    Ok(())
}
