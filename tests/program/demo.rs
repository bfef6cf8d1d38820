//! The demo at its smallest: what it measures, and that threads change nothing of it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use zoo_tuning::Error;
use zoo_tuning::compare::MethodKind;
use zoo_tuning::demo::{self, CONDITIONS, Options, Outcome, Part, Target, Watch};
use zoo_tuning::tensor::Device;
use zoo_tuning::train::Model;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn options(out: &Path, threads: usize) -> Options {
    let out = out.to_path_buf();
    let (part, rate, data) = (Part::Demo, None, Some(data()));
    let device = Device::Cpu;
    Options { seeds: vec![1], shots: 4, epochs: 2, threads, part, rate, data, out, device }
}

/// Counts, and stops after so many steps.
struct Count {
    announced: AtomicU64,
    steps: AtomicU64,
    most: u64,
}

impl Count {
    fn new(most: u64) -> Self {
        Self { announced: AtomicU64::new(0), steps: AtomicU64::new(0), most }
    }
}

impl Watch for Count {
    fn begin(&self, steps: u64) {
        self.announced.store(steps, Ordering::Relaxed);
    }

    fn step(&self) -> zoo_tuning::Result<()> {
        match self.steps.fetch_add(1, Ordering::Relaxed) {
            done if done >= self.most => Err(Error::Interrupted { saved: None }),
            _ => Ok(()),
        }
    }

    fn tuned(&self, _: u64, _: &str, _: f64) {}
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
    let count = Count::new(u64::MAX);
    let one = demo::run(&options(folders[0].path(), 1), &count).unwrap();
    let (announced, steps) = (count.announced.into_inner(), count.steps.into_inner());
    assert_eq!(announced, steps);
    // Two epochs of two batches; eight networks.
    assert_eq!(steps, 4 * 8);
    let inside = Options { data: None, ..options(folders[1].path(), 5) };
    let mut many = demo::run(&inside, &Count::new(u64::MAX)).unwrap();
    // The same files, inside the program and in the repository.
    for (inside, file) in many.sources.iter_mut().zip(&one.sources) {
        assert!(file.file.ends_with(&inside.file) && inside.file.len() < 24, "{}", inside.file);
        inside.file.clone_from(&file.file);
    }
    assert_eq!(results(&one), results(&many));

    let kinds: Vec<MethodKind> = one.methods.iter().map(|m| m.kind).collect();
    use MethodKind::*;
    let singles = [Single; CONDITIONS.len()];
    let expected =
        [&[Scratch], &singles[..], &[Hindsight, Average, Zoo, Lite, Collapsed, Ensemble]];
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

    let path = folders[0].path().join("seed-1").join("collapsed.safetensors");
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
fn options_that_leave_nothing_to_do_are_errors() {
    let out = tempfile::tempdir().unwrap();
    let usual = options(out.path(), 1);
    for wrong in [
        Options { seeds: vec![], ..usual.clone() },
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
