//! Gradients of several processes, added while the way back still goes on.

use crate::Result;
use crate::nn::{Id, Parameters, Role, Step};
use crate::processes::{Group, Pending};
use crate::tensor::{Device, Tensor};

/// The sums of the gradients of one step over all processes.
///
/// Parameters are put together into buckets, the last ones first, since the way back comes to those first.
/// A bucket is sent when it is full and those before it are sent, so that all processes send the same.
pub(super) struct Reduction<'a> {
    group: &'a Group,
    device: Device,
    buckets: Vec<Vec<Id>>,
    /// Which bucket is sent next.
    next: usize,
    pending: Vec<Pending>,
    /// Whether the way back has passed a parameter.
    passed: Vec<bool>,
    /// Whether there is a gradient here, by parameter.
    known: Vec<bool>,
    /// Gradients that wait for the others of their bucket, by parameter.
    waiting: Vec<Option<Vec<f32>>>,
    /// By parameter.
    shapes: Vec<Vec<usize>>,
}

impl<'a> Reduction<'a> {
    /// Of all parameters but those that are `frozen`.
    pub fn new(group: &'a Group, parameters: &Parameters<f32>, frozen: &[Id]) -> Self {
        /// Numbers of a bucket, 1 MiB.
        const FULL: usize = 1 << 18;
        Self::in_buckets(FULL, group, parameters, frozen)
    }

    /// The same, in buckets of so many numbers.
    fn in_buckets(
        full: usize,
        group: &'a Group,
        parameters: &Parameters<f32>,
        frozen: &[Id],
    ) -> Self {
        let mut buckets: Vec<Vec<Id>> = vec![];
        let mut room = 0;
        let all: Vec<(Id, usize)> = parameters
            .ids()
            .filter(|id| parameters.role(*id) != Role::Buffer && !frozen.contains(id))
            .map(|id| (id, parameters.value(id).len()))
            .collect();
        for (id, len) in all.into_iter().rev() {
            match buckets.last_mut() {
                Some(bucket) if len <= room => {
                    bucket.push(id);
                    room -= len;
                }
                _ => {
                    buckets.push(vec![id]);
                    room = full.saturating_sub(len);
                }
            }
        }
        let shapes = parameters.ids().map(|id| parameters.value(id).shape().to_vec()).collect();
        let [passed, known] = [(); 2].map(|()| vec![false; parameters.len()]);
        let waiting = vec![None; parameters.len()];
        let device = parameters.device();
        Self { group, device, buckets, next: 0, pending: vec![], passed, known, waiting, shapes }
    }

    /// The gradient of a parameter is whole, or it has none in this process.
    ///
    /// # Errors
    /// If it cannot be read from its device.
    pub fn add(&mut self, id: Id, gradient: Option<&Tensor<f32>>) -> Result<()> {
        self.passed[id.index()] = true;
        if let Some(gradient) = gradient {
            self.known[id.index()] = true;
            self.waiting[id.index()] = Some(gradient.to(&Device::Cpu)?.as_slice().to_vec());
        }
        while let Some(bucket) = self.buckets.get(self.next) {
            if bucket.iter().any(|id| !self.passed[id.index()]) {
                break;
            }
            self.send();
        }
        Ok(())
    }

    /// Begins the sum of the next bucket. What is not known is 0 here.
    fn send(&mut self) {
        let mut values = vec![];
        for id in &self.buckets[self.next] {
            let len: usize = self.shapes[id.index()].iter().product();
            match self.waiting[id.index()].take() {
                Some(gradient) => values.extend(gradient),
                None => values.resize(values.len() + len, 0.0),
            }
        }
        self.pending.push(self.group.begin_sum(values));
        self.next += 1;
    }

