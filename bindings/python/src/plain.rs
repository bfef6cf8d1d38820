//! Settings and results as Python's own values.

use crate::outside::raised;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;
use std::fmt::Display;
use toml::Table;
use zoo_tuning::Error;
use zoo_tuning::train::Config;

/// A result as dicts, lists and numbers.
pub fn python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (value.to_string(),))
}

/// The tables of a configuration, from a dict of dicts. What is `None` is left out; paths are texts, and
/// numbers of NumPy are numbers.
pub fn table(settings: &Bound<PyDict>) -> PyResult<Table> {
    let py = settings.py();
    let plain = py.import("zoo_tuning._plain")?.getattr("plain")?;
    let arguments = PyDict::new(py);
    arguments.set_item("default", plain)?;
    // Numbers that are none are refused here, where they have a name.
    arguments.set_item("allow_nan", false)?;
    let text = py.import("json")?.call_method("dumps", (settings,), Some(&arguments))?;
    let value: Value = serde_json::from_str(text.extract()?).map_err(unusable)?;
    Table::try_from(without_nothing(value)).map_err(unusable)
}

fn unusable(error: impl Display) -> PyErr {
    PyValueError::new_err(format!("the configuration cannot be read: {error}"))
}

fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nothing(value))).collect())
        }
        other => other,
    }
}

/// A configuration of settings that all belong in one table, for a network whose sources and samples are
/// somebody else's matter.
pub fn config(name: &str, settings: &Bound<PyDict>) -> PyResult<Config> {
    let mut tables = Table::new();
    let mut method = Table::from_iter([("form".to_owned(), "scratch".into())]);
    let mut settings = table(settings)?;
    if name == "method" {
        settings.insert("zoo".to_owned(), vec!["zoo"].into());
        method = settings;
    } else {
        tables.insert(name.to_owned(), settings.into());
    }
    tables.insert("method".to_owned(), method.into());
    let data = Table::from_iter([("path".to_owned(), "data".into())]);
    tables.insert("data".to_owned(), data.into());
    Config::layered("", tables, Table::new()).map_err(raised)
}

/// A result that is made of texts and numbers as JSON.
pub fn json(value: &impl serde::Serialize) -> PyResult<Value> {
    let said = |error: serde_json::Error| raised(Error::argument("json", error.to_string()));
    serde_json::to_value(value).map_err(said)
}
