//! The class `Zoo`: sources of any format, side by side.

use crate::array::{labels_from, tensor_from};
use crate::graph::Variable;
use crate::network::{Network, classes_from};
use crate::outside::{outside, outside_with, raised};
use crate::plain::config;
use crate::tensor::Tensor;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySlice};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use zoo_tuning::Result;
use zoo_tuning::nn::{self, Design, open_zoo as open};
use zoo_tuning::start;
use zoo_tuning::tensor::{State, Tensor as Values, buffer};
use zoo_tuning::train::{Input, Model};
use zoo_tuning::zoo::Checkpoint;

/// One source: a pretrained network in a file.
struct Source {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    state: State<f32>,
}

/// Pretrained networks of one architecture, from files of any format. Values stay in the files, which are
/// mapped, until they are needed.
///
/// `len(zoo)` counts the sources; `zoo[1]`, `zoo[:2]` are zoos of some of them.
#[pyclass(frozen, module = "zoo_tuning")]
pub struct Zoo {
    design: Design,
    input: Input,
    sources: Vec<Arc<Source>>,
}

/// Opens checkpoints as a zoo: of PyTorch of any age, safetensors, NumPy or ONNX, under the names of many
/// libraries. Nothing in them is ever run. Their tensors tell the architecture, or `architecture` does.
///
/// Raises OSError if a file cannot be read; ValueError if it holds no such network, or they do not form a
/// zoo, and says why.
#[pyfunction]
#[pyo3(signature = (paths, architecture = None))]
pub fn open_zoo(py: Python, paths: Vec<PathBuf>, architecture: Option<String>) -> PyResult<Zoo> {
    outside(py, move || {
        let (zoo, design) = open(&paths, architecture.as_deref())?;
        let states = State::from_zoo(&zoo)?;
        let input = match zoo.sources().first() {
            Some(first) => {
                let origin = first.path().display().to_string();
                Input::from_metadata(&origin, &first.declared(), &design)?
            }
            None => Input::usual(&design),
        };
        let source = |(file, state): (&Checkpoint, State<f32>)| {
            let (path, metadata) = (file.path().to_path_buf(), file.metadata().clone());
            Arc::new(Source { path, metadata, state })
        };
        let sources = zoo.sources().iter().zip(states).map(source).collect();
        Ok(Zoo { design, input, sources })
    })
}

/// The tensors of a checkpoint of any format by their names there, whatever it holds. Those of 32 bits are
/// used where they lie in the file.
///
/// Raises OSError if the file cannot be read, ValueError if it is no checkpoint.
#[pyfunction]
pub fn load_tensors<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let state = outside(py, move || State::mapped(&Checkpoint::open(path)?))?;
    named(py, &state)
}

/// The names of the architectures that there are.
#[pyfunction]
pub fn architectures() -> Vec<String> {
    nn::architectures::names().into_iter().map(|name| name.to_string()).collect()
}

/// Tensors by name.
pub fn named<'py>(py: Python<'py>, state: &State<f32>) -> PyResult<Bound<'py, PyDict>> {
    let tensors = PyDict::new(py);
    for (name, values) in &state.tensors {
        tensors.set_item(name, Tensor::around(Variable::constant(values.clone())))?;
    }
    Ok(tensors)
}

impl Zoo {
    fn with(&self, sources: Vec<Arc<Source>>) -> Self {
        Self { design: self.design.clone(), input: self.input.clone(), sources }
    }

    fn states(&self) -> Vec<State<f32>> {
        self.sources.iter().map(|source| source.state.clone()).collect()
    }

    /// The place of a source; negative ones count from the end.
    fn place(&self, index: isize) -> PyResult<usize> {
        let count = self.sources.len();
        let place = if index < 0 { index + count as isize } else { index };
        usize::try_from(place).ok().filter(|&place| place < count).ok_or_else(|| {
            PyIndexError::new_err(format!("there is no source {index} among {count}"))
        })
    }
}

/// Images and labels in parts of `batch`.
fn batches<'a>(
    images: &'a Values<f32>,
    labels: &'a [usize],
    batch: usize,
) -> Result<impl Iterator<Item = Result<(Values<f32>, Vec<usize>)>> + 'a> {
    let [count, c, h, w] = images.dims("scores", "images", "[N, C, H, W]")?;
    if labels.len() != count {
        let expected = format!("[{}, C, H, W], an image for each label", labels.len());
        return Err(zoo_tuning::Error::shape("scores", "images", expected, images.shape()));
    }
    let (batch, len) = (batch.max(1), c * h * w);
    Ok((0..count).step_by(batch).map(move |first| {
        let n = batch.min(count - first);
        let values = buffer::copy(&images.as_slice()[first * len..][..n * len]);
        Ok((Values::new(&[n, c, h, w], values)?, labels[first..][..n].to_vec()))
    }))
}

#[pymethods]
impl Zoo {
    /// The architecture's name.
    #[getter]
    fn architecture(&self) -> &str {
        self.design.name()
    }

    /// Channels of an image.
    #[getter]
    fn channels(&self) -> usize {
        self.design.channels
    }

    /// The sources' files.
    #[getter]
    fn paths(&self) -> Vec<PathBuf> {
        self.sources.iter().map(|source| source.path.clone()).collect()
    }

