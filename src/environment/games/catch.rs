//! Catch: be under the fruit, and away from the stones.

use super::prelude::*;

/// ```text
///   ~ ~ ~ ~ ~ ~ . . . .      ~ food that is left (gauge)
///   . . . . . . . . . .
///   . . . ' . . . . . .      ' where a thing came from (its trail)
///   . . . o . . . . . .      o fruit (reward)
///   . . . . . . . . ' .
///   . . . . . . . . x .      x stone (threat)
///   . . . . . . . . . .
///   . ' . . . . . . . .
///   . o . . . . . . . .
///   . . = . . . . . . .      = me
/// ```
///
/// Things fall, a cell a step. A fruit that falls on me is worth 1, and feeds me; a stone ends the game, and
/// so does an empty stomach. With each level things come closer together, and stones become more.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct Catch {
    me: Cell,
    before: Cell,
    things: Vec<Thing>,
    /// Steps until the next thing comes.
    wait: u8,
    /// Steps that I can go on without a fruit.
    food: u8,
}

#[derive(Serialize, Deserialize)]
struct Thing {
    at: Cell,
    stone: bool,
}

/// Steps that a full stomach lasts.
const FULL: u8 = 100;
/// Steps that a fruit lasts.
const FRUIT: u8 = 40;

impl Catch {
    /// What is at my place is taken away: whether a fruit was there, and a stone.
    fn touch(&mut self) -> (bool, bool) {
        let me = self.me;
        let has = |stone| self.things.iter().any(|t| t.at == me && t.stone == stone);
        let touched = (has(false), has(true));
        self.things.retain(|thing| thing.at != me);
        touched
    }
}

impl Game for Catch {
    const NAME: &'static str = "catch";
    const ABOUT: &'static str = "be under the fruit, and away from the stones";

    fn begin(rng: &mut Rng) -> Self {
        let me = Cell::new(rng.i8(0..=LAST), LAST);
        Self { me, before: me, things: vec![], wait: 0, food: FULL }
    }

    fn play(&mut self, action: Action, level: u8, rng: &mut Rng) -> Outcome {
        self.before = self.me;
        self.me = self.me.moved((action.way().0, 0)).kept_inside();
        for thing in &mut self.things {
            thing.at.y += 1;
        }
        self.things.retain(|thing| thing.at.is_inside());
        let (fruit, stone) = self.touch();
        if self.wait == 0 {
            let stone = rng.u8(0..12) < 4 + level.min(4);
            self.things.push(Thing { at: Cell::new(rng.i8(0..=LAST), 0), stone });
            self.wait = 4 - level.min(2);
        }
        self.wait -= 1;
        self.food = self.food.saturating_sub(1);
        if fruit {
            self.food = self.food.saturating_add(FRUIT).min(FULL);
        }
        Outcome { reward: f32::from(u8::from(fruit)), over: stone || self.food == 0 }
    }

    fn draw(&self, board: &mut Board) {
        board.put(Plane::Me, self.me);
        board.put(Plane::Trail, self.before);
        for thing in &self.things {
            board.put(if thing.stone { Plane::Threat } else { Plane::Reward }, thing.at);
            board.put(Plane::ThreatTrail, thing.at.moved((0, -1)));
        }
        board.fill(u32::from(self.food), u32::from(FULL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(stone: bool) -> Catch {
        let thing = Thing { at: Cell::new(4, LAST - 1), stone };
        let me = Cell::new(4, LAST);
        Catch { me, before: me, things: vec![thing], wait: 3, food: 50 }
    }

    #[test]
    fn a_fruit_is_worth_one_and_feeds() {
        let mut game = under(false);
        let outcome = game.play(Action::Stay, 0, &mut Rng::with_seed(1));
        assert_eq!(outcome, Outcome { reward: 1.0, over: false });
        assert_eq!(game.food, 50 - 1 + FRUIT);
    }

    #[test]
    fn a_stone_ends_unless_one_steps_aside() {
        assert!(under(true).play(Action::Stay, 0, &mut Rng::with_seed(1)).over);
        assert!(!under(true).play(Action::Left, 0, &mut Rng::with_seed(1)).over);
    }

    #[test]
    fn hunger_ends() {
        let mut game = Catch { food: 1, ..under(true) };
        assert!(game.play(Action::Left, 0, &mut Rng::with_seed(1)).over);
    }

    #[test]
    fn levels_bring_more() {
        let count = |level| {
            let (mut game, mut rng) = (Catch::begin(&mut Rng::with_seed(1)), Rng::with_seed(1));
            for _ in 0..9 {
                game.play(Action::Stay, level, &mut rng);
            }
            game.things.len()
        };
        assert!(count(2) > count(0));
    }
}
