//! Numbers of 16 bits, for files of half the size.

/// The IEEE 754 binary16 that is nearest to `value`, of two the even one; infinite from 65520 on.
pub(super) fn half(value: f32) -> u16 {
    let sign = (value.to_bits() >> 16) as u16 & 0x8000;
    let magnitude = value.abs();
    if value.is_nan() {
        return sign | 0x7e00;
    }
    // The first number that is rounded to infinity.
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    // 2^exponent is the largest power below the number; the smallest numbers share one.
    let exponent = ((magnitude.to_bits() >> 23) as i32 - 127).max(-14);
    // Ten bits of fraction: exact, since it is divided by a power of two.
    let steps = (f64::from(magnitude) / f64::from(exponent - 10).exp2()).round_ties_even() as u16;
    // A number of 1024 steps and more has its first bit in the exponent.
    sign | ((((exponent + 14) as u16) << 10) + steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::narrow::f16;
    use proptest::prelude::*;

    #[test]
    fn every_half_is_itself() {
        for bits in 0..=u16::MAX {
            let value = f16(bits);
            if !value.is_nan() {
                assert_eq!(half(value), bits, "{value}");
            }
        }
        assert!(f16(half(f32::NAN)).is_nan());
        assert_eq!(f16(half(-1e9)), f32::NEG_INFINITY);
    }

    proptest! {
        #[test]
        fn the_nearest_half_is_taken(value in -65519.0f32..65519.0, scale in -24i32..1) {
            let value = value * (scale as f32).exp2();
            let taken = half(value);
            let distance = |bits: u16| (f64::from(f16(bits)) - f64::from(value)).abs();
            for other in [taken.wrapping_sub(1), taken.wrapping_add(1)] {
                let is_finite = f16(other).is_finite();
                prop_assert!(!is_finite || distance(taken) <= distance(other));
            }
        }
    }
}
