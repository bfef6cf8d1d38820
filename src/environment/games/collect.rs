//! Collect: take the treasures, out of the hunters' way.

use super::crosser::Crosser;
use super::prelude::*;

/// ```text
///   . . . . . . . . . .
///   . . . o . . . . . .      o treasure (reward)
///   . . # . . . . . # .      # wall
///   . . . . . ' x . . .      x hunter (threat), ' its trail
///   . . . . # . # . . .
///   . . . ' = . . . . .      = me, ' where I was
///   . . . . . . # . o .
///   . x ' . . . . . . .
///   . . # . . . # . . .
///   . . . . . . . o . .
/// ```
///
/// Three treasures lie about; one that I take is worth 1, and another one appears elsewhere. Hunters cross the
/// board, and turn back at walls, where I cannot go either; one that touches me ends the game. With each
/// level hunters come closer together, and more of them are fast.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct Collect {
    me: Cell,
    before: Cell,
    treasures: Vec<Cell>,
    walls: Vec<Cell>,
    hunters: Vec<Crosser>,
    /// Steps until the next hunter comes.
    wait: u8,
}

const TREASURES: usize = 3;
const WALLS: usize = 6;

impl Collect {
    /// Lays treasures where nothing else is.
    fn lay(&mut self, rng: &mut Rng) {
        while self.treasures.len() < TREASURES {
            let all = (0..=LAST).flat_map(|y| (0..=LAST).map(move |x| Cell::new(x, y)));
            let taken = |cell: &Cell| self.walls.contains(cell) || self.treasures.contains(cell);
            let free: Vec<Cell> = all.filter(|cell| *cell != self.me && !taken(cell)).collect();
            let Some(place) = rng.choice(free) else { return };
            self.treasures.push(place);
        }
    }

    fn caught(&self) -> bool {
        self.hunters.iter().any(|hunter| hunter.at == self.me)
    }

    fn hunt(&mut self, level: u8, rng: &mut Rng) {
        for hunter in &mut self.hunters {
            hunter.right ^= self.walls.contains(&hunter.ahead());
            hunter.go();
        }
        self.hunters.retain(|hunter| hunter.at.is_inside());
        if self.wait == 0 {
            let period = if rng.u8(0..6) <= level { 1 } else { 2 };
            self.hunters.push(Crosser::enter(rng.i8(0..=LAST), period, rng));
            self.wait = 7 - level.min(4);
        }
        self.wait -= 1;
    }
}

impl Game for Collect {
    const NAME: &'static str = "collect";
    const ABOUT: &'static str = "take the treasures, out of the hunters' way";

    fn begin(rng: &mut Rng) -> Self {
        let me = Cell::new(5, 5);
        // On even columns and rows they enclose no cell.
        let places = [2, 4, 6, 8].map(|y| [2, 4, 6, 8].map(|x| Cell::new(x, y)));
        let walls = rng.choose_multiple(places.into_iter().flatten(), WALLS);
        let mut game = Self { me, before: me, treasures: vec![], walls, hunters: vec![], wait: 3 };
        game.lay(rng);
        game
    }

    fn play(&mut self, action: Action, level: u8, rng: &mut Rng) -> Outcome {
        self.before = self.me;
        let next = self.me.moved(action.way()).kept_inside();
        if !self.walls.contains(&next) {
            self.me = next;
        }
        let ran_into = self.caught();
        self.hunt(level, rng);
        let left = self.treasures.len();
        self.treasures.retain(|treasure| *treasure != self.me);
        let taken = left - self.treasures.len();
        self.lay(rng);
        Outcome { reward: taken as f32, over: ran_into || self.caught() }
    }

    fn draw(&self, board: &mut Board) {
        board.put(Plane::Me, self.me);
        board.put(Plane::Trail, self.before);
        for hunter in &self.hunters {
            board.put(Plane::Threat, hunter.at);
            board.put(Plane::ThreatTrail, hunter.behind(1));
        }
        self.treasures.iter().for_each(|treasure| board.put(Plane::Reward, *treasure));
        self.walls.iter().for_each(|wall| board.put(Plane::Wall, *wall));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Collect {
        Collect {
            walls: vec![Cell::new(6, 6)],
            treasures: [0, 1, 2].map(|x| Cell::new(x, 0)).into(),
            ..Collect::begin(&mut Rng::with_seed(1))
        }
    }

    #[test]
    fn a_treasure_is_worth_one_and_another_appears() {
        let mut game = empty();
        game.treasures[1] = Cell::new(5, 4);
        assert_eq!(game.play(Action::Up, 0, &mut Rng::with_seed(1)).reward, 1.0);
        assert_eq!(game.treasures.len(), TREASURES);
        assert!(!game.treasures.contains(&game.me));
    }

    #[test]
    fn walls_stop_me_and_turn_hunters() {
        let mut game = empty();
        game.me = Cell::new(5, 6);
        game.hunters = vec![Crosser::new(Cell::new(7, 6), false, 1)];
        let outcome = game.play(Action::Right, 0, &mut Rng::with_seed(1));
        assert_eq!((game.me, outcome.over), (Cell::new(5, 6), false));
        assert_eq!(game.hunters[0].at, Cell::new(8, 6));
    }

    #[test]
    fn a_hunter_ends_whoever_moves() {
        for (column, right, action) in [(3, true, Action::Stay), (6, true, Action::Right)] {
            let mut game = empty();
            game.me = Cell::new(if column == 3 { 4 } else { 5 }, 5);
            game.hunters = vec![Crosser::new(Cell::new(column, 5), right, 1)];
            assert!(game.play(action, 0, &mut Rng::with_seed(1)).over);
        }
    }
}
