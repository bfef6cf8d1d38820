//! What is asked of every native game.

use super::board::{Action, FRAME, Plane, SIDE, VALUES};
use super::*;
use crate::error::Result;

fn settings(sticky: f64) -> Settings {
    Settings { sticky, ..Settings::default() }
}

/// Every native game, as a board.
fn boards(settings: &Settings) -> Vec<Box<dyn Environment>> {
    games().iter().map(|game| open(game.name, settings).unwrap()).collect()
}

/// Every native game, as a board and as pixels.
fn all(settings: &Settings) -> Vec<Box<dyn Environment>> {
    let pixels = |game: &Native| open(&format!("{}:pixels", game.name), settings).unwrap();
    let mut all = boards(settings);
    all.extend(games().iter().map(pixels));
    all
}

fn frame(environment: &dyn Environment) -> Vec<u8> {
    let mut frame = vec![7; environment.frame().iter().product()];
    environment.observe(&mut frame);
    frame
}

fn plane(frame: &[u8], plane: Plane) -> &[u8] {
    &frame[plane as usize * SIDE * SIDE..][..SIDE * SIDE]
}

/// Steps and frames of random actions, up to the end of the episode or that many.
fn played(
    one: &mut dyn Environment,
    steps: usize,
    rng: &mut fastrand::Rng,
) -> Vec<(Step, Vec<u8>)> {
    let mut played = Vec::new();
    while played.len() < steps {
        let Ok(step) = one.step(rng.usize(0..6)) else { break };
        played.push((step, frame(one)));
    }
    played
}

