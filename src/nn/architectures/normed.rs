//! A convolution and the norm behind it, of which most networks are made.

use crate::Result;
use crate::kernel::Epilogue;
use crate::nn::{BatchNorm, Conv, Node, Operations};

/// The two of them.
pub(super) type Normed = (Conv, BatchNorm);

/// One after the other, and what follows on them.
pub(super) fn normed(
    o: &mut dyn Operations,
    (conv, norm): &Normed,
    x: Node,
    then: Epilogue<Node>,
) -> Result<Node> {
    let y = o.conv(conv, x)?;
    o.batch_norm(norm, y, then)
}
