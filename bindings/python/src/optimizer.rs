//! The class `Optimizer`: steps by the gradients that a network has.

use crate::network::{Network, Shared};
use crate::outside::outside;
use crate::plain::config;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Arc, Mutex, PoisonError};
use zoo_tuning::optim;
use zoo_tuning::train::rates;

/// Changes a network's parameters by the gradients that `backward` has brought to it.
///
/// `settings` are keys of the table [optimizer] of a configuration, with the same defaults: `rule` ("sgd",
/// "adam", "adamw", "rmsprop"), `learning_rate`, `momentum`, `nesterov`, `betas`, `epsilon`, `alpha`,
/// `centred`, `weight_decay`, a rate and a decay for each group (`backbone_rate`, `gate_decay`, ...),
/// `freeze` (layers), `layer_decay`, `clip_norm`.
///
/// Raises ValueError if there is no such key, or its value has no meaning.
#[pyclass(frozen, module = "zoo_tuning")]
pub struct Optimizer {
    network: Arc<Shared>,
    state: Mutex<State>,
}

struct State {
    optimizer: optim::Optimizer<f32>,
    learning_rate: f64,
    clip_norm: Option<f64>,
}

/// Keys of the table that a step has no use for: they say how a run goes.
const OF_RUNS: [&str; 10] = [
    "schedule",
    "warmup",
    "milestones",
    "factor",
    "epochs",
    "steps",
    "patience",
    "time_limit",
    "batch",
    "accumulate",
];

#[pymethods]
impl Optimizer {
    #[new]
    #[pyo3(signature = (network, **settings))]
    fn new(py: Python, network: &Network, settings: Option<&Bound<PyDict>>) -> PyResult<Self> {
        let settings = settings.map_or_else(|| Ok(PyDict::new(py)), |settings| settings.copy())?;
        for key in OF_RUNS {
            if settings.contains(key)? {
                let text = format!("optimizer.{key} is a setting of train(), not of single steps");
                return Err(PyValueError::new_err(text));
            }
        }
        let config = config("optimizer", &settings)?;
        let network = network.shared().clone();
        let state = outside(py, || {
            let settings = &config.optimizer;
            let model = network.model();
            let parameters = model.network.parameters();
            let optimizer = optim::Optimizer::new(settings.rule(), config.groups())
                .with_lr_scales(rates(settings, parameters)?);
            // Nothing is computed for what stays as it is.
            network.freeze(optimizer.frozen(parameters));
            Ok(State {
                optimizer,
                learning_rate: settings.learning_rate,
                clip_norm: settings.clip_norm,
            })
        })?;
        Ok(Self { network, state: Mutex::new(state) })
    }

    /// What the next step goes by; may be set, as a schedule does.
    #[getter]
    fn learning_rate(&self, py: Python) -> f64 {
        py.detach(|| self.state.lock().unwrap_or_else(PoisonError::into_inner).learning_rate)
    }

    #[setter]
    fn set_learning_rate(&self, py: Python, rate: f64) -> PyResult<()> {
        if !(rate.is_finite() && rate >= 0.0) {
            let text = format!("learning_rate: {rate} should be a number, 0 or more");
            return Err(PyValueError::new_err(text));
        }
        py.detach(|| {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).learning_rate = rate;
        });
        Ok(())
    }

    /// One step by the gradients that the network has, which are used up. Gives the norm that all of them
    /// together had, if they are clipped (`clip_norm`), else None.
    ///
    /// Raises RuntimeError if there are none, ValueError if their norm is not finite.
    fn step(&self, py: Python) -> PyResult<Option<f64>> {
        let mut pending = outside(py, || Ok(self.network.take_gradients()))?.ok_or_else(|| {
            PyRuntimeError::new_err("the network has no gradients; call backward() on a loss first")
        })?;
        outside(py, move || {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let State { optimizer, learning_rate, clip_norm } = &mut *state;
            let mut model = self.network.model_mut();
            model.network.share_gradients(&mut pending)?;
            let norm = clip_norm.map(|most| pending.clip_norm(most)).transpose()?;
            optimizer.step(model.network.parameters_mut(), pending, *learning_rate)?;
            Ok(norm)
        })
    }
}
