//! The program as its users have it: arguments in, text, files and exit codes out.

use crate::program::{
    SOURCES, bad, digits, file, good, json, program, quiet, source, text, training,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[test]
fn shells_and_man_know_every_command() {
    let help = good(program().arg("help"));
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    // A description of several lines goes on further to the right; there is no page of `help`.
    let lines = lines.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = lines.map(|line| line.split_whitespace().next().unwrap());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 12 && names.contains(&"train"), "{names:?}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = good(program().args(["completions", shell]));
        assert!(names.iter().all(|name| script.contains(name)), "{shell}");
        assert!(script.contains("accept-changed-data"), "{shell}");
    }
    bad(2, program().args(["completions", "dos"]));
    let page = good(program().arg("man"));
    assert!(page.starts_with(".ie") && page.contains(".TH zoo-tuning 1"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    good(program().args(["man", "--out"]).arg(folder.path().join("man1")));
    for name in names {
        let page = folder.path().join(format!("man1/zoo-tuning-{name}.1"));
        assert!(fs::read_to_string(page).unwrap().contains(".SH SYNOPSIS"), "{name}");
    }
}

fn resumption(folder: &Path) -> Command {
    let mut command = program();
    command.args(["train", "--threads", "2", "--resume"]).arg(folder);
    command
}

/// What has to be the same, bit by bit.
fn result(folder: &Path) -> [Vec<u8>; 3] {
    ["metrics.jsonl", "model.safetensors", "checkpoint.safetensors"]
        .map(|name| fs::read(folder.join(name)).unwrap())
}

fn lines(folder: &Path) -> usize {
    let content = fs::read(folder.join("metrics.jsonl")).unwrap_or_default();
    content.iter().filter(|byte| **byte == b'\n').count()
}

/// Waits until `ready`, or the program has ended.
fn wait_until(child: &mut Child, ready: impl Fn() -> bool) {
    let begun = Instant::now();
    while !ready() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "it takes too long");
        std::thread::sleep(Duration::from_millis(1));
    }
}
#[test]
fn help_and_version_are_there() {
    let commands = [
        "train",
        "report",
        "eval",
        "predict",
        "collapse",
        "convert",
        "inspect",
        "gradcheck",
        "bench",
        "devices",
    ];
    for command in commands {
        let help = good(program().args([command, "--help"]));
        assert!(help.contains("Examples:"), "{command}");
    }
    let version = good(program().arg("--version"));
    assert_eq!(version.trim(), format!("zoo-tuning {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(program().output().unwrap().status.code(), Some(2));
}

#[test]
fn inspect_tells_whether_files_form_a_zoo() {
    let folder = TempDir::new().unwrap();
    let shown = good(program().arg("inspect").args(SOURCES.map(source)));
    assert!(shown.contains("these 4 files form a zoo: 45 tensors in common"), "{shown}");
    let report = good(program().args(["inspect", "--json"]).args(SOURCES.map(source)));
    let report = json(&report);
    assert_eq!(report["zoo"]["forms"], true);
    assert_eq!(report["files"][1]["tensors"][0]["name"], "bn1.bias");
    assert_eq!(report["files"][1]["metadata"]["architecture"], "resnet_small");

    let other = folder.path().join("other.safetensors");
    let header = r#"{"conv1.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 8]].concat();
    fs::write(&other, &bytes).unwrap();
    let shown = good(program().arg("inspect").arg(source("as_is")).arg(&other));
    for part in ["as_is.safetensors", "other.safetensors", "do not form a zoo"] {
        assert!(shown.contains(part), "{shown}");
    }
    // Cut off, lying, or no checkpoint at all.
    fs::write(&other, &bytes[..bytes.len() - 1]).unwrap();
    bad(1, program().arg("inspect").arg(&other));
    fs::write(&other, [0xff; 64]).unwrap();
    bad(1, program().arg("inspect").arg(&other));
    bad(1, program().arg("inspect").arg(folder.path()));
    bad(1, program().arg("inspect").arg(digits()));
}

#[test]
fn gradcheck_reports_every_operation() {
    let found = good(program().args(["gradcheck", "--cases", "2", "--json"]));
    let found: Vec<_> = found.lines().map(json).collect();
    assert_eq!(found.len(), zoo_tuning::ops::GRADIENT_CASES.len());
    assert!(found.iter().all(|f| f["max_relative_error"].as_f64().unwrap() < 1e-6));
    let table = good(program().args(["gradcheck", "relu", "--cases", "2", "--color", "always"]));
    assert!(table.contains("\x1b[32mpass"), "{table}");
    let error = bad(1, program().args(["gradcheck", "conv3d"]));
    assert!(error.contains("conv2d"), "{error}");
    bad(2, program().args(["gradcheck", "--cases", "0"]));
}

#[test]
fn a_run_ends_with_a_model_that_is_evaluated_collapsed_and_predicts() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let summary = json(&good(&mut training(&run, &["--test", "0.1", "--json"])));
    assert_eq!((&summary["steps"], &summary["form"]), (&24.into(), &"lite".into()));
    assert_eq!(summary["source_scores"].as_array().unwrap().len(), 2);
    let accuracy = summary["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.5, "{accuracy}");
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let last = json(metrics.lines().last().unwrap());
    assert_eq!(last["step"], 24);
    assert_eq!(last["validation"], summary["validation"]);

    let (model, plain) = (run.join("model.safetensors"), folder.path().join("plain.safetensors"));
    let eval = |model: &Path| {
        json(&good(program().args(["eval", "--json", "--data"]).arg(digits()).arg(model)))
    };
    let before = eval(&model);
    assert_eq!(before["samples"], 1797);
    assert_eq!(before, eval(&run.join("checkpoint.safetensors")));
    good(program().arg("collapse").args([&model, &plain]));
    let after = eval(&plain);
    assert_eq!(before["accuracy"], after["accuracy"]);
    let loss = |evaluation: &serde_json::Value| evaluation["loss"].as_f64().unwrap();
    assert!((loss(&before) - loss(&after)).abs() < 1e-5);
    assert!(bad(1, program().arg("collapse").args([&model, &plain])).contains("--force"));
    good(program().args(["collapse", "--force"]).args([&model, &plain]));
    assert!(bad(1, program().arg("collapse").arg(&plain).arg(&model)).contains("--force"));

    // A bar, as a 1 is one.
    let image = folder.path().join("one.png");
    let bar =
        image::GrayImage::from_fn(20, 20, |x, _| image::Luma([if x / 4 == 2 { 255 } else { 0 }]));
    bar.save(&image).unwrap();
    let missing = folder.path().join("missing.png");
    let mut command = program();
    command.args(["predict", "--json", "--top", "2"]).arg(&plain).args([&missing, &image]);
    assert!(bad(1, &mut command).contains("missing.png"));
    let found = json(&good(command.arg("--skip-unreadable")));
    assert_eq!(found["classes"].as_array().unwrap().len(), 2);
    assert!(found["classes"][0]["probability"].as_f64().unwrap() >= 0.5 / 10.0);

    // The same again from what the run wrote; and not into the same folder.
    let again = folder.path().join("again");
    let mut command = program();
    command.args(["train", "--config"]).arg(run.join("config.toml")).arg("--out").arg(&again);
    good(&mut command);
    assert_eq!(result(&run), result(&again));
    let error = bad(1, &mut training(&run, &[]));
    assert!(error.contains("--resume"), "{error}");
    assert_eq!(result(&run), result(&again));
    assert_eq!(json(&good(resumption(&run).arg("--json")))["steps"], 24);
}

#[test]
fn every_form_trains() {
    let folder = TempDir::new().unwrap();
    for form in ["average", "zoo", "scratch"] {
        let run = folder.path().join(form);
        let mut command = program();
        command.args(["train", "--shots", "2", "--steps", "3", "--form", form]);
        command
            .args(["--optimizer", "adam", "--start", "plain", "--zoo"])
            .args(SOURCES.map(source));
        good(command.arg("--data").arg(digits()).arg("--out").arg(&run));
        let model = run.join("model.safetensors");
        good(program().args(["eval", "--data"]).arg(digits()).arg(&model));
        let out = folder.path().join("out.safetensors");
        let error = bad(1, program().arg("collapse").args([&model, &out]));
        let reason = if form == "zoo" { "gates every sample" } else { "plain network already" };
        assert!(error.contains(reason), "{error}");
    }
    let run = folder.path().join("single");
    let mut command = program();
    command.args(["train", "--form", "single", "--steps", "3", "--augmentation", "crop", "--zoo"]);
    good(command.arg(source("edges")).arg("--data").arg(digits()).arg("--out").arg(&run));
    let run = folder.path().join("released");
    let extra = ["--preset", "paper", "--steps", "3", "--batch", "8"];
    let mut command = program();
    command.arg("train").args(extra).arg("--zoo").args(SOURCES.map(source));
    good(command.arg("--data").arg(digits()).arg("--out").arg(&run));
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    for line in
        ["gate = \"sigmoid\"", "gate_prior = false", "milestones = [6000, 12000]", "steps = 3"]
    {
        assert!(config.contains(line), "{config}");
    }
}

#[test]
fn threads_change_nothing() {
    let folder = TempDir::new().unwrap();
    let results = ["1", "2", "7"].map(|threads| {
        let run = folder.path().join(threads);
        let mut command = program();
        command.args([
            "train",
            "--shots",
            "4",
            "--batch",
            "16",
            "--steps",
            "8",
            "--threads",
            threads,
        ]);
        command.arg("--zoo").args(SOURCES.map(source)).arg("--data").arg(digits());
        good(command.arg("--out").arg(&run));
        result(&run)
    });
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened() {
    let folder = TempDir::new().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    good(&mut training(&whole, &[]));
    // Killed when so many lines were written; at once; just as the configuration is there.
    let mut moments = [1, 4, 7, 11].into_iter();
    let mut child = quiet(&mut training(&killed, &[])).spawn().unwrap();
    wait_until(&mut child, || killed.join("config.toml").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    loop {
        // What a process leaves that is killed while it writes.
        fs::write(killed.join(".checkpoint.safetensors.1-0.tmp"), "half").unwrap();
        let mut child = quiet(&mut resumption(&killed)).spawn().unwrap();
        let Some(moment) = moments.next() else {
            assert!(child.wait().unwrap().success());
            break;
        };
        wait_until(&mut child, || lines(&killed) >= moment);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(result(&whole), result(&killed));
    let names: Vec<_> = fs::read_dir(&killed).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{names:?}");

    // Killed after the last step: only the end is done again.
    for name in ["summary.json", "model.safetensors"] {
        fs::remove_file(killed.join(name)).unwrap();
    }
    good(&mut resumption(&killed));
    assert_eq!(result(&whole), result(&killed));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_is_saved() {
    let folder = TempDir::new().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    good(&mut training(&whole, &[]));
    let mut command = training(&stopped, &[]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(&mut child, || lines(&stopped) >= 3);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(text(&stderr).contains("resume with --resume"), "{}", text(&stderr));
    good(&mut resumption(&stopped));
    assert_eq!(result(&whole), result(&stopped));
}

/// A file system of a few megabytes.
#[cfg(target_os = "linux")]
struct Disk(PathBuf);

#[cfg(target_os = "linux")]
impl Disk {
    fn new(at: &Path, options: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
        let mounted = quiet(&mut mount).status().is_ok_and(|status| status.success());
        mounted.then(|| Self(at.to_path_buf()))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let folder = TempDir::new().unwrap();
    let (whole, small) = (folder.path().join("whole"), folder.path().join("small"));
    fs::create_dir(&small).unwrap();
    // Room for the first checkpoint of 0.7 MB, but not for another beside it of 1.4 MB.
    let Some(disk) = Disk::new(&small, "size=1800k") else {
        eprintln!("SKIPPED: only root may mount a small file system to fill");
        return;
    };
    let error = bad(1, &mut training(&small.join("run"), &[]));
    assert!(error.contains("No space left"), "{error}");
    let checkpoint = small.join("run/checkpoint.safetensors");
    let state = json(&good(program().args(["inspect", "--json"]).arg(&checkpoint)));
    let progress = json(state["files"][0]["metadata"]["run.progress"].as_str().unwrap());
    assert_eq!(progress["step"], 0);
    let mut mount = Command::new("mount");
    mount.args(["-o", "remount,size=20m"]).arg(&disk.0);
    assert!(mount.status().unwrap().success());
    good(&mut resumption(&small.join("run")));
    good(&mut training(&whole, &[]));
    assert_eq!(result(&whole), result(&small.join("run")));
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let error = bad(
        1,
        &mut training(&run, &["--lr", "1e6", "--schedule", "constant", "--gate", "sigmoid"]),
    );
    assert!(error.contains("no longer finite") && error.contains("step "), "{error}");
    // What is left can be read.
    good(program().args(["eval", "--data"]).arg(digits()).arg(run.join("checkpoint.safetensors")));
    assert!(!run.join("model.safetensors").exists());
}

#[test]
fn wrong_arguments_are_errors() {
    let folder = TempDir::new().unwrap();
    for (code, extra) in [
        (2, &["--batch", "-1"][..]),
        (2, &["--batch", "99999999999999999999"]),
        (2, &["--form", "zoom"]),
        (2, &["--epochs", "3"]),
        (2, &["--resume", "x"]),
        (2, &["--preset", "mine"]),
        (2, &["--no-such-flag"]),
        (1, &["--batch", "0"]),
        (1, &["--batch", "18446744073709551615"]),
        (1, &["--lr", "NaN"]),
        (1, &["--lr", "-1"]),
        (1, &["--lr", "inf"]),
        (1, &["--seed", "18446744073709551615"]),
        (1, &["--size", "0"]),
        (1, &["--size", "18446744073709551615"]),
        (1, &["--size", "4096", "--resize", "4095"]),
        (1, &["--channels", "3"]),
        (1, &["--mean", "NaN"]),
        (1, &["--std", "0"]),
        (1, &["--mean", "0.5,0.5"]),
        (1, &["--validation", "2"]),
        (1, &["--validation", "0.6", "--test", "0.6"]),
        (1, &["--validation", "1"]),
        (1, &["--validation", "NaN"]),
        (1, &["--align", "conv1,,layer3"]),
        (1, &["--checkpoint-every", "0"]),
        (1, &["--label-smoothing", "1.5"]),
        (1, &["--betas", "0.9,0.99"]),
        (1, &["--clip-norm", "0"]),
        (1, &["--average", "1.1"]),
        (1, &["--architecture", "resnet50"]),
    ] {
        // A folder for each: one that is not empty would be an error of its own.
        let mut command = training(&folder.path().join(extra.join("")), extra);
        bad(code, &mut command);
    }
    // Without an argument of `training` that these would contradict.
    for extra in [
        &["--shots", "0"][..],
        &["--shots", "100000"],
        &["--shots", "18446744073709551615"],
        &["--steps", "0"],
        &["--steps", "18446744073709551615"],
        &["--epochs", "1000000000000"],
        &["--config", "/nowhere/run.toml"],
        &["--form", "single"],
    ] {
        let mut command = program();
        command.arg("train").args(extra).arg("--zoo").args(SOURCES.map(source));
        let out = folder.path().join(extra.join("").replace('/', ""));
        bad(1, command.arg("--data").arg(digits()).arg("--out").arg(out));
    }
    for data in [folder.path(), Path::new("/nowhere"), Path::new("/dev/null"), &source("edges")] {
        bad(1, program().args(["eval", "--data"]).arg(data).arg(source("edges")));
    }
    bad(1, program().args(["eval", "--data"]).arg(digits()).arg(digits()));
    bad(
        1,
        program()
            .args(["eval", "--architecture", "resnet18", "--data"])
            .arg(digits())
            .arg(source("edges")),
    );
    bad(1, program().args(["train", "--resume"]).arg(folder.path()));
    let refused = bad(1, program().args(["gradcheck", "relu"]).env("ZOO_POOL_MIB", "much"));
    assert!(refused.contains("ZOO_POOL_MIB: should be a number of MiB"), "{refused}");
    for threads in ["0", "-1", "100000"] {
        bad(2, program().args(["gradcheck", "relu", "--threads", threads]));
    }
    for arguments in
        [["--batch", "0"], ["--size", "0"], ["--m", "1000"], ["--depth", "19"], ["--runs", "0"]]
    {
        bad(2, program().args(["bench", "step"]).args(arguments));
    }
}

#[test]
fn a_misspelt_key_suggests_the_right_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("run.toml");
    let error = |content: &str| {
        fs::write(&path, content).unwrap();
        bad(
            1,
            program()
                .args(["train", "--config"])
                .arg(&path)
                .arg("--out")
                .arg(folder.path().join("run")),
        )
    };
    let misspelt = error("[optimizer]\nlearning_rte = 1");
    assert!(
        misspelt.contains("optimizer.learning_rte") && misspelt.contains("mean learning_rate?")
    );
    assert!(error("batch = ").contains("run.toml"));
    assert!(error("[optimizer]\nbatch = 'many'").contains("run.toml: optimizer.batch"));
    assert!(error("").contains("--zoo FILE"));
    assert!(error("[method]\nform = 'scratch'").contains("--data PATH"));
    let old = error("learning_rate = 1.0\ndata = 'digits'");
    assert!(old.contains("data: now path in [data]; learning_rate: now in [optimizer]"), "{old}");
}

/// Files whose metadata ask for networks that no memory holds.
#[test]
fn lying_metadata_are_errors() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    good(&mut training(&run, &["--json"]));
    let bytes = fs::read(run.join("model.safetensors")).unwrap();
    let lying = folder.path().join("lying.safetensors");
    for (truth, lie) in [
        (r#""sources":"2""#, r#""sources":"99999999999""#),
        (r#""channels":"1""#, r#""channels":"99999999999""#),
        (r#""outputs":"10""#, r#""outputs":"99999999999""#),
        (r#""input_size":"16""#, r#""input_size":"99999999999""#),
        (r#""input_mean":"0.5""#, r#""input_mean":"NaN""#),
        (r#""aligned":"usual""#, r#""aligned":"nowhere.at.all""#),
        (r#""form":"lite""#, r#""form":"plain""#),
        (r#""class_names":"["#, r#""class_names":"[["#),
        (r#""architecture":""#, r#""architecture":"\u001b[2J"#),
    ] {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = text(&bytes[8..8 + length]);
        assert!(header.contains(truth), "{header}");
        let header = header.replace(truth, lie);
        let content =
            [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]]
                .concat();
        fs::write(&lying, content).unwrap();
        let stderr = bad(1, program().args(["eval", "--data"]).arg(digits()).arg(&lying));
        assert!(!stderr.contains('\x1b'), "{stderr}");
    }
}

#[test]
fn bench_prints_the_keys_of_the_yardstick() {
    let extra = [
        "--kind", "lite", "--depth", "18", "--size", "32", "--batch", "2", "--m", "2", "--runs",
        "1",
    ];
    for what in ["step", "infer"] {
        let found = json(&good(program().args(["bench", what]).args(extra)));
        for key in ["what", "depth", "kind", "m", "batch", "size", "seconds", "images_per_s"] {
            assert!(found.get(key).is_some(), "{key}: {found}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_nobody_takes_is_no_panic() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    bad(1, program().arg("inspect").arg(source("edges")).stdout(full));
    // Messages that nobody takes change nothing: neither do they end the work.
    let folder = TempDir::new().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut demo = program();
    demo.args(["demo", "--seeds", "1", "--shots", "1", "--epochs", "1", "--json", "--out"]);
    demo.arg(folder.path()).arg("--data").arg(file("")).stderr(full);
    json(&good(&mut demo));
}

/// What waits for a writer is no image, and what is no number is no class.
#[cfg(target_os = "linux")]
#[test]
fn what_is_neither_image_nor_network_is_an_error() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let stderr = bad(1, program().arg("predict").arg(source("edges")).arg(&pipe));
    assert!(stderr.contains("no regular file"), "{stderr}");

    let mut bytes = fs::read(source("edges")).unwrap();
    let values = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[values..].fill(0xff);
    let (model, image) = (folder.path().join("nan.safetensors"), folder.path().join("a.png"));
    fs::write(&model, bytes).unwrap();
    image::GrayImage::new(3, 3).save(&image).unwrap();
    for command in [
        program().args(["eval", "--data"]).arg(digits()).arg(&model),
        program().arg("predict").arg(&model).arg(&image),
    ] {
        let stderr = bad(1, command);
        assert!(stderr.contains("the output of conv1 (constant) is not finite"), "{stderr}");
    }
    let mut command = training(&folder.path().join("run"), &["--start", "plain"]);
    let stderr = bad(1, command.arg("--zoo").arg(&model).arg(source("as_is")));
    assert!(stderr.contains("nan.safetensors: bn1.bias: holds a value that is not"), "{stderr}");
}

/// A source's classifier is not used, so that it may be missing.
#[test]
fn a_source_without_classifier_is_tuned() {
    use zoo_tuning::{export::write_safetensors, tensor::State, zoo::Checkpoint};
    let folder = TempDir::new().unwrap();
    let checkpoint = Checkpoint::open(source("edges")).unwrap();
    let mut state = State::<f32>::mapped(&checkpoint).unwrap();
    state.tensors.retain(|name, _| !name.starts_with("fc."));
    let path = folder.path().join("headless.safetensors");
    let tensors = state.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.into()));
    write_safetensors(&path, tensors, checkpoint.metadata()).unwrap();
    let mut command = training(&folder.path().join("run"), &["--steps", "1"]);
    command.arg("--zoo").arg(&path).arg(source("as_is"));
    good(&mut command);
}
