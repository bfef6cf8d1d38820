//! The class `Network`: in any form, run, measured, written.

use crate::array::{given, tensor_from};
use crate::data;
use crate::graph::{Rule, Variable};
use crate::outside::{outside, outside_with, raised};
use crate::plain::{json, python};
use crate::tensor::{Tensor, variable};
use crate::zoo::named;
use numpy::PyArrayDyn;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use zoo_tuning::nn::{self, Design, Form, Id, Pass, Recorded, Step};
use zoo_tuning::tape::Var;
use zoo_tuning::tensor::{State, Tensor as Values, buffer};
use zoo_tuning::train::{Input, Model, evaluate};
use zoo_tuning::{Error, Result};

/// A network, which several threads may run at once.
pub struct Shared {
    model: RwLock<Model>,
    training: Mutex<Training>,
}

struct Training {
    /// What came back to the parameters since the last step.
    gradients: Option<Step<f32>>,
    /// Passes so far.
    passes: u64,
    /// What is random in a pass follows from this and its number.
    seed: u64,
    frozen: Vec<Id>,
}

impl Shared {
    pub fn model(&self) -> RwLockReadGuard<'_, Model> {
        self.model.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn model_mut(&self) -> RwLockWriteGuard<'_, Model> {
        self.model.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn training(&self) -> MutexGuard<'_, Training> {
        self.training.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gradients that came back, which are no longer kept.
    pub fn take_gradients(&self) -> Option<Step<f32>> {
        self.training().gradients.take()
    }

    /// No gradient is computed for these parameters from now on.
    pub fn freeze(&self, frozen: Vec<Id>) {
        self.training().frozen = frozen;
    }
}

/// The way back through a network.
struct Forward {
    network: Arc<Shared>,
    recorded: Recorded<f32>,
    output: Var,
    /// The images, if a gradient leads to them.
    images: Option<Var>,
}

impl Rule for Forward {
    fn back(self: Box<Self>, gradient: Values<f32>) -> Result<Vec<Option<Values<f32>>>> {
        let Self { network, recorded, output, images } = *self;
        let inputs: Vec<Var> = images.into_iter().collect();
        let (mut step, mut of_images) = recorded.backward_from(output, gradient, &inputs)?;
        step.update_buffers(network.model_mut().network.parameters_mut());
        let mut training = network.training();
        match &mut training.gradients {
            Some(sum) => sum.add(step)?,
            none => *none = Some(step),
        }
        Ok(vec![of_images.pop().flatten()])
    }
}

/// A network: plain, a zoo, a lite one or a routed one. Called on images, it makes what a loss is computed
/// of; a loss's `backward` brings gradients here, which an `Optimizer` takes.
///
/// Images are tensors or arrays `[N, C, H, W]`, normalised as `input` says; outputs are logits
/// `[N, classes]`, or maps `[N, outputs, H', W']`.
#[pyclass(frozen, module = "zoo_tuning")]
pub struct Network(Arc<Shared>);

impl Network {
    /// The class around a network.
    pub fn around(model: Model, seed: u64) -> Self {
        let training = Training { gradients: None, passes: 0, seed, frozen: vec![] };
        Self(Arc::new(Shared { model: RwLock::new(model), training: Mutex::new(training) }))
    }

    /// What the class wraps.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Calls `look` with passes over images in evaluation, `batch` at a time, between which Ctrl-C stops.
    fn each_batch(
        &self,
        py: Python,
        images: &Bound<PyAny>,
        batch: usize,
        mut look: impl FnMut(&nn::Network<f32>, &mut Pass<f32>, Var) -> Result<()> + Send,
    ) -> PyResult<()> {
        let images = tensor_from(images)?;
        let [count, c, h, w] = images.dims("Network", "images", "[N, C, H, W]").map_err(raised)?;
        if count == 0 {
            return Err(PyValueError::new_err("images: expected one at least, found none"));
        }
        let (batch, len) = (batch.max(1), c * h * w);
        for first in (0..count).step_by(batch) {
            py.check_signals()?;
            outside(py, || {
                let n = batch.min(count - first);
                let part = match n == count {
                    true => images.clone(),
                    false => {
                        let part = buffer::copy(&images.as_slice()[first * len..][..n * len]);
                        Values::new(&[n, c, h, w], part)?
                    }
                };
                let model = self.0.model();
                let mut pass = Pass::evaluate(model.network.parameters());
                let x = pass.input(part);
                look(&model.network, &mut pass, x)
            })?;
        }
        Ok(())
    }

