//! Frozen sources on the samples of the target.

use super::super::values::means_of_parts;
use crate::nn::{Design, Form, Id, Network, Pass, Role};
use crate::tensor::{Element, State, Tensor};
use crate::{Error, Result};

/// The sources as plain networks, and the samples that they are looked at by.
pub(super) struct Frozen<'a, T> {
    pub networks: Vec<Network<T>>,
    pub images: &'a Tensor<T>,
    look: Look,
}

/// What of a network is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    /// What goes into its head.
    Features,
    /// Means of parts of its last map, which know places, as in
    /// [`score_of_values`](crate::start::score_of_values).
    Parts,
}

impl Look {
    /// `[N, D]`.
    fn at<T: Element>(
        self,
        network: &Network<T>,
        pass: &mut Pass<T>,
        images: Tensor<T>,
    ) -> Result<Tensor<T>> {
        let x = pass.input(images);
        match self {
            Self::Features => {
                let features = network.features(pass, x)?;
                pass.value(features).cloned()
            }
            Self::Parts => {
                let map = network.map(pass, x)?;
                means_of_parts(pass.value(map)?)
            }
        }
    }
}

/// Pixels of the samples that pass through a network at once.
const PIXELS: usize = 1 << 21;

impl<'a, T: Element> Frozen<'a, T> {
    pub fn new(
        design: &Design,
        sources: &[State<T>],
        images: &'a Tensor<T>,
        look: Look,
    ) -> Result<Self> {
        let design = design.with_outputs(1);
        let network =
            |source| Network::from_sources(&design, Form::Plain, std::slice::from_ref(source), 0);
        Ok(Self { networks: sources.iter().map(network).collect::<Result<_>>()?, images, look })
    }

    /// The first `count` of images `[N, C, H, W]`.
    pub fn first(images: &Tensor<T>, count: usize) -> Result<Tensor<T>> {
        rows(images, &(0..count).collect::<Vec<_>>())
    }

    /// What the first layer of `reference` sees in each sample, with the statistics of its own
    /// training: the mean over positions of `relu(norm(conv(x)))`, `[N, C0]`.
    pub fn descriptor(&self, design: &Design, reference: &State<T>) -> Result<Tensor<f64>> {
        let described = super::fold::router_of(design, reference)?;
        self.by_chunks(&(0..self.count()).collect::<Vec<_>>(), |images, _| {
            let mut pass = Pass::evaluate(described.parameters());
            let x = pass.input(images);
            let router = described.router().ok_or_else(no_router)?;
            let phi = router.descriptor(&mut pass, x)?;
            pass.value(phi).cloned()
        })
    }

    /// The features `[N, D]` of each source, its norms with the statistics of the samples that pass
    /// through it at once, as in [`score`](crate::start::score).
    pub fn features(&self) -> Result<Vec<Tensor<f64>>> {
        self.of_all(true)
    }

    /// The features `[N, D]` of each source for all samples, with the statistics of those that are
    /// routed to it; see [`Frozen::route`].
    pub fn routed_by(&mut self, routes: &[usize], fewest: usize) -> Result<Vec<Tensor<f64>>> {
        self.route(routes, fewest)?;
        self.evaluated()
    }

    /// The features `[N, D]` of each source, with the statistics that [`Frozen::route`] left.
    fn evaluated(&self) -> Result<Vec<Tensor<f64>>> {
        self.of_all(false)
    }

    fn of_all(&self, by_batch: bool) -> Result<Vec<Tensor<f64>>> {
        let all: Vec<usize> = (0..self.count()).collect();
        let of_network = |network: &Network<T>| {
            self.by_chunks(&all, |images, _| {
                let parameters = network.parameters();
                let mut pass =
                    if by_batch { Pass::measure(parameters) } else { Pass::evaluate(parameters) };
                self.look.at(network, &mut pass, images)
            })
        };
        self.networks.iter().map(of_network).collect()
    }

