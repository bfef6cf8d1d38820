//! Random numbers that do not depend on who asks first.

/// The generator of one sample in one epoch of a run.
///
/// Two samples, epochs or seeds have generators that know nothing of each other, so that
/// threads may come to the samples in any order.
pub fn sample_rng(seed: u64, epoch: u64, index: usize) -> fastrand::Rng {
    fastrand::Rng::with_seed(mixed(mixed(mixed(seed) ^ epoch) ^ index as u64))
}

/// The generator of the order of one epoch's samples.
pub(super) fn order_rng(seed: u64, epoch: u64) -> fastrand::Rng {
    sample_rng(seed, epoch, usize::MAX)
}

/// One step of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input moves half of
/// the output's.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_the_published_function() {
        // The first outputs of SplitMix64 with seed 1234567.
        assert_eq!(mixed(1_234_567), 6_457_827_717_110_365_317);
    }

    #[test]
    fn each_part_of_the_key_matters() {
        let first = |seed, epoch, index| sample_rng(seed, epoch, index).u64(..);
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        for other in [first(2, 2, 3), first(1, 3, 3), first(1, 2, 4), first(2, 1, 3)] {
            assert_ne!(first(1, 2, 3), other);
        }
    }
}
