//! Dive: fetch the swimmers, shoot the fish, and come up for air.

use super::crosser::Crosser;
use super::prelude::*;

/// ```text
///   ~ ~ ~ ~ ~ ~ ~ . . .      ~ air that is left (gauge); this row is the surface
///   . . . . . . . . . .
///   ' x . . . . . . . .      x fish (threat), ' its trail
///   . . . . . . . . . .
///   . . ' = . - . x ' .      = me, ' my back, - my shot
///   . . . . . . . . . .
///   . . . . . . o ' . .      o swimmer (reward)
///   . . . . . . . . . .
///   . . . . . . . . . .
///   . . . . . . . . . .
/// ```
///
/// A swimmer that I touch is worth 1, and so is a fish that I shoot; a fish that touches me ends the game.
/// Air runs out everywhere but at the surface, where it comes back ten times as fast; without any, the
/// game is over. I shoot where I look, one shot at a time. With each level fish become faster, and come closer
/// together.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct Dive {
    me: Cell,
    looks_right: bool,
    others: Vec<Other>,
    shot: Option<Crosser>,
    /// Steps until the next one comes.
    wait: u8,
    /// Steps that I can stay below.
    air: u8,
}

#[derive(Serialize, Deserialize)]
struct Other {
    body: Crosser,
    fish: bool,
}

/// Steps that a full tank lasts.
const FULL: u8 = 100;

impl Dive {
    fn act(&mut self, action: Action) {
        self.me = self.me.moved(action.way()).kept_inside();
        match action {
            Action::Left | Action::Right => self.looks_right = action == Action::Right,
            Action::Fire if self.shot.is_none() => {
                self.shot = Some(Crosser::new(self.me, self.looks_right, 1));
            }
            _ => {}
        }
    }

    /// Shots find fish, and I find others.
    fn meet(&mut self) -> Outcome {
        let Self { me, others, shot, .. } = self;
        let mut outcome = Outcome::default();
        others.retain(|other| {
            let hit = other.fish && shot.as_ref().is_some_and(|shot| shot.at == other.body.at);
            let touched = !hit && other.body.at == *me;
            if hit {
                *shot = None;
            }
            outcome.over |= touched && other.fish;
            outcome.reward += f32::from(u8::from(hit || touched && !other.fish));
            !hit && !touched
        });
        outcome
    }

    fn breathe(&mut self) -> Outcome {
        let left = self.air.saturating_sub(1);
        self.air = if self.me.y == 0 { self.air.saturating_add(10).min(FULL) } else { left };
        Outcome { reward: 0.0, over: self.air == 0 }
    }
}

impl Game for Dive {
    const NAME: &'static str = "dive";
    const ABOUT: &'static str = "fetch the swimmers, shoot the fish, and come up for air";

    fn begin(rng: &mut Rng) -> Self {
        let me = Cell::new(LAST / 2, LAST / 2);
        Self { me, looks_right: rng.bool(), others: vec![], shot: None, wait: 0, air: FULL }
    }

    fn play(&mut self, action: Action, level: u8, rng: &mut Rng) -> Outcome {
        self.act(action);
        self.shot.iter_mut().for_each(Crosser::go);
        self.shot.take_if(|shot| !shot.at.is_inside());
        let first = self.meet();
        self.others.iter_mut().for_each(|other| other.body.go());
        self.others.retain(|other| other.body.at.is_inside());
        let outcome = first.and(self.meet()).and(self.breathe());
        if self.wait == 0 {
            let fish = rng.u8(0..3) < 2;
            let period = if fish && rng.u8(0..4) < level { 1 } else { 2 };
            self.others.push(Other { body: Crosser::enter(rng.i8(2..=LAST), period, rng), fish });
            self.wait = 5 - level.min(2);
        }
        self.wait -= 1;
        outcome
    }

    fn draw(&self, board: &mut Board) {
        board.put(Plane::Me, self.me);
        board.put(Plane::Trail, self.me.moved((if self.looks_right { -1 } else { 1 }, 0)));
        for Other { body, fish } in &self.others {
            board.put(if *fish { Plane::Threat } else { Plane::Reward }, body.at);
            board.put(Plane::ThreatTrail, body.behind(1));
        }
        self.shot.iter().for_each(|shot| board.put(Plane::Shot, shot.at));
        board.fill(u32::from(self.air), u32::from(FULL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I look to the right; another one comes from there.
    fn before_another(column: i8, fish: bool) -> Dive {
        let body = Crosser::new(Cell::new(column, 5), false, 1);
        let others = vec![Other { body, fish }];
        let me = Cell::new(3, 5);
        Dive { me, looks_right: true, others, shot: None, wait: 3, air: 50 }
    }

    fn stays(game: &mut Dive) -> Outcome {
        game.play(Action::Stay, 0, &mut Rng::with_seed(1))
    }

    #[test]
    fn swimmers_are_fetched_and_fish_are_met() {
        assert_eq!(stays(&mut before_another(4, false)).reward, 1.0);
        assert!(stays(&mut before_another(4, true)).over);
    }

    #[test]
    fn a_shot_meets_a_fish_at_any_distance() {
        for column in 4..=LAST {
            let mut game = before_another(column, true);
            let mut outcome = game.play(Action::Fire, 0, &mut Rng::with_seed(1));
            for _ in 4..column {
                outcome = outcome.and(stays(&mut game));
            }
            assert_eq!(outcome, Outcome { reward: 1.0, over: false }, "{column}");
            assert!(game.shot.is_none());
        }
    }

    #[test]
    fn swimmers_are_not_shot() {
        let mut game = before_another(6, false);
        assert_eq!(game.play(Action::Fire, 0, &mut Rng::with_seed(1)).reward, 0.0);
        assert_eq!(game.others.len(), 1);
    }

    #[test]
    fn air_runs_out_below_and_comes_back_above() {
        let mut below = Dive { air: 1, ..before_another(9, true) };
        assert!(stays(&mut below).over);
        let mut above = Dive { air: 1, me: Cell::new(3, 0), ..before_another(9, true) };
        assert!(!stays(&mut above).over);
        assert_eq!(above.air, 11);
    }
}
