//! Comparisons: what stops one does not change what comes out.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use zoo_tuning::Error;
use zoo_tuning::compare::{Comparison, MethodKind, Outcome, Plan, Watch};
use zoo_tuning::train::Config;
use zoo_tuning::train::task::Scores;

/// Stops after so many steps of all runs together.
struct Patience(AtomicU64);

impl Patience {
    fn of(steps: u64) -> Self {
        Self(AtomicU64::new(steps))
    }
}

impl Watch for Patience {
    fn begin(&self, _: usize) {}

    fn step(&self, _: &str, _: u64, _: u64) {
        let _ =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    }

    fn warned(&self, _: &str, _: &str) {}

    fn finished(&self, _: &str, _: Option<&Scores>) {}

    fn failed(&self, _: &str, _: &Error) {}

    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

fn plan() -> Plan {
    let mut config = Config::default();
    config.method.zoo =
        ["as_is", "edges"].map(|name| format!("data/zoo/{name}.safetensors").into()).to_vec();
    config.data.path = "data/digits/digits.csv.gz".into();
    (config.data.shots, config.data.test, config.data.validation) = (Some(2), 0.03, 0.0);
    (config.optimizer.batch, config.optimizer.epochs) = (10, Some(2));
    use MethodKind::{Lite, Scratch, Single, Zoo};
    Plan { seeds: 2, methods: vec![Scratch, Single, Zoo, Lite], config }
}

/// Method, seed and accuracy of every run.
fn accuracies(outcome: &Outcome) -> Vec<(String, u64, f64)> {
    let runs = |method: &zoo_tuning::compare::Method| {
        let name = method.name.clone();
        method.runs.clone().into_iter().map(move |run| (name.clone(), run.seed, run.accuracy))
    };
    outcome.methods.iter().flat_map(runs).collect()
}

fn bytes(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(file)).unwrap()
}

#[test]
fn a_comparison_that_is_stopped_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let outcome =
        Comparison::create(&whole, plan()).unwrap().run(2, 2, &Patience::of(u64::MAX)).unwrap();

    let mut found = Comparison::create(&parts, plan()).unwrap().run(1, 1, &Patience::of(5));
    let mut stops = 0;
    while let Err(error) = found {
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        stops += 1;
        found = Comparison::resume(&parts).unwrap().run(1, 2, &Patience::of(17));
    }
    assert!(stops > 1, "stopped {stops} times");
    assert_eq!(accuracies(&found.unwrap()), accuracies(&outcome));
    for file in ["seed-1/zoo/model.safetensors", "seed-2/collapsed.safetensors"] {
        assert_eq!(bytes(&parts, file), bytes(&whole, file), "{file}");
    }

    // What follows from the networks that were tuned.
    let of = |kind| outcome.methods.iter().find(|method| method.kind == kind).unwrap();
    assert_eq!(of(MethodKind::Collapsed).runs.len(), 2);
    assert_eq!(of(MethodKind::Ensemble).parameters, 2 * of(MethodKind::Scratch).parameters);
    let singles = outcome.methods.iter().filter(|method| method.kind == MethodKind::Single);
    let best = singles.map(|method| method.mean).fold(0.0, f64::max);
    assert_eq!(of(MethodKind::Hindsight).mean, best);
    assert_eq!(outcome.reference().unwrap().kind, MethodKind::Chosen);
}

#[test]
fn a_folder_is_not_compared_in_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("comparison");
    Comparison::create(&path, plan()).unwrap();
    let again = Comparison::create(&path, plan()).map(drop).unwrap_err().to_string();
    assert!(again.contains("holds a comparison; --resume"), "{again}");
    let none = Comparison::resume(folder.path()).map(drop).unwrap_err().to_string();
    assert!(none.contains("there is no comparison in"), "{none}");
    let empty = Plan { methods: vec![], ..plan() };
    let other = folder.path().join("other");
    assert!(Comparison::create(&other, empty).is_err());
    assert!(!other.exists(), "a folder was made for a plan that cannot be");
}
