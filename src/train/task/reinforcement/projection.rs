//! The projection of C51: where the atoms of a distribution of returns come to lie.

/// Evenly spaced returns, the atoms of a distribution (Bellemare, Dabney and Munos, 2017).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Support {
    /// The least return.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// How many there are, two at least.
    pub atoms: usize,
}

impl Support {
    /// From one atom to the next.
    fn spacing(&self) -> f64 {
        (self.high - self.low) / (self.atoms - 1) as f64
    }

    /// The mean of a distribution `[K]` over the atoms.
    pub fn mean(&self, probabilities: &[f32]) -> f64 {
        let atoms = (0..self.atoms).map(|at| self.low + at as f64 * self.spacing());
        atoms.zip(probabilities).map(|(z, p)| z * f64::from(*p)).sum()
    }

    /// Adds to `into` `[K]` the distribution of `reward + discount Z` for `Z` of distribution `next`,
    /// its returns clipped to the support, each shared by the two atoms between which it lies in
    /// proportion to its nearness. One that meets an atom goes to it in whole, so that no mass is lost.
    pub fn project(&self, next: &[f32], reward: f64, discount: f64, into: &mut [f32]) {
        let spacing = self.spacing();
        for (at, p) in next.iter().enumerate() {
            let z = reward + discount * (self.low + at as f64 * spacing);
            let place = (z.clamp(self.low, self.high) - self.low) / spacing;
            let left = (place.floor() as usize).min(self.atoms - 1);
            let to_right = (place - left as f64) as f32;
            into[left] += p * (1.0 - to_right);
            if left + 1 < self.atoms {
                into[left + 1] += p * to_right;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SUPPORT: Support = Support { low: -10.0, high: 10.0, atoms: 51 };

    /// As the paper has it: what atom `i` gets is `sum_j [1 - |z_j' - z_i| / spacing]_0^1 p_j`.
    fn slow(support: &Support, next: &[f32], reward: f64, discount: f64) -> Vec<f64> {
        let atom = |at: usize| support.low + at as f64 * support.spacing();
        let of = |i: usize| -> f64 {
            let share = |(j, p): (usize, &f32)| {
                let z = (reward + discount * atom(j)).clamp(support.low, support.high);
                f64::from(*p) * (1.0 - (z - atom(i)).abs() / support.spacing()).clamp(0.0, 1.0)
            };
            next.iter().enumerate().map(share).sum()
        };
        (0..support.atoms).map(of).collect()
    }

    proptest! {
        #[test]
        fn it_is_that_of_the_slow_twin_and_keeps_the_mass(
            weights in prop::collection::vec(0.0..1f32, 51),
            reward in prop_oneof![Just(0.0), Just(0.4), Just(-20.0), -3.0..3.0f64],
            discount in prop_oneof![Just(0.0), Just(1.0), 0.9..1.0f64],
        ) {
            let sum: f32 = weights.iter().sum::<f32>().max(1e-3);
            let next: Vec<f32> = weights.iter().map(|w| w / sum).collect();
            let mut found = vec![0.0; 51];
            SUPPORT.project(&next, reward, discount, &mut found);
            for (a, b) in found.iter().zip(slow(&SUPPORT, &next, reward, discount)) {
                prop_assert!((f64::from(*a) - b).abs() < 1e-5, "{} {}", a, b);
            }
            let [before, after] = [&next, &found].map(|row| row.iter().sum::<f32>());
            prop_assert!((before - after).abs() < 1e-5);
        }
    }

    /// The usual mistake: of a return that meets an atom both shares are 0.
    #[test]
    fn an_atom_that_is_met_gets_all() {
        let mut next = vec![0.0; 51];
        (next[0], next[50]) = (0.25, 0.75);
        let mut found = vec![0.0; 51];
        SUPPORT.project(&next, 0.0, 1.0, &mut found);
        assert_eq!(found, next);
        // At an end there is the reward alone.
        found.fill(0.0);
        SUPPORT.project(&next, 10.0, 0.0, &mut found);
        assert_eq!((found[50], found.iter().sum::<f32>()), (1.0, 1.0));
        assert_eq!(SUPPORT.mean(&found), 10.0);
    }
}
