use super::*;
use crate::gradcheck::Draw;
use crate::kernel::cost::{Strategy, Wanted};
use crate::kernel::{Window, reference};
use proptest::prelude::*;

proptest! {
    #[test]
    fn both_strategies_agree_with_their_readable_twin(numbers in prop::collection::vec(any::<u32>(), 32)) {
        let mut draw = Draw::new(numbers);
        let (g, m) = (draw.geometry(2), draw.size(1, 6));
        let [o, c, kh, kw] = g.weight_shape();
        let (x, w) = (draw.tensor(&g.input_shape()), draw.tensor(&[m, o, c, kh, kw]));
        let (gate, transform) = (draw.tensor(&[g.batch, m]), draw.tensor(&[m, o, o]));
        let (x, w) = (x.as_slice(), w.as_slice());
        let aligned = reference::align(w, transform.as_slice(), m, o, c * kh * kw);
        for alignment in [None, Some(transform.as_slice())] {
            for is_shared in [false, true] {
                let one = gate.as_slice()[..m].repeat(g.batch);
                let gates = if is_shared { &one } else { gate.as_slice() };
                let kernels = if alignment.is_some() { &aligned } else { w };
                let twin = reference::aggregated_conv2d(&g, x, kernels, gates, m);
                let gate = if is_shared { &one[..m] } else { gates };
                let layer = Aggregated {
                    geometry: &g, x, weight: w, alignment, bias: None, gate, sources: m,
                };
                let is_open = |strategy| {
                    layer.sizes().allows(strategy) || strategy == layer.shortest(true)
                };
                let allowed = |&strategy: &Strategy| is_open(strategy);
                for strategy in Strategy::ALL.into_iter().filter(allowed) {
                    let (y, _) = layer.forward(strategy);
                    let close = y.iter().zip(&twin).all(|(a, b)| (a - b).abs() < 1e-10);
                    prop_assert!(close, "{:?} {} {:?}", strategy, is_shared, g);
                }
            }
        }
    }
}

/// Sizes that need several blocks of rows: for every operand `v`, of which the output is a linear
/// function, `<y, dy> = <v, dv>`; for the gate, sample by sample.
#[test]
fn gradients_of_a_large_layer_are_adjoint_to_its_forward_pass() {
    let g = Geometry::new("test", [9, 48, 6, 7], [640, 48, 3, 3], Window::square(1, 1)).unwrap();
    let (m, mut draw) = (3, Draw::seeded(5));
    let (x, w) = (draw.tensor(&g.input_shape()), draw.tensor(&[m, 640, 48, 3, 3]));
    let (gate, dy) = (draw.tensor(&[g.batch, m]), draw.tensor(&g.output_shape()));
    let transform = draw.tensor(&[m, 640, 640]);
    let (x, w, dy) = (x.as_slice(), w.as_slice(), dy.as_slice());
    let mut found: Vec<Vec<f64>> = Vec::new();
    for gate in [gate.as_slice(), &gate.as_slice()[..m]] {
        let alignment = Some(transform.as_slice());
        let layer =
            Aggregated { geometry: &g, x, weight: w, alignment, bias: None, gate, sources: m };
        for strategy in Strategy::ALL {
            let (y, kept) = layer.forward(strategy);
            assert_eq!(kept.strategy(), strategy);
            let gradients = layer.backward(dy, kept, Wanted::ALL);
            let product = reduce::dot(&y, dy);
            let same = |v: &[f64], d: &[f64]| {
                let by_operand = reduce::dot(v, d);
                let close = (product - by_operand).abs() < 1e-9 * product.abs();
                assert!(close, "{strategy:?} {product} {by_operand}");
            };
            same(x, gradients.x.as_ref().unwrap());
            same(w, gradients.weight.as_ref().unwrap());
            same(transform.as_slice(), gradients.alignment.as_ref().unwrap());
            same(gate, gradients.gate.as_ref().unwrap());
            found.extend(gradients.gate);
        }
    }
    for pair in found.chunks(2) {
        let close = pair[0].iter().zip(&pair[1]).all(|(a, b)| (a - b).abs() < 1e-9 * a.abs());
        assert!(close, "{pair:?}");
    }
}

/// A fully connected layer, without alignment: outputs are mixed, and all gradients are those of mixed
/// kernels.
#[test]
fn a_fully_connected_layer_mixes_outputs() {
    let g = Geometry::new("test", [9, 5, 4, 3], [7, 5, 4, 3], Window::default()).unwrap();
    let (m, mut draw) = (3, Draw::seeded(6));
    let (x, w) = (draw.tensor(&g.input_shape()), draw.tensor(&[m, 7, 5, 4, 3]));
    let (gate, dy) = (draw.tensor(&[g.batch, m]), draw.tensor(&g.output_shape()));
    let layer = Aggregated {
        geometry: &g,
        x: x.as_slice(),
        weight: w.as_slice(),
        alignment: None,
        bias: None,
        gate: gate.as_slice(),
        sources: m,
    };
    assert_eq!(layer.shortest(true), Strategy::OutputSpace);
    let [by_kernels, by_outputs] = Strategy::ALL.map(|strategy| {
        let (y, kept) = layer.forward(strategy);
        let found = layer.backward(dy.as_slice(), kept, Wanted::ALL);
        assert!(found.alignment.is_none());
        [Some(y), found.x, found.weight, found.gate].map(Option::unwrap).concat()
    });
    assert_eq!(by_kernels.len(), by_outputs.len());
    assert!(by_kernels.iter().zip(&by_outputs).all(|(a, b)| (a - b).abs() < 1e-10));
}
