//! What the program does where a driver fails: a device that tells nothing of itself, one that is
//! lost, one that is full. `program/failing_driver.c`, put before the loader, makes a driver fail.

use crate::program::{bad, digits, good, json, program, source, training_by};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;
use zoo_tuning::zoo::Checkpoint;

/// The library that stands before the loader.
fn driver() -> &'static Path {
    static DRIVER: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let made = || {
        let folder = TempDir::new().unwrap();
        let library = folder.path().join("libfaults.so");
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/failing_driver.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-shared", "-fPIC", "-o"]).args([&library, &text]);
        let output = compiler.arg("-ldl").output().expect("a C compiler, and OpenCL's headers");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (folder, library)
    };
    &DRIVER.get_or_init(made).1
}

/// The program, with these faults.
fn faulty(faults: &[(&str, &str)]) -> Command {
    let mut command = program();
    command.env("LD_PRELOAD", driver()).envs(faults.iter().copied());
    command
}

#[test]
fn a_device_that_tells_nothing_hides_no_other() {
    let with_one_more = [("FAULT_UNKNOWN", "1")];
    let shown = good(faulty(&with_one_more).arg("devices"));
    assert!(shown.contains("opencl:0: cannot ask for"), "{shown}");
    assert!(shown.contains("the device is lost"), "{shown}");
    assert!(shown.contains("opencl:1  "), "{shown}");
    let listed = json(&good(faulty(&with_one_more).args(["devices", "--json"])));
    assert_eq!(
        (&listed[0]["device"], &listed[1]["device"]),
        (&"opencl:0".into(), &"opencl:1".into())
    );
    assert!(listed[0]["error"].is_string() && listed[1]["compute_units"].is_number());

    let eval = |device| {
        let mut command = faulty(&with_one_more);
        command.arg("eval").arg(source("as_is")).arg("--data").arg(digits());
        command.args(["--device", device]);
        command
    };
    let error = bad(1, &mut eval("opencl:0"));
    assert!(error.contains("opencl:0: cannot ask for"), "{error}");
    good(&mut eval("opencl:1"));
    let output = eval("auto").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("opencl:1 ("), "{said}");
}

#[test]
fn a_variant_that_does_not_exist_is_an_error() {
    let mut command = program();
    command.arg("eval").arg(source("as_is")).arg("--data").arg(digits());
    command.args(["--device", "opencl"]).env("ZOO_OPENCL_VARIANT", "typo");
    let error = bad(1, &mut command);
    assert!(
        error.contains(r#"ZOO_OPENCL_VARIANT: should be vector or local, but is "typo""#),
        "{error}"
    );
}

/// A short run of a zoo on the device, into `folder`.
fn training(folder: &Path, faults: &[(&str, &str)]) -> Command {
    let extra = ["--steps", "30", "--checkpoint-every", "2", "--device", "opencl:0"];
    training_by(faulty(faults), folder, &extra)
}

/// What the run in `folder` left is whole: its checkpoint is of a step that was made, and can be
/// evaluated without the device. The step.
fn step_left(folder: &Path) -> u64 {
    let file = folder.join("checkpoint.safetensors");
    let checkpoint = Checkpoint::open(&file).unwrap();
    let progress = json(&checkpoint.metadata()["run.progress"]);
    let mut eval = program();
    eval.arg("eval").arg(&file).arg("--data").arg(digits()).arg("--json");
    let measured = json(&good(&mut eval));
    assert!(measured["accuracy"].as_f64().unwrap() > 0.05, "{measured}");
    progress["step"].as_u64().unwrap()
}

/// What makes of it thirty steps of a few images.
const THIRTY: [&str; 4] = ["--batch", "9", "--steps", "30"];

#[test]
fn a_lost_device_ends_a_run_with_an_error_and_its_checkpoint() {
    // The last one is NVIDIA's own, of which OpenCL knows nothing.
    for (launch, status) in [("4000", "-2"), ("4001", "-5"), ("4100", "-36"), ("4200", "-9999")] {
        let folder = TempDir::new().unwrap();
        let run = folder.path().join("run");
        let error = bad(
            1,
            training(&run, &[("FAULT_LOST", launch), ("FAULT_STATUS", status)]).args(THIRTY),
        );
        assert!(
            error.contains("opencl:0 (") && (error.contains("lost") || error.contains(status)),
            "{error}"
        );
        assert!((2..30).contains(&step_left(&run)));
        // It goes on from there, also without the device.
        good(program().args(["train", "--resume"]).arg(&run));
    }
}

#[test]
fn a_full_device_ends_a_run_with_an_error_and_its_checkpoint() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let error = bad(1, training(&run, &[("FAULT_FULL", "400")]).args(THIRTY));
    assert!(error.contains("out of memory: asked for"), "{error}");
    assert!(step_left(&run) < 30);
}

