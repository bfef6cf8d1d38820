//! The board of the native games, and what all of them put on it.
//!
//! All games have the same eight planes and the same six actions, so that what a network has learned
//! of one has a meaning in another. A plane is 255 where something is, 0 elsewhere. What moves leaves a
//! trail, so that one frame shows where it goes.

use serde::{Deserialize, Serialize};

/// Cells along a side.
pub const SIDE: usize = 10;

/// The last column and row.
pub(super) const LAST: i8 = SIDE as i8 - 1;

/// The shape `[C, H, W]` of a frame.
pub const FRAME: [usize; 3] = [Plane::ALL.len(), SIDE, SIDE];

/// The values of a frame.
pub(super) const VALUES: usize = FRAME[0] * FRAME[1] * FRAME[2];

/// What a plane says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Where I am.
    Me,
    /// Where I was, or the side that I turn my back to.
    Trail,
    /// What must not touch me.
    Threat,
    /// Where things came from that move by themselves.
    ThreatTrail,
    /// What I want to touch.
    Reward,
    /// What stands in the way.
    Wall,
    /// What I have shot.
    Shot,
    /// What runs out: cells of the first row, as much as is left.
    Gauge,
}

impl Plane {
    /// All planes, in the order of a frame's channels.
    pub const ALL: [Self; 8] = [
        Self::Me,
        Self::Trail,
        Self::Threat,
        Self::ThreatTrail,
        Self::Reward,
        Self::Wall,
        Self::Shot,
        Self::Gauge,
    ];
}

/// What a player can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Nothing.
    Stay,
    /// A cell to the left.
    Left,
    /// A cell up.
    Up,
    /// A cell to the right.
    Right,
    /// A cell down.
    Down,
    /// A shot, in the games that have one.
    Fire,
}

impl Action {
    /// All actions, in the order of their indices.
    pub const ALL: [Self; 6] =
        [Self::Stay, Self::Left, Self::Up, Self::Right, Self::Down, Self::Fire];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::Left => "left",
            Self::Up => "up",
            Self::Right => "right",
            Self::Down => "down",
            Self::Fire => "fire",
        }
    }

    /// Columns to the right and rows down that it moves by.
    pub(super) fn way(self) -> (i8, i8) {
        match self {
            Self::Left => (-1, 0),
            Self::Up => (0, -1),
            Self::Right => (1, 0),
            Self::Down => (0, 1),
            Self::Stay | Self::Fire => (0, 0),
        }
    }
}

/// A place on the board, or one just beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(i8, i8)", into = "(i8, i8)")]
pub struct Cell {
    /// The column, counted from the left.
    pub x: i8,
    /// The row, counted from the top.
    pub y: i8,
}

impl Cell {
    /// The cell of that column and row.
    pub const fn new(x: i8, y: i8) -> Self {
        Self { x, y }
    }

    /// The cell that many columns to the right and rows down.
    pub(super) fn moved(self, (right, down): (i8, i8)) -> Self {
        Self { x: self.x + right, y: self.y + down }
    }

    /// The cell of the board that is nearest to it.
    pub(super) fn kept_inside(self) -> Self {
        Self { x: self.x.clamp(0, LAST), y: self.y.clamp(0, LAST) }
    }

    /// Whether it lies on the board.
    pub(super) fn is_inside(self) -> bool {
        self == self.kept_inside()
    }
}

impl From<Cell> for (i8, i8) {
    fn from(cell: Cell) -> Self {
        (cell.x, cell.y)
    }
}

impl TryFrom<(i8, i8)> for Cell {
    type Error = &'static str;

    fn try_from((x, y): (i8, i8)) -> Result<Self, Self::Error> {
        let beside = -1..=LAST + 1;
        if beside.contains(&x) && beside.contains(&y) {
            Ok(Self { x, y })
        } else {
            Err("a cell lies on the board or beside it")
        }
    }
}

/// A frame that a game draws itself on.
pub(super) struct Board<'a>(&'a mut [u8]);

impl<'a> Board<'a> {
    /// An empty board over the values of a frame.
    pub(super) fn new(values: &'a mut [u8]) -> Self {
        values.fill(0);
        Self(values)
    }

    /// Puts something on a plane; nothing beside the board is seen.
    pub(super) fn put(&mut self, plane: Plane, cell: Cell) {
        if cell.is_inside() {
            let at = (plane as usize * SIDE + cell.y as usize) * SIDE + cell.x as usize;
            self.0[at] = u8::MAX;
        }
    }

    /// Fills the gauge to `left` of `full`; a cell stands as long as anything of it is left.
    pub(super) fn fill(&mut self, left: u32, full: u32) {
        let cells = (left * SIDE as u32).div_ceil(full).min(SIDE as u32);
        (0..cells as i8).for_each(|x| self.put(Plane::Gauge, Cell::new(x, 0)));
    }
}
