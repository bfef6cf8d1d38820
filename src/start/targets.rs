//! What is known of samples, and how well ridge regression tells it of those that it was not shown.

use super::ridge::{
    Standardised, best_factor, cross_entropy, dual, left_out, left_out_together, one_hot,
};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use crate::{Error, Result, ops};
use std::collections::BTreeMap;

/// What is known of each sample of the target.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// A class.
    Classes(&'a [usize]),
    /// Values such as the places of points, of each sample as many; `None` where one is not known.
    Values(&'a [Vec<Option<f64>>]),
}

impl Targets<'_> {
    /// Of how many samples.
    pub fn samples(&self) -> usize {
        match self {
            Self::Classes(labels) => labels.len(),
            Self::Values(values) => values.len(),
        }
    }
}

/// The same as what a regression is fitted to.
pub(super) struct Goals {
    /// `Y`, `[n, K]`: 1 for the class and 0 for others; or values around the mean of their column, in
    /// parts of what all together deviate, and 0 where one is not known.
    pub y: Vec<f64>,
    pub n: usize,
    /// K.
    pub columns: usize,
    kind: Kind,
    /// The rows of each sample, if one has several.
    samples: Option<Vec<Vec<usize>>>,
}

enum Kind {
    Classes(Vec<usize>),
    Values {
        /// 1 where a value is known and judged, else 0; `[n, K]`.
        known: Vec<f64>,
        /// The sum of squares if each value is told by the mean of all others of its column.
        by_mean: f64,
    },
}

/// How well features tell what is known.
#[derive(Debug, PartialEq)]
pub(super) struct Judged {
    /// The accuracy; or the share of the values' variance that is explained.
    pub score: f64,
    /// The mean cross-entropy of outputs multiplied by what makes it smallest; or the mean square of
    /// errors.
    pub loss: f64,
}

impl Goals {
    /// Of the first `n` samples.
    ///
    /// # Errors
    /// If some have more values than others, or all have none.
    pub fn of(targets: Targets, n: usize) -> Result<Self> {
        match targets {
            Targets::Classes(labels) => Ok(Self::of_classes(&labels[..n.min(labels.len())])),
            Targets::Values(values) => {
                let n = n.min(values.len());
                Self::of_values(&values[..n], &(0..n).collect::<Vec<_>>())
            }
        }
    }

    fn of_classes(labels: &[usize]) -> Self {
        let (labels, classes) = numbered(labels);
        let y = one_hot(&labels, classes);
        Self { y, n: labels.len(), columns: classes, kind: Kind::Classes(labels), samples: None }
    }

    /// Of rows of values, each of the sample that `samples` says.
    ///
    /// # Errors
    /// If some have more values than others, or all have none; or they are all of one sample.
    pub fn of_values(values: &[Vec<Option<f64>>], samples: &[usize]) -> Result<Self> {
        let (n, columns) = (values.len(), values.first().map_or(0, Vec::len));
        if columns == 0 {
            return Err(Error::argument("targets", "nothing is known of the samples"));
        }
        if let Some(row) = values.iter().find(|row| row.len() != columns) {
            let problem = format!("a sample has {} values and another {columns}", row.len());
            return Err(Error::argument("targets", problem));
        }
        let samples = rows_of_each(samples);
        if samples.len() < 2 {
            let problem = "there is one sample, which no other tells anything of";
            return Err(Error::argument("targets", problem));
        }
        let (mut y, mut known) = (vec![0.0; n * columns], vec![0.0; n * columns]);
        let (mut by_mean, mut squares, mut judged) = (0.0, 0.0, 0);
        for column in 0..columns {
            let of_column =
                || values.iter().enumerate().filter_map(|(at, row)| Some((at, row[column]?)));
            let count = of_column().count() as f64;
            let mean = of_column().map(|(_, v)| v).sum::<f64>() / count;
            for rows in &samples {
                let own = || rows.iter().filter_map(|&at| Some((at, values[at][column]? - mean)));
                let others = count - own().count() as f64;
                // What one sample alone says is told by nothing.
                if others == 0.0 {
                    continue;
                }
                // The mean of all others is further away than that of all, by this; what is not known of them
                // stands at the mean, as it does for a regression.
                let further =
                    own().map(|(_, v)| v).sum::<f64>() / (values.len() - rows.len()) as f64;
                for (row, value) in own() {
                    let at = row * columns + column;
                    (y[at], known[at]) = (value, 1.0);
                    squares += value * value;
                    by_mean += (value + further).powi(2);
                    judged += 1;
                }
            }
        }
        if squares > 0.0 {
            let square = squares / f64::from(judged);
            y.iter_mut().for_each(|v| *v /= square.sqrt());
            by_mean /= square;
        }
        let samples = Some(samples).filter(|samples| samples.len() < n);
        Ok(Self { y, n, columns, kind: Kind::Values { known, by_mean }, samples })
    }

