//! Pages of runs: what a run leaves, and what is made of it.

use crate::program::{bad, digits, good, json, program, source};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use zoo_tuning::report;
use zoo_tuning::train::{Recorded, Run};

/// A short run of two sources.
fn training(folder: &Path, form: &str) -> Command {
    let mut command = program();
    command.args(["train", "--form", form, "--shots", "2", "--batch", "5", "--steps", "8"]);
    command.args(["--validation", "0.02", "--checkpoint-every", "3", "--threads", "2"]);
    command.arg("--zoo").args(["as_is", "edges"].map(source));
    command.arg("--data").arg(digits()).arg("--out").arg(folder);
    command
}

fn ids(page: &str) -> Vec<&str> {
    page.split("<section id=\"").skip(1).filter_map(|part| part.split('"').next()).collect()
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_run_leaves_its_page_and_several_stand_side_by_side() {
    let folder = TempDir::new().unwrap();
    let [lite, zoo] = ["lite", "zoo"].map(|form| folder.path().join(form));
    let said = good(training(&lite, "lite").args(["--test", "0.02", "--seed", "7"]));
    assert!(said.contains("report.html"), "{said}");
    good(training(&zoo, "zoo").arg("--json"));

    let page = read(lite.join("report.html"));
    let expected = ["scores", "training", "sources", "gates", "images", "alignment", "averages"];
    assert_eq!(ids(&page), expected);
    for text in [
        "Lite Zoo-Tuning: accuracy",
        "9 000 MNIST digits at 16x16, edges",
        "Test accuracy",
        "Class by class",
        "Learning rate over steps",
        "Validation accuracy over steps",
        "one gate for all images",
        "data:image/png",
        "<code>seed</code></dt><dd>7<",
        "zoo-tuning train --config",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:"));

    let page = read(zoo.join("report.html"));
    // A gate for each image, and no average over batches.
    assert_eq!(ids(&page), ["scores", "training", "sources", "gates", "images", "alignment"]);
    assert!(page.contains("class=\"strip gate\"") && page.contains("validation images"));

    // The record for a program: as the networks are.
    let recorded = Recorded::read(&lite).unwrap();
    let seen = &recorded.observations;
    assert_eq!(seen.classes.len(), 10);
    assert_eq!(seen.sources[1].name, "edges");
    assert!(seen.sources.iter().all(|source| source.scores.len() == 1 && source.bytes > 0));
    assert_eq!(seen.gates.len(), 9);
    let last = recorded.gates.last().unwrap();
    assert_eq!((last.step, recorded.gates.len()), (8, 8));
    for (gates, (layer, average)) in seen.gates.iter().zip(&last.gates) {
        assert_eq!((&gates.layer, &gates.mean), (layer, average), "lite uses the average");
    }
    let of_zoo = Recorded::read(&zoo).unwrap();
    assert!(of_zoo.gates.is_empty() && of_zoo.observations.samples.len() == 12);
    let gates = &of_zoo.observations.gates;
    assert!(gates.iter().all(|g| (g.mean.iter().sum::<f64>() - 1.0).abs() < 1e-4));
    assert!(gates.iter().all(|g| g.std.len() == 2));

    let out = folder.path().join("both.html");
    let said =
        good(program().args(["report", "--json"]).args([&lite, &zoo]).arg("--out").arg(&out));
    assert_eq!(json(&said)["page"], out.to_str().unwrap());
    let page = read(out);
    assert_eq!(ids(&page), ["scores", "differences", "training", "gates", "alignment"]);
    for text in ["Two runs side by side", "form</code>", "<code>seed</code>", "class=\"legend\""] {
        assert!(page.contains(text), "{text}");
    }
    let differing = page.split("id=\"differences\"").nth(1).unwrap();
    assert!(!differing.split("</table>").next().unwrap().contains("batch</code>"));

    // Again, the same page.
    let before = read(lite.join("report.html"));
    good(program().arg("report").arg(&lite));
    assert_eq!(before, read(lite.join("report.html")));
}

#[test]
fn a_run_that_was_stopped_is_shown_as_far_as_it_is_and_ends_as_if_it_never_was() {
    let folder = TempDir::new().unwrap();
    let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
    good(&mut training(&whole, "lite"));

    /// Stops after a few steps.
    struct Stop(u64);
    impl zoo_tuning::train::Observer for Stop {
        fn note(&mut self, event: &zoo_tuning::train::Event) {
            if let zoo_tuning::train::Event::Step { step, .. } = event {
                self.0 = *step;
            }
        }
        fn stopped(&self) -> bool {
            self.0 >= 4
        }
    }
    let config = Run::resume(&whole).unwrap().config().clone();
    Run::create(&stopped, config).unwrap().train(&mut Stop(0)).unwrap_err();
    let page = read(report::write(&stopped).unwrap());
    assert!(page.contains("Lite Zoo-Tuning, after 4 steps"));
    assert!(page.contains("This run is not finished") && page.contains("train --resume"));
    assert_eq!(ids(&page), ["scores", "training", "sources", "averages"]);

    // What a killed process wrote after its checkpoint is cut off.
    let lines = stopped.join("gates.jsonl");
    fs::write(&lines, read(lines.clone()) + "{\"step\":5,\"ga").unwrap();
    good(program().args(["train", "--threads", "2", "--resume"]).arg(&stopped));
    for name in ["gates.jsonl", "observations.json", "metrics.jsonl"] {
        assert_eq!(read(stopped.join(name)), read(whole.join(name)), "{name}");
    }
    assert!(read(stopped.join("report.html")).contains("Lite Zoo-Tuning: accuracy"));
}

#[test]
fn what_cannot_be_shown_is_an_error_that_says_where() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let show = |run: &Path| bad(1, program().arg("report").arg(run));
    assert!(show(&run).contains("run"), "it is not there");
    fs::create_dir(&run).unwrap();
    assert!(show(&run).contains("config.toml"));
    bad(2, program().arg("report"));

    good(&mut training(&run, "lite"));
    for name in ["metrics.jsonl", "gates.jsonl", "observations.json", "summary.json", "config.toml"]
    {
        let path = run.join(name);
        let before = read(path.clone());
        fs::write(&path, format!("= {before}")).unwrap();
        let error = show(&run);
        assert!(error.contains(name), "{name}: {error}");
        fs::write(&path, before).unwrap();
    }
    good(program().arg("report").arg(&run));

    // Another task: other classes.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    for name in ["config.toml", "metrics.jsonl"] {
        fs::copy(run.join(name), other.join(name)).unwrap();
    }
    fs::write(other.join("observations.json"), r#"{"classes": ["cat", "dog"]}"#).unwrap();
    let out = folder.path().join("out.html");
    let error = bad(1, program().arg("report").args([&run, &other]).arg("--out").arg(&out));
    assert!(error.contains("different tasks") && error.contains("cat, dog"), "{error}");
    assert!(!out.exists());
}
