use super::*;
use crate::gradcheck::Draw;
use crate::kernel::{reduce, reference};
use proptest::prelude::*;

/// A convolution of several groups: `sizes` may be anything that makes one.
fn geometry(draw: &mut Draw) -> Geometry {
    let taps = [draw.size(1, 5), draw.size(1, 5)];
    let window = Window {
        stride: [draw.size(1, 3), draw.size(1, 3)],
        padding: [draw.size(0, 4), draw.size(0, 4)],
        dilation: [draw.size(1, 2), draw.size(1, 2)],
        groups: draw.size(2, 5),
    };
    let size = |axis: usize, more: usize| {
        let reach = (taps[axis] - 1) * window.dilation[axis] + 1;
        reach.saturating_sub(2 * window.padding[axis]).max(1) + more
    };
    let [height, width] = [size(0, draw.size(0, 9)), size(1, draw.size(0, 40))];
    let (channels, outputs) = (draw.size(1, 5), draw.size(1, 5));
    let x = [draw.size(1, 3), channels * window.groups, height, width];
    let weight = [outputs * window.groups, channels, taps[0], taps[1]];
    Geometry::new("test", x, weight, window).unwrap()
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-11)
}

proptest! {
    /// The forward pass is what the formula says, of one kernel and of one for each sample; and the
    /// gradients are adjoint to it: `<conv(x, w), dy> = <x, dx> = <w, dw>`.
    #[test]
    fn agrees_with_its_readable_twin(numbers in prop::collection::vec(any::<u32>(), 32)) {
        let mut draw = Draw::new(numbers);
        let g = geometry(&mut draw);
        prop_assert!(wins(&g));
        let [o, c, kh, kw] = g.weight_shape();
        let [x, w, dy] = [g.input_shape(), [g.batch * o, c, kh, kw], g.output_shape()]
            .map(|shape| draw.tensor(&shape));
        let (x, w, dy) = (x.as_slice(), w.as_slice(), dy.as_slice());
        let (len, all) = (o * c * kh * kw, 0..g.window.groups);
        let one = g.of_one_sample();
        for kernels in [&w[..len], w] {
            let twin: Vec<f64> = (0..g.batch).flat_map(|n| {
                let kernel = &kernels[n * len % kernels.len()..][..len];
                reference::conv2d(&one, &x[n * g.sample_len()..][..g.sample_len()], kernel)
            }).collect();
            let mut y = vec![f64::NAN; twin.len()];
            forward(&g, &all, x, kernels, &mut y);
            prop_assert!(close(&y, &twin), "{g:?}");
            let mut dx = vec![f64::NAN; x.len()];
            input_gradient(&g, &all, dy, kernels, &mut dx);
            let mut dw = vec![f64::NAN; kernels.len()];
            kernel_gradient(&g, &all, x, dy, &mut dw);
            let product = reduce::dot(&y, dy);
            let scale = 1e-11 * (1.0 + reduce::dot(&y, &y).sqrt() * reduce::dot(dy, dy).sqrt());
            prop_assert!((product - reduce::dot(x, &dx)).abs() < scale, "{g:?}");
            prop_assert!((product - reduce::dot(kernels, &dw)).abs() < scale, "{g:?}");
        }
    }
}

/// Some groups are those of all, to the bit, and no others are written.
#[test]
fn groups_can_be_computed_apart() {
    let window = Window { groups: 6, ..Window::square(2, 1) };
    let g = Geometry::new("test", [3, 12, 9, 20], [18, 2, 3, 3], window).unwrap();
    let mut draw = Draw::seeded(2);
    let [x, w, dy] = [g.input_shape(), g.weight_shape(), g.output_shape()].map(|s| draw.tensor(&s));
    let (x, w, dy) = (x.as_slice(), w.as_slice(), dy.as_slice());
    let compute = |blocks: &[Range<usize>]| {
        let mut y = vec![f64::NAN; dy.len()];
        let (mut dx, mut dw) = (vec![f64::NAN; x.len()], vec![f64::NAN; w.len()]);
        for groups in blocks {
            let of = groups.start * w.len() / 6..groups.end * w.len() / 6;
            forward(&g, groups, x, &w[of.clone()], &mut y);
            input_gradient(&g, groups, dy, &w[of.clone()], &mut dx);
            kernel_gradient(&g, groups, x, dy, &mut dw[of]);
        }
        [y, dx, dw].concat()
    };
    let whole = std::slice::from_ref(&(0..6));
    assert_eq!(compute(whole), compute(&[0..1, 1..5, 5..6]));
}
