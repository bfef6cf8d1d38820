//! The layers of a configuration, put over each other, and what their mistakes are told as.

use super::{Config, TaskConfig};
use crate::train::choice::Preset;
use crate::{Error, Result, error};
use toml::{Table, Value};

/// Keys that had another name while configurations had no tables.
const RENAMED: [(&str, &str); 3] =
    [("data", "data.path"), ("optimizer", "optimizer.rule"), ("deviation", "data.std")];

impl Config {
    /// The defaults, the presets that `file` names under the key `preset`, `file`, the presets
    /// that `flags` names, and `flags`, each over the one before; `origin` is the file's name
    /// for messages. Flags lie in tables as the keys of a file do.
    ///
    /// # Errors
    /// If a key is unknown or its value unusable; if a flag has no effect beside the others.
    pub fn layered(origin: &str, mut file: Table, mut flags: Table) -> Result<Self> {
        let in_file = |key: &str| {
            if origin.is_empty() { key.to_owned() } else { format!("{origin}: {key}") }
        };
        let of_file = presets(file.remove("preset"))?;
        let of_flags = presets(flags.remove("preset"))?;
        let mut merged = Table::try_from(Self::default())
            .map_err(|error| Error::config("defaults", error.to_string()))?;
        of_file.into_iter().try_for_each(|preset| put_preset(&mut merged, preset))?;
        let checked = check_places(&file).and_then(|()| check_keys(&merged, &file));
        checked.map_err(|error| match error {
            Error::Config { key, problem } => Error::config(in_file(&key), problem),
            other => other,
        })?;
        put(&mut merged, file, in_file)?;
        of_flags.into_iter().try_for_each(|preset| put_preset(&mut merged, preset))?;
        let given: Vec<_> = entries(&flags)
            .map(|(table, key, _)| (table.unwrap_or_default().to_owned(), key.to_owned()))
            .collect();
        put(&mut merged, flags, Self::flag)?;
        let config: Self =
            merged.try_into().map_err(|e: toml::de::Error| Error::config(origin, e.message()))?;
        config.check()?;
        given.iter().try_for_each(|(table, key)| match table.as_str() {
            "method" => config.method.check_effect(key),
            "optimizer" => config.optimizer.check_effect(key),
            "data" => config.data.check_effect(key).and_then(|()| config.task.check_effect(key)),
            _ => Ok(()),
        })?;
        Ok(config)
    }
}

/// The values of a layer: the table (`None` at the top), the key in it, and the value.
fn entries(layer: &Table) -> impl Iterator<Item = (Option<&str>, &str, &Value)> {
    layer.iter().flat_map(|(key, value)| match value {
        Value::Table(table) => {
            let table =
                table.iter().map(|(name, value)| (Some(key.as_str()), name.as_str(), value));
            table.collect::<Vec<_>>()
        }
        value => vec![(None, key.as_str(), value)],
    })
}

fn dotted(table: Option<&str>, key: &str) -> String {
    table.map_or_else(|| key.to_owned(), |table| format!("{table}.{key}"))
}

/// An error that names the places of all keys of `file` that stand at the top but belong into
/// tables, as they all did in older files.
fn check_places(file: &Table) -> Result<()> {
    let keys = Config::keys();
    let mut moved = Vec::new();
    for (key, _) in file.iter().filter(|(_, value)| !value.is_table()) {
        let renamed = RENAMED.iter().find(|(old, _)| old == key).map(|(_, now)| *now);
        let same = || keys.iter().find(|now| now.split_once('.').is_some_and(|(_, k)| k == key));
        let now = renamed.or_else(|| same().map(String::as_str));
        if let Some((table, name)) = now.and_then(|now| now.split_once('.')) {
            moved.push(match name == key {
                true => format!("{key}: now in [{table}]"),
                false => format!("{key}: now {name} in [{table}]"),
            });
        }
    }
    match moved.is_empty() {
        true => Ok(()),
        false => Err(Error::config("keys are in tables", moved.join("; "))),
    }
}

/// An error if there is no such key as one of `file`, beside what is in `merged`.
fn check_keys(merged: &Table, file: &Table) -> Result<()> {
    let of_preset = || merged.get("task").cloned().and_then(|task| task.try_into().ok());
    let chosen = chosen_task(merged, file)?.or_else(of_preset).unwrap_or_default();
    let keys = Config { task: chosen, ..Config::default() }.own_keys();
    for (key, value) in file {
        let is_table = Config::TABLES.contains(&key.as_str());
        if is_table != value.is_table() && (is_table || keys.contains(key)) {
            let problem = if is_table { "should be a table" } else { "should be no table" };
            return Err(Error::config(key, format!("{problem}; see docs/configuration.md")));
        }
        if value.is_table() && !is_table {
            let problem = match error::nearest(key, Config::TABLES) {
                Some(near) => format!("there is no such table; did you mean [{near}]?"),
                None => {
                    format!("there is no such table; there are {}", Config::TABLES.join(", "))
                }
            };
            return Err(Error::config(key, problem));
        }
    }
    for (table, key, _) in entries(file) {
        let full = dotted(table, key);
        if !keys.contains(&full) {
            let problem = format!("there is no such key; {}", suggestion(&keys, table, key));
            return Err(Error::config(full, problem));
        }
    }
    Ok(())
}

