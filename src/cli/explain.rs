//! `bench layer --explain`: the strategies for each layer, with what they should cost and do cost.

use super::measure::{Kind, LAYERS, median, rounded};
use super::output::{Output, Result};
use crate::Error;
use crate::kernel::aggregate::Aggregated;
use crate::kernel::cost::{Rates, Strategy, Wanted};
use crate::kernel::{Geometry, Window};
use crate::tensor::{Tensor, buffer};
use serde_json::json;

/// How many times as long as another strategy the chosen one may take.
const TOLERANCE: f64 = 1.5;

/// Prints a line for each strategy for each layer.
///
/// # Errors
/// At the end, if the chosen strategy for a layer was clearly not the fastest: the model of
/// [`kernel::cost`](crate::kernel::cost) does not fit this machine then.
pub fn layers(kind: Kind, [batch, m]: [usize; 2], runs: usize, output: &mut Output) -> Result {
    let threads = rayon::current_num_threads() as f64;
    let mut wrong = Vec::new();
    for sizes @ [inputs, outputs, taps, side] in LAYERS {
        let window = Window::square(1, taps / 2);
        let weight_shape = [outputs, inputs, taps, taps];
        let geometry = Geometry::new("bench", [batch, inputs, side, side], weight_shape, window)?;
        let mut rng = fastrand::Rng::with_seed(0);
        let mut normal = |shape: &[usize]| Tensor::<f32>::normal(shape, 1.0, &mut rng);
        let x = normal(&geometry.input_shape());
        let dy = normal(&geometry.output_shape());
        let weight = normal(&[m, outputs, inputs, taps, taps]);
        let alignment = (taps > 1).then(|| normal(&[m, outputs, outputs]));
        let gates = if kind == Kind::Lite { 1 } else { batch };
        let gate = normal(&[gates, m]);
        let layer = Aggregated {
            geometry: &geometry,
            x: x.as_slice(),
            weight: weight.as_slice(),
            alignment: alignment.as_ref().map(Tensor::as_slice),
            bias: None,
            gate: gate.as_slice(),
            sources: m,
        };
        let mut times = Vec::new();
        let sizes_of_layer = layer.sizes();
        let chosen = |is_training| sizes_of_layer.shortest(is_training, Rates::CORE);
        let allowed = |&strategy: &Strategy| sizes_of_layer.allows(strategy);
        for strategy in Strategy::ALL.into_iter().filter(allowed) {
            let cost = sizes_of_layer.cost(strategy);
            let [forward, backward] = cost.map(|cost| cost.seconds(Rates::CORE) / threads);
            let measured_forward = median(1, runs, || {
                let (y, _) = layer.forward(strategy);
                buffer::give_back(y);
                Ok(())
            })?;
            let measured = median(1, runs, || {
                let (y, kept) = layer.forward(strategy);
                buffer::give_back(y);
                let gradients = layer.backward(dy.as_slice(), kept, Wanted::ALL);
                gradients.weight.into_iter().for_each(buffer::give_back);
                gradients.x.into_iter().chain(gradients.alignment).for_each(buffer::give_back);
                Ok(())
            })?;
            output.object(&json!({
                "layer": sizes,
                "kind": kind.name(),
                "strategy": strategy.name(),
                "chosen_in_training": chosen(true) == strategy,
                "chosen_in_evaluation": chosen(false) == strategy,
                "fwd_ms": rounded(measured_forward * 1e3, 2),
                "fwd_predicted_ms": rounded(forward * 1e3, 2),
                "fwdbwd_ms": rounded(measured * 1e3, 2),
                "fwdbwd_predicted_ms": rounded((forward + backward) * 1e3, 2),
            }))?;
            times.push((strategy, measured));
        }
        let chosen = times.iter().find(|(strategy, _)| *strategy == chosen(true));
        let fastest = times.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        if let (Some((strategy, time)), Some((other, best))) = (chosen, fastest)
            && *time > TOLERANCE * best
        {
            let [strategy, other] = [strategy.name(), other.name()];
            wrong.push(format!(
                "{sizes:?} is computed in {strategy}, and would be {:.1} times as fast in {other}",
                time / best
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::argument("bench layer --explain", wrong.join("; ")).into())
}
