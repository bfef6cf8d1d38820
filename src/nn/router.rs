//! Which source each sample goes through in a routed network.

use super::{Builder, Conv, Id, Pass};
use crate::kernel::reduce::softmax_row;
use crate::tape::Var;
use crate::tensor::{Device, Element};
use crate::{Result, ops};

/// Scores sources for each sample by what a first layer sees in it.
///
/// With the descriptor `phi(x)`, the mean over positions of `relu(conv(x))`, the scores are
/// `V phi(x) + c`, and their softmax is how likely each source is. The first layer is a copy of one
/// source's, with its batch norm folded in; see [`start::fit_router`](crate::start::fit_router). Nothing here
/// is trained by gradients.
#[derive(Clone, Debug)]
pub struct Router {
    /// The copy: a convolution `[C0, C, kh, kw]` with a bias.
    pub stem: Conv,
    /// `V`, `[m, C0]`.
    pub weight: Id,
    /// `c`, `[m]`.
    pub bias: Id,
}

impl Router {
    /// The name under which the likelihoods of sources are observed.
    pub const NAME: &str = "router";

    /// Declares the router of a network whose images are read by `first` alone.
    pub(super) fn declare(builder: &mut Builder, first: &Conv) -> Result<Self> {
        let [weight, bias, of_stem, bias_of_stem] = ["weight", "bias", "stem.weight", "stem.bias"]
            .map(|part| format!("{}.{part}", Self::NAME));
        let (sources, channels) = (builder.sources(), first.shape[0]);
        let kernel = builder.buffer(of_stem, &first.stored_shape())?;
        let stem = Conv {
            weight: kernel,
            bias: Some(builder.buffer(bias_of_stem, &[channels])?),
            routes: None,
            mix: None,
            name: format!("{}.stem", Self::NAME),
            ..first.clone()
        };
        let weight = builder.buffer(weight, &[sources, channels])?;
        let bias = builder.buffer(bias, &[sources])?;
        Ok(Self { stem, weight, bias })
    }

    /// The descriptor `phi(x)`, `[N, C0]`, of images `x` `[N, C, H, W]`.
    ///
    /// # Errors
    /// If `x` does not fit the first layer.
    pub fn descriptor<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let y = self.stem.forward(pass, x)?;
        let y = ops::relu(pass.tape(), y)?;
        ops::global_mean_pool(pass.tape(), y)
    }

    /// The scores `V phi(x) + c` of the sources, `[N, m]`; how likely they are is observed.
    ///
    /// # Errors
    /// As [`Router::descriptor`].
    pub fn scores<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let phi = self.descriptor(pass, x)?;
        let (weight, bias) = (pass.var(self.weight), pass.var(self.bias));
        let scores = ops::linear(pass.tape(), phi, weight, Some(bias))?;
        let likely = ops::softmax(pass.tape(), scores)?;
        pass.observe(format!("{}.gate", Self::NAME), likely);
        Ok(scores)
    }

    /// The source of each image of `x` `[N, C, H, W]`: as the pass was told, or drawn by how likely
    /// the sources are, or the likeliest.
    pub(super) fn routes<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Vec<usize>> {
        let scores = self.scores_alone(pass, x)?;
        if let Some(given) = pass.given_routes() {
            return Ok(given.to_vec());
        }
        let rows = self.rows(pass, scores)?;
        let rows = rows.iter();
        Ok(match pass.draws() {
            Some(seed) => {
                let mut rng = fastrand::Rng::with_seed(seed);
                // As if the samples before this share were drawn for too.
                let before = pass.share().map_or(0, |share| share.samples.start);
                (0..before).for_each(|_| {
                    rng.f64();
                });
                rows.map(|row| drawn(row, rng.f64())).collect()
            }
            None => rows.map(|row| largest(row)).collect(),
        })
    }

    /// For each image of `x` `[N, C, H, W]` the `top` likeliest sources, the likeliest first, and how
    /// likely each is; those behind the first only where that is at least `worth`.
    pub(super) fn likeliest<T: Element>(
        &self,
        pass: &mut Pass<T>,
        x: Var,
        top: usize,
        worth: f64,
    ) -> Result<Vec<Vec<(usize, f64)>>> {
        let scores = self.scores_alone(pass, x)?;
        let rows = self.rows(pass, scores)?;
        let of_row = |mut shares: Vec<f64>| {
            softmax_row(&mut shares);
            let mut sources: Vec<(usize, f64)> = shares.into_iter().enumerate().collect();
            sources.sort_by(|a, b| b.1.total_cmp(&a.1));
            let count = sources.iter().take(top).filter(|(_, share)| *share >= worth).count();
            sources.truncate(count.max(1));
            sources
        };
        Ok(rows.into_iter().map(of_row).collect())
    }

    /// [`Router::scores`], of which the pass keeps nothing but them.
    fn scores_alone<T: Element>(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let first = pass.tape().len();
        let scores = self.scores(pass, x)?;
        pass.forget(first, scores);
        Ok(scores)
    }

    /// Scores `[N, m]`, an image after the other.
    fn rows<T: Element>(&self, pass: &Pass<T>, scores: Var) -> Result<Vec<Vec<f64>>> {
        let scores = pass.value(scores)?.to(&Device::Cpu)?;
        let sources = pass.parameter(self.bias).len();
        let rows = scores.as_slice().chunks(sources.max(1));
        Ok(rows.map(|row| row.iter().map(|score| score.widen()).collect()).collect())
    }
}

