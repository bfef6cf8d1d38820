//! Agents by the commands: train, resume, eval, play.

use crate::program::{bad, good, json, program};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// A short training in a game.
fn train(game: &str, out: &Path, extra: &[&str]) -> Command {
    let mut command = program();
    command.args(["rl", "train", game, "--total-steps", "600", "--learning-starts", "100"]);
    command.args(["--episodes", "2", "--test-episodes", "4", "--epochs", "2", "--longest", "60"]);
    command.args(["--target-every", "100", "--log-every", "25"]);
    command.args(extra).arg("--out").arg(out);
    command
}

#[test]
fn a_zoo_of_agents_is_tuned_measured_and_watched() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for game in ["catch", "cross"] {
        let said = good(&mut train(game, &path(game), &["--form", "scratch"]));
        assert!(said.contains("return ") && said.contains("on 4 test episodes"), "{said}");
        assert!(said.contains("zoo-tuning rl play"), "{said}");
    }
    let zoo = ["catch", "cross"].map(|game| path(game).join("model.safetensors"));
    let mut command = train("dive", &path("lite"), &["--form", "lite", "--tensorboard"]);
    good(command.arg("--zoo").args(&zoo));
    let page = fs::read_to_string(path("lite/report.html")).unwrap();
    for text in ["Validation return", "Return of the episodes it learned from", "conv1", "hidden1"]
    {
        assert!(page.contains(text), "{text}");
    }
    let metrics = fs::read_to_string(path("lite/metrics.jsonl")).unwrap();
    assert!(metrics.contains("charts/episodic_return"), "{metrics}");

    // One plain network of it, which plays the same.
    let (model, plain) = (path("lite/model.safetensors"), path("plain.safetensors"));
    good(program().arg("collapse").arg(&model).arg(&plain));
    let eval = |model: &Path, extra: &[&str]| {
        let mut command = program();
        command.args(["rl", "eval"]).arg(model).args(["--episodes", "6"]).args(extra);
        command
    };
    let [of_lite, of_plain] =
        [&model, &plain].map(|model| json(&good(eval(model, &[]).arg("--json"))));
    assert_eq!(of_lite["environment"], "dive");
    assert_eq!(of_lite["episodes"].as_array().unwrap().len(), 6);
    assert_eq!(of_lite["episodes"], of_plain["episodes"]);
    let said = good(&mut eval(&model, &["--environment", "collect"]));
    assert!(said.contains("6 episodes of collect") && said.contains("random"), "{said}");

    let gif = path("episode.gif");
    let play = || {
        let mut command = program();
        command.args(["rl", "play"]).arg(&model).args(["--steps", "5", "--out"]);
        command
    };
    let said = good(play().arg(&gif));
    assert!(said.starts_with("return "), "{said}");
    assert!(fs::read(&gif).unwrap().starts_with(b"GIF89a"));
    assert!(bad(1, play().arg(&gif)).contains("--force replaces it"));
    assert!(bad(1, play().arg(path("episode.mp4"))).contains("should end in .gif"));
    let games = good(program().args(["rl", "games"]));
    assert!(games.contains("bricks"), "{games}");
}

/// Killed at several moments, and gone on with; the bits are those of a run that was left alone.
#[test]
fn an_agent_that_was_killed_ends_with_the_same_bits() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let extra = [
        "--form",
        "scratch",
        "--checkpoint-every",
        "7",
        "--replay",
        "150",
        "--prioritized",
        "0.5",
        "--n-step",
        "3",
        "--dueling",
        "--atoms",
        "11",
        "--life-loss",
        "--noisy",
        "0.5",
    ];
    good(&mut train("bricks", &path("whole"), &extra));
    let eval = |model: &Path| {
        let mut command = program();
        command.args(["rl", "eval"]).arg(model).args(["--episodes", "2"]);
        good(&mut command)
    };
    eval(&path("whole/model.safetensors"));
    let mut killed = 0;
    let mut pause = 40;
    let mut command = train("bricks", &path("killed"), &extra);
    loop {
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(pause));
        if run.try_wait().unwrap().is_some() {
            break;
        }
        run.kill().unwrap();
        run.wait().unwrap();
        killed += 1;
        if path("killed/config.toml").exists() {
            command = program();
            command.args(["rl", "train", "--resume"]).arg(path("killed"));
        } else {
            command = train("bricks", &path("killed"), &extra);
        }
        // On any machine it comes to its end.
        pause = pause * 5 / 4;
    }
    assert!(path("killed/summary.json").exists() && killed > 0, "{killed}");
    for file in ["model.safetensors", "metrics.jsonl", "replay.bin"] {
        let [a, b] = ["whole", "killed"].map(|run| fs::read(path(run).join(file)).unwrap());
        assert!(a == b, "{file} differs after {killed} kills");
    }
}

#[test]
fn what_an_agent_cannot_do_is_said() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let said = bad(1, &mut train("pong", &path("run"), &["--form", "scratch"]));
    assert!(said.contains("there is no \"pong\"; there are bricks"), "{said}");
    let said = bad(1, &mut train("catch", &path("run"), &["--form", "routed", "--zoo", "a", "b"]));
    assert!(said.contains("agents are not routed"), "{said}");
    let said = bad(1, &mut train("catch", &path("run"), &["--form", "scratch", "--shots", "3"]));
    assert!(said.contains("has no effect on an agent"), "{said}");
    assert!(!path("run").exists(), "nothing is left of what came to no step");
    let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/data/zoo/as_is.safetensors");
    let said = bad(1, &mut train("catch", &path("run"), &["--form", "single", "--zoo", digits]));
    assert!(said.contains("the sources see 1 channels"), "{said}");
    let said = bad(1, program().args(["rl", "eval", digits]));
    assert!(said.contains("is no agent"), "{said}");
    let said = bad(
        1,
        program().args(["train", "--task", "reinforcement", "--form", "scratch", "--out", "x"]),
    );
    assert!(said.contains("task.environment: is missing"), "{said}");
}
