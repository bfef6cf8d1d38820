//! Pictures as people have them: of all formats and proportions, turned, damaged, in other folders.

use crate::program::{bad, file, good, json, program, source, text};
use image::{ImageFormat, Rgb, RgbImage};
use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zoo_tuning::dataset::{Channels, Pictures, Reading, ResizeMode, Transform, read_image};
use zoo_tuning::export::write_safetensors;
use zoo_tuning::nn::{Design, Network};

fn noise(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut rng = fastrand::Rng::with_seed(seed);
    let blocks: Vec<[u8; 3]> = (0..400).map(|_| [rng.u8(..), rng.u8(..), rng.u8(..)]).collect();
    RgbImage::from_fn(width, height, |x, y| Rgb(blocks[(x / 4 % 20 + y / 4 % 20 * 20) as usize]))
}

/// A folder of pictures of these names, and of other files.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (seed, name) in names.iter().enumerate() {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match ImageFormat::from_path(&path) {
            Ok(_) => noise(seed as u64, 30, 20).save(path).unwrap(),
            Err(_) => fs::write(path, "<!DOCTYPE html>").unwrap(),
        }
    }
    folder
}

fn training(data: &Path, out: &Path) -> Command {
    let mut command = program();
    command.args(["train", "--steps", "2", "--batch", "4", "--form", "average", "--zoo"]);
    command.args(["as_is", "edges"].map(source)).arg("--data").arg(data).arg("--out").arg(out);
    command
}

/// What the program says beside its result.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stderr)
}

/// Of the picture beside the script, and of photographs in the folder `ZOO_PILLOW`, that made it.
#[test]
fn pictures_are_resized_as_by_torchvision_and_pillow() {
    let others = std::env::var_os("ZOO_PILLOW").map(PathBuf::from);
    let here = file("").join("../tests/pictures");
    let mut cases = 0;
    for folder in [here].into_iter().chain(others) {
        let found = json(&fs::read_to_string(folder.join("pillow.json")).unwrap());
        for case in found.as_array().unwrap() {
            let number = |key: &str| case[key].as_u64().unwrap() as usize;
            let channels = match case["grey"].as_bool().unwrap() {
                true => Channels::Grey,
                false => Channels::Rgb,
            };
            let mode = ResizeMode::named(case["mode"].as_str().unwrap()).unwrap();
            let (resize, size) = (number("resize"), number("size"));
            let fit = Transform::Fit { mode, resize, size: Some(size) };
            let path = folder.join(case["file"].as_str().unwrap());
            let mut rng = fastrand::Rng::with_seed(0);
            let image = read_image(path, Reading::upright(channels), &[fit], &mut rng).unwrap();
            // Pixels there, planes here.
            let [count, ..] = image.shape();
            let expected = case["values"].as_array().unwrap();
            for (at, value) in image.values().iter().enumerate() {
                let expected = &expected[at % (size * size) * count + at / (size * size)];
                assert_eq!((value * 255.0).round() as u64, expected.as_u64().unwrap(), "{case:?}");
            }
            cases += 1;
        }
    }
    println!("{cases} cases are Pillow's to the bit");
}

#[test]
fn bench_load_takes_all_pictures_as_for_training_and_as_for_evaluation() {
    let data = folder(&["a/1.png", "a/2.jpg", "b/3.png"]);
    let mut command = program();
    command.args(["bench", "load", "--batch", "2", "--size", "16", "--runs", "1", "--data"]);
    let lines = good(command.arg(data.path()));
    let names: Vec<_> = lines.lines().map(|line| json(line)["load"].clone()).collect();
    assert_eq!(names, ["training", "evaluation"]);
    assert!(lines.lines().all(|line| json(line)["images_per_s"].as_f64().unwrap() > 0.0));
    bad(2, program().args(["bench", "load"]));
    bad(2, program().args(["bench", "crops"]));
}