    /// What each file says beside its tensors.
    #[getter]
    fn metadata(&self) -> Vec<BTreeMap<String, String>> {
        self.sources.iter().map(|source| source.metadata.clone()).collect()
    }

    fn __len__(&self) -> usize {
        self.sources.len()
    }

    fn __getitem__(&self, key: &Bound<PyAny>) -> PyResult<Self> {
        if let Ok(slice) = key.cast::<PySlice>() {
            let indices = slice.indices(self.sources.len() as isize)?;
            let places = (0..indices.slicelength as isize)
                .map(|n| (indices.start + n * indices.step) as usize);
            let sources: Vec<_> = places.map(|place| self.sources[place].clone()).collect();
            if sources.is_empty() {
                return Err(PyValueError::new_err("a zoo needs at least one source"));
            }
            return Ok(self.with(sources));
        }
        let index = key
            .extract()
            .map_err(|_| PyTypeError::new_err("sources are told by integers and slices"))?;
        Ok(self.with(vec![self.sources[self.place(index)?].clone()]))
    }

    fn __repr__(&self) -> String {
        format!("Zoo({}, {} sources)", self.design.name(), self.sources.len())
    }

    /// The tensors of a source by the network's names; nothing is copied.
    #[pyo3(signature = (source = 0))]
    fn tensors<'py>(&self, py: Python<'py>, source: isize) -> PyResult<Bound<'py, PyDict>> {
        named(py, &self.sources[self.place(source)?].state)
    }

    /// How well each source, frozen, tells the classes of labelled images `[N, C, H, W]` apart: the
    /// leave-one-out accuracy of a linear classifier of its features, 0 to 1. Images are looked at
    /// `batch` at a time, by whose statistics norms go: many at once, of all classes, are best.
    ///
    /// Raises ValueError if there is not one label for each image.
    #[pyo3(signature = (images, labels, *, batch = 256))]
    fn scores(
        &self,
        py: Python,
        images: &Bound<PyAny>,
        labels: &Bound<PyAny>,
        batch: usize,
    ) -> PyResult<Vec<f64>> {
        let (images, labels) = (tensor_from(images)?, labels_from(labels)?);
        let mut scores = Vec::new();
        for source in &self.sources {
            py.check_signals()?;
            scores.push(outside(py, || {
                let batches = batches(&images, &labels, batch)?;
                start::score(&self.design, &source.state, batches)
            })?);
        }
        Ok(scores)
    }

    /// The same sources, their channels in the order of those of the source `reference`, told by what they
    /// see in `images` `[N, C, H, W]`. Each computes what it computed before.
    fn matched(&self, py: Python, images: &Bound<PyAny>, reference: isize) -> PyResult<Self> {
        let (images, reference) = (tensor_from(images)?, self.place(reference)?);
        let states =
            outside(py, || start::matched(&self.design, &self.states(), reference, &images))?;
        let sources = self.sources.iter().zip(states).map(|(source, state)| {
            let (path, metadata) = (source.path.clone(), source.metadata.clone());
            Arc::new(Source { path, metadata, state })
        });
        Ok(self.with(sources.collect()))
    }

    /// One network of all sources with a fresh head for `classes`: their number, or their names. Its
    /// `form` is "zoo" (a kernel for each sample), "lite" (one for each batch; collapses), or "average"
    /// (the plain mean of the sources; of a zoo of one, that source). With `scores`, the gates begin
    /// near the best source. `settings` are further keys of the table [method] of a configuration: `gate`,
    /// `align`, `align_pointwise`, `shortcuts_per_sample`, `gate_prior_strength`.
    ///
    /// Raises ValueError if there is no such form or setting, or not one score for each source.
    #[pyo3(signature = (form = "lite", *, classes, scores = None, seed = 1, **settings))]
    fn network(
        &self,
        py: Python,
        form: &str,
        classes: &Bound<PyAny>,
        scores: Option<Vec<f64>>,
        seed: u64,
        settings: Option<&Bound<PyDict>>,
    ) -> PyResult<Network> {
        if !["zoo", "lite", "average"].contains(&form) {
            let text = format!("form: {form:?} should be zoo, lite or average; train() has more");
            return Err(PyValueError::new_err(text));
        }
        if scores.as_ref().is_some_and(|scores| scores.len() != self.sources.len()) {
            let text =
                format!("scores: there should be one for each of {} sources", self.sources.len());
            return Err(PyValueError::new_err(text));
        }
        let (outputs, names) = classes_from(classes)?;
        let all = settings.map_or_else(|| Ok(PyDict::new(py)), |settings| settings.copy())?;
        all.set_item("form", form)?;
        let method = config("method", &all)?.method;
        let design = self.design.with_outputs(outputs);
        outside_with(py, || {
            let strength = method.gate_prior_strength;
            let prior = scores.map(|scores| start::gate_bias(&scores, strength));
            let states = self.states();
            let form = method.form(prior);
            let network = nn::Network::from_sources(&design, form, &states, seed);
            let network = network.map_err(raised)?;
            Ok(Network::around(Model::from_network(network, self.input.clone(), &names), seed))
        })
    }
}
