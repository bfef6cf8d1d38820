//! A step of the optimizer: one pass over the parameter, its gradient and its moments.

use super::microkernel::{Isa, Vectorized};
use super::parallel::Each;
use crate::tensor::Element;
use rayon::prelude::*;

/// Values of a task.
const CHUNK: usize = 1 << 14;

/// The settings of [`sgd`].
#[derive(Clone, Copy, Debug)]
pub struct Sgd<T> {
    /// The learning rate.
    pub rate: T,
    /// `g += decay w`, before anything else.
    pub decay: T,
    /// Share of the velocity that is kept.
    pub momentum: T,
    /// Whether to look ahead.
    pub nesterov: bool,
}

/// `v = momentum v + g`, then `w -= rate v`, or with Nesterov's look ahead
/// `w -= rate (g + momentum v)`.
pub fn sgd<T: Element>(w: &mut [T], g: &[T], v: &mut [T], settings: Sgd<T>) {
    let Sgd { rate, decay, momentum, nesterov } = settings;
    w.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(v.par_chunks_mut(CHUNK)).each(
        |((w, g), v)| {
            for ((w, &g), v) in w.iter_mut().zip(g).zip(v) {
                let g = g + decay * *w;
                *v = momentum * *v + g;
                *w -= rate * if nesterov { g + momentum * *v } else { *v };
            }
        },
    );
}

/// The settings of [`adam`].
#[derive(Clone, Copy, Debug)]
pub struct Adam<T> {
    /// The learning rate; with it, the correction of the first moment's start at zero.
    pub rate: T,
    /// `g += decay w`, before anything else; 0 in AdamW.
    pub decay: T,
    /// Share of the parameter that is kept: in AdamW 1 less the learning rate times the weight
    /// decay, otherwise 1.
    pub keep: T,
    /// Decay of the mean of gradients and of their squares.
    pub betas: [T; 2],
    /// What they lack to 1.
    pub rest: [T; 2],
    /// The correction of the second moment's start at zero, by which its root is multiplied.
    pub root: T,
    /// Added to the root.
    pub epsilon: T,
}

/// `m = beta_1 m + (1 - beta_1) g`, `v = beta_2 v + (1 - beta_2) g^2`, then
/// `w = keep w - rate m / (sqrt(v) root + epsilon)`.
pub fn adam<T: Element>(w: &mut [T], g: &[T], m: &mut [T], v: &mut [T], settings: Adam<T>) {
    let isa = Isa::native();
    let moments = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
    w.par_chunks_mut(CHUNK)
        .zip(g.par_chunks(CHUNK))
        .zip(moments)
        .each(|((w, g), (m, v))| isa.run(AdamChunk { w, g, m, v, settings }));
}

/// Some values of [`adam`]: roots and quotients take so long that large registers are worth it.
struct AdamChunk<'a, T> {
    w: &'a mut [T],
    g: &'a [T],
    m: &'a mut [T],
    v: &'a mut [T],
    settings: Adam<T>,
}

impl<T: Element> Vectorized for AdamChunk<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Adam { rate, decay, keep, betas: [b1, b2], rest: [a1, a2], root, epsilon } =
            self.settings;
        for (((w, &g), m), v) in self.w.iter_mut().zip(self.g).zip(self.m).zip(self.v) {
            let g = g + decay * *w;
            *m = b1 * *m + a1 * g;
            *v = b2 * *v + a2 * g * g;
            *w = keep * *w - rate * *m / (v.sqrt() * root + epsilon);
        }
    }
}

/// The settings of [`rms_prop`].
#[derive(Clone, Copy, Debug)]
pub struct RmsProp<T> {
    /// The learning rate.
    pub rate: T,
    /// `g += decay w`, before anything else.
    pub decay: T,
    /// Decay of the means.
    pub alpha: T,
    /// What it lacks to 1.
    pub rest: T,
    /// Added to the root.
    pub epsilon: T,
    /// Share of the velocity that is kept, if there is one.
    pub momentum: T,
}

/// What [`rms_prop`] keeps of a parameter.
#[derive(Clone, Copy, Debug)]
pub struct Moments<M> {
    /// The mean of the gradients' squares.
    pub square: M,
    /// The mean of the gradients, if the squares are centred.
    pub mean: Option<M>,
    /// With momentum.
    pub velocity: Option<M>,
}

/// `square = alpha square + (1 - alpha) g^2` and `s = g / (sqrt(square) + epsilon)`, then
/// `w -= rate s`.
///
/// If there is a mean, `mean = alpha mean + (1 - alpha) g`, and the root is that of
/// `square - mean^2`. If there is a velocity, `velocity = momentum velocity + s` takes the place of
/// `s`.
pub fn rms_prop<T: Element>(
    w: &mut [T],
    g: &[T],
    moments: Moments<&mut [T]>,
    settings: RmsProp<T>,
) {
    let RmsProp { rate, decay, alpha, rest, epsilon, momentum } = settings;
    let Moments { square, mean, velocity } = moments;
    let (mean, velocity) = (chunks(mean, g.len()), chunks(velocity, g.len()));
    w.par_chunks_mut(CHUNK)
        .zip(g.par_chunks(CHUNK))
        .zip(square.par_chunks_mut(CHUNK))
        .zip(mean)
        .zip(velocity)
        .each(|((((w, g), square), mut mean), mut velocity)| {
            for (i, ((w, &g), square)) in w.iter_mut().zip(g).zip(square).enumerate() {
                let g = g + decay * *w;
                *square = alpha * *square + rest * g * g;
                let mut variance = *square;
                if let Some(mean) = &mut mean {
                    mean[i] = alpha * mean[i] + rest * g;
                    variance = not_negative(variance - mean[i] * mean[i]);
                }
                let mut step = g / (variance.sqrt() + epsilon);
                if let Some(velocity) = &mut velocity {
                    velocity[i] = momentum * velocity[i] + step;
                    step = velocity[i];
                }
                *w -= rate * step;
            }
        });
}

/// The chunks of a moment of `len` values; of one that is not kept, none for each.
fn chunks<T>(moment: Option<&mut [T]>, len: usize) -> Vec<Option<&mut [T]>> {
    match moment {
        Some(values) => values.chunks_mut(CHUNK).map(Some).collect(),
        None => (0..len).step_by(CHUNK).map(|_| None).collect(),
    }
}

/// A variance that rounding may have brought below zero, where gradients are always the same. NaN
/// stays NaN.
fn not_negative<T: Element>(variance: T) -> T {
    if variance < T::zero() { T::zero() } else { variance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_that_are_always_the_same_have_no_variance() {
        let g = vec![0.1f32; CHUNK + 3];
        let [mut w, mut square, mut mean] = [0.0, 0.0, 0.0].map(|v| vec![v; g.len()]);
        let settings =
            RmsProp { rate: 1e-3, decay: 0.0, alpha: 0.9, rest: 0.1, epsilon: 1e-8, momentum: 0.0 };
        for _ in 0..500 {
            let moments =
                Moments { square: &mut square[..], mean: Some(&mut mean[..]), velocity: None };
            rms_prop(&mut w, &g, moments, settings);
        }
        assert!(w.iter().all(|w| w.is_finite()), "{:?}", w[0]);
        assert!(w.iter().all(|&other| other == w[0]), "all chunks are the same");
    }
}
