use super::*;
use crate::gradcheck::Draw;
use crate::kernel::{Window, reduce, reference};
use proptest::prelude::*;

proptest! {
    #[test]
    fn agrees_with_the_twin_and_its_gradients_are_adjoint(
        (height, width) in (1..12usize, 1..12usize),
        padding in [0..3usize, 0..3usize],
        (batch, channels, outputs) in (1..4usize, 1..20usize, 2..20usize),
    ) {
        let window = Window { padding, ..Window::default() };
        let (x, w) = ([batch, 2 * channels, height, width], [2 * outputs, channels, 3, 3]);
        let window = Window { groups: 2, ..window };
        let Ok(g) = Geometry::new("test", x, w, window) else {
            return Ok(()); // the window does not fit this image
        };
        let mut draw = Draw::seeded(1);
        let [x, w, dy] = [g.input_shape(), g.weight_shape(), g.output_shape()]
            .map(|shape| draw.tensor(&shape));
        let (x, w, dy) = (x.as_slice(), w.as_slice(), dy.as_slice());
        let mut y = vec![f64::NAN; dy.len()];
        let mut dx = vec![f64::NAN; x.len()];
        let mut dw = vec![f64::NAN; w.len()];
        for group in 0..2 {
            let rows = group * outputs..(group + 1) * outputs;
            let kernel = rows.start * g.row_len()..rows.end * g.row_len();
            let place = (group, &rows);
            forward(&g, x, place, &w[kernel.clone()], &mut y);
            // In two parts, of which the second is added.
            for (rows, add) in [(rows.start..rows.start + 1, false), (rows.start + 1..rows.end, true)] {
                let kernel = rows.start * g.row_len()..rows.end * g.row_len();
                input_gradient(&g, dy, (group, &rows), &w[kernel], &mut dx, add);
            }
            kernel_gradient(&g, x, dy, place, &mut dw[kernel]);
        }
        let twin = reference::conv2d(&g, x, w);
        prop_assert!(y.iter().zip(&twin).all(|(a, b)| (a - b).abs() < 1e-10), "{:?}", g);
        let product = reduce::dot(&y, dy);
        for (v, d) in [(x, &dx), (w, &dw)] {
            prop_assert!((product - reduce::dot(v, d)).abs() < 1e-9, "{:?}", g);
        }
    }
}

/// In single precision the error stays far below 1e-4 of the largest value.
#[test]
fn single_precision_is_enough() {
    let g = Geometry::new("test", [2, 256, 14, 14], [64, 256, 3, 3], Window::square(1, 1));
    let g = g.unwrap();
    let mut draw = Draw::seeded(2);
    let [x, w] = [g.input_shape(), g.weight_shape()].map(|shape| draw.tensor(&shape));
    let twin = reference::conv2d(&g, x.as_slice(), w.as_slice());
    let [x, w] = [x, w].map(|tensor| tensor.cast::<f32>());
    let mut y = vec![f32::NAN; twin.len()];
    forward(&g, x.as_slice(), (0, &(0..64)), w.as_slice(), &mut y);
    assert!(y.iter().all(|y| y.is_finite()));
    let largest = twin.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    let errors = y.iter().zip(&twin).map(|(&y, twin)| (f64::from(y) - twin).abs());
    let worst = errors.fold(0.0, f64::max) / largest;
    assert!(worst < 2e-5, "{worst}");
}

/// More tiles than are transformed at a time, and than are one chunk of steps.
#[test]
fn many_tiles_make_the_same_kernel_gradient_in_one_part_and_in_several() {
    let g = Geometry::new("test", [2, 5, 50, 50], [19, 5, 3, 3], Window::square(1, 1)).unwrap();
    let mut draw = Draw::seeded(3);
    let [x, dy] = [g.input_shape(), g.output_shape()].map(|shape| draw.tensor(&shape));
    let (x, dy) = (x.as_slice(), dy.as_slice());
    let (images, of_dy) = (Images::of_group(&g, x, 0), Images::of_outputs(&g, dy, &(0..19)));
    let tiles = Tiles::of(&g);
    assert_eq!(tiles.count(), 338);
    let [several, one] = [64, 338].map(|some| {
        let mut dw = vec![f64::NAN; 19 * 5 * 9];
        kernel_gradient_in_parts(&images, &of_dy, &tiles, some, &mut dw);
        dw
    });
    assert!(several.iter().zip(&one).all(|(a, b)| (a - b).abs() < 1e-9));
    // Both are the gradient: it is linear in the kernel, so that any kernel tells.
    let w = draw.tensor(&g.weight_shape());
    let y = reference::conv2d(&g, x, w.as_slice());
    let difference = reduce::dot(&y, dy) - reduce::dot(w.as_slice(), &one);
    assert!(difference.abs() < 1e-7, "{difference}");
}
