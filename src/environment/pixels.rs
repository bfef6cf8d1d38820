//! A native game as pictures: what an agent for Atari sees, without any other program.

use super::board::{Plane, SIDE, VALUES};
use super::{Environment, Step};
use crate::Result;
use crate::dataset::Image;

/// The sides of a frame, those of the field's Atari frames.
const HEIGHT: usize = 84;
const WIDTH: usize = 84;

/// A native game whose frame is one grey picture of 84x84 pixels. Trails are not drawn: what moves
/// shows in the last four frames.
pub(super) struct Pixels {
    name: String,
    board: Box<dyn Environment>,
}

impl Pixels {
    pub(super) fn new(board: Box<dyn Environment>) -> Self {
        Self { name: format!("{}:pixels", board.name()), board }
    }
}

/// How bright a thing is; what is darker lies below.
fn brightness(plane: Plane) -> u8 {
    match plane {
        Plane::Trail | Plane::ThreatTrail => 0,
        Plane::Gauge => 48,
        Plane::Wall => 80,
        Plane::Reward => 128,
        Plane::Shot => 176,
        Plane::Threat => 216,
        Plane::Me => 255,
    }
}

impl Environment for Pixels {
    fn name(&self) -> &str {
        &self.name
    }

    fn frame(&self) -> [usize; 3] {
        [1, HEIGHT, WIDTH]
    }

    fn stack(&self) -> usize {
        4
    }

    fn actions(&self) -> &[String] {
        self.board.actions()
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        self.board.reset(seed)
    }

    fn step(&mut self, action: usize) -> Result<Step> {
        self.board.step(action)
    }

    fn observe(&self, into: &mut [u8]) {
        assert_eq!(into.len(), HEIGHT * WIDTH, "values of a frame");
        let mut planes = [0; VALUES];
        self.board.observe(&mut planes);
        let mut cells = [0; SIDE * SIDE];
        for (plane, values) in Plane::ALL.into_iter().zip(planes.chunks_exact(SIDE * SIDE)) {
            for (cell, value) in cells.iter_mut().zip(values) {
                *cell = brightness(plane).min(*value).max(*cell);
            }
        }
        for (y, row) in into.chunks_exact_mut(WIDTH).enumerate() {
            let cells = &cells[y * SIDE / HEIGHT * SIDE..][..SIDE];
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = cells[x * SIDE / WIDTH];
            }
        }
    }

    fn save(&self) -> Result<Vec<u8>> {
        self.board.save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.board.restore(state)
    }

    fn render(&self) -> Result<Image> {
        self.board.render()
    }
}