#[test]
fn bench_crops_takes_all_annotated_pictures() {
    let data = folder(&["a/1.png", "a/2.jpg", "b/3.png"]);
    let mark = |name: &str| format!("{name},1.0,15.0,10.0,5.0,6.0,20.5,11.0\n");
    let rows: String = ["a/1.png", "a/2.jpg", "b/3.png"].into_iter().map(mark).collect();
    let columns =
        "image_name,scale,center_w,center_h,original_0_x,original_0_y,original_1_x,original_1_y";
    let path = data.path().join("marks.csv");
    std::fs::write(&path, format!("{columns}\n{rows}")).unwrap();
    let mut command = program();
    command.args(["bench", "crops", "--batch", "2", "--size", "16", "--runs", "1", "--data"]);
    let line = json(&good(command.arg(&path)));
    assert_eq!(line["points"], 2);
    assert!(line["images_per_s"].as_f64().unwrap() > 0.0, "{line}");
}

#[test]
fn train_val_and_test_folders_are_taken_as_they_are() {
    let data = folder(&[
        "train/a/1.jpg",
        "train/a/2.webp",
        "train/b/1.bmp",
        "train/b/sub/2.gif",
        "val/a/1.tiff",
        "val/b/1.jpeg",
        "test/a/1.png",
        "test/b/2.jpg",
        "test/b/3.ppm",
        "notes.txt",
    ]);
    let out = data.path().join("run");
    let run = &mut training(data.path(), &out);
    let summary = json(&good(run.arg("--json")));
    assert_eq!(summary["training_samples"], 4);
    assert_eq!(summary["validation"]["samples"], 2);
    assert_eq!(summary["test"]["samples"], 3);
    let model = out.join("model.safetensors");
    let mut eval = program();
    eval.arg("eval").arg(&model).arg("--data").arg(data.path());
    let said = said(&mut eval);
    assert!(said.contains("is divided; this is of its test samples"), "{said}");
    assert!(said.contains("left out what is no picture: 1 .txt"), "{said}");
    // The same by a list, and by data of their own.
    let rows = ["train/a/1.jpg,a,train", "train/b/1.bmp,b,train", "val/b/1.jpeg,b,val"];
    let list = data.path().join("list.csv");
    fs::write(&list, rows.join("\n")).unwrap();
    let out = data.path().join("run-2");
    let test = data.path().join("test");
    let run = &mut training(&list, &out);
    let summary = json(&good(run.arg("--test-data").arg(test).arg("--json")));
    let samples = |part: &str| summary[part]["samples"].as_u64();
    assert_eq!((samples("validation"), samples("test")), (Some(1), Some(3)));
}