    /// Gives the norms of each source the statistics of the samples that are routed to it: if they
    /// are fewer than `fewest`, those of all.
    pub fn route(&mut self, routes: &[usize], fewest: usize) -> Result<()> {
        for source in 0..self.networks.len() {
            let mut samples: Vec<usize> =
                (0..routes.len()).filter(|&sample| routes[sample] == source).collect();
            if samples.len() < fewest {
                samples = (0..routes.len()).collect();
            }
            let network = &self.networks[source];
            let buffers = buffers(network);
            let mut means = Means::default();
            self.by_chunks(&samples, |images, count| {
                let mut pass = Pass::measure(network.parameters());
                let features = self.look.at(network, &mut pass, images)?;
                means.add(pass.end().updates(), count);
                Ok(features)
            })?;
            let parameters = self.networks[source].parameters_mut();
            for id in buffers {
                if let Some(mean) = means.of(id) {
                    super::fold::set(parameters, id, &mean)?;
                }
            }
        }
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.images.shape()[0]
    }

    /// What `each` makes of these samples, part by part: of the images and how many there are,
    /// `[n, D]`.
    pub fn by_chunks(
        &self,
        samples: &[usize],
        mut each: impl FnMut(Tensor<T>, usize) -> Result<Tensor<T>>,
    ) -> Result<Tensor<f64>> {
        let (mut values, mut columns) = (vec![], 0);
        for samples in parts(samples, self.images) {
            let found = each(rows(self.images, samples)?, samples.len())?;
            [_, columns] = found.dims("fit_router", "features", "[N, D]")?;
            values.extend(found.as_slice().iter().map(|v| v.widen()));
        }
        Tensor::new(&[samples.len(), columns], values)
    }
}

/// Samples in parts of about the same size, of [`PIXELS`] pixels at most, but never of one sample
/// alone: that has no statistics.
pub(super) fn parts<'s, T: Element>(
    samples: &'s [usize],
    images: &Tensor<T>,
) -> impl Iterator<Item = &'s [usize]> {
    let pixels: usize = images.shape()[2..].iter().product();
    let most = (PIXELS / pixels.max(1)).max(2);
    let count = samples.len().div_ceil(most).min(samples.len() / 2).max(1);
    (0..count).map(move |part| {
        let bound = |part: usize| part * samples.len() / count;
        &samples[bound(part)..bound(part + 1)]
    })
}

/// The buffers of a network.
fn buffers<T: Element>(network: &Network<T>) -> Vec<Id> {
    let parameters = network.parameters();
    parameters.ids().filter(|&id| parameters.role(id) == Role::Buffer).collect()
}

/// Some rows of `x` `[N, ...]`, each at most once; where they are all in their order, nothing is copied.
pub(super) fn rows<T: Element>(x: &Tensor<T>, rows: &[usize]) -> Result<Tensor<T>> {
    if rows.len() == x.shape()[0] && rows.is_sorted() {
        return Ok(x.clone());
    }
    let len = x.len() / x.shape()[0].max(1);
    let values = rows.iter().flat_map(|&row| &x.as_slice()[row * len..][..len]).copied();
    Tensor::new(&[&[rows.len()], &x.shape()[1..]].concat(), values.collect())
}

/// For each sample, the features of its source: of `[N, D]` for all sources.
pub(super) fn routed(features: &[Tensor<f64>], routes: &[usize]) -> Result<Tensor<f64>> {
    let d = features.first().map_or(0, |first| first.shape()[1]);
    let row = |(at, &source): (usize, &usize)| features[source].as_slice()[at * d..][..d].to_vec();
    Tensor::new(&[routes.len(), d], routes.iter().enumerate().flat_map(row).collect())
}

/// Means of statistics over parts of the samples.
#[derive(Default)]
pub(super) struct Means {
    sums: Vec<(Id, Vec<f64>)>,
    count: usize,
}

impl Means {
    /// Adds the statistics of a part of so many samples.
    pub fn add<'t, T: Element>(
        &mut self,
        statistics: impl Iterator<Item = (Id, &'t Tensor<T>)>,
        samples: usize,
    ) {
        self.count += samples;
        for (id, values) in statistics {
            let values = values.as_slice().iter().map(|v| v.widen() * samples as f64);
            match self.sums.iter_mut().find(|(known, _)| *known == id) {
                Some((_, sums)) => sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += v),
                None => self.sums.push((id, values.collect())),
            }
        }
    }

    /// The mean of a statistic `[C]`, if it was measured.
    pub fn of(&self, id: Id) -> Option<Vec<f64>> {
        let (_, sums) = self.sums.iter().find(|(known, _)| *known == id)?;
        Some(sums.iter().map(|sum| sum / self.count as f64).collect())
    }
}

pub(super) fn no_router() -> Error {
    Error::argument("fit_router", "the network has no router")
}
