//! What crosses the board along a row, in several games.

use super::prelude::*;

/// Something that goes along a row, a cell every `period` steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Crosser {
    pub(super) at: Cell,
    pub(super) right: bool,
    pub(super) period: u8,
    /// Steps since its last cell.
    since: u8,
}

impl Crosser {
    /// One that stands there.
    pub(super) fn new(at: Cell, right: bool, period: u8) -> Self {
        Self { at, right, period, since: 0 }
    }

    /// One that comes in from a side.
    pub(super) fn enter(row: i8, period: u8, rng: &mut Rng) -> Self {
        let right = rng.bool();
        Self::new(Cell::new(if right { 0 } else { LAST }, row), right, period)
    }

    /// One step: a cell further, if it is time.
    pub(super) fn go(&mut self) {
        self.since = self.since.saturating_add(1);
        if self.since >= self.period && self.at.is_inside() {
            (self.at, self.since) = (self.at.moved((self.way(), 0)), 0);
        }
    }

    /// The cell that many columns behind, where it came from.
    pub(super) fn behind(&self, columns: i8) -> Cell {
        self.at.moved((-columns * self.way(), 0))
    }

    /// The next cell.
    pub(super) fn ahead(&self) -> Cell {
        self.behind(-1)
    }

    fn way(&self) -> i8 {
        if self.right { 1 } else { -1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crosser_goes_at_its_pace_until_it_has_left() {
        let mut one = Crosser::new(Cell::new(7, 3), true, 2);
        let columns = [7, 8, 8, 9, 9, 10, 10, 10].map(|_| {
            one.go();
            one.at.x
        });
        assert_eq!(columns, [7, 8, 8, 9, 9, 10, 10, 10]);
        assert_eq!((one.behind(1).x, one.ahead().x), (9, 11));
    }
}
