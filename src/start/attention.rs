//! DELTA's attention: how much each channel of the last map matters to a target.

use super::linear_probe::fitted;
use super::prior::{Features, features};
use crate::Result;
use crate::kernel::reduce::{log_softmax_row, softmax_row};
use crate::nn::Network;
use crate::tensor::{Element, Tensor};

/// A weight for each channel of the last map before the head, by labelled `batches` (images
/// `[N, C, H, W]` and a label for each); they sum to 1.
///
/// As in DELTA (Li et al., 2019): `softmax_j(L(z without channel j) - L(z))`, with L the mean
/// cross-entropy of `z`, the network with a classifier fitted to the target. The classifier is that of
/// [`linear_probe`](super::linear_probe()), in closed form; a channel is left out of what goes into it.
/// At most 2000 samples are looked at.
///
/// # Errors
/// If there is no batch of several samples, or a label is no output of the network.
pub fn channel_attention<T: Element>(
    network: &Network<T>,
    batches: impl IntoIterator<Item = Result<(Tensor<T>, Vec<usize>)>>,
) -> Result<Vec<f64>> {
    let Features { values, labels, channels, .. } =
        features(network, batches)?.first(super::MOST)?;
    let [_, d] = values.dims("channel_attention", "features", "[N, D]")?;
    let classes = network.design().outputs;
    let (weights, biases) = fitted(&values, &labels, classes)?;
    // Behind a flattened map a channel has several columns.
    let columns = (d / channels.max(1)).max(1);
    let mut losses = vec![0.0; d.div_ceil(columns)];
    for (row, &label) in values.as_slice().chunks(d).zip(&labels) {
        let x: Vec<f64> = row.iter().map(|v| v.widen()).collect();
        let part = |class: usize, from: usize, to: usize| -> f64 {
            (from..to).map(|column| weights[class * d + column] * x[column]).sum()
        };
        let logits: Vec<f64> = (0..classes).map(|k| biases[k] + part(k, 0, d)).collect();
        for (channel, loss) in losses.iter_mut().enumerate() {
            let (from, to) = (channel * columns, ((channel + 1) * columns).min(d));
            let without = (0..classes).map(|k| logits[k] - part(k, from, to)).collect();
            *loss += cross_entropy(without, label) / labels.len() as f64;
        }
    }
    // The loss of the whole is the same for all, and softmax does not see it.
    softmax_row(&mut losses);
    Ok(losses)
}

fn cross_entropy(mut logits: Vec<f64>, label: usize) -> f64 {
    log_softmax_row(&mut logits);
    -logits[label]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;

    #[test]
    fn the_channel_that_tells_the_classes_gets_the_most_attention() {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let mut network = Network::<f32>::drawn(&design, 1).unwrap();
        // Of the last map only channels 3 and 5 are alive, and 3 alone depends on the image.
        for name in ["layer3.0.bn2", "layer3.0.downsample.1"] {
            for (part, alive) in [("weight", vec![3]), ("bias", vec![5])] {
                let id = network.parameters().find(&format!("{name}.{part}")).unwrap();
                let values = network.parameters_mut().value_mut(id).as_mut_slice();
                values.iter_mut().enumerate().for_each(|(j, v)| *v = f32::from(alive.contains(&j)));
            }
        }
        let values = (0..16 * 256).map(|at| ((at / 256 % 2) * (at % 2)) as f32).collect();
        let images = Tensor::new(&[16, 1, 16, 16], values).unwrap();
        let labels: Vec<usize> = (0..16).map(|n| n % 2).collect();
        let attention = channel_attention(&network, [Ok((images, labels))]).unwrap();
        assert!((attention.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let others = attention[0];
        assert!(attention[3] > 2.0 * others, "{} {others}", attention[3]);
        assert_eq!(attention[5], others, "a channel that never changes matters to no class");
    }
}
