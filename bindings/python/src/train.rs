//! A run by configuration.

use crate::data;
use crate::outside::{outside_with, raised};
use crate::plain::{json, python, table};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value};
use std::path::PathBuf;
use toml::Table;
use zoo_tuning::train::task::Scores;
use zoo_tuning::train::{Config, Event, Observer, Run};

/// Tells functions of Python what happens in a run, and stops it if they raise something, or at Ctrl-C.
struct Watcher {
    on_step: Option<Py<PyAny>>,
    on_evaluation: Option<Py<PyAny>>,
    on_message: Option<Py<PyAny>>,
    stop: Option<PyErr>,
}

impl Watcher {
    fn tell(&mut self, tell: impl FnOnce(&Self, Python) -> PyResult<()>) {
        if self.stop.is_none() {
            let told = Python::attach(|py| tell(self, py).and_then(|()| py.check_signals()));
            self.stop = told.err();
        }
    }
}

/// The scores by name.
fn named(scores: &Scores) -> Value {
    let values = scores.values.iter().map(|(name, value)| (name.clone(), Value::from(*value)));
    let mut map = Map::from_iter([("samples".to_owned(), Value::from(scores.samples))]);
    map.extend(values);
    map.into()
}

impl Observer for Watcher {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Step { step, loss, learning_rate, .. } => self.tell(|this, py| {
                let Some(function) = &this.on_step else { return Ok(()) };
                function.call1(py, (step, loss, learning_rate)).map(drop)
            }),
            Event::Validated { step, scores } => self.tell(|this, py| {
                let Some(function) = &this.on_evaluation else { return Ok(()) };
                function.call1(py, (step, python(py, &named(scores))?)).map(drop)
            }),
            Event::Warning(text) | Event::Phase(text) => self.tell(|this, py| {
                let Some(function) = &this.on_message else { return Ok(()) };
                function.call1(py, (*text,)).map(drop)
            }),
            _ => self.tell(|_, _| Ok(())),
        }
    }

    fn stopped(&self) -> bool {
        self.stop.is_some()
    }
}

/// What a run is to do.
enum Settings {
    File(PathBuf),
    Tables(Table),
}

/// Trains as `zoo-tuning train` does, and gives its summary. `config` has the tables of a configuration
/// (docs/configuration.md), as a dict of dicts or as the path of a file; the run is recorded in the folder
/// `out`, which holds the network in the end: `open_network(out + "/model.safetensors")`.
///
/// `data`, a pair of images `[N, C, H, W]` with values from 0 to 1 and labels `[N]`, take the place of those
/// at the path `data.path`. With `resume=True` a run in `out` that was stopped goes on, to the same bits.
///
/// Called are `on_step(step, loss, learning_rate)` after each step, `on_evaluation(step, scores)` after each
/// measurement, and `on_message(text)` for what a user should know. What they raise stops the run, as
/// Ctrl-C does, between two steps; a checkpoint is written first.
///
/// Raises ValueError if the configuration cannot be carried out, and names the key.
#[pyfunction]
#[pyo3(signature = (
    config, out, *, data = None, resume = false, on_step = None, on_evaluation = None, on_message = None
))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub fn train<'py>(
    py: Python<'py>,
    config: &Bound<'py, PyAny>,
    out: PathBuf,
    data: Option<&Bound<'py, PyAny>>,
    resume: bool,
    on_step: Option<Py<PyAny>>,
    on_evaluation: Option<Py<PyAny>>,
    on_message: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let settings = match config.cast::<PyDict>() {
        Ok(tables) => Settings::Tables(table(tables)?),
        Err(_) => Settings::File(config.extract()?),
    };
    let given = data.map(data::given).transpose()?;
    let mut watcher = Watcher { on_step, on_evaluation, on_message, stop: None };
    let summary = outside_with(py, || {
        let dataset = given.as_ref().map_or(Ok(None), data::Given::dataset).map_err(raised)?;
        let mut flags = Table::new();
        if let Some(given) = &given {
            // What is in memory has a place for messages alone.
            let path = match given {
                data::Given::Path(path) => path.display().to_string(),
                data::Given::Memory(..) => "in-memory".to_owned(),
            };
            let data = Table::from_iter([("path".to_owned(), path.into())]);
            flags.insert("data".to_owned(), data.into());
        }
        let config = match settings {
            Settings::Tables(tables) => Config::layered("", tables, flags),
            Settings::File(path) => Config::read(Some(&path), flags),
        };
        let config = config.map_err(raised)?;
        let run = match resume {
            true => Run::resume_or_create(out, config),
            false => Run::create(out, config),
        };
        let mut run = run.map_err(raised)?;
        if let Some(dataset) = dataset {
            run = run.with_data(dataset);
        }
        if run.is_finished() {
            return run.finished().map_err(raised);
        }
        match run.train(&mut watcher) {
            // What was raised in the last step, too, which is the run's end already.
            Ok(summary) => match watcher.stop.take() {
                Some(stop) => Err(stop),
                None => json(&summary),
            },
            Err(error) => Err(watcher.stop.take().unwrap_or_else(|| raised(error))),
        }
    })?;
    python(py, &summary)
}
