//! Workers that fail, which stand-ins for Python do here, and the real ones, where `ZOO_PYTHON` names
//! an interpreter that has the packages.

use super::{Environment, Settings, Step, open};
use std::time::{Duration, Instant};

fn seen(one: &dyn Environment) -> Vec<u8> {
    let mut frame = vec![0; one.frame().iter().product()];
    one.observe(&mut frame);
    frame
}

fn message<T>(result: crate::Result<T>) -> String {
    result.map(drop).unwrap_err().to_string()
}

#[test]
fn a_missing_interpreter_is_said() {
    let nowhere = Settings { python: Some("/no/python".into()), ..Settings::default() };
    let message = message(open("atari:Alien", &nowhere));
    assert!(message.contains("/no/python does not run"), "{message}");
    assert!(message.contains("ZOO_PYTHON"), "{message}");
}

#[cfg(unix)]
mod failures {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    /// What a worker says first, of frames of two bytes; and its answer to `reset`: one life, `ab`.
    const HELLO: &str =
        r#"printf '+\056\000\000\000{"frame":[1,1,2],"stack":1,"actions":["stay"]}'"#;
    const RESET: &str = r"head -c 13 > /dev/null; printf '+\006\000\000\000\001\000\000\000ab'";

    /// An interpreter that does what the script says, and settings that name it.
    fn interpreter(folder: &Path, script: &str) -> Settings {
        let path = folder.join("python");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Settings { python: Some(path), patience: 10.0, ..Settings::default() }
    }

    /// Plays by that script until something fails, which it has to within seconds.
    fn failure(script: &str, patience: f64) -> String {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { patience, ..interpreter(folder.path(), script) };
        let begin = Instant::now();
        let message = message(open("gym:Some-v0", &settings).and_then(|mut one| {
            one.reset(1)?;
            assert_eq!(seen(&*one), b"ab");
            one.step(0)
        }));
        assert!(begin.elapsed() < Duration::from_secs(5), "{message}");
        assert!(message.contains("for gym Some-v0"), "{message}");
        message
    }

    #[test]
    fn what_a_worker_says_is_passed_on() {
        let message = failure(r"printf -- '-\015\000\000\000no such thing'", 4.0);
        assert!(message.contains("cannot start an environment of Python"), "{message}");
        assert!(message.contains("says: no such thing"), "{message}");
    }

    #[test]
    fn a_package_that_is_missing_comes_with_the_command_that_installs_it() {
        let folder = tempfile::tempdir().unwrap();
        // Without the packages of the site.
        let settings = interpreter(folder.path(), "exec python3 -I -S \"$@\"");
        let message = message(open("atari:Alien", &settings));
        if std::process::Command::new("python3").arg("--version").output().is_err() {
            return println!("there is no python3: not tested");
        }
        assert!(message.contains("No module named"), "{message}");
        assert!(message.contains("-m pip install ale-py numpy"), "{message}");
    }

    #[test]
    fn one_that_ends_at_once_is_quoted() {
        let message = failure("echo broken >&2; exit 3", 4.0);
        assert!(
            message.contains("has ended (exit status: 3); its last words: broken"),
            "{message}"
        );
    }

    #[test]
    fn one_that_is_killed_in_mid_episode_is_noticed() {
        let message = failure(&format!("{HELLO}; {RESET}; head -c 7 > /dev/null; kill -9 $$"), 4.0);
        assert!(message.contains("signal: 9"), "{message}");
        assert!(message.contains("nothing that was saved is lost"), "{message}");
    }

    #[test]
    fn one_that_is_stuck_is_given_up() {
        // What it has started holds the pipe open, and is ended with it.
        // To start may take longer.
        for (script, seconds) in
            [("sleep 60".to_owned(), 0.9), (format!("{HELLO}; {RESET}; sleep 60"), 0.3)]
        {
            let message = failure(&script, 0.3);
            let expected = format!("has not answered for {seconds} s");
            assert!(message.contains(&expected), "{message}");
        }
    }

    #[test]
    fn an_answer_without_meaning_is_refused() {
        let message = failure("echo Welcome to Python", 4.0);
        assert!(message.contains("answers what has no meaning"), "{message}");
    }
}

