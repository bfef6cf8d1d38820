//! The demo at its smallest: what it measures, and that threads change nothing of it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use zoo_tuning::Error;
use zoo_tuning::compare::{Comparison, MethodKind, Plan, Watch};
use zoo_tuning::demo::{self, CONDITIONS, Options, Outcome, Part, Target};
use zoo_tuning::tensor::Device;
use zoo_tuning::train::Model;
use zoo_tuning::train::task::Scores;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn options(out: &Path, threads: usize) -> Options {
    let out = out.to_path_buf();
    // The smaller part.
    let (part, rate, data) = (Part::Validation, None, Some(data()));
    let device = Device::Cpu;
    Options { seeds: 1, shots: 4, epochs: 2, threads, part, rate, data, out, device }
}

/// Counts, and stops after so many steps.
struct Count {
    runs: AtomicUsize,
    steps: AtomicUsize,
    most: usize,
}

impl Count {
    fn new(most: usize) -> Self {
        Self { runs: AtomicUsize::new(0), steps: AtomicUsize::new(0), most }
    }
}

impl Watch for Count {
    fn begin(&self, runs: usize) {
        self.runs.store(runs, Ordering::Relaxed);
    }

    fn step(&self, _: &str, _: u64, _: u64) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn warned(&self, run: &str, warning: &str) {
        // Of a machine with little memory.
        assert!(warning.starts_with("waits until another"), "{run}: {warning}");
    }

    fn finished(&self, _: &str, _: Option<&Scores>) {}

    fn failed(&self, _: &str, _: &Error) {}

    fn stopped(&self) -> bool {
        self.steps.load(Ordering::Relaxed) >= self.most
    }
}

/// What has to be the same whatever the number of threads: everything but time.
fn results(outcome: &Outcome) -> String {
    let mut outcome = outcome.clone();
    (outcome.seconds, outcome.settings.threads) = (0.0, 0);
    for method in &mut outcome.methods {
        method.seconds = 0.0;
        method.runs.iter_mut().for_each(|run| run.seconds = 0.0);
    }
    serde_json::to_string(&outcome).unwrap()
}

#[test]
fn every_method_is_measured_and_threads_change_nothing() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let count = Count::new(usize::MAX);
    let one = demo::run(&options(folders[0].path(), 1), &count).unwrap();
    // Two epochs of two batches; ten networks.
    assert_eq!((count.runs.into_inner(), count.steps.into_inner()), (10, 4 * 10));
    let inside = Options { data: None, ..options(folders[1].path(), 5) };
    let mut many = demo::run(&inside, &Count::new(usize::MAX)).unwrap();
    // The same files, from inside the program and in the repository.
    for (inside, file) in many.sources.iter_mut().zip(&one.sources) {
        assert!(Path::new(&inside.file).starts_with(folders[1].path()), "{}", inside.file);
        inside.file.clone_from(&file.file);
    }
    assert_eq!(results(&one), results(&many));

    let kinds: Vec<MethodKind> = one.methods.iter().map(|m| m.kind).collect();
    use MethodKind::*;
    let singles = [Single; CONDITIONS.len()];
    let expected = [
        &[Scratch],
        &singles[..],
        &[Chosen, Hindsight, Average, Matched, Zoo, Routed, Lite, Collapsed, Ensemble],
    ];
    assert_eq!(kinds, expected.concat());
    assert!(one.collapse_error < 1e-5, "{}", one.collapse_error);
    let of = |kind| one.methods.iter().find(|m| m.kind == kind).unwrap();
    for (a, b) in of(Lite).runs.iter().zip(&of(Collapsed).runs) {
        assert!((a.accuracy - b.accuracy).abs() < 2e-3, "{} {}", a.accuracy, b.accuracy);
    }
    let (single, collapsed) = (of(Single), of(Collapsed));
    assert_eq!(single.parameters, collapsed.parameters);
    assert_eq!(single.multiply_adds, collapsed.multiply_adds);
    assert_eq!(4 * single.parameters, of(Ensemble).parameters);
    // A kernel per image costs its aggregation, m times the kernel; far less than m networks.
    assert!(of(Zoo).multiply_adds < 2 * single.multiply_adds);
    assert_eq!(one.gates.len(), 9);
    assert_eq!(one.samples.len(), 2 * CONDITIONS.len());
    assert!(one.gates.iter().all(|g| (g.mean.iter().sum::<f64>() - 1.0).abs() < 1e-4));
    assert_eq!(one.ema.len(), 9);
    // 1x1 shortcuts are not aligned.
    assert_eq!(one.alignment.len(), 7);

    // Validated every step here; nothing is learnt from that.
    assert!(of(Zoo).runs[0].curve.iter().map(|point| point.step).eq(1..=4));

    let path = folders[0].path().join("compared/seed-1/collapsed.safetensors");
    let model = Model::open(path, None).unwrap();
    assert_eq!(model.classes.len(), 10);
}