    /// One array of what `look` finds in each batch, along the first axis.
    fn rows<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        batch: usize,
        look: impl Fn(&nn::Network<f32>, &mut Pass<f32>, Var) -> Result<Var> + Send + Sync,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let mut found = Rows::default();
        self.each_batch(py, images, batch, |network, pass, x| {
            let y = look(network, pass, x)?;
            found.add(pass.value(y)?);
            Ok(())
        })?;
        given(py, found.tensor()?)
    }
}

/// Values one behind the other.
#[derive(Default)]
struct Rows {
    rows: usize,
    rest: Vec<usize>,
    values: Vec<f32>,
}

impl Rows {
    fn add(&mut self, values: &Values<f32>) {
        self.rows += values.shape().first().copied().unwrap_or(0);
        self.rest = values.shape().get(1..).unwrap_or_default().to_vec();
        self.values.extend_from_slice(values.as_slice());
    }

    fn tensor(self) -> PyResult<Values<f32>> {
        let shape = [&[self.rows], &self.rest[..]].concat();
        Values::new(&shape, self.values).map_err(raised)
    }
}

/// The number of classes and their names, from either.
pub fn classes_from(classes: &Bound<PyAny>) -> PyResult<(usize, Vec<String>)> {
    if let Ok(count) = classes.extract::<usize>() {
        return match count {
            0 => Err(PyValueError::new_err("classes: there should be one at least")),
            count => Ok((count, vec![])),
        };
    }
    let names: Vec<String> = classes.extract().map_err(|_| {
        PyTypeError::new_err("classes: expected their number, or a list of their names")
    })?;
    match names.is_empty() {
        true => Err(PyValueError::new_err("classes: there should be one at least")),
        false => Ok((names.len(), names)),
    }
}

/// Opens the network in a file: of a run, of `Network.save`, or of another program in any format.
///
/// Raises OSError if the file cannot be read, ValueError if it holds no network that is known.
#[pyfunction]
#[pyo3(signature = (path, architecture = None))]
pub fn open_network(py: Python, path: PathBuf, architecture: Option<String>) -> PyResult<Network> {
    let model = outside(py, || Model::open(path, architecture.as_deref()))?;
    Ok(Network::around(model, 1))
}

/// A plain network of an architecture of that name, its values drawn by `seed`.
///
/// Raises ValueError if there is no such architecture.
#[pyfunction]
#[pyo3(signature = (architecture, *, classes, channels = 3, seed = 1))]
pub fn new_network(
    py: Python,
    architecture: &str,
    classes: &Bound<PyAny>,
    channels: usize,
    seed: u64,
) -> PyResult<Network> {
    let (outputs, names) = classes_from(classes)?;
    outside_with(py, || {
        let design = Design::named(architecture, channels, outputs).map_err(raised)?;
        let network = nn::Network::drawn(&design, seed).map_err(raised)?;
        let model = Model::from_network(network, Input::usual(&design), &names);
        Ok(Network::around(model, seed))
    })
}

#[pymethods]
impl Network {
    /// The architecture's name.
    #[getter]
    fn architecture(&self, py: Python) -> String {
        py.detach(|| self.0.model().design().name().to_owned())
    }

