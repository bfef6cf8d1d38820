//! `eval` and `predict` as their users have them: measures, views, files of predictions, folders.

use crate::program::{bad, digits, good, json, program, source, text};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn eval(extra: &[&str]) -> String {
    let mut command = program();
    good(command.args(["eval", "--data"]).arg(digits()).args(extra).arg(source("as_is")))
}

/// Grey images whose names are their shades, in `a/`, `a/deep/` and `b/`.
fn folders() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (place, shade) in [("b/200.png", 200), ("a/deep/90.png", 90), ("a/10.png", 10)] {
        let path = folder.path().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_fn(20, 20, |x, y| image::Luma([shade + (x * y % 50) as u8]))
            .save(path)
            .unwrap();
    }
    fs::write(folder.path().join("a/notes.txt"), "no image").unwrap();
    folder
}

#[test]
fn eval_tells_the_measures_of_every_class_and_what_was_taken_for_what() {
    let found = json(&eval(&["--json"]));
    let share = |name: &str| found[name].as_f64().unwrap();
    assert!(share("top5_accuracy") >= share("accuracy") && share("calibration_error") > 0.0);
    let classes = found["classes"].as_array().unwrap();
    let mean = |name: &str| {
        classes.iter().map(|class| class[name].as_f64().unwrap_or(0.0)).sum::<f64>() / 10.0
    };
    for name in ["precision", "recall", "f1"] {
        assert!((share(name) - mean(name)).abs() < 1e-12, "{name}");
    }
    let confusion = found["confusion"].as_array().unwrap();
    let sum = |right: bool| -> u64 {
        let is = |entry: &&serde_json::Value| (entry["label"] == entry["predicted"]) == right;
        confusion.iter().filter(is).map(|entry| entry["samples"].as_u64().unwrap()).sum()
    };
    assert_eq!(sum(true) + sum(false), 1797);
    assert!((sum(true) as f64 / 1797.0 - share("accuracy")).abs() < 1e-12);

    let shown = eval(&[]);
    for part in ["top 5", "calibration error", "precision", "Each row a class"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn several_views_change_what_is_seen_and_several_networks_stand_side_by_side() {
    let once = json(&eval(&["--json"]));
    for views in ["flip", "ten"] {
        let found = json(&eval(&["--json", "--views", views]));
        assert_eq!(found["samples"], 1797);
        assert_ne!(found["loss"], once["loss"], "{views}");
    }
    let rotated = source("rotated");
    let both = eval(&["--json", rotated.to_str().unwrap()]);
    let both: Vec<_> = both.lines().map(json).collect();
    assert_eq!(both.len(), 2);
    assert_eq!(both[0]["model"], rotated.to_str().unwrap());
    assert_eq!(both[1]["accuracy"], once["accuracy"]);
    let table = eval(&[rotated.to_str().unwrap()]);
    assert!(table.lines().count() == 4 && table.contains("rotated.safetensors"), "{table}");
}

#[test]
fn predictions_are_written_as_csv_and_as_json_lines() {
    let folder = TempDir::new().unwrap();
    let [csv, jsonl] = ["a.csv", "a.jsonl"].map(|name| folder.path().join(name));
    let found = json(&eval(&["--json", "--predictions", csv.to_str().unwrap()]));
    eval(&["--predictions", jsonl.to_str().unwrap()]);
    let rows = fs::read_to_string(&csv).unwrap();
    let mut rows = rows.lines();
    assert_eq!(rows.next(), Some("model,image,label,predicted,probability,label_probability"));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[7][1]), (1797, "7"));
    let right = rows.iter().filter(|row| row[2] == row[3]).count() as f64;
    assert!((right / 1797.0 - found["accuracy"].as_f64().unwrap()).abs() < 1e-12);
    let loss = rows.iter().map(|row| -row[5].parse::<f64>().unwrap().ln()).sum::<f64>() / 1797.0;
    assert!((loss - found["loss"].as_f64().unwrap()).abs() < 1e-9);

    let lines = fs::read_to_string(&jsonl).unwrap();
    let lines: Vec<_> = lines.lines().map(json).collect();
    for (line, row) in lines.iter().zip(&rows) {
        assert_eq!(line["predicted"], row[3]);
        assert_eq!(line["classes"][0]["probability"], line["probability"]);
        assert_eq!(line["classes"].as_array().unwrap().len(), 5);
    }
    let refused = |name: &Path| {
        let mut command = program();
        command.args(["eval", "--data"]).arg(digits()).arg("--predictions").arg(name);
        bad(1, command.arg(source("as_is")))
    };
    assert!(refused(&csv).contains("--force replaces it"));
    assert!(refused(&folder.path().join("a.txt")).contains("ends with .csv or .jsonl"));
}

