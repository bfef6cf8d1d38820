//! Batch normalisation over `[N, C, H, W]`, per channel (Ioffe and Szegedy, 2015).

use super::reduce;
use crate::tensor::Element;
use rayon::prelude::*;

/// Sizes of a batch: `[N, C, L]` with `L = H W`.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// Samples, `N`.
    pub batch: usize,
    /// Channels, `C`.
    pub channels: usize,
    /// Values of one channel of one sample.
    pub len: usize,
}

impl Channels {
    /// Values that share a mean.
    pub fn count(&self) -> usize {
        self.batch * self.len
    }

    /// Sum over samples and positions of `f(a, b)`, per channel.
    fn sums<T: Element>(&self, a: &[T], b: &[T], f: impl Fn(usize, T, T) -> T + Sync) -> Vec<T> {
        let sum = |c: usize| {
            (0..self.batch)
                .map(|n| {
                    let at = (n * self.channels + c) * self.len;
                    reduce::sum_of(&a[at..at + self.len], &b[at..at + self.len], |a, b| f(c, a, b))
                })
                .sum()
        };
        (0..self.channels).into_par_iter().with_min_len(4).map(sum).collect()
    }

    /// Calls `f(c, out)` for each channel of each sample.
    fn for_each<T: Element>(&self, out: &mut [T], f: impl Fn(usize, usize, &mut [T]) + Sync) {
        if self.len > 0 {
            out.par_chunks_mut(self.len)
                .enumerate()
                .with_min_len(8)
                .for_each(|(i, out)| f(i % self.channels, i * self.len, out));
        }
    }

    /// Mean and (biased) variance of each channel.
    pub fn moments<T: Element>(&self, x: &[T]) -> (Vec<T>, Vec<T>) {
        let count = T::from_f64(self.count().max(1) as f64);
        let mean: Vec<T> = self.sums(x, x, |_, x, _| x).into_iter().map(|s| s / count).collect();
        let squares = self.sums(x, x, |c, x, _| (x - mean[c]) * (x - mean[c]));
        let variance = squares.into_iter().map(|s| s / count).collect();
        (mean, variance)
    }

    /// `y = (x - mean) * scale + shift`, the constants per channel.
    pub fn normalise<T: Element>(&self, x: &[T], mean: &[T], scale: &[T], shift: &[T]) -> Vec<T> {
        let mut y = vec![T::zero(); x.len()];
        self.for_each(&mut y, |c, at, y| {
            let (mean, scale, shift) = (mean[c], scale[c], shift[c]);
            let x = &x[at..at + y.len()];
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - mean) * scale + shift);
        });
        y
    }

    /// Per channel, the sums of `dy` and of `dy * (x - mean)`.
    pub fn gradient_sums<T: Element>(&self, x: &[T], dy: &[T], mean: &[T]) -> (Vec<T>, Vec<T>) {
        (self.sums(dy, dy, |_, dy, _| dy), self.sums(x, dy, |c, x, dy| dy * (x - mean[c])))
    }

    /// `dx = a dy + b (x - mean) + c`, the constants per channel.
    pub fn input_gradient<T: Element>(
        &self,
        x: &[T],
        dy: &[T],
        mean: &[T],
        [a, b, c]: [&[T]; 3],
    ) -> Vec<T> {
        let mut dx = vec![T::zero(); x.len()];
        self.for_each(&mut dx, |channel, at, dx| {
            let (mean, a, b, c) = (mean[channel], a[channel], b[channel], c[channel]);
            let (x, dy) = (&x[at..at + dx.len()], &dy[at..at + dx.len()]);
            dx.iter_mut()
                .zip(x)
                .zip(dy)
                .for_each(|((dx, &x), &dy)| *dx = a * dy + b * (x - mean) + c);
        });
        dx
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::Draw;
    use crate::kernel::reference;

    #[test]
    fn agrees_with_its_readable_twin() {
        let mut draw = Draw::seeded(2);
        let (x, w, b) = (draw.tensor(&[3, 5, 7]), draw.tensor(&[5]), draw.tensor(&[5]));
        let (x, w, b) = (x.as_slice(), w.as_slice(), b.as_slice());
        let channels = Channels { batch: 3, channels: 5, len: 7 };
        let (mean, variance) = channels.moments(x);
        let scale: Vec<f64> = variance.iter().zip(w).map(|(v, w)| w / (v + 1e-5).sqrt()).collect();
        let y = channels.normalise(x, &mean, &scale, b);
        let twin = reference::batch_norm(x, [3, 5, 7], w, b, 1e-5);
        assert!(y.iter().zip(&twin).all(|(y, t)| (y - t).abs() < 1e-12));
    }
}