#[test]
fn all_bad_pictures_are_named_before_the_first_step_and_leave_no_folder() {
    let data = folder(&["a/1.png", "a/2.png", "a/3.png", "b/1.jpg", "b/2.jpg", "b/3.jpg"]);
    let whole = fs::read(data.path().join("b/3.jpg")).unwrap();
    fs::write(data.path().join("b/3.jpg"), &whole[..whole.len() - 6]).unwrap();
    fs::write(data.path().join("a/3.png"), "").unwrap();
    let runs = tempfile::tempdir().unwrap();
    let out = runs.path().join("run");
    let stderr = bad(1, &mut training(data.path(), &out));
    for expected in
        ["2 of 6 pictures", "3.png", "an empty file", "3.jpg", "cut off", "--skip-unreadable"]
    {
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
    assert!(!out.exists(), "a failed start leaves no folder");
    let run = &mut training(data.path(), &out);
    let said = said(run.args(["--skip-unreadable", "--check", "full"]));
    assert!(said.contains("2 of 6 pictures are left out, as asked"), "{said}");
    let config = fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(config.contains("skip_unreadable = true"), "{config}");
    let record = json(&fs::read_to_string(out.join("data.json")).unwrap());
    assert_eq!(record["unreadable"].as_array().unwrap().len(), 2);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Left out, as asked: 2 pictures. ") && page.contains("an empty file"));
    let mut eval = program();
    eval.arg("eval").arg(out.join("model.safetensors")).arg("--data").arg(data.path());
    assert!(bad(1, &mut eval).contains("3.jpg"));
    let summary = json(&good(eval.args(["--skip-unreadable", "--json"])));
    assert_eq!(summary["samples"], 4);
}

/// Fault: a resumed run said only that the number of samples was another, and went on where it was
/// the same.
#[test]
fn a_resumed_run_says_what_changed_of_its_data_and_goes_on_if_that_is_accepted() {
    let names = ["a/1.png", "a/2.png", "a/3.png", "a/4.png", "b/1.png", "b/2.png"];
    let data = folder(&names);
    let runs = tempfile::tempdir().unwrap();
    let out = runs.path().join("run");
    said(&mut training(data.path(), &out));
    let resumption = |extra: &[&str]| {
        let mut command = program();
        command.args(["train", "--resume"]).arg(&out).args(["--steps", "4"]).args(extra);
        command
    };
    let path = |name: &str| data.path().join(name);
    fs::rename(path("a/1.png"), path("a/new.png")).unwrap();
    fs::write(path("a/2.png"), fs::read(path("a/3.png")).unwrap()).unwrap();
    noise(9, 40, 40).save(path("b/1.png")).unwrap();
    let touched = fs::File::options().write(true).open(path("b/2.png")).unwrap();
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    let stderr = bad(1, &mut resumption(&[]));
    let (gone, new) = ("gone, or left out: 1 (", "new: 1 (");
    for (kind, name) in [(gone, "1.png"), (new, "new.png"), ("of another size: ", "1.png")] {
        let told = stderr.split("; ").find(|part| part.contains(kind));
        assert!(told.is_some_and(|part| part.contains(name)), "{kind}: {stderr}");
    }
    for expected in ["changed at another time", "2.png", "--accept-changed-data"] {
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
    let stderr = said(&mut resumption(&["--accept-changed-data"]));
    assert!(stderr.contains("going on with changed data, as asked: gone"), "{stderr}");
    let record = json(&fs::read_to_string(out.join("data.json")).unwrap());
    assert_eq!(record["accepted"][0]["step"], 2);
    assert!(record["accepted"][0]["change"].as_str().unwrap().contains("new.png"));
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("After step 2, it went on with changed data"));
    // From here on, these are the data.
    said(&mut resumption(&["--steps", "5"]));
    // Another task is none that can be gone on with.
    fs::create_dir(path("c")).unwrap();
    fs::rename(path("a/new.png"), path("c/new.png")).unwrap();
    let resumption = &mut resumption(&["--steps", "6", "--accept-changed-data"]);
    let stderr = bad(1, resumption);
    assert!(stderr.contains("found 6 of 3; ") && stderr.contains("begin anew"), "{stderr}");
}

/// Fault: a picture that was first decoded after the last step took the model with it.
#[test]
fn the_model_is_there_whatever_the_last_measurement_meets() {
    let data = folder(&["a/1.png", "a/2.png", "b/1.png", "b/2.png"]);
    let tests = folder(&["a/1.png", "b/1.png"]);
    let runs = tempfile::tempdir().unwrap();
    let [out, sound] = ["run", "sound"].map(|name| runs.path().join(name));
    let train = |out: &Path| {
        let mut command = training(data.path(), out);
        command.args(["--validation", "0", "--test-data"]).arg(tests.path());
        command
    };
    said(&mut train(&sound));
    // Its header and its end are whole.
    let path = tests.path().join("b/1.png");
    let mut damaged = fs::read(&path).unwrap();
    damaged[60..64].copy_from_slice(&[0xff; 4]);
    fs::write(&path, damaged).unwrap();
    let stderr = bad(1, &mut train(&out));
    assert!(stderr.contains(&path.display().to_string()), "{stderr}");
    let model = |out: &Path| fs::read(out.join("model.safetensors")).unwrap();
    assert!(model(&out) == model(&sound));
}

/// Fault: every picture was read again at every start.
#[test]
fn pictures_that_were_looked_at_are_not_read_again_until_they_change() {
    let data = folder(&["a/1.png", "a/2.png", "b/1.png", "b/2.png"]);
    let runs = tempfile::tempdir().unwrap();
    let bad_one = data.path().join("a/1.png");
    let whole = fs::read(&bad_one).unwrap();
    let write = |content: &[u8], seconds: u64| {
        fs::write(&bad_one, content).unwrap();
        let file = fs::File::options().write(true).open(&bad_one).unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    };
    // As it is looked at, not as it is used: the model of no step is enough.
    let out = runs.path().join("run");
    said(training(data.path(), &out).args(["--validation", "0"]));
    let eval = || {
        let mut eval = program();
        eval.args(["eval", "--json"]).arg(out.join("model.safetensors"));
        eval.arg("--data").arg(data.path()).env("XDG_CACHE_HOME", runs.path().join("cache"));
        eval
    };
    write(&whole, 1000);
    good(&mut eval());
    assert!(runs.path().join("cache/zoo-tuning/pictures").is_file());
    // Damaged where its time and size do not show it: only the use of it does.
    let mut damaged = whole.clone();
    damaged[20..24].copy_from_slice(&[0xff; 4]);
    write(&damaged, 1000);
    let stderr = bad(1, &mut eval());
    assert!(!stderr.contains("--skip-unreadable"), "{stderr}");
    write(&damaged, 2000);
    let stderr = bad(1, &mut eval());
    assert!(stderr.contains("1 of 4 pictures") && stderr.contains("--skip-unreadable"), "{stderr}");
}

#[test]
fn what_looks_like_a_mistake_is_said() {
    let data = folder(&["photos/a/1.png", "photos/a/2.png", "photos/b/1.png", "photos/b/2.png"]);
    let runs = tempfile::tempdir().unwrap();
    let stderr = said(&mut training(data.path(), &runs.path().join("run")));
    assert!(stderr.contains("there is one class only, \"photos\""), "{stderr}");
    let photos = data.path().join("photos");
    let stderr = said(&mut training(&photos, &runs.path().join("run-2")));
    let expected = "--validation 0.1 of 4 images came to none in every class";
    assert!(stderr.contains(expected), "{stderr}");
}

/// A JPEG with the EXIF tag of orientation 6: to be turned clockwise.
fn turned(upright: &RgbImage) -> Vec<u8> {
    let lying = image::imageops::rotate270(upright);
    let mut bytes = Cursor::new(vec![]);
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 100);
    lying.write_with_encoder(encoder).unwrap();
    let bytes = bytes.into_inner();
    let tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let segment = [&b"\xff\xe1\0\x22Exif\0\0"[..], tiff].concat();
    [&bytes[..2], &segment, &bytes[2..]].concat()
}

