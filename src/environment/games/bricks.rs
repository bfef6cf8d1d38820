//! Bricks: keep a ball in play that knocks a wall down.

use super::prelude::*;

/// ```text
///   . . . . . . . . . .
///   # # # # # # # # # #
///   # # # # # . # # # #      # brick (wall)
///   # # # # # . . # # #
///   . . . . . . . . . .
///   . . . . ' . . . . .      ' where the ball came from (its trail)
///   . . . . . o . . . .      o ball (reward: it wants to be touched)
///   . . . . . . . . . .
///   . . . . . . . . . .
///   . . . . . = = . . .      = my paddle of two cells
/// ```
///
/// The ball goes a cell a step, along a diagonal, and turns at the sides, at the top and at bricks; a brick
/// that it meets is gone, for a reward of 1. Of my paddle it goes up again: to the left from its left cell,
/// to the right from its right one. A ball that I miss ends the game. When no brick is left, and the ball
/// is out of the way, there is a new wall, one row lower for each level up to the second.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct Bricks {
    /// The left cell of the paddle.
    paddle: Cell,
    before: Cell,
    ball: Cell,
    ball_before: Cell,
    right: bool,
    down: bool,
    bricks: Vec<Cell>,
}

/// Rows of a wall.
const ROWS: i8 = 3;

fn wall(top: i8) -> Vec<Cell> {
    (top..top + ROWS).flat_map(|y| (0..=LAST).map(move |x| Cell::new(x, y))).collect()
}

impl Bricks {
    fn move_paddle(&mut self, action: Action) {
        let (right, _) = action.way();
        self.before = self.paddle;
        self.paddle.x = (self.paddle.x + right).clamp(0, LAST - 1);
    }

    fn move_ball(&mut self) -> Outcome {
        let sideways = if self.right { 1 } else { -1 };
        let upright = if self.down { 1 } else { -1 };
        self.ball_before = self.ball;
        let next = self.ball.moved((sideways, upright));
        self.right ^= !(0..=LAST).contains(&next.x);
        self.down ^= next.y < 0;
        // At a side, or at the top, it turns and makes its way within the step.
        self.ball = Cell {
            x: if (0..=LAST).contains(&next.x) { next.x } else { self.ball.x - sideways },
            y: if next.y < 0 { 1 } else { next.y },
        }
        .kept_inside();
        if let Some(hit) = self.bricks.iter().position(|brick| *brick == self.ball) {
            self.bricks.swap_remove(hit);
            self.down = !self.down;
            return Outcome { reward: 1.0, over: false };
        }
        if self.ball.y < LAST {
            return Outcome::default();
        }
        let from_left = self.ball.x - self.paddle.x;
        self.down = false;
        self.right = from_left == 1;
        Outcome { reward: 0.0, over: !(0..2).contains(&from_left) }
    }
}

impl Game for Bricks {
    const NAME: &'static str = "bricks";
    const ABOUT: &'static str = "keep a ball in play that knocks a wall down";

    fn begin(rng: &mut Rng) -> Self {
        let paddle = Cell::new(LAST / 2, LAST);
        let ball = Cell::new(rng.i8(0..=LAST), 1 + ROWS);
        Self {
            paddle,
            before: paddle,
            ball,
            ball_before: ball,
            right: rng.bool(),
            down: true,
            bricks: wall(1),
        }
    }

    fn play(&mut self, action: Action, level: u8, _: &mut Rng) -> Outcome {
        self.move_paddle(action);
        let outcome = self.move_ball();
        let top = 1 + level.min(2) as i8;
        if self.bricks.is_empty() && self.ball.y >= top + ROWS {
            self.bricks = wall(top);
        }
        outcome
    }

    fn draw(&self, board: &mut Board) {
        for half in [0, 1] {
            board.put(Plane::Me, self.paddle.moved((half, 0)));
            board.put(Plane::Trail, self.before.moved((half, 0)));
        }
        board.put(Plane::Reward, self.ball);
        board.put(Plane::ThreatTrail, self.ball_before);
        self.bricks.iter().for_each(|brick| board.put(Plane::Wall, *brick));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ball alone, on its way up and to the right.
    fn going_up(ball: Cell, bricks: Vec<Cell>) -> Bricks {
        let game = Bricks::begin(&mut Rng::with_seed(1));
        Bricks { ball, bricks, right: true, down: false, ..game }
    }

    #[test]
    fn a_brick_is_worth_one_and_turns_the_ball() {
        let mut game = going_up(Cell::new(3, 3), vec![Cell::new(4, 2)]);
        assert_eq!(game.move_ball(), Outcome { reward: 1.0, over: false });
        assert!(game.down && game.bricks.is_empty());
        game.move_ball();
        assert_eq!(game.ball, Cell::new(5, 3));
    }

    #[test]
    fn corners_turn_the_ball_back() {
        let mut game = going_up(Cell::new(LAST, 0), vec![]);
        game.move_ball();
        assert_eq!((game.ball, game.right, game.down), (Cell::new(LAST - 1, 1), false, true));
    }

    #[test]
    fn the_paddle_chooses_the_way_and_a_miss_ends() {
        for (column, right, over) in [(3, false, false), (4, true, false), (5, false, true)] {
            let mut game = going_up(Cell::new(column - 1, LAST - 1), vec![]);
            (game.down, game.paddle) = (true, Cell::new(3, LAST));
            assert_eq!(game.move_ball().over, over);
            assert!(over || game.right == right);
        }
    }

    #[test]
    fn a_new_wall_stands_lower() {
        let mut game = going_up(Cell::new(3, 7), vec![]);
        game.play(Action::Stay, 1, &mut Rng::with_seed(1));
        assert_eq!(game.bricks, wall(2));
    }
}