/// What may have been meant by a key that there is not.
fn suggestion(keys: &[String], table: Option<&str>, key: &str) -> String {
    let split = |full: &'_ String| match full.split_once('.') {
        Some((table, name)) => (Some(table.to_owned()), name.to_owned()),
        None => (None, full.clone()),
    };
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        keys.iter().map(split).partition(|(of, _)| of.as_deref() == table);
    let near = |places: &[(Option<String>, String)]| {
        let name = error::nearest(key, places.iter().map(|(_, name)| name.as_str()))?;
        places.iter().find(|(_, known)| known == name).cloned()
    };
    let same = elsewhere.iter().find(|(_, name)| name == key);
    if let Some((_, name)) = near(&here).filter(|_| same.is_none()) {
        return format!("did you mean {name}?");
    }
    match near(&elsewhere) {
        Some((Some(table), name)) => format!("did you mean {name} in [{table}]?"),
        Some((None, name)) => format!("did you mean {name}, above all tables?"),
        None => {
            let names: Vec<_> = here.into_iter().map(|(_, name)| name).collect();
            let tables = Config::TABLES.map(|table| format!("[{table}]")).join(", ");
            match table {
                Some(table) => format!("[{table}] has {}", names.join(", ")),
                None => format!("there are {} and the tables {tables}", names.join(", ")),
            }
        }
    }
}

/// The presets that a value of the key `preset` names, as a list or separated by commas.
fn presets(value: Option<Value>) -> Result<Vec<Preset>> {
    let names: Vec<String> = match value {
        None => vec![],
        Some(Value::String(names)) => names.split(',').map(|name| name.trim().to_owned()).collect(),
        Some(Value::Array(names)) => {
            names.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect()
        }
        Some(other) => vec![other.to_string()],
    };
    let named = |name: String| {
        Preset::named(&name).map_err(|_| {
            let known = Preset::NAMES.join(", ");
            Error::config("preset", format!("there is no {name:?}; there are {known}"))
        })
    };
    names.into_iter().map(named).collect()
}

/// Puts the keys of a preset over others.
fn put_preset(merged: &mut Table, preset: Preset) -> Result<()> {
    let table = preset.text().parse();
    let table: Table = table.map_err(|e: toml::de::Error| Error::config("preset", e.message()))?;
    put(merged, table, str::to_owned)
}

/// The task that `layer` chooses instead of the one in `merged`, with its defaults.
fn chosen_task(merged: &Table, layer: &Table) -> Result<Option<TaskConfig>> {
    let name = |table: &Table| table.get("task")?.as_table()?.get("name").cloned();
    let Some(chosen) = name(layer).filter(|chosen| Some(chosen) != name(merged).as_ref()) else {
        return Ok(None);
    };
    let table = Table::from_iter([("name".to_owned(), chosen)]);
    let task =
        table.try_into().map_err(|e: toml::de::Error| Error::config("task.name", e.message()));
    task.map(Some)
}

/// Puts a layer over others; `place` says in a message where a key of it stands. Of `epochs` and
/// `steps`, one takes the place of the other; a new task begins from its own defaults.
fn put(merged: &mut Table, layer: Table, place: impl Fn(&str) -> String) -> Result<()> {
    if let Some(task) = chosen_task(merged, &layer)? {
        let task = Table::try_from(task).map_err(|e| Error::config("task", e.to_string()))?;
        merged.insert("task".to_owned(), task.into());
    }
    // Each value on its own first, so that a message can name its key.
    for (table, key, value) in entries(&layer) {
        let mut trial = merged.clone();
        insert(&mut trial, table, key, value.clone());
        if let Err(error) = trial.try_into::<Config>() {
            return Err(Error::config(place(&dotted(table, key)), error.message()));
        }
    }
    let has =
        |key| entries(&layer).any(|(table, name, _)| (table, name) == (Some("optimizer"), key));
    let replaced = match (has("epochs"), has("steps")) {
        (true, true) => {
            return Err(Error::config(place("optimizer.steps"), "give either epochs or steps"));
        }
        (true, false) => Some("steps"),
        (false, true) => Some("epochs"),
        (false, false) => None,
    };
    if let (Some(key), Some(Value::Table(table))) = (replaced, merged.get_mut("optimizer")) {
        table.remove(key);
    }
    for (table, key, value) in entries(&layer) {
        insert(merged, table, key, value.clone());
    }
    Ok(())
}

