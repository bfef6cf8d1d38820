//! One image in memory, and the ways to move its pixels about.

use super::frame::{Area, Frame};
use super::resize::resize;
use crate::tensor::{Tensor, buffer};
use crate::{Error, Result};
use rayon::prelude::*;

/// An image of shape `[C, H, W]`, none of them 0; values are 0 (black) to 1 until normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    shape: [usize; 3],
    values: Vec<f32>,
}

impl Image {
    /// The longest side that an image may be resized to; more is a mistake, not a wish.
    pub const LARGEST_SIDE: usize = Frame::LARGEST_SIDE;

    /// An image over `values` in the order channel, row, column.
    ///
    /// # Errors
    /// If the shape holds a zero or does not fit the number of values.
    pub fn new(shape: [usize; 3], values: Vec<f32>) -> Result<Self> {
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        if values.is_empty() || count != Some(values.len()) {
            return Err(Error::argument(
                "Image::new",
                format!("{} values do not fill an image of shape {shape:?}", values.len()),
            ));
        }
        Ok(Self { shape, values })
    }

    /// An image whose value at channel, row, column is `f` of them; no size may be 0.
    pub(super) fn from_fn(
        shape: [usize; 3],
        mut f: impl FnMut(usize, usize, usize) -> f32,
    ) -> Self {
        let [channels, height, width] = shape;
        let mut values = Vec::with_capacity(channels * height * width);
        for channel in 0..channels {
            for row in 0..height {
                values.extend((0..width).map(|column| f(channel, row, column)));
            }
        }
        debug_assert!(!values.is_empty());
        Self { shape, values }
    }

    /// The shape `[C, H, W]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The values in the order channel, row, column.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Red, green and blue of each pixel, row by row, in 8 bits; of a grey image three times the same.
    pub fn rgb_bytes(&self) -> Vec<u8> {
        let [channels, height, width] = self.shape;
        let area = height * width;
        let byte = |channel: usize, at: usize| {
            let value = self.values[channel.min(channels - 1) * area + at];
            (value * 255.0).round().clamp(0.0, 255.0) as u8
        };
        (0..area).flat_map(|at| [0, 1, 2].map(|channel| byte(channel, at))).collect()
    }

