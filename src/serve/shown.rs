//! A picture as a network gets it.

use crate::Result;
use crate::dataset::Image;
use crate::report::layers::data_address;
use crate::train::{Model, observe};

/// What a network is shown, as an address that holds it.
pub(super) fn shown(image: &Image, model: &Model) -> Result<String> {
    let (size, pixels) = observe::picture(image.shape(), image.values(), &model.input)?;
    data_address(size, &pixels)
}