#[test]
fn predict_takes_folders_and_patterns_and_names_all_bad_images_first() {
    let folder = folders();
    let predict = |extra: &[&str], what: &Path| {
        let mut command = program();
        command.args(["predict", "--top", "2"]).args(extra).arg(source("as_is")).arg(what);
        command
    };
    let images = |text: &str| -> Vec<String> {
        let image = |line: &str| json(line)["image"].as_str().unwrap().to_owned();
        text.lines().map(image).collect()
    };
    let all = good(&mut predict(&["--json"], folder.path()));
    let names = ["a/10.png", "a/deep/90.png", "b/200.png"];
    let expected = names.map(|name| folder.path().join(name).display().to_string());
    assert_eq!(images(&all), expected);
    // One by one as together.
    assert_eq!(all, good(&mut predict(&["--json", "--batch", "1"], folder.path())));
    let some = good(&mut predict(&["--json"], &folder.path().join("a/**/*.png")));
    assert_eq!(images(&some), expected[..2]);
    for nothing in ["*.jpg", "[", "nowhere"] {
        bad(1, &mut predict(&[], &folder.path().join(nothing)));
    }

    // What else is there is told.
    let said = predict(&["--json"], folder.path()).output().unwrap();
    assert!(text(&said.stderr).contains("left out what is no picture: 1 .txt"));

    // All that cannot be read are named before anything is predicted.
    let bad_ones = ["a/deep/1.png", "b/2.png"].map(|name| folder.path().join(name));
    bad_ones.iter().for_each(|file| fs::write(file, "no image, \"whatever\" it says").unwrap());
    let output = predict(&["--csv"], folder.path()).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{stderr}");
    assert!(
        stderr.contains("IMAGE: 2 of 5 pictures") && stderr.contains("--skip-unreadable"),
        "{stderr}"
    );
    for file in &bad_ones {
        assert!(stderr.contains(&file.display().to_string()), "{stderr}");
    }
    let mut others = predict(&["--json", "--skip-unreadable"], folder.path());
    assert_eq!(good(&mut others), all);

    // One that only decoding finds damaged is a row of its own.
    bad_ones.iter().for_each(|file| fs::remove_file(file).unwrap());
    let mut damaged = fs::read(folder.path().join("a/10.png")).unwrap();
    damaged[60..64].copy_from_slice(&[0xff; 4]);
    fs::write(&bad_ones[0], &damaged).unwrap();
    let output = predict(&["--csv"], folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let rows = text(&output.stdout);
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows[0], "image,class_1,probability_1,class_2,probability_2,error");
    assert_eq!(rows.len(), 5);
    assert!(rows[2].contains("1.png,,,,,"), "{}", rows[2]);
    let stderr = bad(1, &mut predict(&["--check", "full"], folder.path()));
    assert!(stderr.contains("1 of 4 pictures"), "{stderr}");
    let cells: Vec<&str> = rows[4].split(',').collect();
    assert_eq!((cells.len(), cells[5]), (6, ""));
    let first = json(all.lines().last().unwrap());
    assert_eq!(first["classes"][0]["name"], cells[1]);
    bad(2, &mut predict(&["--csv", "--json"], folder.path()));
}
