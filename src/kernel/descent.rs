//! A step of the optimizer: one pass over the parameter, its gradient and its moments.

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
    w.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(v.par_chunks_mut(CHUNK)).for_each(
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
    /// `g += decay w`, before anything else.
    pub decay: T,
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
/// `w -= rate m / (sqrt(v) root + epsilon)`.
pub fn adam<T: Element>(w: &mut [T], g: &[T], m: &mut [T], v: &mut [T], settings: Adam<T>) {
    let Adam { rate, decay, betas: [b1, b2], rest: [a1, a2], root, epsilon } = settings;
    let moments = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
    w.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(moments).for_each(|((w, g), (m, v))| {
        for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = g + decay * *w;
            *m = b1 * *m + a1 * g;
            *v = b2 * *v + a2 * g * g;
            *w -= rate * *m / (v.sqrt() * root + epsilon);
        }
    });
}