/// The first of the largest scores.
fn largest(scores: &[f64]) -> usize {
    let places = (0..scores.len()).rev();
    places.max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0)
}

/// The source that the softmax of `scores` gives for `chance`, which is even from 0 to 1.
fn drawn(scores: &[f64], chance: f64) -> usize {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
    let mut rest = chance * shares.iter().sum::<f64>();
    let last = shares.len().saturating_sub(1);
    shares[..last]
        .iter()
        .position(|share| {
            rest -= share;
            rest < 0.0
        })
        .unwrap_or(last)
}

/// A batch whose samples stand by source.
#[derive(Clone, Debug)]
pub(super) struct Sorted {
    /// The sample at each place.
    pub order: Vec<usize>,
    /// The place of each sample.
    pub inverse: Vec<usize>,
    /// How many samples each source has.
    pub counts: Vec<usize>,
}

impl Sorted {
    /// Samples of these sources out of `sources`, those of one source in their order.
    pub fn new(routes: &[usize], sources: usize) -> Self {
        let mut order: Vec<usize> = (0..routes.len()).collect();
        order.sort_by_key(|&sample| routes[sample]);
        let mut inverse = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &sample)| inverse[sample] = place);
        let mut counts = vec![0; sources];
        routes.iter().for_each(|&source| counts[source] += 1);
        Self { order, inverse, counts }
    }

    /// Whether all stand where they stood.
    pub fn is_sorted(&self) -> bool {
        self.order.is_sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Design, Form, Network, Values};
    use crate::tensor::{State, Tensor};

    #[test]
    fn samples_stand_by_source() {
        let sorted = Sorted::new(&[2, 0, 2, 0], 3);
        assert_eq!(sorted.order, [1, 3, 0, 2]);
        assert_eq!(sorted.inverse, [2, 0, 3, 1]);
        assert_eq!(sorted.counts, [2, 0, 2]);
        assert!(!sorted.is_sorted() && Sorted::new(&[0, 0, 1], 2).is_sorted());
    }

    #[test]
    fn a_file_of_no_sources_or_too_many_is_refused() {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let state = State::<f32>::new("a file");
        for sources in [0, 1 << 40] {
            let built = design.in_form(Form::Routed, sources).build(&state);
            let error = built.map(drop).unwrap_err().to_string();
            assert!(error.contains("a routed network of"), "{error}");
        }
    }

    #[test]
    fn a_pass_knows_which_source_each_sample_took() {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let blueprint = design.in_form(Form::Routed, 3);
        let network = Network::<f32>::new(&blueprint, Values::drawn(1)).unwrap();
        let mut pass = Pass::evaluate(network.parameters()).give_routes(&[2, 0, 2, 1]);
        let x = pass.input(Tensor::full(&[4, 1, 8, 8], 1.0));
        network.forward(&mut pass, x).unwrap();
        assert_eq!(pass.routes(), Some(vec![2, 0, 2, 1]));
    }

    #[test]
    fn sources_are_drawn_by_their_shares() {
        let scores = [0.0, 3.0f64.ln(), f64::NEG_INFINITY];
        assert_eq!([0.0, 0.24, 0.26, 0.99].map(|chance| drawn(&scores, chance)), [0, 0, 1, 1]);
        assert_eq!(largest(&[1.0, 2.0, 2.0]), 1);
    }
}