    /// The values, to be changed.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The values of one channel after the other.
    pub(super) fn planes_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.shape[1] * self.shape[2])
    }

    /// The value at channel, row, column, which must lie inside.
    pub(super) fn at(&self, channel: usize, row: usize, column: usize) -> f32 {
        self.values[(channel * self.shape[1] + row) * self.shape[2] + column]
    }

    /// The value at a place that may lie outside: the nearest one inside.
    pub(super) fn at_clamped(&self, channel: usize, row: isize, column: isize) -> f32 {
        let inside = |place: isize, size: usize| place.clamp(0, size as isize - 1) as usize;
        self.at(channel, inside(row, self.shape[1]), inside(column, self.shape[2]))
    }

    /// Resized to `[C, height, width]`, bilinear, with a wider filter when it shrinks.
    ///
    /// The same as PyTorch's `interpolate(mode="bilinear", align_corners=False,
    /// antialias=True)`; for enlarging, `antialias` makes no difference.
    ///
    /// # Errors
    /// If `height` or `width` is 0 or above [`LARGEST_SIDE`](Self::LARGEST_SIDE).
    pub fn resized(&self, height: usize, width: usize) -> Result<Self> {
        self.framed(&Frame::resized(self.area(), [height, width]))
    }

    /// The part of `height` rows from `top` and `width` columns from `left`.
    ///
    /// # Errors
    /// If the part is empty or does not lie inside.
    pub fn cropped(&self, top: usize, left: usize, height: usize, width: usize) -> Result<Self> {
        let part = Area { top, left, height, width };
        self.framed(&Frame::resized(part, [height, width]))
    }

    /// The middle part; half a pixel is rounded to the even number, as in torchvision.
    ///
    /// # Errors
    /// If the part is empty or larger than the image.
    pub fn centre_cropped(&self, height: usize, width: usize) -> Result<Self> {
        let [_, rows, columns] = self.shape;
        let part = Area::middle([rows, columns], height, width);
        self.framed(&Frame::resized(part, [height, width]))
    }

    /// What a frame shows.
    pub(super) fn framed(&self, frame: &Frame) -> Result<Self> {
        let [channels, rows, columns] = self.shape;
        frame.check([rows, columns])?;
        let Frame { part, size, window } = frame;
        if *size == [part.height, part.width] {
            let (top, left) = (part.top + window.top, part.left + window.left);
            return Ok(Self::from_fn([channels, window.height, window.width], |c, row, column| {
                self.at(c, top + row, left + column)
            }));
        }
        if *part != self.area() {
            let cropped = self.framed(&Frame::resized(*part, [part.height, part.width]))?;
            return cropped.framed(&Frame { part: cropped.area(), ..*frame });
        }
        let values = resize(&self.values, self.shape, frame);
        Self::new([channels, window.height, window.width], values)
    }

    /// All of it.
    fn area(&self) -> Area {
        Area::whole([self.shape[1], self.shape[2]])
    }

    /// Mirrored: left becomes right.
    pub fn flipped(&self) -> Self {
        let mut flipped = self.clone();
        flipped.values.chunks_exact_mut(self.shape[2]).for_each(<[f32]>::reverse);
        flipped
    }

    /// Turned by 90 degrees, counter-clockwise: the right column becomes the top row.
    pub fn rotated(&self) -> Self {
        let [channels, height, width] = self.shape;
        Self::from_fn([channels, width, height], |c, row, column| {
            self.at(c, column, width - 1 - row)
        })
    }

    /// Moved down by `down` and right by `right` pixels, the other way if negative; what
    /// comes in from outside repeats the edge.
    pub fn shifted(&self, down: isize, right: isize) -> Self {
        Self::from_fn(self.shape, |c, row, column| {
            let place = |at: usize, by: isize| (at as isize).saturating_sub(by);
            self.at_clamped(c, place(row, down), place(column, right))
        })
    }

    /// Images of one shape as a tensor `[N, C, H, W]`.
    ///
    /// # Errors
    /// If there are none, or their shapes differ.
    pub fn stack(images: &[Self]) -> Result<Tensor<f32>> {
        let Some(first) = images.first() else {
            return Err(Error::argument("stack", "there are no images"));
        };
        if let Some(at) = images.iter().position(|image| image.shape != first.shape) {
            return Err(Error::shape(
                "stack",
                format!("image {at}"),
                format!("{:?} like the first (resize or crop them)", first.shape),
                &images[at].shape,
            ));
        }
        let len = first.values.len();
        let mut values = buffer::take(images.len() * len);
        let places = values.par_chunks_exact_mut(len).zip(images);
        places.for_each(|(place, image)| place.copy_from_slice(&image.values));
        let [channels, height, width] = first.shape;
        Tensor::new(&[images.len(), channels, height, width], values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(height: usize, width: usize) -> Image {
        let mut next = 0.0;
        Image::from_fn([1, height, width], |_, _, _| {
            next += 1.0;
            next
        })
    }

    #[test]
    fn an_image_that_its_values_do_not_fill_is_an_error() {
        assert!(Image::new([1, 2, 2], vec![0.0; 3]).is_err());
        assert!(Image::new([1, 0, 2], vec![]).is_err());
        assert!(Image::new([usize::MAX, 2, 2], vec![0.0; 4]).is_err());
    }

    #[test]
    fn a_turn_brings_the_right_column_to_the_top() {
        // 1 2 3        3 6
        // 4 5 6   ->   2 5
        //              1 4
        let turned = counting(2, 3).rotated();
        assert_eq!(turned.shape(), [1, 3, 2]);
        assert_eq!(turned.values(), [3.0, 6.0, 2.0, 5.0, 1.0, 4.0]);
    }

    #[test]
    fn four_turns_and_two_flips_change_nothing() {
        let image = counting(3, 5);
        assert_eq!(image.rotated().rotated().rotated().rotated(), image);
        assert_eq!(image.flipped().flipped(), image);
        assert_eq!(image.flipped().values()[..5], [5.0, 4.0, 3.0, 2.0, 1.0]);
    }

    #[test]
    fn a_shift_repeats_the_edge() {
        let image = counting(2, 3);
        assert_eq!(image.shifted(0, 1).values(), [1.0, 1.0, 2.0, 4.0, 4.0, 5.0]);
        assert_eq!(image.shifted(-1, 0).values(), [4.0, 5.0, 6.0, 4.0, 5.0, 6.0]);
        assert_eq!(image.shifted(isize::MAX, isize::MIN).values(), [3.0; 6]);
    }

    #[test]
    fn a_crop_lies_inside() {
        let image = counting(3, 4);
        assert_eq!(image.cropped(1, 2, 2, 2).unwrap().values(), [7.0, 8.0, 11.0, 12.0]);
        assert_eq!(image.centre_cropped(1, 2).unwrap().values(), [6.0, 7.0]);
        assert!(image.cropped(2, 0, 2, 1).is_err());
        assert!(image.cropped(usize::MAX, 0, 2, 1).is_err());
        assert!(image.centre_cropped(4, 4).is_err());
        assert!(image.cropped(0, 0, 0, 1).is_err());
    }

    #[test]
    fn images_of_one_shape_stack() {
        let tensor = Image::stack(&[counting(2, 2), counting(2, 2)]).unwrap();
        assert_eq!(tensor.shape(), [2, 1, 2, 2]);
        assert_eq!(tensor.as_slice()[4..], [1.0, 2.0, 3.0, 4.0]);
        let error = Image::stack(&[counting(2, 2), counting(2, 3)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "stack: image 1 should have shape [1, 2, 2] like the first (resize or crop them), \
             but has [1, 2, 3]"
        );
        assert!(Image::stack(&[]).is_err());
    }
}