/// Settings for the real packages, or a word of why they are not tested.
fn real() -> Option<Settings> {
    if std::env::var_os("ZOO_PYTHON").is_none() {
        println!("ZOO_PYTHON names no interpreter: the real packages are not tested");
        return None;
    }
    Some(Settings { sticky: 0.25, ..Settings::default() })
}

fn played(one: &mut dyn Environment, steps: usize, seed: u64) -> Vec<(Step, Vec<u8>)> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let count = one.actions().len();
    let mut played = Vec::new();
    while played.len() < steps {
        let Ok(step) = one.step(rng.usize(0..count)) else { break };
        played.push((step, seen(one)));
    }
    played
}

#[test]
fn real_episodes_follow_from_their_seed_and_go_on_in_another_process() {
    let Some(settings) = real() else { return };
    let games = ["Alien", "Gopher", "Jamesbond", "Seaquest", "Riverraid", "UpNDown"];
    let games = games.map(|game| format!("atari:{game}"));
    let others = ["gym:MinAtar/Breakout-v1", "gym:CartPole-v1"].map(str::to_owned);
    for name in games.iter().chain(&others) {
        let [mut one, mut other] = [(); 2].map(|()| open(name, &settings).unwrap());
        other.reset(5).unwrap();
        played(&mut *other, 150, 1);
        for environment in [&mut one, &mut other] {
            environment.reset(7).unwrap();
        }
        assert_eq!(
            played(&mut *one, 50, 2),
            played(&mut *other, 50, 2),
            "{name}: whatever was before"
        );
        let state = one.save().unwrap();
        let expected = played(&mut *one, 300, 3);
        other.restore(&state).unwrap();
        assert_eq!(played(&mut *other, 300, 3), expected, "{name}: restored");
        other.restore(b"{}\nnothing").unwrap_err();
        assert_eq!(one.render().unwrap().shape()[0], 3);
    }
}

#[test]
fn a_real_game_has_lives_no_ops_a_cap_and_all_actions() {
    let Some(settings) = real() else { return };
    let mut one = open("atari:Seaquest", &settings).unwrap();
    assert_eq!((one.frame(), one.stack(), one.actions().len()), ([1, 84, 84], 4, 18));
    one.reset(1).unwrap();
    let steps: Vec<Step> = played(&mut *one, 20_000, 1).into_iter().map(|(step, _)| step).collect();
    let lost = steps.iter().filter(|step| step.life_lost).count();
    assert!(lost >= 4, "{lost} of four lives, and of those that were won");
    assert!(steps.last().unwrap().terminated && steps.last().unwrap().life_lost);
    assert!(steps.iter().any(|step| step.reward >= 20.0), "raw rewards");

    let cut = Settings { longest: Some(5), all_actions: true, ..settings.clone() };
    let mut one = open("atari:up_n_down", &cut).unwrap();
    assert_eq!(one.actions().len(), 18);
    one.reset(1).unwrap();
    let last = *played(&mut *one, 9, 1).iter().map(|(step, _)| step).next_back().unwrap();
    assert!(last.truncated && !last.terminated);
    let unknown = message(open("atari:Seequest", &settings));
    assert!(unknown.contains("there is no game Seequest; the nearest: seaquest"), "{unknown}");
    let unknown = message(open("gym:NoSuch-v7", &settings));
    assert!(unknown.contains("NoSuch"), "{unknown}");
}

#[cfg(unix)]
#[test]
fn a_real_worker_that_is_killed_is_an_error_and_its_state_goes_on_in_another() {
    let Some(settings) = real() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (python, id) = (folder.path().join("python"), folder.path().join("id"));
    let script = format!("#!/bin/sh\necho $$ > {}\nexec \"$ZOO_PYTHON\" \"$@\"\n", id.display());
    std::fs::write(&python, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&python, executable).unwrap();

    let mut one =
        open("atari:Gopher", &Settings { python: Some(python), ..settings.clone() }).unwrap();
    one.reset(3).unwrap();
    let state = one.save().unwrap();
    let expected = played(&mut *one, 20, 4);
    let id = std::fs::read_to_string(id).unwrap();
    let killed = std::process::Command::new("kill").args(["-9", id.trim()]).status().unwrap();
    assert!(killed.success());
    assert!(message(one.step(0)).contains("signal: 9"));
    let mut other = open("atari:Gopher", &settings).unwrap();
    other.restore(&state).unwrap();
    assert_eq!(played(&mut *other, 20, 4), expected);
}
