//! A tree of sums, by which places are drawn in proportion to their weights.

/// Weights of places, and the sum of every subtree above them. A change costs one way up, a draw one
/// way down.
///
/// Each sum is computed from its two halves and never changed by a difference: so it does not drift,
/// and follows from the weights alone.
#[derive(Clone, Debug)]
pub(super) struct SumTree {
    /// The root at 1, the children of `i` at `2 i` and `2 i + 1`, the places at the end.
    sums: Vec<f64>,
    first: usize,
}

impl SumTree {
    /// For so many places, all of weight 0.
    pub fn new(places: usize) -> Self {
        let first = places.next_power_of_two();
        Self { sums: vec![0.0; 2 * first], first }
    }

    /// The sum of all weights.
    pub fn total(&self) -> f64 {
        self.sums[1]
    }

    /// The weight of a place.
    pub fn get(&self, place: usize) -> f64 {
        self.sums[self.first + place]
    }

    /// Changes the weight of a place.
    pub fn set(&mut self, place: usize, weight: f64) {
        let mut node = self.first + place;
        self.sums[node] = weight;
        while node > 1 {
            node /= 2;
            self.sums[node] = self.sums[2 * node] + self.sums[2 * node + 1];
        }
    }

    /// The place where `share` of the total lies, 0 to 1: the sum of all before it is at most that. It
    /// has a weight, if any has.
    pub fn find(&self, share: f64) -> usize {
        let (mut node, mut rest) = (1, share * self.total());
        while node < self.first {
            let [left, right] = [2 * node, 2 * node + 1];
            // What rounding leaves over does not lead to where no weight is.
            node = if rest < self.sums[left] || self.sums[right] == 0.0 {
                left
            } else {
                rest -= self.sums[left];
                right
            };
        }
        node - self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_is_found_as_by_adding_up(
            weights in prop::collection::vec(0u8..4, 1..40), share in 0.0..1.0f64,
        ) {
            let mut tree = SumTree::new(weights.len());
            // Twice, so that a change is a change.
            for (place, &weight) in weights.iter().enumerate().chain(weights.iter().enumerate()) {
                tree.set(place, f64::from(weight) + 1.0);
                tree.set(place, f64::from(weight));
            }
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            prop_assert_eq!(tree.total(), total);
            if total > 0.0 {
                let mut before = 0.0;
                let place = weights.iter().position(|&weight| {
                    before += f64::from(weight);
                    share * total < before
                });
                prop_assert_eq!(Some(tree.find(share)), place);
            }
        }
    }

    #[test]
    fn no_place_without_weight_is_found() {
        let mut tree = SumTree::new(5);
        (0..5).for_each(|place| tree.set(place, 0.1));
        tree.set(4, 0.0);
        assert_eq!((tree.find(1.0), tree.find(f64::from_bits(1f64.to_bits() - 1))), (3, 3));
    }

    /// A million changes leave the sum that the weights have.
    #[test]
    fn sums_do_not_drift() {
        let (mut tree, mut rng) = (SumTree::new(64), fastrand::Rng::with_seed(1));
        (0..1_000_000).for_each(|_| tree.set(rng.usize(..64), rng.f64() * 1e6));
        let mut anew = SumTree::new(64);
        (0..64).for_each(|place| anew.set(place, tree.get(place)));
        assert_eq!(tree.total().to_bits(), anew.total().to_bits());
    }
}
