//! Cross: get over the roads, and back.

use super::crosser::Crosser;
use super::prelude::*;

/// ```text
///   . . . . . . . . . .      a bank
///   . . . . ' ' ' x . .      x car (threat), ' its trail: the longer, the faster
///   . x ' . . . . . . .
///   . . . . . . . . . .      a bank
///   . . . . . ' ' x . .
///   . . x ' ' ' . . . .
///   o o o o o o o o o o      o the bank to reach (reward)
///   . . x ' . . . x ' .
///   . . . . = . . . . .      = me
///   . . . . ' . . . . .      the bank where I begin
/// ```
///
/// Each road has two lanes, between banks where one is safe. The next bank is worth 1; from the highest one
/// it goes back down, and so on. A car that I meet ends the game. Slow cars come in twos. With each level
/// all cars become faster.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct Cross {
    me: Cell,
    before: Cell,
    /// Banks that were reached.
    reached: u64,
    cars: Vec<Crosser>,
    level: u8,
}

/// The rows of banks, in the order in which they are reached.
const BANKS: [i8; 6] = [6, 3, 0, 3, 6, LAST];
const LANES: [i8; 6] = [1, 2, 4, 5, 7, 8];
/// Steps that the slowest cars need for a cell.
const SLOWEST: u8 = 3;

impl Cross {
    fn goal(&self) -> i8 {
        BANKS[self.reached as usize % BANKS.len()]
    }

    fn hit(&self) -> bool {
        self.cars.iter().any(|car| car.at == self.me)
    }

    fn drive(&mut self) {
        for car in &mut self.cars {
            car.go();
            if !car.at.is_inside() {
                car.at.x = if car.right { 0 } else { LAST };
            }
        }
    }
}

impl Game for Cross {
    const NAME: &'static str = "cross";
    const ABOUT: &'static str = "get over the roads, and back";

    fn begin(rng: &mut Rng) -> Self {
        let me = Cell::new(rng.i8(0..=LAST), LAST);
        let mut cars = Vec::new();
        for row in LANES {
            let (x, right, period) = (rng.i8(0..=LAST), rng.bool(), rng.u8(1..=SLOWEST));
            cars.push(Crosser::new(Cell::new(x, row), right, period));
            if period == SLOWEST {
                let half = (x + LAST / 2 + 1) % (LAST + 1);
                cars.push(Crosser::new(Cell::new(half, row), right, period));
            }
        }
        Self { me, before: me, reached: 0, cars, level: 0 }
    }

    fn play(&mut self, action: Action, level: u8, _: &mut Rng) -> Outcome {
        if level > self.level {
            self.level = level;
            self.cars.iter_mut().for_each(|car| car.period = car.period.max(2) - 1);
        }
        self.before = self.me;
        self.me = self.me.moved(action.way()).kept_inside();
        let ran_into = self.hit();
        self.drive();
        let over = ran_into || self.hit();
        let there = !over && self.me.y == self.goal();
        self.reached = self.reached.wrapping_add(u64::from(there));
        Outcome { reward: f32::from(u8::from(there)), over }
    }

    fn draw(&self, board: &mut Board) {
        board.put(Plane::Me, self.me);
        board.put(Plane::Trail, self.before);
        for car in &self.cars {
            board.put(Plane::Threat, car.at);
            let length = (SLOWEST + 1).saturating_sub(car.period) as i8;
            (1..=length).for_each(|back| board.put(Plane::ThreatTrail, car.behind(back)));
        }
        (0..=LAST).for_each(|x| board.put(Plane::Reward, Cell::new(x, self.goal())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before_the_first_bank(car: Cell) -> Cross {
        let me = Cell::new(4, 7);
        let cars = vec![Crosser::new(car, true, 1)];
        Cross { me, before: me, reached: 0, cars, level: 0 }
    }

    #[test]
    fn banks_are_worth_one_each_there_and_back() {
        let mut game = before_the_first_bank(Cell::new(0, 1));
        let mut rewards = Vec::new();
        for action in [Action::Up, Action::Up, Action::Down, Action::Up, Action::Up] {
            rewards.push(game.play(action, 0, &mut Rng::with_seed(1)).reward);
        }
        assert_eq!(rewards, [1.0, 0.0, 0.0, 0.0, 0.0]);
        game.me.y = 4;
        assert_eq!(game.play(Action::Up, 0, &mut Rng::with_seed(1)).reward, 1.0);
        game.reached = 5;
        assert_eq!(game.goal(), LAST);
    }

    #[test]
    fn a_car_ends_whoever_moves() {
        let mut stays = before_the_first_bank(Cell::new(3, 7));
        assert!(stays.play(Action::Stay, 0, &mut Rng::with_seed(1)).over);
        let mut goes = before_the_first_bank(Cell::new(5, 7));
        assert!(goes.play(Action::Right, 0, &mut Rng::with_seed(1)).over);
    }

    #[test]
    fn cars_come_back_and_become_faster() {
        let mut game = before_the_first_bank(Cell::new(LAST, 1));
        game.cars[0].period = 3;
        game.play(Action::Stay, 1, &mut Rng::with_seed(1));
        assert_eq!(game.cars[0].period, 2);
        game.play(Action::Stay, 1, &mut Rng::with_seed(1));
        assert_eq!((game.cars[0].period, game.cars[0].at), (2, Cell::new(0, 1)));
    }
}
