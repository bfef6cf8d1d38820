//! Batch normalisation over `[N, C, H, W]`, per channel (Ioffe and Szegedy, 2015).
//!
//! Memory is what limits all of it, so what can be done with a value while it is at hand is done:
//! a plane is read once for its moments, and a residual and the rectifier belong to the pass that
//! normalises.

use super::elementwise::Rectifier;
use super::parallel::Each;
use super::reduce;
use crate::tensor::{Element, buffer};
use rayon::prelude::*;

/// What follows on a batch norm, in the same pass over the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue<V> {
    /// `y = norm(x)`.
    Nothing,
    /// `y = relu(norm(x))`.
    Relu,
    /// `y = relu6(norm(x))`.
    Relu6,
    /// `y = relu(norm(x) + residual)`, the end of a residual block.
    AddRelu(V),
}

impl<V> Epilogue<V> {
    /// The residual, if there is one.
    pub fn residual(self) -> Option<V> {
        match self {
            Self::Nothing | Self::Relu | Self::Relu6 => None,
            Self::AddRelu(residual) => Some(residual),
        }
    }

    /// What rectifies, if something does.
    pub fn rectifier(&self) -> Option<Rectifier> {
        match self {
            Self::Nothing => None,
            Self::Relu | Self::AddRelu(_) => Some(Rectifier::Relu),
            Self::Relu6 => Some(Rectifier::Relu6),
        }
    }

    /// The same, with what `f` makes of the residual.
    ///
    /// # Errors
    /// That of `f`.
    pub fn try_map<U, E>(self, f: impl FnOnce(V) -> Result<U, E>) -> Result<Epilogue<U>, E> {
        Ok(match self {
            Self::Nothing => Epilogue::Nothing,
            Self::Relu => Epilogue::Relu,
            Self::Relu6 => Epilogue::Relu6,
            Self::AddRelu(residual) => Epilogue::AddRelu(f(residual)?),
        })
    }
}

/// Sizes of a batch `[N, C, L]`, `L = H W`: planes of `L` values, `C` of them for each sample.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// Samples, `N`.
    pub batch: usize,
    /// Channels, `C`.
    pub channels: usize,
    /// Values of a plane, `L`.
    pub len: usize,
}

impl Channels {
    /// Values that share a mean.
    pub fn count(&self) -> usize {
        self.batch * self.len
    }

    /// Planes that a task is given at least.
    fn task(&self) -> usize {
        const VALUES: usize = 1 << 14;
        VALUES.div_ceil(self.len.max(1))
    }

