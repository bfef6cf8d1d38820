//! What a network's outputs mean: the values of actions, as numbers or as distributions.

use super::projection::Support;
use crate::kernel::reduce;
use crate::nn::Pass;
use crate::ops;
use crate::tape::Var;
use crate::tensor::{Device, Tensor};
use crate::{Error, Result};

/// What the outputs of a network mean to an agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    /// How many actions there are.
    pub actions: usize,
    /// Whether the outputs are the value of the state and the advantages of actions, see
    /// [`ops::dueling`].
    pub dueling: bool,
    /// The returns whose probabilities they are; `None` where each is a value.
    pub support: Option<Support>,
}

impl Head {
    /// How many outputs the network has.
    pub fn outputs(&self) -> usize {
        (self.actions + usize::from(self.dueling)) * self.atoms()
    }

    fn atoms(&self) -> usize {
        self.support.map_or(1, |support| support.atoms)
    }

    /// The outputs `[N, ...]` as the values of actions, `[N, A]`, or their logits, `[N A, K]`.
    fn by_action(&self, pass: &mut Pass<f32>, output: Var) -> Result<Var> {
        let shape = pass.value(output)?.shape().to_vec();
        if shape.len() != 2 || shape[1] != self.outputs() {
            let expected = format!("[N, {}], values of actions", self.outputs());
            return Err(Error::shape("reinforcement", "output", expected, &shape));
        }
        let values = match self.dueling {
            true => ops::dueling(pass.tape(), output, self.atoms())?,
            false => output,
        };
        match self.support {
            Some(support) => {
                ops::reshape(pass.tape(), values, &[shape[0] * self.actions, support.atoms])
            }
            None => Ok(values),
        }
    }

    /// What the outputs in `pass` say of each sample.
    ///
    /// # Errors
    /// If they are those of another head.
    pub fn estimates(&self, pass: &mut Pass<f32>, output: Var) -> Result<Estimates> {
        let values = self.by_action(pass, output)?;
        let mut rows = pass.value(values)?.to(&Device::Cpu)?.into_vec();
        let actions = self.actions;
        let Some(support) = self.support else {
            return Ok(Estimates { values: rows, actions, probabilities: vec![] });
        };
        rows.chunks_mut(support.atoms).for_each(reduce::softmax_row);
        let values = rows.chunks(support.atoms).map(|row| support.mean(row) as f32).collect();
        Ok(Estimates { values, actions, probabilities: rows })
    }

    /// The loss of each sample, `[N]`, for the actions that were taken.
    ///
    /// # Errors
    /// If outputs or targets are those of another head.
    pub fn losses(
        &self,
        pass: &mut Pass<f32>,
        output: Var,
        actions: &[usize],
        targets: &[f32],
    ) -> Result<Var> {
        /// Where Huber's loss becomes a line, as in Mnih et al. (2015).
        const DELTA: f64 = 1.0;
        let values = self.by_action(pass, output)?;
        let device = pass.value(output)?.device();
        let Some(support) = self.support else {
            let targets = Tensor::new(&[actions.len()], targets.to_vec())?.to(&device)?;
            let targets = pass.input(targets);
            let chosen = ops::select(pass.tape(), values, actions)?;
            return ops::huber_per_sample(pass.tape(), chosen, targets, DELTA);
        };
        // Rows of the actions that were not taken stay zero, and count for nothing.
        let (atoms, of_sample) = (support.atoms, self.actions * support.atoms);
        let mut rows = vec![0.0; actions.len() * of_sample];
        for ((row, &action), target) in
            rows.chunks_mut(of_sample).zip(actions).zip(targets.chunks(atoms))
        {
            row[action * atoms..][..atoms].copy_from_slice(target);
        }
        let rows = Tensor::new(&[actions.len() * self.actions, atoms], rows)?.to(&device)?;
        let rows = pass.input(rows);
        let losses = ops::soft_cross_entropy_per_sample(pass.tape(), values, rows)?;
        let losses = ops::reshape(pass.tape(), losses, &[actions.len(), self.actions])?;
        ops::sum_axes(pass.tape(), losses, &[1])
    }

    /// What the network should say of the actions taken: `reward + discount (value of the next state)`.
    /// `next` are the target network's estimates of the next states, `chosen` the actions there.
    pub fn targets(&self, next: &Estimates, chosen: &[usize], steps: &[(f64, f64)]) -> Vec<f32> {
        let each = chosen.iter().zip(steps).enumerate();
        let Some(support) = self.support else {
            let target = |(n, (&action, &(reward, discount))): (usize, (&usize, &(f64, f64)))| {
                (reward + discount * f64::from(next.of(n)[action])) as f32
            };
            return each.map(target).collect();
        };
        let mut targets = vec![0.0; chosen.len() * support.atoms];
        for ((n, (&action, &(reward, discount))), into) in
            each.zip(targets.chunks_mut(support.atoms))
        {
            let row = (n * self.actions + action) * support.atoms;
            let probabilities = &next.probabilities[row..row + support.atoms];
            support.project(probabilities, reward, discount, into);
        }
        targets
    }
}

/// What a network holds of the actions in several states.
pub(super) struct Estimates {
    /// `[N, A]`.
    values: Vec<f32>,
    actions: usize,
    /// `[N, A, K]`; empty where values are numbers.
    probabilities: Vec<f32>,
}

impl Estimates {
    /// The values of the actions in a state.
    pub fn of(&self, state: usize) -> &[f32] {
        &self.values[state * self.actions..][..self.actions]
    }

    /// `[N, A, K]`; empty where values are numbers.
    #[cfg(test)]
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// The best action in each state; the first of several.
    pub fn best(&self) -> Vec<usize> {
        let best = |row: &[f32]| {
            (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0)
        };
        self.values.chunks(self.actions).map(best).collect()
    }
}