    /// "plain", "zoo", "lite" or "routed".
    #[getter]
    fn form(&self, py: Python) -> &'static str {
        py.detach(|| self.0.model().network.blueprint().form.name())
    }

    /// How many sources it is made of; 1 if it is plain.
    #[getter]
    fn sources(&self, py: Python) -> usize {
        py.detach(|| self.0.model().network.blueprint().sources)
    }

    /// The classes' names; empty if they are not known.
    #[getter]
    fn classes(&self, py: Python) -> Vec<String> {
        py.detach(|| self.0.model().classes.clone())
    }

    /// How many numbers it holds.
    #[getter]
    fn size(&self, py: Python) -> usize {
        py.detach(|| self.0.model().network.parameters().count())
    }

    /// What images should be: `channels`, `size`, and the `mean` and `std` of each channel by which values
    /// from 0 to 1 are normalised.
    #[getter]
    fn input<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Input { channels, size, mean, std, .. } = py.detach(|| self.0.model().input.clone());
        let input = PyDict::new(py);
        input.set_item("channels", channels)?;
        input.set_item("size", size)?;
        input.set_item("mean", mean)?;
        input.set_item("std", std)?;
        Ok(input)
    }

    fn __repr__(&self, py: Python) -> String {
        py.detach(|| {
            let model = self.0.model();
            let nn::Blueprint { design, form, sources } = model.network.blueprint();
            let of = if *form == Form::Plain { String::new() } else { format!(" of {sources}") };
            format!(
                "Network({}, {}{of}, {} numbers)",
                design.name(),
                form.name(),
                model.network.parameters().count()
            )
        })
    }

    /// The output for images in training: norms go by the statistics of the batch, and `backward` of what is
    /// computed of it brings gradients to the network, and to the images if they are a parameter.
    ///
    /// Raises ValueError if the images do not fit.
    fn __call__(&self, py: Python, images: &Bound<PyAny>) -> PyResult<Tensor> {
        let images = variable(images)?;
        let shared = self.0.clone();
        let output = outside(py, move || {
            let (draws, frozen) = {
                let mut training = shared.training();
                training.passes += 1;
                // Far apart for neighbouring passes, by the golden ratio's fraction.
                let number = training.passes.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                (training.seed.wrapping_add(number), training.frozen.clone())
            };
            let model = shared.model();
            let mut pass = Pass::train(model.network.parameters()).freeze(&frozen).draw(draws);
            let x = match images.needs_gradient() {
                true => pass.tape().parameter(images.value()),
                false => pass.input(images.value()),
            };
            let output = model.network.forward(&mut pass, x)?;
            let value = pass.value(output)?.clone();
            let recorded = pass.recorded();
            drop(model);
            let of_images = images.needs_gradient().then_some(x);
            let rule = Forward { network: shared, recorded, output, images: of_images };
            Ok(Variable::made(value, vec![images], rule))
        })?;
        Ok(Tensor::around(output))
    }

    /// The output for images in evaluation, `batch` of them at a time: an array of logits
    /// `[N, classes]`, or of maps.
    ///
    /// Raises ValueError if the images do not fit.
    #[pyo3(signature = (images, *, batch = 64))]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        batch: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        self.rows(py, images, batch, |network, pass, x| network.forward(pass, x))
    }

    /// What goes into the head in evaluation: an array `[N, D]`.
    ///
    /// Raises ValueError if the images do not fit.
    #[pyo3(signature = (images, *, batch = 64))]
    fn features<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        batch: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        self.rows(py, images, batch, |network, pass, x| network.features(pass, x))
    }

    /// How much each layer takes of each source in evaluation: an array for each layer with a gate, by the
    /// layer's name; `[N, m]` of a zoo, `[1, m]` of a lite network, whose gate is the same for all images.
    ///
    /// Raises ValueError if the images do not fit.
    #[pyo3(signature = (images, *, batch = 64))]
    fn gates<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        batch: usize,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut layers: Vec<(String, Rows)> = Vec::new();
        self.each_batch(py, images, batch, |network, pass, x| {
            let is_lite = matches!(network.blueprint().form, Form::Lite(_));
            network.forward(pass, x)?;
            let gates: Vec<_> = pass.gates().map(|(name, var)| (name.to_owned(), var)).collect();
            let is_first = layers.is_empty();
            for (at, (name, var)) in gates.into_iter().enumerate() {
                let gate = pass.value(var)?;
                if is_first {
                    layers.push((name, Rows::default()));
                }
                // Of a lite layer, every batch has the same one.
                if is_first || !(is_lite && gate.shape()[0] == 1) {
                    layers[at].1.add(gate);
                }
            }
            Ok(())
        })?;
        let gates = PyDict::new(py);
        for (name, rows) in layers {
            gates.set_item(name, given(py, rows.tensor()?)?)?;
        }
        Ok(gates)
    }

    /// How good a classifier is on labelled images: a dict of `samples`, `accuracy`, `loss`, `precision`,
    /// `recall`, `f1`, `calibration_error`, `classes`, `confusion`. `data` is a path, as `zoo-tuning eval`
    /// takes it, or a pair of images `[N, C, H, W]` with values from 0 to 1, not normalised, and labels.
    ///
    /// Raises OSError or ValueError if the data cannot be read, or have classes that the network does not
    /// know.
    #[pyo3(signature = (data, *, batch = 64))]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        batch: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let given = data::given(data)?;
        let mut stop = None;
        let evaluation = outside_with(py, || {
            let model = self.0.model();
            if model.network.makes_maps() {
                let text = "evaluate() is for classes; zoo-tuning eval measures landmarks";
                return Err(PyValueError::new_err(text));
            }
            let data = given.opened(&model)?;
            let numbers = match given.is_in_memory() {
                // Labels are the network's own.
                true => (0..model.design().outputs).collect(),
                false => model.class_numbers(data.classes()).map_err(raised)?,
            };
            let names = match model.classes.is_empty() {
                true => data.classes(),
                false => &model.classes,
            };
            let loader = data.in_order(None, model.input.batch(batch)).map_err(raised)?;
            let mut seen = 0usize;
            let found = evaluate(&model.network, &loader, &numbers, names, |_| {
                seen += 1;
                if seen.is_multiple_of(batch.max(1)) {
                    Python::attach(|py| py.check_signals()).map_err(|error| {
                        stop = Some(error);
                        Error::Interrupted { saved: None }
                    })?;
                }
                Ok(())
            });
            found.map_err(|error| stop.take().unwrap_or_else(|| raised(error)))
        })?;
        python(py, &json(&evaluation)?)
    }

    /// The gradients that `backward` has brought since the last step, to be read: arrays by the names of
    /// parameters.
    fn gradients<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = py.detach(|| {
            let model = self.0.model();
            let training = self.0.training();
            let parameters = model.network.parameters();
            let gradients = training.gradients.iter().flat_map(Step::gradients);
            gradients
                .map(|(id, gradient)| (parameters.name(id).to_owned(), gradient.clone()))
                .collect::<Vec<_>>()
        });
        let gradients = PyDict::new(py);
        for (name, gradient) in found {
            gradients.set_item(name, crate::array::shown(py, gradient)?)?;
        }
        Ok(gradients)
    }

    /// Forgets the gradients that came since the last step.
    fn forget_gradients(&self, py: Python) {
        py.detach(|| drop(self.0.take_gradients()));
    }

    /// All tensors by name, buffers among them, as they are now: nothing is copied, and later steps do not
    /// change them. For torch: `{name: torch.from_dlpack(t) for name, t in net.state_dict().items()}`.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = py.detach(|| self.0.model().network.parameters().state("the network"));
        named(py, &state)
    }

    /// Takes all tensors from a dict such as `state_dict` gives, of tensors or arrays.
    ///
    /// Raises ValueError if one is missing, of another shape, or one too many; nothing is changed then.
    fn load_state_dict(&self, py: Python, tensors: &Bound<PyDict>) -> PyResult<()> {
        let mut state = State::new("the dict");
        for (name, values) in tensors {
            let values = tensor_from(&values)?;
            // A network's values are its own, whatever becomes of an array, or of who shares its memory.
            let own = match values.is_mapped() {
                true => Ok(values),
                false => Values::new(values.shape(), buffer::copy(values.as_slice())),
            };
            state.insert(name.extract::<String>()?, own.map_err(raised)?);
        }
        outside(py, || self.0.model_mut().network.parameters_mut().load(&state))
    }

    /// The plain network of the size of one source that computes what this lite network computes.
    ///
    /// Raises ValueError if there is none: before training, or of a full zoo, and says why.
    fn collapse(&self, py: Python) -> PyResult<Self> {
        outside(py, || self.0.model().collapsed()).map(|model| Self::around(model, 1))
    }

    /// Writes the network to a file, whole or not at all: .safetensors; .pth, .pt or .bin for torch.load;
    /// .onnx.
    ///
    /// Raises OSError if that is not possible, ValueError if the ending says no format.
    fn save(&self, py: Python, path: PathBuf) -> PyResult<()> {
        outside(py, || self.0.model().write(path))
    }
}