    fn planes<'a, T: Element>(&self, x: &'a [T]) -> rayon::slice::Chunks<'a, T> {
        x.par_chunks(self.len.max(1))
    }

    fn planes_mut<'a, T: Element>(&self, x: &'a mut [T]) -> rayon::slice::ChunksMut<'a, T> {
        x.par_chunks_mut(self.len.max(1))
    }

    /// Mean and (biased) variance of each channel.
    ///
    /// A plane's deviations are taken from its own mean, while it is in the cache. As all planes
    /// are of one length, what Chan et al. (1983) add to them is that of the planes' means.
    pub fn moments<T: Element>(&self, x: &[T]) -> (Vec<T>, Vec<T>) {
        let [batch, len, count] =
            [self.batch, self.len, self.count()].map(|size| T::from_f64(size as f64));
        let of_plane = |x| {
            let mean = reduce::sum(x) / len;
            (mean, reduce::sum_of(x, x, |x, _| (x - mean) * (x - mean)))
        };
        let planes: Vec<_> = self.planes(x).with_min_len(self.task()).map(of_plane).collect();
        let mut mean = vec![T::zero(); self.channels];
        for (i, (of_plane, _)) in planes.iter().enumerate() {
            mean[i % self.channels] += *of_plane / batch;
        }
        let mut variance = vec![T::zero(); self.channels];
        for (i, &(of_plane, squares)) in planes.iter().enumerate() {
            let apart = of_plane - mean[i % self.channels];
            variance[i % self.channels] += (squares + len * apart * apart) / count;
        }
        (mean, variance)
    }

    /// `y = (x - mean) scale + shift`, the constants per channel, and what follows on it.
    pub fn normalise<T: Element>(
        &self,
        x: &[T],
        [mean, scale, shift]: [&[T]; 3],
        then: Epilogue<&[T]>,
    ) -> Vec<T> {
        let mut y = buffer::take(x.len());
        let planes = self.planes_mut(&mut y).zip(self.planes(x)).enumerate();
        planes.with_min_len(self.task()).each(|(i, (y, x))| {
            let c = i % self.channels;
            let (mean, scale, shift) = (mean[c], scale[c], shift[c]);
            let norm = |x| (x - mean) * scale + shift;
            let (relu, relu6) = (Rectifier::Relu, Rectifier::Relu6);
            let pairs = y.iter_mut().zip(x);
            match then {
                Epilogue::Nothing => pairs.for_each(|(y, &x)| *y = norm(x)),
                Epilogue::Relu => pairs.for_each(|(y, &x)| *y = relu.of(norm(x))),
                Epilogue::Relu6 => pairs.for_each(|(y, &x)| *y = relu6.of(norm(x))),
                Epilogue::AddRelu(residual) => pairs
                    .zip(&residual[i * self.len..][..x.len()])
                    .for_each(|((y, &x), &residual)| *y = relu.of(norm(x) + residual)),
            }
        });
        y
    }

    /// Per channel, the sums of `dy` and of `dy (x - mean)`.
    pub fn gradient_sums<T: Element>(&self, x: &[T], dy: &[T], mean: &[T]) -> (Vec<T>, Vec<T>) {
        let planes = self.planes(x).zip(self.planes(dy)).enumerate();
        let sums = planes
            .with_min_len(self.task())
            .map(|(i, (x, dy))| sums_of_plane(x, dy, mean[i % self.channels]));
        self.sums_of_channels(sums.collect())
    }

    /// [`gradient_sums`](Self::gradient_sums) behind a rectifier that gave `y`; what of `dy` does
    /// not pass through it is set to zero on the way.
    pub fn rectified_gradient_sums<T: Element>(
        &self,
        x: &[T],
        dy: &mut [T],
        (rectifier, y): (Rectifier, &[T]),
        mean: &[T],
    ) -> (Vec<T>, Vec<T>) {
        let (relu, relu6) = (Rectifier::Relu, Rectifier::Relu6);
        let planes = self.planes_mut(dy).zip(self.planes(x)).zip(self.planes(y)).enumerate();
        let sums = planes.with_min_len(self.task()).map(|(i, ((dy, x), y))| {
            let pairs = dy.iter_mut().zip(y);
            match rectifier {
                Rectifier::Relu => pairs.for_each(|(dy, &y)| *dy = relu.passed(*dy, y)),
                Rectifier::Relu6 => pairs.for_each(|(dy, &y)| *dy = relu6.passed(*dy, y)),
            }
            sums_of_plane(x, dy, mean[i % self.channels])
        });
        self.sums_of_channels(sums.collect())
    }

    /// In the order of the samples.
    fn sums_of_channels<T: Element>(&self, planes: Vec<[T; 2]>) -> (Vec<T>, Vec<T>) {
        let [mut first, mut second] = [(); 2].map(|()| vec![T::zero(); self.channels]);
        for (i, sums) in planes.into_iter().enumerate() {
            first[i % self.channels] += sums[0];
            second[i % self.channels] += sums[1];
        }
        (first, second)
    }

    /// `dx = a dy + b (x - mean) + c`, the constants per channel; where `dy` is `None`, `dx` holds
    /// it and is written over.
    pub fn input_gradient<T: Element>(
        &self,
        x: &[T],
        dy: Option<&[T]>,
        [mean, a, b, c]: [&[T]; 4],
        dx: &mut [T],
    ) {
        let planes = self.planes_mut(dx).zip(self.planes(x)).enumerate();
        planes.with_min_len(self.task()).each(|(i, (dx, x))| {
            let channel = i % self.channels;
            let (mean, a, b, c) = (mean[channel], a[channel], b[channel], c[channel]);
            let gradient = |x, dy| a * dy + b * (x - mean) + c;
            let pairs = dx.iter_mut().zip(x);
            match dy {
                None => pairs.for_each(|(dx, &x)| *dx = gradient(x, *dx)),
                Some(dy) => pairs
                    .zip(&dy[i * self.len..][..x.len()])
                    .for_each(|((dx, &x), &dy)| *dx = gradient(x, dy)),
            }
        });
    }
}

/// The sums of `dy` and of `dy (x - mean)`.
fn sums_of_plane<T: Element>(x: &[T], dy: &[T], mean: T) -> [T; 2] {
    reduce::sums_of(x, dy, |x, dy| [dy, dy * (x - mean)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::Draw;
    use crate::kernel::{elementwise, reference};

    #[test]
    fn agrees_with_its_readable_twin() {
        let mut draw = Draw::seeded(2);
        let [x, residual] = [(); 2].map(|()| draw.tensor(&[3, 5, 7]).into_vec());
        let [w, b] = [(); 2].map(|()| draw.tensor(&[5]).into_vec());
        let channels = Channels { batch: 3, channels: 5, len: 7 };
        let (mean, variance) = channels.moments(&x);
        let scale: Vec<f64> = variance.iter().zip(&w).map(|(v, w)| w / (v + 1e-5).sqrt()).collect();
        let normalise = |then| channels.normalise(&x, [&mean, &scale, &b], then);
        let twin = reference::batch_norm(&x, [3, 5, 7], &w, &b, 1e-5);
        let sum = elementwise::add(&twin, &residual);
        for (y, twin) in [
            (normalise(Epilogue::Nothing), twin.clone()),
            (normalise(Epilogue::Relu), elementwise::relu(&twin)),
            (normalise(Epilogue::Relu6), elementwise::relu6(&twin)),
            (normalise(Epilogue::AddRelu(&residual)), elementwise::relu(&sum)),
        ] {
            assert!(y.iter().zip(&twin).all(|(y, t)| (y - t).abs() < 1e-12));
        }
    }

    #[test]
    fn a_mean_far_from_zero_leaves_the_variance_its_digits() {
        // Each plane of a channel about a mean of its own: 4096, 4097, 4098.
        let x: Vec<f32> =
            (0..3 * 2 * 64).map(|i| 4096.0 + (i / 128) as f32 + [-0.5, 0.5][i % 2]).collect();
        let (mean, variance) = Channels { batch: 3, channels: 2, len: 64 }.moments(&x);
        assert_eq!(mean, [4097.0; 2]);
        // 1/4 within the planes, 2/3 between them.
        assert!(variance.iter().all(|v| (v - 11.0 / 12.0).abs() < 1e-6), "{variance:?}");
    }
}