#[test]
fn a_picture_is_seen_upright_at_its_proportions_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let upright = RgbImage::from_fn(32, 20, |x, y| Rgb([x as u8 * 8, y as u8 * 12, 90]));
    upright.save(path("upright.png")).unwrap();
    fs::write(path("turned.jpg"), turned(&upright)).unwrap();
    // A network of another program: nothing is said of its images.
    let network = Network::<f32>::drawn(&Design::named("resnet_small", 3, 4).unwrap(), 5).unwrap();
    let state = network.parameters().state("drawn");
    let tensors = state.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.into()));
    write_safetensors(path("net.safetensors"), tensors, &BTreeMap::new()).unwrap();
    let predict = |name: &str, extra: &[&str]| {
        let mut command = program();
        command.args(["predict", "--as", "resnet_small", "--json", "--top", "1"]).args(extra);
        let output = command.arg(path("net.safetensors")).arg(path(name)).output().unwrap();
        let line = json(&text(&output.stdout));
        (line["classes"][0]["probability"].as_f64().unwrap(), text(&output.stderr))
    };
    let (upright, said) = predict("upright.png", &[]);
    assert!(said.contains("assumed: 16x16 of 16 pixels (short-side), mean 0.485"), "{said}");
    let (turned, _) = predict("turned.jpg", &[]);
    let (lying, _) = predict("turned.jpg", &["--ignore-orientation"]);
    let (squashed, _) = predict("upright.png", &["--resize-mode", "squash"]);
    let given = ["--size", "16", "--mean", "0.5", "--std", "0.5"];
    let (other, said) = predict("upright.png", &given);
    assert!(!said.contains("assumed"), "{said}");
    assert!((upright - turned).abs() < 2e-3, "{upright} {turned}");
    for different in [lying, squashed, other] {
        assert!((upright - different).abs() > 1e-4, "{upright} {different}");
    }
}

