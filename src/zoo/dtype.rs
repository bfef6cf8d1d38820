//! The types of number that a checkpoint may hold.

use std::fmt;

/// The type of a stored tensor's numbers, named as safetensors names them.
///
/// They are in the order of the reference implementation: by alignment first, so
/// that a file sorted by descending type has every tensor aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Dtype {
    Bool,
    F4,
    F6E2M3,
    F6E3M2,
    U8,
    I8,
    F8E5M2,
    F8E4M3,
    F8E8M0,
    F8E4M3Fnuz,
    F8E5M2Fnuz,
    I16,
    U16,
    F16,
    Bf16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64,
}

impl Dtype {
    /// Every type, in order.
    pub const ALL: [Self; 22] = [
        Self::Bool,
        Self::F4,
        Self::F6E2M3,
        Self::F6E3M2,
        Self::U8,
        Self::I8,
        Self::F8E5M2,
        Self::F8E4M3,
        Self::F8E8M0,
        Self::F8E4M3Fnuz,
        Self::F8E5M2Fnuz,
        Self::I16,
        Self::U16,
        Self::F16,
        Self::Bf16,
        Self::I32,
        Self::U32,
        Self::F32,
        Self::C64,
        Self::F64,
        Self::I64,
        Self::U64,
    ];

    /// The type of this name, such as `F32`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The name that the type has in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::F4 => "F4",
            Self::F6E2M3 => "F6_E2M3",
            Self::F6E3M2 => "F6_E3M2",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::F8E5M2 => "F8_E5M2",
            Self::F8E4M3 => "F8_E4M3",
            Self::F8E8M0 => "F8_E8M0",
            Self::F8E4M3Fnuz => "F8_E4M3FNUZ",
            Self::F8E5M2Fnuz => "F8_E5M2FNUZ",
            Self::I16 => "I16",
            Self::U16 => "U16",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I32 => "I32",
            Self::U32 => "U32",
            Self::F32 => "F32",
            Self::C64 => "C64",
            Self::F64 => "F64",
            Self::I64 => "I64",
            Self::U64 => "U64",
        }
    }

    /// The size of one number in bits: a file may pack several into a byte.
    pub fn bits(self) -> usize {
        match self {
            Self::F4 => 4,
            Self::F6E2M3 | Self::F6E3M2 => 6,
            Self::Bool | Self::U8 | Self::I8 => 8,
            Self::F8E5M2 | Self::F8E4M3 | Self::F8E8M0 => 8,
            Self::F8E4M3Fnuz | Self::F8E5M2Fnuz => 8,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 16,
            Self::I32 | Self::U32 | Self::F32 => 32,
            Self::C64 | Self::F64 | Self::I64 | Self::U64 => 64,
        }
    }

    /// Whether numbers of this type are only carried from file to file, never computed with.
    pub fn is_opaque(self) -> bool {
        match self {
            Self::F4 | Self::F6E2M3 | Self::F6E3M2 | Self::F8E8M0 => true,
            Self::F8E4M3Fnuz | Self::F8E5M2Fnuz | Self::C64 => true,
            Self::Bool | Self::U8 | Self::I8 | Self::I16 | Self::U16 => false,
            Self::I32 | Self::U32 | Self::I64 | Self::U64 => false,
            Self::F8E5M2 | Self::F8E4M3 | Self::F16 | Self::Bf16 | Self::F32 | Self::F64 => false,
        }
    }

    /// The bytes that a tensor of this type and shape fills, unless they cannot be
    /// counted or the last one would be filled in part.
    pub fn bytes_of(self, shape: &[usize]) -> Option<usize> {
        // Sizes of zero are left out of the first product: what cannot be
        // addressed is refused even where a zero beside it makes nothing of it,
        // for strides are products of some of the sizes.
        let extent = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size.max(1)))?;
        let bits = extent.checked_mul(self.bits()).filter(|bits| isize::try_from(*bits).is_ok())?;
        let bits = if shape.contains(&0) { 0 } else { bits };
        bits.is_multiple_of(8).then_some(bits / 8)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for dtype in Dtype::ALL {
            assert_eq!(Dtype::named(&dtype.to_string()), Some(dtype));
        }
        assert_eq!(Dtype::named("f32"), None);
    }

    #[test]
    fn types_are_in_the_order_of_their_alignment() {
        assert!(Dtype::ALL.is_sorted());
        let whole = Dtype::ALL.into_iter().map(|dtype| dtype.bits().max(8));
        assert!(whole.is_sorted());
    }

    #[test]
    fn sizes_are_counted_without_overflow() {
        assert_eq!(Dtype::F32.bytes_of(&[]), Some(4));
        assert_eq!(Dtype::F64.bytes_of(&[2, 3]), Some(48));
        assert_eq!(Dtype::F4.bytes_of(&[3, 2]), Some(3));
        assert_eq!(Dtype::F4.bytes_of(&[3]), None);
        assert_eq!(Dtype::F16.bytes_of(&[7, 0]), Some(0));
        assert_eq!(Dtype::U8.bytes_of(&[usize::MAX, 2]), None);
        assert_eq!(Dtype::U8.bytes_of(&[usize::MAX]), None);
        assert_eq!(Dtype::U8.bytes_of(&[0, usize::MAX, usize::MAX]), None);
    }
}
