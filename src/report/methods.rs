//! How kinds of methods are drawn, in every plot alike.

use super::canvas::{Colour, Mark};
use crate::compare::MethodKind;

/// The colour of a kind of methods.
pub(crate) fn colour(kind: MethodKind) -> Colour {
    match kind {
        MethodKind::Scratch => Colour::SCRATCH,
        MethodKind::Single
        | MethodKind::Probed
        | MethodKind::L2Sp
        | MethodKind::Delta
        | MethodKind::Soup
        | MethodKind::Distilled => Colour::SINGLE,
        MethodKind::Chosen | MethodKind::Hindsight => Colour::HINDSIGHT,
        MethodKind::Ensemble => Colour::ENSEMBLE,
        MethodKind::Average | MethodKind::Matched => Colour::AVERAGE,
        MethodKind::Zoo => Colour::ZOO,
        MethodKind::Routed | MethodKind::Mixed => Colour::ROUTED,
        MethodKind::Lite => Colour::LITE,
        MethodKind::Collapsed => Colour::COLLAPSED,
    }
}

/// How methods of a kind are marked.
pub(crate) fn mark(kind: MethodKind) -> Mark {
    match kind {
        MethodKind::Ensemble => Mark::Diamond,
        MethodKind::Hindsight | MethodKind::Mixed | MethodKind::Collapsed => Mark::Ring,
        _ => Mark::Disc,
    }
}
