//! Invade: shoot what marches down before it arrives.

use super::prelude::*;

/// ```text
///   ~ ~ ~ ~ ~ ~ ~ ~ ~ ~      ~ how far the gun is loaded (gauge)
///   ' x x x x x x . . .      x invader (threat), ' its trail
///   ' x x x x x x . . .
///   ' x x . x x x . . .
///   . . . . . . . . . .
///   . . . | . ' . . . .      | my shot
///   . . . . . x . . . .      x a bomb is a threat too
///   . # # . . . . # # .      # shield (wall)
///   . . . . . . . . . .
///   . . . = . . . . . .      = me
/// ```
///
/// The invaders march to a side, then a row down and to the other one, and drop bombs, half of them where I am.
/// Each that I shoot is worth 1. A bomb on me ends the game, and so does an invader in my row. Shields take a
/// bomb or a shot, once. When no invader is left, there is a new wave. With each level they march faster.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct Invade {
    me: Cell,
    before: Cell,
    invaders: Vec<Cell>,
    right: bool,
    bombs: Vec<Cell>,
    shots: Vec<Cell>,
    shields: Vec<Cell>,
    /// Steps since the last march.
    since_march: u8,
    /// Steps since the last bomb.
    since_bomb: u8,
    /// Steps until I can shoot.
    reload: u8,
}

/// Steps between two shots of mine.
const RELOAD: u8 = 5;
/// Steps between two bombs.
const BOMBS: u8 = 4;

fn wave() -> Vec<Cell> {
    (1..=3).flat_map(|y| (1..=6).map(move |x| Cell::new(x, y))).collect()
}

fn shields() -> Vec<Cell> {
    [1, 2, 7, 8].map(|x| Cell::new(x, 7)).into()
}

/// Takes what meets out of both.
fn meet(some: &mut Vec<Cell>, others: &mut Vec<Cell>) -> usize {
    let before = others.len();
    some.retain(|one| match others.iter().position(|other| other == one) {
        Some(met) => {
            others.swap_remove(met);
            false
        }
        None => true,
    });
    before - others.len()
}

impl Invade {
    fn act(&mut self, action: Action) {
        self.before = self.me;
        self.me = self.me.moved((action.way().0, 0)).kept_inside();
        self.reload = self.reload.saturating_sub(1);
        if action == Action::Fire && self.reload == 0 {
            self.shots.push(self.me);
            self.reload = RELOAD;
        }
    }

    /// Whether the invaders reach my row.
    fn march(&mut self, period: u8) -> bool {
        self.since_march = self.since_march.saturating_add(1);
        if self.since_march >= period {
            self.since_march = 0;
            let aside = self.way();
            let turns = self.invaders.iter().any(|invader| !invader.moved(aside).is_inside());
            self.right ^= turns;
            let way = if turns { (0, 1) } else { aside };
            self.invaders.iter_mut().for_each(|invader| *invader = invader.moved(way));
        }
        self.invaders.iter().any(|invader| invader.y >= LAST)
    }

    fn way(&self) -> (i8, i8) {
        if self.right { (1, 0) } else { (-1, 0) }
    }

    /// The lowest invader of my column, or of another one, drops a bomb.
    fn bomb(&mut self, rng: &mut Rng) {
        self.since_bomb = self.since_bomb.saturating_add(1);
        let Some(any) = rng.choice(&self.invaders) else { return };
        if self.since_bomb < BOMBS {
            return;
        }
        self.since_bomb = 0;
        let column = if rng.bool() { self.me.x } else { any.x };
        let of_column = self.invaders.iter().filter(|invader| invader.x == column);
        self.bombs.extend(of_column.max_by_key(|invader| invader.y));
    }
}

impl Game for Invade {
    const NAME: &'static str = "invade";
    const ABOUT: &'static str = "shoot what marches down before it arrives";

    fn begin(rng: &mut Rng) -> Self {
        let me = Cell::new(rng.i8(0..=LAST), LAST);
        Self {
            me,
            before: me,
            invaders: wave(),
            right: rng.bool(),
            bombs: vec![],
            shots: vec![],
            shields: shields(),
            since_march: 0,
            since_bomb: 0,
            reload: 0,
        }
    }

