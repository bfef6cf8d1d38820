//! Labelled images that Python gives: at a path, or in memory.

use crate::array::{labels_from, tensor_from};
use crate::outside::raised;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use zoo_tuning::dataset::{Check, Dataset, Image, Samples};
use zoo_tuning::tensor::Tensor;
use zoo_tuning::train::{Data, Model, Purpose};
use zoo_tuning::{Error, Result};

/// Labelled images.
pub enum Given {
    /// Whatever lies there.
    Path(PathBuf),
    /// Images `[N, C, H, W]`, and the class of each.
    Memory(Tensor<f32>, Vec<usize>),
}

/// What Python means.
pub fn given(data: &Bound<PyAny>) -> PyResult<Given> {
    if let Ok((images, labels)) = data.extract::<(Bound<PyAny>, Bound<PyAny>)>() {
        return Ok(Given::Memory(tensor_from(&images)?, labels_from(&labels)?));
    }
    data.extract().map(Given::Path).map_err(|_| {
        PyTypeError::new_err(
            "data: expected a path, or a pair of images [N, C, H, W] and labels [N]",
        )
    })
}

impl Given {
    /// Whether they are in memory.
    pub fn is_in_memory(&self) -> bool {
        matches!(self, Self::Memory(..))
    }

    /// To measure a network on.
    pub fn opened(&self, model: &Model) -> PyResult<Data> {
        match self {
            Self::Path(path) => Data::open(path, Purpose::Testing, &model.input)
                .and_then(|data| data.checked(Check::Headers, false)),
            Self::Memory(images, labels) => {
                let outputs = model.design().outputs;
                samples(images, labels, &numbered(outputs, &model.classes))
                    .map(|samples| Data::showing(Arc::new(samples), &model.input, vec![]))
            }
        }
        .map_err(raised)
    }

    /// To train on: as many classes as the largest label says.
    pub fn dataset(&self) -> Result<Option<Arc<dyn Dataset>>> {
        let Self::Memory(images, labels) = self else { return Ok(None) };
        let count = labels.iter().max().map_or(0, |&largest| largest.saturating_add(1));
        // A label beyond the number of samples is a mistake; its name need not be made.
        if count > labels.len().max(1) {
            let problem = format!("a label is {}, of {} images", count - 1, labels.len());
            return Err(Error::argument("data", problem));
        }
        Ok(Some(Arc::new(samples(images, labels, &numbered(count, &[]))?)))
    }
}

/// The names of classes, or their numbers.
fn numbered(count: usize, names: &[String]) -> Vec<String> {
    if names.len() == count { names.to_vec() } else { (0..count).map(|n| n.to_string()).collect() }
}

fn samples(images: &Tensor<f32>, labels: &[usize], classes: &[String]) -> Result<Samples> {
    let [count, c, h, w] = images.dims("data", "images", "[N, C, H, W]")?;
    if count != labels.len() {
        let expected = format!("[{}, C, H, W], an image for each label", labels.len());
        return Err(Error::shape("data", "images", expected, images.shape()));
    }
    let parts = images.as_slice().chunks((c * h * w).max(1));
    let images = parts.map(|values| Image::new([c, h, w], values.to_vec()));
    Samples::new("the data", images.collect::<Result<_>>()?, labels.to_vec(), classes.to_vec())
}
