//! What all native games have in common: sticky actions, the ramp, the longest episode, saving.

use super::board::{Action, Board, FRAME, VALUES};
use super::games::{Bricks, Catch, Collect, Cross, Dive, Invade};
use super::{Environment, Settings, Step, picture};
use crate::dataset::{Image, sample_rng};
use crate::{Error, Result};
use fastrand::Rng;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The rules of a game. Its values are its whole state but for the generator of random numbers.
pub(super) trait Game: Send + Serialize + DeserializeOwned + 'static {
    /// What it is called.
    const NAME: &'static str;
    /// What one does in it, in a line.
    const ABOUT: &'static str;
    /// Steps after which an episode is cut.
    const LONGEST: u64 = 1000;

    /// The first state of an episode.
    fn begin(rng: &mut Rng) -> Self;

    /// Takes an action. The level counts from 0, and goes up while an episode lasts.
    fn play(&mut self, action: Action, level: u8, rng: &mut Rng) -> Outcome;

    /// Puts everything on the board.
    fn draw(&self, board: &mut Board);
}

/// What came of an action, by the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) reward: f32,
    pub(super) over: bool,
}

impl Outcome {
    /// What came of two parts of one step.
    pub(super) fn and(self, other: Self) -> Self {
        Self { reward: self.reward + other.reward, over: self.over || other.over }
    }
}

/// A native game that there is.
#[derive(Debug)]
pub struct Native {
    /// What it is called.
    pub name: &'static str,
    /// What one does in it, in a line.
    pub about: &'static str,
    begin: fn(&Settings) -> Box<dyn Environment>,
}

impl Native {
    const fn of<G: Game>() -> Self {
        let begin = |settings: &Settings| -> Box<dyn Environment> {
            Box::new(Playing::<G>::new(settings.clone()))
        };
        Self { name: G::NAME, about: G::ABOUT, begin }
    }

    /// The game, as an environment.
    pub(super) fn open(&self, settings: &Settings) -> Box<dyn Environment> {
        (self.begin)(settings)
    }
}

/// The native games.
pub fn games() -> &'static [Native] {
    const GAMES: &[Native] = &[
        Native::of::<Bricks>(),
        Native::of::<Catch>(),
        Native::of::<Collect>(),
        Native::of::<Cross>(),
        Native::of::<Dive>(),
        Native::of::<Invade>(),
    ];
    GAMES
}

/// Steps that a level lasts.
const STEPS_OF_A_LEVEL: u64 = 100;

/// A game that is played.
struct Playing<G> {
    settings: Settings,
    actions: Vec<String>,
    state: State<G>,
    rng: Rng,
}

/// Where an episode stands.
#[derive(Serialize, Deserialize)]
struct State<G> {
    game: G,
    /// The action that a sticky step repeats.
    action: Action,
    steps: u64,
    over: bool,
}

/// What is saved.
#[derive(Serialize, Deserialize)]
struct Saved<N, S> {
    name: N,
    rng: u64,
    state: S,
}

impl<G: Game> State<G> {
    fn begin(rng: &mut Rng) -> Self {
        Self { game: G::begin(rng), action: Action::Stay, steps: 0, over: false }
    }
}

impl<G: Game> Playing<G> {
    /// No episode has begun, so it is over.
    fn new(settings: Settings) -> Self {
        let actions = Action::ALL.map(|action| action.name().to_owned()).into();
        let mut rng = Rng::with_seed(0);
        let state = State { over: true, ..State::begin(&mut rng) };
        Self { settings, actions, state, rng }
    }

    fn level(&self) -> u8 {
        let level = self.state.steps / STEPS_OF_A_LEVEL;
        if self.settings.ramp { level.min(u64::from(u8::MAX)) as u8 } else { 0 }
    }
}

impl<G: Game> Environment for Playing<G> {
    fn name(&self) -> &str {
        G::NAME
    }

    fn frame(&self) -> [usize; 3] {
        FRAME
    }

    fn stack(&self) -> usize {
        1
    }

    fn actions(&self) -> &[String] {
        &self.actions
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        self.rng = sample_rng(seed, 0, 0);
        self.state = State::begin(&mut self.rng);
        Ok(())
    }

    fn step(&mut self, action: usize) -> Result<Step> {
        if self.state.over {
            return Err(no_episode(G::NAME));
        }
        let asked = *Action::ALL
            .get(action)
            .ok_or_else(|| no_action(G::NAME, action, Action::ALL.len()))?;
        let level = self.level();
        let Self { state, rng, settings, .. } = self;
        if settings.sticky == 0.0 || rng.f64() >= settings.sticky {
            state.action = asked;
        }
        let Outcome { reward, over } = state.game.play(state.action, level, rng);
        state.steps = state.steps.saturating_add(1);
        let truncated = !over && state.steps >= settings.longest.unwrap_or(G::LONGEST);
        state.over = over || truncated;
        Ok(Step { reward, terminated: over, truncated, life_lost: over })
    }

    fn observe(&self, into: &mut [u8]) {
        assert_eq!(into.len(), VALUES, "values of a frame");
        self.state.game.draw(&mut Board::new(into));
    }

    fn save(&self) -> Result<Vec<u8>> {
        let saved = Saved { name: G::NAME, rng: self.rng.get_seed(), state: &self.state };
        serde_json::to_vec(&saved).map_err(|error| Error::argument("save", error.to_string()))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let saved: Saved<String, State<G>> = serde_json::from_slice(state).map_err(|error| {
            Error::argument("restore", format!("this is no state of {}: {error}", G::NAME))
        })?;
        if saved.name != G::NAME {
            let problem = format!("this is a state of {}, not of {}", saved.name, G::NAME);
            return Err(Error::argument("restore", problem));
        }
        self.rng = Rng::with_seed(saved.rng);
        self.state = saved.state;
        Ok(())
    }

    fn render(&self) -> Result<Image> {
        let mut values = [0; VALUES];
        self.observe(&mut values);
        picture::of_board(&values)
    }
}

/// An action was asked for that there is not.
pub(super) fn no_action(name: &str, action: usize, count: usize) -> Error {
    Error::argument("step", format!("{name} has the actions 0 to {}, not {action}", count - 1))
}

/// A step was asked for, and there is no episode.
pub(super) fn no_episode(name: &str) -> Error {
    Error::argument("step", format!("no episode of {name} is going on; `reset` begins one"))
}
