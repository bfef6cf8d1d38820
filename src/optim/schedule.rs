//! How the learning rate changes over training.

use std::f64::consts::PI;

/// What the learning rate is multiplied with, step by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// Over so many steps, the rate first rises linearly from near zero.
    pub warmup: usize,
    /// Then it falls.
    pub decay: Decay,
}

/// How the learning rate falls.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Decay {
    /// Not at all.
    #[default]
    Constant,
    /// By `factor` at each of the given steps.
    Step {
        /// Steps, counted from the beginning of training.
        milestones: Vec<usize>,
        /// What the rate is multiplied with.
        factor: f64,
    },
    /// Along half a cosine that would reach zero one step after the last (Loshchilov and Hutter, 2017).
    Cosine,
}

impl Schedule {
    /// The factor at step `step` of `total`, counted from 0.
    pub fn factor(&self, step: usize, total: usize) -> f64 {
        if step < self.warmup {
            return (step as f64 + 1.0) / (self.warmup as f64 + 1.0);
        }
        match &self.decay {
            Decay::Constant => 1.0,
            Decay::Step { milestones, factor } => factor
                .powi(milestones.iter().filter(|&&milestone| step >= milestone).count() as i32),
            Decay::Cosine => {
                let span = total.saturating_sub(self.warmup).max(1) as f64;
                let progress = ((step - self.warmup) as f64 / span).min(1.0);
                0.5 * (1.0 + (PI * progress).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls_as_its_formula_says() {
        let cosine = Schedule { warmup: 3, decay: Decay::Cosine };
        let factors: Vec<f64> = (0..11).map(|step| cosine.factor(step, 11)).collect();
        assert_eq!(factors[..4], [0.25, 0.5, 0.75, 1.0]);
        assert!((factors[7] - 0.5).abs() < 1e-12, "half way down");
        assert!(factors[3..].windows(2).all(|pair| pair[0] > pair[1]));
        let paper = Decay::Step { milestones: vec![6, 12], factor: 0.1 };
        let paper = Schedule { warmup: 0, decay: paper };
        assert_eq!(paper.factor(5, 15), 1.0);
        assert!((paper.factor(6, 15) - 0.1).abs() < 1e-12);
        assert!((paper.factor(14, 15) - 0.01).abs() < 1e-12);
        let endless = Schedule { warmup: usize::MAX, decay: Decay::Cosine };
        assert!((0.0..1e-6).contains(&endless.factor(9, 10)));
        assert_eq!(Schedule { warmup: 0, decay: Decay::Constant }.factor(9, 10), 1.0);
    }
}