/// The return of an episode, and its steps, with actions that `choose` chooses.
fn episode(
    one: &mut dyn Environment,
    seed: u64,
    mut choose: impl FnMut(&mut dyn Environment) -> usize,
) -> (f32, usize) {
    one.reset(seed).unwrap();
    let (mut total, mut steps) = (0.0, 0);
    loop {
        let action = choose(one);
        let step = one.step(action).unwrap();
        total += step.reward;
        steps += 1;
        if step.ended() {
            return (total, steps);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_whatever_was_before() {
    for (mut one, mut other) in all(&settings(0.1)).into_iter().zip(all(&settings(0.1))) {
        let play = |environment: &mut dyn Environment, seed| {
            environment.reset(seed).unwrap();
            played(environment, 60, &mut fastrand::Rng::with_seed(2))
        };
        play(&mut *other, 5);
        assert_eq!(play(&mut *one, 3), play(&mut *other, 3), "{}", one.name());
        assert_ne!(play(&mut *one, 3), play(&mut *other, 4), "{}", one.name());
    }
}

#[test]
fn a_saved_state_goes_on_to_the_same_bits() {
    for (mut one, mut other) in all(&settings(0.25)).into_iter().zip(all(&settings(0.25))) {
        let mut rng = fastrand::Rng::with_seed(6);
        for seed in 0..30 {
            one.reset(seed).unwrap();
            played(&mut *one, rng.usize(0..40), &mut rng);
            other.restore(&one.save().unwrap()).unwrap();
            assert_eq!(frame(&*one), frame(&*other));
            let mut choices = [rng.clone(), rng.clone()];
            let [first, second] = &mut choices;
            let expected = played(&mut *one, 60, first);
            assert_eq!(played(&mut *other, 60, second), expected, "{}", one.name());
        }
    }
}

#[test]
fn planes_say_what_they_mean_for_a_hundred_thousand_random_steps() {
    for mut one in boards(&settings(0.1)) {
        let mut rng = fastrand::Rng::with_seed(8);
        one.reset(0).unwrap();
        for at in 0..100_000 {
            let step = one.step(rng.usize(0..6)).unwrap();
            let seen = frame(&*one);
            let count = |of| plane(&seen, of).iter().filter(|value| **value > 0).count();
            assert!(seen.iter().all(|value| [0, 255].contains(value)));
            assert_eq!(count(Plane::Me), if one.name() == "bricks" { 2 } else { 1 });
            assert!(count(Plane::Gauge) <= SIDE && step.reward >= 0.0);
            assert_eq!(step.life_lost, step.terminated);
            if step.ended() {
                one.reset(at).unwrap();
            }
        }
    }
}

/// Looks at some random futures of each action, in which one goes the same way for a while; the action of
/// the best one is taken.
fn looks_ahead(one: &mut dyn Environment, rng: &mut fastrand::Rng) -> usize {
    let here = one.save().unwrap();
    let mut future = |first: usize| -> f32 {
        one.restore(&here).unwrap();
        let (mut worth, mut share, mut action) = (0.0, 1.0, first);
        for _ in 0..16 {
            let step = one.step(action).unwrap();
            worth += share * step.reward - if step.terminated { 5.0 } else { 0.0 };
            share *= 0.95;
            if rng.u8(0..4) == 0 {
                action = rng.usize(0..6);
            }
            if step.ended() {
                break;
            }
        }
        worth
    };
    let mut best = |action| (0..10).map(|_| future(action)).fold(f32::MIN, f32::max);
    let worth: Vec<f32> = (0..6).map(&mut best).collect();
    one.restore(&here).unwrap();
    (0..6).max_by(|a, b| worth[*a].total_cmp(&worth[*b])).unwrap()
}

#[test]
fn random_agents_find_the_reward_and_others_ten_times_as_much() {
    for mut one in boards(&Settings { longest: Some(400), ..settings(0.1) }) {
        let mut rng = fastrand::Rng::with_seed(4);
        let mut random = 0.0;
        for seed in 0..300 {
            random += episode(&mut *one, seed, |_| rng.usize(0..6)).0 / 300.0;
        }
        let (good, steps) = episode(&mut *one, 1, |one| looks_ahead(one, &mut rng));
        println!("{:8} random {random:.2}, looking ahead {good} in {steps} steps", one.name());
        assert!((0.1..=3.0).contains(&random), "{}: {random}", one.name());
        assert!(good >= 10.0 * random, "{}: {good} against {random}", one.name());
    }
}

#[test]
fn with_sticky_of_one_no_action_is_heard() {
    for mut one in boards(&settings(1.0)) {
        let mut go = |action| {
            one.reset(3).unwrap();
            let steps: Vec<Step> = (0..5).map(|_| one.step(action).unwrap()).collect();
            (steps, frame(&*one))
        };
        let staying = go(0);
        assert!((1..6).all(|action| go(action) == staying));
    }
}

#[test]
fn sticky_repeats_as_often_as_it_says() {
    let mut one = open("collect", &Settings { longest: Some(u64::MAX), ..settings(0.25) }).unwrap();
    let (mut kept, mut asked) = (0, 0);
    let column = |one: &dyn Environment| {
        plane(&frame(one), Plane::Me).iter().position(|value| *value > 0).unwrap() % SIDE
    };
    for seed in 0..4000 {
        // Two steps from the middle, before any hunter comes: left, then right.
        one.reset(seed).unwrap();
        one.step(Action::Left as usize).unwrap();
        let before = column(&*one);
        one.step(Action::Right as usize).unwrap();
        asked += 1;
        kept += usize::from(column(&*one) <= before);
    }
    let share = kept as f64 / f64::from(asked);
    assert!((share - 0.25).abs() < 0.02, "{share}");
}

#[test]
fn the_longest_episode_is_truncated_not_terminated() {
    for mut one in all(&Settings { longest: Some(3), ..settings(0.1) }) {
        one.reset(1).unwrap();
        let steps = [0; 3].map(|_| one.step(0).unwrap());
        assert_eq!(steps.map(|step| step.truncated), [false, false, true]);
        assert!(steps.iter().all(|step| !step.terminated && !step.life_lost));
        assert!(one.step(0).unwrap_err().to_string().contains("`reset` begins one"));
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    fn message<T>(result: Result<T>) -> String {
        result.map(drop).unwrap_err().to_string()
    }
    let mut one = open("dive", &settings(0.1)).unwrap();
    assert!(message(one.step(0)).contains("no episode of dive is going on"));
    one.reset(1).unwrap();
    assert!(message(one.step(6)).contains("dive has the actions 0 to 5, not 6"));
    let unknown = message(open("brick", &settings(0.1)));
    assert!(unknown.contains("bricks, catch, collect, cross, dive, invade"), "{unknown}");
    assert!(message(open("dive", &settings(1.5))).contains("from 0 to 1, not 1.5"));
    let never = Settings { longest: Some(0), ..Settings::default() };
    assert!(message(open("dive", &never)).contains("at least one step"));
}

#[test]
fn a_foreign_or_damaged_state_is_refused_or_harmless() {
    let mut rng = fastrand::Rng::with_seed(3);
    for mut one in boards(&settings(0.1)) {
        one.reset(1).unwrap();
        played(&mut *one, 5, &mut rng);
        let state = one.save().unwrap();
        let text = String::from_utf8(state.clone()).unwrap();
        let renamed = text.replace(one.name(), "chess").into_bytes();
        for bad in [&b""[..], b"{}", &state[..state.len() / 2], &renamed] {
            one.restore(bad).unwrap_err();
        }
        assert_eq!(one.save().unwrap(), state, "it is as it was");
        for _ in 0..2000 {
            let mut damaged = state.clone();
            let digits = damaged.iter_mut().filter(|byte| byte.is_ascii_digit());
            let mut digits: Vec<&mut u8> = digits.collect();
            for _ in 0..3 {
                let at = rng.usize(0..digits.len());
                *digits[at] = b'0' + rng.u8(0..10);
            }
            if one.restore(&damaged).is_ok() {
                played(&mut *one, 20, &mut rng);
            }
        }
    }
}

#[test]
fn pixels_show_the_board() {
    let (board, pixels) = ("cross", "cross:pixels");
    let [mut board, mut pixels] = [board, pixels].map(|name| open(name, &settings(0.0)).unwrap());
    board.reset(2).unwrap();
    pixels.reset(2).unwrap();
    assert_eq!((pixels.frame(), pixels.stack(), pixels.name()), ([1, 84, 84], 4, "cross:pixels"));
    let (seen, picture) = (frame(&*board), frame(&*pixels));
    let me = plane(&seen, Plane::Me).iter().position(|value| *value > 0).unwrap();
    let middle = |cell: usize| (2 * cell + 1) * 84 / (2 * SIDE);
    for cell in 0..SIDE * SIDE {
        let pixel = picture[middle(cell / SIDE) * 84 + middle(cell % SIDE)];
        assert_eq!(pixel == 255, cell == me);
        assert_eq!(pixel == 216, plane(&seen, Plane::Threat)[cell] > 0);
    }
}

#[test]
fn pictures_are_in_colour() {
    for mut one in all(&settings(0.1)) {
        one.reset(1).unwrap();
        let picture = one.render().unwrap();
        assert_eq!(picture.shape(), [3, 160, 160]);
        let colours: std::collections::BTreeSet<[u8; 3]> =
            picture.rgb_bytes().as_chunks().0.iter().copied().collect();
        assert!((2..=9).contains(&colours.len()));
    }
    assert_eq!(FRAME.iter().product::<usize>(), VALUES);
}
