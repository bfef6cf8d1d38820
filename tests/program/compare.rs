//! Comparisons: what stops one does not change what comes out.

use crate::program::{digits, good, program, quiet, source};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use zoo_tuning::Error;
use zoo_tuning::compare::{Budget, Comparison, MethodKind, Outcome, Plan, Watch};
use zoo_tuning::dataset::{Dataset, Image, Samples, Split, digits};
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
    let methods = vec![Scratch, Single, Zoo, Lite];
    Plan { seeds: 2, methods, config, ..Plan::default() }
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

/// What is made of the single by score, at two rates: chosen by validation, averaged, taught.
#[test]
fn rows_that_build_on_others_end_with_the_same_bits() {
    use MethodKind::{Chosen, Delta, Distilled, L2Sp, Probed, Single, Soup};
    let mut plan = Plan { seeds: 1, rates: vec![0.01, 0.02], ..plan() };
    plan.methods = vec![Single, Probed, L2Sp, Delta, Soup, Distilled];
    plan.config.data.validation = 0.03;
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let outcome = Comparison::create(&whole, plan.clone()).unwrap();
    let outcome = outcome.run(2, 2, &Patience::of(u64::MAX)).unwrap();

    let mut found = Comparison::create(&parts, plan.clone()).unwrap().run(1, 1, &Patience::of(9));
    let mut stops = 0;
    while let Err(error) = found {
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        stops += 1;
        found = Comparison::resume(&parts).unwrap().run(1, 2, &Patience::of(13));
    }
    assert!(stops > 3, "stopped {stops} times");
    let found = found.unwrap();
    assert_eq!(accuracies(&found), accuracies(&outcome));
    assert_eq!(found.scores, outcome.scores);
    for name in ["l2_sp", "delta", "soup", "distilled"] {
        let file = &format!("seed-1/{name}-rate-0.02/model.safetensors");
        assert_eq!(bytes(&parts, file), bytes(&whole, file), "{file}");
    }
    assert_eq!(bytes(&parts, "seed-1/soup.safetensors"), bytes(&whole, "seed-1/soup.safetensors"));

    let of = |kind| outcome.methods.iter().find(|method| method.kind == kind).unwrap();
    for kind in [Single, Chosen, Probed, L2Sp, Delta, Distilled] {
        let method = of(kind);
        let rate = method.runs[0].learning_rate.unwrap();
        assert!(plan.rates.contains(&rate), "{rate}");
        assert_eq!(method.parameters, of(Soup).parameters, "one network, of one source's size");
    }
    // As they were trained, the sources have classifiers of their own.
    let names: Vec<&str> = outcome.scores.iter().map(|score| &score.name[..]).collect();
    assert_eq!(names, ["leave-one-out", "LogME", "H-score", "LEEP"]);
    assert!(outcome.scores.iter().all(|score| score.values[0].1.len() == 2));
}

#[test]
fn a_comparison_keeps_what_its_budget_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let budget = |time: &str| Some(Budget { time: time.into(), left_out: None });
    let plan = Plan { budget: budget("1ms"), ..plan() };
    let comparison = Comparison::create(folder.path(), plan).unwrap();
    let outcome = comparison.run(1, 2, &Patience::of(u64::MAX)).unwrap();
    assert_eq!(outcome.left_out(), Some("scratch, zoo, lite, 1 of 2 seeds"));
    let again = Comparison::resume(folder.path()).unwrap();
    assert_eq!(again.plan(), &outcome.plan);
    assert_eq!((again.plan().seeds, &again.plan().methods[..]), (1, &[MethodKind::Single][..]));
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

/// Fault: what could not begin left its folder, and the same command was then refused.
#[test]
fn a_comparison_that_cannot_begin_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let [path, gone, garbage] = ["compared", "gone", "garbage"].map(|n| folder.path().join(n));
    std::fs::write(&garbage, "no network").unwrap();
    let of_data = |path: &Path| {
        let mut plan = plan();
        plan.config.data.path = path.to_path_buf();
        plan
    };
    let of_source = |path: &Path| {
        let mut plan = plan();
        plan.config.method.zoo.push(path.to_path_buf());
        plan
    };
    let all_of = |path: &Path| Plan { methods: vec![MethodKind::Zoo], ..of_source(path) };
    for bad in [of_data(&gone), of_data(&garbage), all_of(&gone), all_of(&garbage)] {
        let comparison = Comparison::create(&path, bad).unwrap();
        comparison.run(2, 2, &Patience::of(u64::MAX)).unwrap_err();
        assert!(!path.exists(), "a folder is left");
    }
    // A folder that was there stays, and a process that was killed while it wrote the plan is in nobody's way.
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join(".plan.toml.1-0.tmp"), "half").unwrap();
    let comparison = Comparison::create(&path, of_data(&gone)).unwrap();
    comparison.run(1, 1, &Patience::of(u64::MAX)).unwrap_err();
    assert!(path.join("plan.toml").exists());

    // Nor does anything go that a run has begun.
    let comparison = Comparison::create(folder.path().join("begun"), of_source(&garbage)).unwrap();
    comparison.run(1, 1, &Patience::of(u64::MAX)).unwrap_err();
    assert!(comparison.folder().join("seed-1/scratch/model.safetensors").exists());
    assert!(Comparison::resume(comparison.folder()).is_ok());
}

