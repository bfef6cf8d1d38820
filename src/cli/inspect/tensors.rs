//! The tensors of a file, as `inspect` lists them.

use super::super::output::{self, Output, Result};
use crate::zoo::{Checkpoint, TensorView};
use serde::Serialize;

#[derive(Serialize)]
pub struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: u64,
    #[serde(flatten)]
    statistics: Option<Statistics>,
}

/// Of a tensor's values, as `f64`; of those that are finite, if there are any.
#[derive(Serialize)]
pub struct Statistics {
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    not_finite: usize,
}

/// All tensors of a file, in the order of their names; with what is found in their values, if wanted.
pub fn tensors(checkpoint: &Checkpoint, with_statistics: bool) -> crate::Result<Vec<Tensor>> {
    let tensor = |view: &TensorView| {
        Ok(Tensor {
            name: view.name().to_owned(),
            dtype: view.dtype().name(),
            shape: view.shape().to_vec(),
            bytes: view.byte_len() as u64,
            statistics: (with_statistics && !view.dtype().is_opaque())
                .then(|| statistics(view))
                .transpose()?,
        })
    };
    let mut tensors = checkpoint.iter().map(tensor).collect::<crate::Result<Vec<_>>>()?;
    tensors.sort_by(|a, b| natural(&a.name).cmp(natural(&b.name)));
    Ok(tensors)
}

/// A row for each.
pub fn show(tensors: &[Tensor], output: &mut Output) -> Result {
    let mut rows = vec![["  tensor", "type", "shape", "bytes"].map(str::to_owned).to_vec()];
    if tensors.iter().any(|tensor| tensor.statistics.is_some()) {
        rows[0].extend(["sum", "smallest", "largest", "not finite"].map(str::to_owned));
    }
    rows.extend(tensors.iter().map(|tensor| {
        let mut row = vec![
            format!("  {}", output::printable(&tensor.name)),
            tensor.dtype.to_owned(),
            format!("{:?}", tensor.shape),
            output::count(tensor.bytes),
        ];
        if let Some(Statistics { sum, min, max, not_finite }) = tensor.statistics {
            let shown = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.6}"));
            row.extend([Some(sum), min, max].map(shown));
            row.push(not_finite.to_string());
        }
        row
    }));
    output.table(&rows)
}

fn statistics(view: &TensorView) -> crate::Result<Statistics> {
    let values = view.to_vec::<f64>()?;
    let finite = values.iter().copied().filter(|value| value.is_finite());
    // Neumaier's sum, which loses nothing that matters.
    let (mut sum, mut lost) = (0.0, 0.0);
    for value in finite.clone() {
        let next: f64 = sum + value;
        lost +=
            if f64::abs(sum) >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    Ok(Statistics {
        sum: sum + lost,
        min: finite.clone().reduce(f64::min),
        max: finite.clone().reduce(f64::max),
        not_finite: values.len() - finite.count(),
    })
}

/// A chunk of a name: digits are compared by their number, so that `layer10` follows `layer9`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Chunk<'a> {
    /// Without leading zeros, by length first: no number is too large.
    Number(usize, &'a str),
    Text(&'a str),
}

/// The chunks of a name, one by one: they are compared without being kept.
fn natural(name: &str) -> impl Iterator<Item = Chunk<'_>> {
    name.as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .filter_map(|part| std::str::from_utf8(part).ok())
        .map(|part| {
            let digits = part.trim_start_matches('0');
            if part.starts_with(|c: char| c.is_ascii_digit()) {
                Chunk::Number(digits.len(), digits)
            } else {
                Chunk::Text(part)
            }
        })
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names =
            ["layer10.1", "layer9.0", "layer9.00", "bn", "é2", "layer9.10", "2", "layer9.2", "10"];
        names.sort_by(|a, b| natural(a).cmp(natural(b)));
        assert_eq!(names[..2], ["2", "10"]);
        assert_eq!(names[2], "bn");
        assert_eq!(names[5..], ["layer9.2", "layer9.10", "layer10.1", "é2"]);
    }
}