/// The number before "was tried, and fits".
fn that_fits(error: &str) -> String {
    let before = error.split(" was tried, and fits").next().unwrap();
    before.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn a_batch_that_is_too_large_is_told_with_one_that_fits() {
    // All of its memory, `CL_DEVICE_GLOBAL_MEM_SIZE`.
    const OF: &str = "0x101F:0x";
    let folder = TempDir::new().unwrap();
    let small = format!("{OF}800000");
    let memory = [("FAULT_INFO", small.as_str())];
    let run = |name: &str| folder.path().join(name);
    let train = |name: &str, batch: &str| {
        let mut command = training(&run(name), &memory);
        command.args(["--batch", batch, "--steps", "2"]);
        command
    };
    let error = bad(1, &mut train("large", "64"));
    assert!(error.contains("of 8.0 MiB, and one buffer holds"), "{error}");
    assert!(error.contains("nothing that was written is lost: --resume"), "{error}");
    assert_eq!(step_left(&run("large")), 0);
    good(&mut train("small", &that_fits(&error)));

    // Even less: an evaluation forgets what it no longer reads, and needs many more images.
    let smaller = format!("{OF}400000");
    let memory = [("FAULT_INFO", smaller.as_str())];
    let mut command = training(&run("smaller"), &memory);
    good(command.args(["--batch", "8", "--steps", "2"]));
    let eval = |batch: &str| {
        let mut command = faulty(&memory);
        command.arg("eval").arg(run("smaller").join("model.safetensors"));
        command.args(["--device", "opencl:0", "--batch", batch, "--data"]).arg(digits());
        command
    };
    let error = bad(1, &mut eval("512"));
    assert!(!error.contains("resume"), "{error}");
    good(&mut eval(&that_fits(&error)));
}

#[test]
fn what_our_kernels_need_is_told_before_one_is_launched() {
    let devices = |faults: &[(&str, &str)]| good(faulty(faults).arg("devices"));
    assert!(devices(&[]).contains("kernels        vector, in f32"));
    let local = ("ZOO_OPENCL_VARIANT", "local");
    assert!(devices(&[local]).contains("kernels        local, in f32"));
    for (fault, variant, told) in [
        ("0x1004:32", "local", "none: work-groups of 8 x 8 are needed, and it has 32 of"),
        ("0x1023:8192", "vector", "none: 10 KiB of local memory are needed, and it has 8"),
        ("0x1028:0", "vector", "none: the driver has no compiler"),
        ("0x1027:0", "vector", "none: the driver says that it is not available"),
        ("0x1023:11264", "vector", "vector, in f32; not in f64: 13 KiB of local memory"),
    ] {
        let faults = [("FAULT_INFO", fault), ("ZOO_OPENCL_VARIANT", variant)];
        let shown = devices(&faults);
        assert!(shown.contains(told), "{told}: {shown}");
        let mut eval = faulty(&faults);
        eval.arg("eval").arg(source("as_is")).arg("--data").arg(digits());
        eval.args(["--device", "opencl:0"]);
        match told.strip_prefix("none: ") {
            Some(problem) => {
                let error = bad(1, &mut eval);
                assert!(error.contains("cannot open it") && error.contains(problem), "{error}");
            }
            None => drop(good(&mut eval)),
        }
    }
    // A misspelling is told here too.
    assert!(devices(&[("ZOO_OPENCL_VARIANT", "typo")]).contains("none: ZOO_OPENCL_VARIANT"));
}
