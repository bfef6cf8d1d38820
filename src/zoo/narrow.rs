//! Floating-point numbers of 16 and 8 bits, widened to `f32`, which holds each
//! of their values exactly.

/// IEEE 754 binary16: 5 bits of exponent, 10 of fraction.
pub fn f16(bits: u16) -> f32 {
    let bits = u32::from(bits);
    if bits & 0x7c00 == 0x7c00 {
        // Infinite if the fraction is zero, otherwise not a number; it is kept.
        return f32::from_bits((bits & 0x8000) << 16 | 0x7f80_0000 | (bits & 0x03ff) << 13);
    }
    finite(bits, 5, 10)
}

/// bfloat16: the upper half of an `f32`.
pub fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// 8 bits with 5 of exponent and 2 of fraction: the upper half of an [`f16()`].
pub fn f8_e5m2(bits: u8) -> f32 {
    f16(u16::from(bits) << 8)
}

/// 8 bits with 4 of exponent and 3 of fraction. It has no infinity: only the
/// pattern of all ones, of either sign, is not a number (Micikevicius et al.,
/// "FP8 formats for deep learning", table 1).
pub fn f8_e4m3(bits: u8) -> f32 {
    if bits & 0x7f == 0x7f {
        return f32::NAN;
    }
    finite(u32::from(bits), 4, 3)
}

/// The value `(-1)^s 2^(e - bias) 1.f`, or `(-1)^s 2^(1 - bias) 0.f` if `e` is
/// zero, where the bits are `s e f` and `bias` is half of the largest `e`.
fn finite(bits: u32, exponent_bits: u32, fraction_bits: u32) -> f32 {
    let fraction = bits & ((1 << fraction_bits) - 1);
    let exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
    let negative = bits >> (exponent_bits + fraction_bits) == 1;
    let bias = (1 << (exponent_bits - 1)) - 1;
    let (significand, exponent) = match exponent {
        0 => (fraction, 1),
        _ => (1 << fraction_bits | fraction, exponent),
    };
    // The power of two, written into the exponent of an `f32` (its bias is 127).
    let unit = f32::from_bits((127 + exponent - bias - fraction_bits) << 23);
    let magnitude = significand as f32 * unit;
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_has_the_values_of_the_standard() {
        assert_eq!(f16(0x3c00), 1.0);
        assert_eq!(f16(0xc000), -2.0);
        assert_eq!(f16(0x3555), 0.333_251_95);
        assert_eq!(f16(0x7bff), 65_504.0);
        assert_eq!(f16(0x0400), 2f32.powi(-14), "the smallest normal");
        assert_eq!(f16(0x03ff), 2f32.powi(-14) - 2f32.powi(-24), "the largest subnormal");
        assert_eq!(f16(0x8001), -(2f32.powi(-24)), "the smallest subnormal");
        assert_eq!(f16(0x7c00), f32::INFINITY);
        assert_eq!(f16(0xfc00), f32::NEG_INFINITY);
        assert!(f16(0x7e00).is_nan() && f16(0xfc01).is_nan());
        assert!(f16(0x8000) == 0.0 && f16(0x8000).is_sign_negative());
    }

    #[test]
    fn every_finite_f16_agrees_with_the_rescaled_pattern() {
        // Another way to the same number: the bits of an f16, shifted to where
        // an f32 has them, are the value times 2^(15 - 127).
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00) {
            let shifted = f32::from_bits(u32::from(bits & 0x7fff) << 13);
            let expected = (f64::from(shifted) * 2f64.powi(112)) as f32;
            assert_eq!(f16(bits).abs(), expected, "{bits:#06x}");
            assert_eq!(f16(bits).is_sign_negative(), bits >> 15 == 1);
        }
    }

    #[test]
    fn bf16_is_half_of_an_f32() {
        assert_eq!(bf16(0x3f80), 1.0);
        assert_eq!(bf16(0xc049), -3.140_625);
        assert_eq!(bf16(0x0001), f32::from_bits(0x0001_0000), "subnormal");
        assert_eq!(bf16(0x7f7f), 3.389_531_4e38);
        assert_eq!(bf16(0xff80), f32::NEG_INFINITY);
        assert!(bf16(0x7fc0).is_nan());
    }

    #[test]
    #[allow(clippy::unusual_byte_groupings, reason = "sign, exponent and fraction")]
    fn f8_has_the_values_of_the_paper() {
        // Table 1: largest, smallest normal and smallest subnormal values.
        assert_eq!(f8_e5m2(0b0_11110_11), 57_344.0);
        assert_eq!(f8_e5m2(0b0_00001_00), 2f32.powi(-14));
        assert_eq!(f8_e5m2(0b1_00000_01), -(2f32.powi(-16)));
        assert_eq!(f8_e5m2(0b0_11111_00), f32::INFINITY);
        assert!(f8_e5m2(0b0_11111_01).is_nan());
        assert_eq!(f8_e4m3(0b0_1111_110), 448.0);
        assert_eq!(f8_e4m3(0b0_0001_000), 2f32.powi(-6));
        assert_eq!(f8_e4m3(0b1_0000_001), -(2f32.powi(-9)));
        assert!(f8_e4m3(0b0_1111_111).is_nan() && f8_e4m3(0b1_1111_111).is_nan());
    }
}