/// Killed at twenty moments, whatever it is doing then.
#[test]
fn a_comparison_that_is_killed_ends_with_the_same_bits() {
    const KILLS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let [whole, killed] = ["whole", "killed"].map(|name| folder.path().join(name));
    let begin = |out: &Path| {
        let mut compare = program();
        compare.args(["compare", "--methods", "single,zoo,lite", "--seeds", "2", "--jobs", "2"]);
        compare.args(["--shots", "2", "--test", "0.03", "--validation", "0", "--batch", "10"]);
        compare.args(["--steps", "12", "--checkpoint-every", "1", "--threads", "2", "--zoo"]);
        compare.args(["as_is", "edges"].map(source)).arg("--data").arg(digits());
        compare.arg("--out").arg(out);
        compare
    };
    let command = |folder: &Path| match folder.join("plan.toml").exists() {
        false => begin(folder),
        true => {
            let mut command = program();
            command.args(["compare", "--threads", "2", "--resume"]).arg(folder);
            command
        }
    };
    let begun = Instant::now();
    good(&mut command(&whole));
    let usual = begun.elapsed();
    let mut rng = fastrand::Rng::with_seed(20);
    let mut kills = 0;
    while kills < KILLS && !killed.join("results.json").exists() {
        let mut child = quiet(&mut command(&killed)).spawn().unwrap();
        std::thread::sleep(usual.mul_f64(0.25 * rng.f64()));
        kills += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(kills > KILLS / 2, "{kills} kills met a comparison at work");
    good(&mut command(&killed));
    let results = |folder: &Path| -> Outcome {
        serde_json::from_slice(&bytes(folder, "results.json")).unwrap()
    };
    assert_eq!(accuracies(&results(&killed)), accuracies(&results(&whole)));
    assert_eq!(results(&killed).scores, results(&whole).scores);
    for seed in ["seed-1", "seed-2"] {
        for method in ["single-as_is", "single-edges", "zoo", "lite"] {
            let file = format!("{seed}/{method}/model.safetensors");
            assert!(bytes(&killed, &file) == bytes(&whole, &file), "{file}");
        }
        let file = format!("{seed}/collapsed.safetensors");
        assert!(bytes(&killed, &file) == bytes(&whole, &file), "{file}");
    }
}

#[test]
fn a_comparison_goes_on_with_changed_data_if_that_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let [compared, data] = ["compared", "digits.csv.gz"].map(|name| folder.path().join(name));
    std::fs::copy("data/digits/digits.csv.gz", &data).unwrap();
    let mut plan = Plan { seeds: 1, methods: vec![MethodKind::Scratch], ..plan() };
    plan.config.data.path.clone_from(&data);
    Comparison::create(&compared, plan).unwrap().run(1, 1, &Patience::of(1)).unwrap_err();
    let file = std::fs::File::options().append(true).open(&data).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let resume = || Comparison::resume(&compared).unwrap();
    let refused = resume().run(1, 1, &Patience::of(u64::MAX)).unwrap_err().to_string();
    assert!(refused.contains("--accept-changed-data"), "{refused}");
    let outcome = resume().accepting_changed_data().run(1, 1, &Patience::of(u64::MAX)).unwrap();
    assert_eq!(outcome.methods[0].runs.len(), 1);
}

/// Fault: sources that are not routed were tuned as a zoo at the learning rate of routed ones.
#[test]
fn what_the_guard_takes_instead_has_a_learning_rate_of_its_own() {
    use MethodKind::{Routed, Zoo};
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan { seeds: 1, methods: vec![Zoo, Routed], ..plan() };
    // Twice the same: nothing to choose between.
    plan.config.method.zoo = vec!["data/zoo/as_is.safetensors".into(); 2];
    plan.config.data.shots = Some(6);
    plan.own_rates = BTreeMap::from([(Zoo, 0.02), (Routed, 0.001)]);
    let comparison = Comparison::create(folder.path(), plan).unwrap();
    let outcome = comparison.run(1, 2, &Patience::of(u64::MAX)).unwrap();
    let run = |kind| &outcome.methods.iter().find(|method| method.kind == kind).unwrap().runs[0];
    let (zoo, routed) = (run(Zoo), run(Routed));
    assert_eq!((routed.routed, routed.learning_rate), (Some(false), Some(0.02)));
    assert_eq!(routed.accuracy, zoo.accuracy);
}

/// Digits, the last of which is tested on, and how often it was asked for.
struct Counting {
    samples: Samples,
    splits: Vec<Split>,
    asked: AtomicUsize,
}

impl Dataset for Counting {
    fn classes(&self) -> &[String] {
        self.samples.classes()
    }

    fn labels(&self) -> &[usize] {
        self.samples.labels()
    }

    fn splits(&self) -> &[Split] {
        &self.splits
    }

    fn image(&self, index: usize) -> zoo_tuning::Result<Image> {
        if self.splits[index] == Split::Test {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
        self.samples.image(index)
    }
}

/// Fault: the test images were read once more for every single source and what is made of others.
#[test]
fn networks_that_are_measured_once_more_are_shown_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let samples = digits::read("data/digits/digits.csv.gz", 16).unwrap();
    let samples = samples.subset(&(0..41).collect::<Vec<_>>()).unwrap();
    let splits = [vec![Split::Training; 40], vec![Split::Test]].concat();
    let data = Arc::new(Counting { samples, splits, asked: AtomicUsize::new(0) });
    let methods = vec![MethodKind::Single, MethodKind::Lite];
    let mut plan = Plan { seeds: 1, methods, ..plan() };
    (plan.config.data.shots, plan.config.optimizer.epochs) = (None, Some(1));
    let given: Arc<dyn Dataset> = data.clone();
    let comparison = Comparison::create(folder.path(), plan).unwrap();
    let comparison = comparison.with_data(BTreeMap::from([(1, given)]));
    let outcome = comparison.run(1, 2, &Patience::of(u64::MAX)).unwrap();
    assert_eq!((outcome.training_samples, outcome.test_samples), (40, 1));
    // Of each run, the last measurement, and two of the look inside; of all together, one more.
    assert_eq!(data.asked.load(Ordering::Relaxed), 3 * 3 + 1);
}