/// `ZOO_DAMAGED` says how many of each; a few otherwise.
fn damaged() -> usize {
    std::env::var("ZOO_DAMAGED").ok().and_then(|count| count.parse().ok()).unwrap_or(60)
}

/// Cut off, bytes changed, a piece taken out or doubled.
fn damage(whole: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let at = |rng: &mut fastrand::Rng| rng.usize(..whole.len());
    match rng.u8(..5) {
        0 => bytes.truncate(at(rng)),
        1 => (0..rng.usize(1..20)).for_each(|_| bytes[at(rng)] = rng.u8(..)),
        // Headers above all.
        2 => (0..3).for_each(|_| bytes[rng.usize(..whole.len().min(64))] = rng.u8(..)),
        3 => drop(bytes.drain(at(rng).min(whole.len() - 9)..).take(8).count()),
        _ => bytes.extend_from_within(at(rng)..),
    }
    bytes
}

/// Writes a new file: of one that is cut to nothing first, ext4 waits for the disk.
fn replace(path: &Path, content: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, content).unwrap();
}

#[test]
fn no_damaged_picture_is_a_panic_or_takes_long() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(11);
    for ending in ["png", "jpg", "webp", "bmp", "gif", "tiff", "ppm"] {
        let path = folder.path().join(format!("a.{ending}"));
        noise(3, 50, 40).save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let (mut refused, mut longest) = (0, Duration::ZERO);
        for _ in 0..damaged() {
            replace(&path, &damage(&whole, &mut rng));
            let begun = Instant::now();
            let fit = Transform::Fit { mode: ResizeMode::ShortSide, resize: 20, size: Some(16) };
            let found = read_image(&path, Reading::upright(Channels::Rgb), &[fit], &mut rng);
            longest = longest.max(begun.elapsed());
            if let Err(error) = found {
                refused += 1;
                assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            }
        }
        println!("{ending}: {refused} of {} refused, {longest:?} at most", damaged());
        assert!(longest < Duration::from_secs(2), "{ending}: {longest:?}");
    }
}

#[test]
fn no_damaged_list_is_a_panic_or_takes_long() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.csv");
    let whole: String = (0..40)
        .map(|k| format!("photos/\"{k}\".jpg,class {},{}\n", k % 7, ["train", "val"][k % 2]))
        .collect();
    let whole = format!("path,class,split\n{whole}");
    let mut rng = fastrand::Rng::with_seed(12);
    let mut refused = 0;
    for _ in 0..damaged() {
        replace(&path, &damage(whole.as_bytes(), &mut rng));
        let begun = Instant::now();
        if let Err(error) = Pictures::list(&path, Reading::upright(Channels::Rgb)) {
            refused += 1;
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
    println!("csv: {refused} of {} refused", damaged());
}
