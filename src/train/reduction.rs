//! Gradients of several processes, added while the way back still goes on.

use crate::nn::{Id, Parameters, Role, Step};
use crate::processes::{Group, Pending};
use crate::tensor::{Device, Tensor};
use crate::{Error, Result};

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
                    room = FULL.saturating_sub(len);
                }
            }
        }
        let shapes = parameters.ids().map(|id| parameters.value(id).shape().to_vec()).collect();
        let (known, waiting) = (vec![false; parameters.len()], vec![None; parameters.len()]);
        let device = parameters.device();
        Self { group, device, buckets, next: 0, pending: vec![], known, waiting, shapes }
    }

    /// The gradient of a parameter is whole.
    ///
    /// # Errors
    /// If it cannot be read from its device.
    pub fn add(&mut self, id: Id, gradient: &Tensor<f32>) -> Result<()> {
        self.known[id.index()] = true;
        self.waiting[id.index()] = Some(gradient.to(&Device::Cpu)?.as_slice().to_vec());
        while let Some(bucket) = self.buckets.get(self.next) {
            if bucket.iter().any(|id| !self.known[id.index()]) {
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
                    let values = sum.get(at..at + len).ok_or_else(|| {
                        let problem =
                            "another process has other parameters; are all the same program?";
                        Error::argument("processes", problem)
                    })?;
                    let gradient = Tensor::new(shape, values.to_vec())?.to(&self.device)?;
                    step.set_gradient(*id, Some(gradient))?;
                }
                at += len;
            }
        }
        Ok(())
    }
}