    /// What the regression on features, of whose Gram matrix this is the inverse, says of each sample by
    /// all others, `[n, K]`; with weights of the samples, of which each has one row then.
    pub fn left_out(&self, inverse: &[f64], weights: Option<&[f64]>) -> Vec<f64> {
        let dual = dual(inverse, &self.y, self.columns, weights);
        match &self.samples {
            Some(samples) => {
                debug_assert!(weights.is_none(), "weights are of samples with one row each");
                left_out_together(inverse, &dual, &self.y, samples)
            }
            None => left_out(inverse, dual, &self.y, weights),
        }
    }

    /// How unlikely what is known of each sample is, if `outputs` `[n, K]` are said of it: the
    /// cross-entropy of outputs multiplied by `temperature`; or of k values half of `k log(e^2)`, where
    /// `e^2` is the mean square of their errors, as of a normal distribution whose variance is the
    /// sample's own. So a source that knows a sample stands out from one that does not, however wrong
    /// that is.
    pub fn losses(&self, outputs: &[f64], temperature: f64) -> Vec<f64> {
        /// In parts of the variance of all values: nothing is known better.
        const LEAST: f64 = 1e-3;
        match &self.kind {
            Kind::Classes(labels) => cross_entropy(outputs, labels, self.columns, temperature),
            Kind::Values { known, .. } => {
                let (squares, columns) = (self.squares(outputs, known), self.columns.max(1));
                let rows = squares.chunks(columns).zip(known.chunks(columns));
                let loss = |(squares, known): (&[f64], &[f64])| {
                    let count = known.iter().sum::<f64>().max(1.0);
                    0.5 * count * (squares.iter().sum::<f64>() / count + LEAST).ln()
                };
                rows.map(loss).collect()
            }
        }
    }

    /// Squares of errors, 0 where nothing is known.
    fn squares(&self, outputs: &[f64], known: &[f64]) -> Vec<f64> {
        let errors = outputs.iter().zip(&self.y).zip(known);
        errors.map(|((output, y), known)| known * (output - y).powi(2)).collect()
    }

    /// The mean cross-entropy of `outputs` `[n, K]` multiplied by `temperature`, on a tape; or the mean
    /// square of their errors.
    pub fn loss(&self, tape: &mut Tape<f64>, outputs: Var, temperature: f64) -> Result<Var> {
        match &self.kind {
            Kind::Classes(labels) => {
                let logits = ops::scale(tape, outputs, temperature)?;
                ops::cross_entropy(tape, logits, labels, 0.0)
            }
            Kind::Values { known, .. } => {
                let shape = [self.n, self.columns];
                let y = tape.constant(Tensor::new(&shape, self.y.clone())?);
                let count = known.iter().sum::<f64>().max(1.0);
                let known = tape.constant(Tensor::new(&shape, known.clone())?);
                let errors = ops::sub(tape, outputs, y)?;
                let errors = ops::mul(tape, errors, known)?;
                let squares = ops::mul(tape, errors, errors)?;
                let sum = ops::sum_all(tape, squares)?;
                ops::scale(tape, sum, 1.0 / count)
            }
        }
    }

    /// How well features tell of samples that are left out what is known of them.
    pub fn judged(&self, features: &Standardised) -> Judged {
        let outputs = self.left_out(&features.gram(None).inverse(), None);
        match &self.kind {
            Kind::Classes(labels) => {
                let (_, loss) = best_factor(&outputs, labels, self.columns);
                Judged { score: accuracy(&outputs, labels, self.columns), loss }
            }
            Kind::Values { known, by_mean } => {
                let left: f64 = self.squares(&outputs, known).iter().sum();
                let score = if *by_mean > 0.0 { 1.0 - left / by_mean } else { 0.0 };
                Judged { score, loss: left / known.iter().sum::<f64>().max(1.0) }
            }
        }
    }
}

/// The rows of each sample, in the order of their first ones.
fn rows_of_each(samples: &[usize]) -> Vec<Vec<usize>> {
    let mut places = BTreeMap::new();
    let mut rows: Vec<Vec<usize>> = vec![];
    for (row, sample) in samples.iter().enumerate() {
        let place = *places.entry(sample).or_insert(rows.len());
        match rows.get_mut(place) {
            Some(rows) => rows.push(row),
            None => rows.push(vec![row]),
        }
    }
    rows
}

/// Only the classes that occur, numbered in their order, and how many there are.
fn numbered(labels: &[usize]) -> (Vec<usize>, usize) {
    let mut known = labels.to_vec();
    known.sort_unstable();
    known.dedup();
    let number = |label: &usize| known.partition_point(|class| class < label);
    (labels.iter().map(number).collect(), known.len())
}

/// The share of rows of `outputs` `[N, K]` whose first largest value is the label's.
fn accuracy(outputs: &[f64], labels: &[usize], classes: usize) -> f64 {
    let rows = outputs.chunks(classes.max(1)).zip(labels);
    let right = rows.filter(|(row, label)| super::best(row) == Some(**label)).count();
    right as f64 / labels.len() as f64
}