#[test]
fn a_watcher_stops_it() {
    let out = tempfile::tempdir().unwrap();
    let stopped = demo::run(&options(out.path(), 2), &Count::new(3));
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
}

#[test]
fn a_demo_takes_the_place_of_the_one_before_and_of_nothing_else() {
    let out = tempfile::tempdir().unwrap();
    let [folder, other] = ["compared", "compared/seed-7"].map(|name| out.path().join(name));
    let mut before = Plan { seeds: 1, methods: vec![MethodKind::Scratch], ..Plan::default() };
    before.config.method.zoo = vec!["zoo.safetensors".into()];
    before.config.data.path = "digits.csv".into();
    Comparison::create(&folder, before).unwrap();
    std::fs::create_dir(&other).unwrap();
    let stopped = demo::run(&options(out.path(), 2), &Count::new(0)).unwrap_err();
    assert!(matches!(stopped, Error::Interrupted { .. }), "{stopped}");
    assert!(!other.exists());
    std::fs::remove_file(folder.join("plan.toml")).unwrap();
    let refused = demo::run(&options(out.path(), 2), &Count::new(0)).unwrap_err().to_string();
    assert!(refused.contains("is not empty"), "{refused}");
}

#[test]
fn options_that_leave_nothing_to_do_are_errors() {
    let out = tempfile::tempdir().unwrap();
    let usual = options(out.path(), 1);
    for wrong in [
        Options { seeds: 0, ..usual.clone() },
        Options { shots: 0, ..usual.clone() },
        Options { shots: usize::MAX, ..usual.clone() },
        Options { epochs: 0, ..usual.clone() },
        Options { epochs: usize::MAX, ..usual.clone() },
        Options { rate: Some(f64::NAN), ..usual.clone() },
        Options { data: Some(out.path().join("nothing")), ..usual.clone() },
    ] {
        assert!(demo::run(&wrong, &Count::new(0)).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_demo_and_the_choice_of_its_settings_share_no_image() {
    let target = Target::read(data().join("digits").join("digits.csv.gz")).unwrap();
    let images = |part: Part, seed: u64| -> Vec<Vec<u32>> {
        let split = target.split(part, 6, seed).unwrap();
        assert_eq!(split.train.images().len(), 60);
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
        let train = split.train.images().iter().map(|image| bits(image.values()));
        train.chain(split.test.images.as_slice().chunks(16 * 16).map(bits)).collect()
    };
    let of_demo: HashSet<Vec<u32>> = images(Part::Demo, 1).into_iter().collect();
    assert!(images(Part::Demo, 2).iter().all(|image| of_demo.contains(image)));
    let of_validation = images(Part::Validation, 1);
    assert_eq!(of_demo.len() + of_validation.len(), 1797);
    assert!(!of_validation.iter().any(|image| of_demo.contains(image)));
}

/// Fault: the data were found by a path of the machine that built the program.
#[test]
fn a_program_that_is_copied_elsewhere_brings_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(format!("copy{}", std::env::consts::EXE_SUFFIX));
    std::fs::copy(env!("CARGO_BIN_EXE_zoo-tuning"), &copy).unwrap();
    // It knows no place of them.
    let program = std::fs::read(&copy).unwrap();
    let path = data();
    let path = path.to_str().unwrap().as_bytes();
    assert!(!program.windows(path.len()).any(|window| window == path));
    let arguments = ["demo", "--seeds", "1", "--shots", "1", "--epochs", "1", "--threads", "1"];
    let ended = Command::new(&copy).args(arguments).current_dir(folder.path()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(folder.path().join("zoo-demo/report.html").is_file());
}