fn insert(into: &mut Table, table: Option<&str>, key: &str, value: Value) {
    match table.and_then(|table| into.get_mut(table)) {
        Some(Value::Table(table)) => table.insert(key.to_owned(), value),
        _ => into.insert(key.to_owned(), value),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::choice::{GateName, RuleName, Start};

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    /// With the flags `--data` and `--zoo`, unless they are given.
    fn layered(file: &str, flags: &str) -> Result<Config, String> {
        let mut flags = table(flags);
        for (name, key, value) in
            [("data", "path", Value::from("digits.csv")), ("method", "zoo", vec!["a", "b"].into())]
        {
            let table = flags.entry(name).or_insert(Table::new().into()).as_table_mut().unwrap();
            table.entry(key).or_insert(value);
        }
        Config::layered("run.toml", table(file), flags).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_are_over_the_file_over_defaults_and_presets_right_under_each() {
        let file = "preset = ['released', 'paper']\n\
                    [optimizer]\nlearning_rate = 0.5\nbatch = 7\nepochs = 3";
        let config = layered(file, "optimizer.batch = 9").unwrap();
        assert_eq!((config.optimizer.learning_rate, config.optimizer.batch), (0.5, 9));
        let length = (config.optimizer.epochs, config.optimizer.steps);
        assert_eq!(length, (Some(3), None), "the file is over its preset");
        assert_eq!((config.method.start, config.method.gate), (Start::Plain, GateName::Sigmoid));
        assert_eq!((config.optimizer.head_rate, config.optimizer.milestones.len()), (10.0, 2));
        let file = "[optimizer]\nlearning_rate = 0.5\nhead_rate = 1.0";
        let over = layered(file, "preset = 'paper'").unwrap().optimizer;
        assert_eq!((over.learning_rate, over.head_rate), (0.01, 10.0), "a flag's preset");
        let paper = layered("", "preset = 'paper'").unwrap();
        assert_eq!((paper.optimizer.steps, paper.optimizer.epochs), (Some(15_000), None));
        assert!(!paper.method.gate_prior, "the whole recipe, its method too");
    }

    #[test]
    fn what_is_written_is_read() {
        let file = "seed = 3\n[optimizer]\nsteps = 5\nhead_decay = 0.0\nrule = 'adamw'\n\
                    clip_norm = inf\n[data]\nmean = [0.5]\n[task]\nlabel_smoothing = 0.1";
        let config = layered(file, "").unwrap();
        assert_eq!(config.optimizer.rule, RuleName::AdamW);
        let again = Config::layered("", table(&config.to_toml().unwrap()), Table::new());
        assert_eq!(again.unwrap(), config);
    }

    #[test]
    fn keys_of_an_older_file_are_told_their_tables_all_at_once() {
        let file = "learning_rate = 0.1\ndata = 'digits'\noptimizer = 'sgd'\ndeviation = [1.0]\n\
                    seed = 1";
        let error = layered(file, "").unwrap_err();
        assert!(error.starts_with("run.toml: keys are in tables: "), "{error}");
        for place in [
            "learning_rate: now in [optimizer]",
            "data: now path in [data]",
            "optimizer: now rule in [optimizer]",
            "deviation: now std in [data]",
        ] {
            assert!(error.contains(place), "{error}");
        }
        assert!(!error.contains("seed"), "{error}");
    }

    #[test]
    fn unknown_keys_suggest_the_nearest() {
        for (file, expected) in [
            (
                "[optimizer]\nlearning-rate = 0.1",
                "optimizer.learning-rate: there is no such key; did you mean learning_rate?",
            ),
            (
                "learning_rte = 1",
                "learning_rte: there is no such key; did you mean learning_rate in",
            ),
            ("[data]\nbatch = 1", "data.batch: there is no such key; did you mean batch in [opt"),
            ("[data]\nseed = 1", "data.seed: there is no such key; did you mean seed, above all"),
            ("[record]\nxyzzy = 1", "record.xyzzy: there is no such key; [record] has log_every, "),
            ("xyzzy = 1", "xyzzy: there is no such key; there are seed, threads and the tables [m"),
            (
                "[optimiser]\nbatch = 1",
                "optimiser: there is no such table; did you mean [optimizer",
            ),
            (
                "[task]\nsmoothing = 1",
                "task.smoothing: there is no such key; [task] has name, label",
            ),
            ("[seed]", "seed: should be no table"),
            ("method = 3", "method: should be a table"),
        ] {
            let error = layered(file, "").unwrap_err();
            assert!(error.starts_with(&format!("run.toml: {expected}")), "{file}: {error}");
        }
    }

    #[test]
    fn values_that_cannot_be_used_name_their_key() {
        for (text, key) in [
            ("optimizer.learning_rate = nan", "optimizer.learning_rate"),
            ("optimizer.learning_rate = -1.0", "optimizer.learning_rate"),
            ("optimizer.learning_rate = inf", "optimizer.learning_rate"),
            ("optimizer.learning_rate = 'fast'", "optimizer.learning_rate"),
            ("optimizer.batch = 0", "optimizer.batch"),
            ("optimizer.batch = -1", "optimizer.batch"),
            ("optimizer.batch = 9000000000000000000", "optimizer.batch"),
            ("optimizer.batch = 1.5", "optimizer.batch"),
            ("optimizer.accumulate = 0", "optimizer.accumulate"),
            ("optimizer.clip_norm = 0.0", "optimizer.clip_norm"),
            ("optimizer.clip_norm = nan", "optimizer.clip_norm"),
            ("optimizer.average = 1.5", "optimizer.average"),
            ("optimizer.betas = [0.9]", "optimizer.betas"),
            ("optimizer.betas = [0.9, 1.0]", "optimizer.betas"),
            ("optimizer.alpha = nan", "optimizer.alpha"),
            ("optimizer.steps = 0", "optimizer.steps"),
            ("optimizer.epochs = 9223372036854775807", "optimizer.epochs"),
            ("optimizer.epochs = 1\noptimizer.steps = 1", "optimizer.steps"),
            ("method.form = 'zoom'", "method.form"),
            ("method.align = 'conv1,,layer3'", "method.align"),
            ("method.align = ['conv1']", "method.align"),
            ("method.architecture = 'resnet19'", "architecture"),
            ("data.validation = 1.5", "data.validation"),
            ("task.name = 'guessing'", "task.name"),
            ("task.label_smoothing = 2.0", "task.label_smoothing"),
            ("record.log_every = 0", "record.log_every"),
            ("preset = 'x'", "preset"),
            ("preset = 3", "preset"),
            ("threads = 0", "threads"),
            ("threads = 70000", "threads"),
            ("seed = -1", "seed"),
            ("method.zoo = []", "method.zoo"),
            ("data.path = ''", "data.path"),
            ("method.form = 'single'", "method.zoo"),
        ] {
            // The flags of `layered` would hide two of these.
            let mut base = table("data.path = 'd'\nmethod.zoo = ['a', 'b']");
            for (name, key, value) in entries(&table(text)) {
                insert(&mut base, name, key, value.clone());
                if let Some(name) = name.filter(|name| !base.contains_key(*name)) {
                    let single = Table::from_iter([(key.to_owned(), value.clone())]);
                    base.insert(name.to_owned(), single.into());
                    base.remove(key);
                }
            }
            let error = Config::layered("", base, Table::new()).unwrap_err().to_string();
            assert!(error.starts_with(key), "{text}: {error}");
        }
    }

    #[test]
    fn flags_without_effect_are_errors_and_keys_of_a_file_are_not() {
        let error = layered("", "optimizer.betas = [0.8, 0.9]").unwrap_err();
        assert_eq!(error, "--betas: has no effect with --optimizer sgd; it belongs to adam, adamw");
        let error = layered("", "optimizer.milestones = [10]").unwrap_err();
        assert!(error.starts_with("--milestones: has no effect with --schedule cosine"), "{error}");
        layered("optimizer.betas = [0.8, 0.9]", "optimizer.rule = 'adam'").unwrap();
        layered("optimizer.betas = [0.8, 0.9]", "").unwrap();
        layered("", "optimizer.rule = 'rmsprop'\noptimizer.momentum = 0.5").unwrap();
    }

    #[test]
    fn every_preset_is_read() {
        for name in Preset::NAMES {
            // In a file, keys without effect are no errors; an agent has to be told where it acts.
            let is_agent = Preset::named(name).unwrap().text().contains("reinforcement");
            let more = if is_agent { "[task]\nenvironment = 'catch'" } else { "" };
            let file = format!(
                "preset = '{name}'\n[data]\npath = 'd'\n[method]\nzoo = ['a', 'b']\n{more}"
            );
            Config::layered("", table(&file), Table::new()).unwrap();
        }
    }

    #[test]
    fn a_flag_belongs_to_one_key() {
        let mut flags: Vec<_> = Config::keys().iter().map(|key| Config::flag(key)).collect();
        flags.sort();
        let count = flags.len();
        flags.dedup();
        assert_eq!(flags.len(), count);
        assert!(flags.contains(&"--optimizer".to_owned()) && flags.contains(&"--std".to_owned()));
    }
}