    fn play(&mut self, action: Action, level: u8, rng: &mut Rng) -> Outcome {
        self.act(action);
        self.shots.iter_mut().for_each(|shot| shot.y -= 1);
        self.shots.retain(|shot| shot.y >= 0);
        let shot = meet(&mut self.shots, &mut self.invaders);
        let arrived = self.march(8 - level.min(4));
        let ran_into = meet(&mut self.shots, &mut self.invaders);
        self.bombs.iter_mut().for_each(|bomb| bomb.y += 1);
        self.bombs.retain(|bomb| bomb.is_inside());
        meet(&mut self.shots, &mut self.shields);
        meet(&mut self.bombs, &mut self.shields);
        let over = arrived || self.bombs.contains(&self.me);
        self.bomb(rng);
        if self.invaders.is_empty() {
            (self.invaders, self.shields) = (wave(), shields());
        }
        Outcome { reward: (shot + ran_into) as f32, over }
    }

    fn draw(&self, board: &mut Board) {
        board.put(Plane::Me, self.me);
        board.put(Plane::Trail, self.before);
        let (right, _) = self.way();
        for invader in &self.invaders {
            board.put(Plane::Threat, *invader);
            board.put(Plane::ThreatTrail, invader.moved((-right, 0)));
        }
        for bomb in &self.bombs {
            board.put(Plane::Threat, *bomb);
            board.put(Plane::ThreatTrail, bomb.moved((0, -1)));
        }
        self.shots.iter().for_each(|shot| board.put(Plane::Shot, *shot));
        self.shields.iter().for_each(|shield| board.put(Plane::Wall, *shield));
        board.fill(u32::from(RELOAD.saturating_sub(self.reload)), u32::from(RELOAD));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(invaders: &[Cell], bombs: &[Cell]) -> Invade {
        let game = Invade::begin(&mut Rng::with_seed(1));
        let me = Cell::new(4, LAST);
        Invade { me, right: true, invaders: invaders.into(), bombs: bombs.into(), ..game }
    }

    fn play(game: &mut Invade, action: Action) -> Outcome {
        game.play(action, 0, &mut Rng::with_seed(1))
    }

    #[test]
    fn a_shot_is_worth_one_and_the_gun_loads() {
        let mut game = with(&[Cell::new(4, 7), Cell::new(0, 0)], &[]);
        play(&mut game, Action::Fire);
        assert_eq!(play(&mut game, Action::Fire).reward, 1.0);
        assert_eq!((game.invaders.len(), game.shots.len()), (1, 0));
        assert_eq!(game.reload, RELOAD - 1);
    }

    #[test]
    fn the_last_one_brings_a_new_wave() {
        let mut game = with(&[Cell::new(4, 8)], &[]);
        assert_eq!(play(&mut game, Action::Fire).reward, 1.0);
        assert_eq!(game.invaders, wave());
    }

    #[test]
    fn bombs_end_unless_one_steps_aside_or_a_shield_stands() {
        let far = [Cell::new(9, 0)];
        assert!(play(&mut with(&far, &[Cell::new(4, 8)]), Action::Stay).over);
        assert!(!play(&mut with(&far, &[Cell::new(4, 8)]), Action::Left).over);
        let mut shielded = with(&far, &[Cell::new(7, 6)]);
        play(&mut shielded, Action::Stay);
        assert!(shielded.bombs.is_empty() && shielded.shields.len() == 3);
    }

    #[test]
    fn they_march_aside_then_down_and_the_landing_ends() {
        let mut game = with(&[Cell::new(8, 7)], &[]);
        let places = [0; 4].map(|_| {
            game.march(1);
            game.invaders[0]
        });
        assert_eq!(places, [(9, 7), (9, 8), (8, 8), (7, 8)].map(|(x, y)| Cell::new(x, y)));
        game.invaders[0] = Cell::new(9, 8);
        game.right = true;
        assert!(game.march(1));
    }
}