    /// Waits for all sums, and gives them to `step`. A parameter whose gradient no process has keeps none.
    ///
    /// # Errors
    /// If another process is gone.
    pub fn finish(mut self, step: &mut Step<f32>) -> Result<()> {
        while self.next < self.buckets.len() {
            self.send();
        }
        let is_known = |id: &Id| f64::from(u8::from(self.known[id.index()]));
        let own: Vec<f64> = self.buckets.iter().flatten().map(is_known).collect();
        let mut known = self.group.sum(&own)?.into_iter();
        for (bucket, sum) in self.buckets.iter().zip(self.pending) {
            let (sum, mut at) = (sum.wait()?, 0);
            for id in bucket {
                let shape = &self.shapes[id.index()];
                let len: usize = shape.iter().product();
                if known.next().is_some_and(|processes| processes > 0.0) {
                    let gradient = Tensor::new(shape, sum[at..at + len].to_vec())?;
                    let gradient = gradient.to(&self.device)?;
                    step.set_gradient(*id, Some(gradient))?;
                }
                at += len;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Design, Network, Pass};
    use crate::ops;
    use crate::processes::Share;
    use crate::processes::threads::together;
    use crate::start::{RouterSettings, Targets, fit_router};

    /// In a routed network a source that none of a share's samples takes has no gradient there, and its bucket
    /// is sent in its turn all the same.
    #[test]
    fn small_buckets_of_a_routed_network_are_sent_in_one_order() {
        let design = Design::named("resnet_small", 1, 3).unwrap();
        let drawn =
            |seed| Network::<f32>::drawn(&design, seed).unwrap().parameters().state("drawn");
        let sources = [drawn(1), drawn(2), drawn(3)];
        let images = Tensor::normal(&[12, 1, 8, 8], 1.0, &mut fastrand::Rng::with_seed(4));
        let labels: Vec<usize> = (0..12).map(|n| n % 3).collect();
        let (known, settings) = (Targets::Classes(&labels), RouterSettings::default());
        let fitted = fit_router(&design, &sources, 0, &images, known, &settings).unwrap();
        let network = fitted.network(&design, &sources, &images, 5).unwrap();
        let gradients = |group: Option<&Group>| -> Result<Vec<Option<Tensor<f32>>>> {
            let routes: Vec<usize> = (0..12).map(|n| n / 4).collect();
            let own = group.map(|group| Share::of(group, 12));
            let rows = own.as_ref().map_or(0..12, |share| share.samples.clone());
            let mut pass = Pass::train(network.parameters()).give_routes(&routes[rows.clone()]);
            if let Some(share) = own {
                pass = pass.together(share);
            }
            let len = images.len() / 12;
            let values = images.as_slice()[rows.start * len..rows.end * len].to_vec();
            let x = pass.input(Tensor::new(&[rows.len(), 1, 8, 8], values)?);
            let logits = network.forward(&mut pass, x)?;
            let loss = ops::cross_entropy(pass.tape(), logits, &labels[rows.clone()], 0.0)?;
            let loss = ops::scale(pass.tape(), loss, rows.len() as f64 / 12.0)?;
            let step = match group {
                None => pass.backward(loss)?,
                Some(group) => {
                    let mut sums = Reduction::in_buckets(500, group, network.parameters(), &[]);
                    assert!(sums.buckets.len() > 20);
                    let mut step = pass.backward_with(loss, |id, g| sums.add(id, g))?;
                    sums.finish(&mut step)?;
                    step
                }
            };
            Ok(network.parameters().ids().map(|id| step.gradient(id).cloned()).collect())
        };
        let expected = gradients(None).unwrap();
        for found in together(3, |group| gradients(Some(&group))) {
            for (id, (found, expected)) in
                network.parameters().ids().zip(found.unwrap().iter().zip(&expected))
            {
                let name = network.parameters().name(id);
                assert_eq!(found.is_some(), expected.is_some(), "{name}");
                let (Some(found), Some(expected)) = (found, expected) else { continue };
                let largest = expected.as_slice().iter().fold(1e-2f32, |most, v| most.max(v.abs()));
                let pairs = found.as_slice().iter().zip(expected.as_slice());
                for (found, expected) in pairs {
                    assert!(
                        (found - expected).abs() < 1e-4 * largest,
                        "{name}: {found} {expected}"
                    );
                }
            }
        }
    }
}
