//! What an agent remembers of a scripted environment, and what it makes of it. Mistakes that other
//! programs made are named where they are looked for.

use super::agent::Agent;
use super::fixed::Fixed;
use super::head::{Estimates, Head};
use super::playing::{Seen, estimates, play};
use super::projection::Support;
use super::{Reinforcement, ReinforcementConfig};
use crate::dataset::Image;
use crate::environment::{Environment, Step};
use crate::nn::{Aligned, Blueprint, Design, Form, Mixing, Network, Pass};
use crate::tensor::{State, Tensor};
use crate::train::Config;
use crate::train::task::{Part, Samples, Task};
use crate::{Error, Result, ops};
use toml::Table;

/// Plays the same steps in every episode. Its one pixel is 10 times the episode, plus the steps in it.
struct Script {
    steps: Vec<Step>,
    actions: Vec<String>,
    episode: u8,
    at: usize,
}

impl Script {
    fn of(steps: &[Step]) -> Box<dyn Environment> {
        let actions = ["left", "right"].map(String::from).to_vec();
        Box::new(Self { steps: steps.to_vec(), actions, episode: 0, at: 0 })
    }
}

const ON: Step = Step { reward: 5.0, terminated: false, truncated: false, life_lost: false };
const OVER: Step = Step { terminated: true, ..ON };
const CUT: Step = Step { truncated: true, ..ON };
const HURT: Step = Step { life_lost: true, ..ON };

impl Environment for Script {
    fn name(&self) -> &str {
        "script"
    }
    fn frame(&self) -> [usize; 3] {
        [1, 1, 1]
    }
    fn stack(&self) -> usize {
        2
    }
    fn actions(&self) -> &[String] {
        &self.actions
    }
    fn reset(&mut self, _: u64) -> Result<()> {
        (self.episode, self.at) = (self.episode + 1, 0);
        Ok(())
    }
    fn step(&mut self, _: usize) -> Result<Step> {
        self.at += 1;
        self.steps.get(self.at - 1).copied().ok_or_else(|| Error::argument("step", "after the end"))
    }
    fn observe(&self, into: &mut [u8]) {
        into[0] = 10 * self.episode + self.at as u8;
    }
    fn save(&self) -> Result<Vec<u8>> {
        Ok(vec![self.episode, self.at as u8])
    }
    fn restore(&mut self, state: &[u8]) -> Result<()> {
        (self.episode, self.at) = (state[0], usize::from(state[1]));
        Ok(())
    }
    fn render(&self) -> Result<Image> {
        Image::new([1, 1, 1], vec![0.0])
    }
}

fn settings() -> ReinforcementConfig {
    // All of it at random.
    ReinforcementConfig { learning_starts: 99, replay: 99, ..ReinforcementConfig::default() }
}

fn network(outputs: usize) -> Network<f32> {
    Network::drawn(&Design::named("convnet:1x1:4", 2, outputs).unwrap(), 1).unwrap()
}

/// As an agent asks it.
fn by(network: &Network<f32>) -> impl Fn(Tensor<f32>, Option<u64>) -> Result<Estimates> {
    let head = Head { actions: network.design().outputs, dueling: false, support: None };
    move |states, draws| estimates(network, network.parameters(), &head, states, draws)
}

/// An agent after so many steps.
fn agent(script: &[Step], settings: &ReinforcementConfig, steps: usize) -> Agent {
    let mut agent = Agent::new(Script::of(script), settings, 1, 9, "replay.bin".into());
    (0..steps).for_each(|_| agent.act(&mut by(&network(2))).unwrap());
    agent
}

/// The pixels of all states that can be learned from, and of the states after them.
fn remembered(agent: &Agent) -> Vec<([u8; 2], Option<[u8; 2]>)> {
    let pixels = |slot: u64| {
        let state = agent.states([slot].into_iter()).unwrap();
        [0, 1].map(|at| (state.as_slice()[at] * 255.0).round() as u8)
    };
    let all = (0..50).filter_map(|slot| agent.transition(slot));
    all.map(|of| (pixels(of.slot), of.next.map(pixels))).collect()
}

/// envpool #194: the last frame is lost, or the step to the next episode becomes a transition.
#[test]
fn an_episode_is_remembered_with_its_last_frame_and_nothing_of_the_next() {
    let found = remembered(&agent(&[ON, ON, CUT], &settings(), 7));
    let expected = [
        ([10, 10], Some([10, 11])),
        ([10, 11], Some([11, 12])),
        ([11, 12], Some([12, 13])),
        ([20, 20], Some([20, 21])),
        ([20, 21], Some([21, 22])),
        ([21, 22], Some([22, 23])),
    ];
    // What follows the seventh step is not remembered yet.
    assert_eq!(found, expected);
    let found = remembered(&agent(&[ON, OVER], &settings(), 3));
    assert_eq!(found, [([10, 10], Some([10, 11])), ([10, 11], None)]);
}

/// A lost life ends what is learned from, if that is wanted; the episode and its return go on.
#[test]
fn a_lost_life_is_no_end_of_the_episode() {
    let script = [ON, HURT, ON, OVER];
    let careful = ReinforcementConfig { life_loss: true, ..settings() };
    let mut found = agent(&script, &careful, 4);
    assert_eq!(remembered(&found)[1], ([10, 11], None));
    assert_eq!(remembered(&found)[2].0, [11, 12], "no new episode was begun");
    let measures = found.measures();
    assert_eq!(measures[0], ("charts/episodic_return".to_owned(), 20.0));
    assert_eq!(measures[1], ("charts/episodic_length".to_owned(), 4.0));
    assert_eq!(remembered(&agent(&script, &settings(), 4))[1].1, Some([11, 12]));
}

/// Rewards are clipped for learning alone.
#[test]
fn returns_are_sums_of_rewards_as_they_are() {
    let clipped = ReinforcementConfig { clip_rewards: true, ..settings() };
    let found = agent(&[ON, ON, OVER], &clipped, 6);
    assert_eq!(found.transition(0).unwrap().reward, 1.0);
    let head = clipped.head(2);
    let mut environments = [Script::of(&[ON, ON, OVER])];
    let mut before = vec![];
    let played = play(&network(2), &head, &mut environments, 1, 0.5, &mut |moment| {
        before.push(moment.before.sum);
        Ok(())
    });
    let played = played.unwrap();
    assert_eq!((played[0].sum, played[0].length), (15.0, 3));
    assert_eq!(before, [0.0, 5.0, 10.0]);
}

/// Schaul et al. (2016): what is new has the largest priority; weights are divided by the batch's
/// largest.
#[test]
fn priorities_decide_what_is_drawn() {
    let prioritized = ReinforcementConfig { prioritized: 1.0, importance: 1.0, ..settings() };
    let mut agent = agent(&[ON; 40], &prioritized, 31);
    let slots: Vec<u64> = (0..31).collect();
    let errors: Vec<f32> = slots.iter().map(|slot| if *slot == 7 { 3.0 } else { 0.1 }).collect();
    agent.learned(&slots, &errors);
    let drawn = agent.draw(400, 1, 0.0).unwrap();
    let of_seven = drawn.transitions.iter().filter(|of| of.slot == 7).count();
    // Half of the total, but for the last, of which nothing is known yet.
    assert!((160..240).contains(&of_seven), "{of_seven}");
    let weight = |slot: u64| {
        let at = drawn.transitions.iter().position(|of| of.slot == slot).unwrap();
        drawn.weights[at]
    };
    let likely = drawn.transitions.iter().find(|of| of.slot != 7).unwrap().slot;
    assert_eq!(weight(likely), 1.0);
    assert!((weight(7) - 0.1 / 3.0).abs() < 1e-4, "{}", weight(7));
    // The new one as much as the best so far.
    agent.act(&mut by(&network(2))).unwrap();
    agent.act(&mut by(&network(2))).unwrap();
    let drawn = agent.draw(400, 2, 0.0).unwrap();
    let of_new = drawn.transitions.iter().filter(|of| of.slot == 31).count();
    assert!((95..170).contains(&of_new), "{of_new}");
}

/// van Hasselt et al. (2016): the network chooses, the target network values.
#[test]
fn double_learning_takes_the_value_of_one_network_for_the_choice_of_the_other() {
    let head = settings().head(2);
    let (online, target) = (network(2), Network::drawn(network(2).design(), 5).unwrap());
    // The head alone, so that their choices differ.
    let state = |a: f32| Tensor::new(&[1, 2, 1, 1], vec![a, 1.0 - a]).unwrap();
    let of = |network: &Network<f32>, a| {
        estimates(network, network.parameters(), &head, state(a), None).unwrap()
    };
    let differ = (0..100)
        .map(|k| k as f32 / 100.0)
        .find(|&a| of(&online, a).best() != of(&target, a).best());
    let a = differ.expect("a state on which they differ");
    let chosen = of(&online, a).best();
    let found = head.targets(&of(&target, a), &chosen, &[(1.0, 0.5)])[0];
    assert_eq!(found, 1.0 + 0.5 * of(&target, a).of(0)[chosen[0]]);
    assert!(found < 1.0 + 0.5 * of(&target, a).of(0)[1 - chosen[0]]);
}

/// The losses of distributions, by their formula, with and without dueling.
#[test]
fn losses_of_distributions_are_cross_entropies_of_the_action_taken() {
    let support = Some(Support { low: -1.0, high: 1.0, atoms: 3 });
    for dueling in [false, true] {
        let head = Head { actions: 2, dueling, support };
        let outputs = Tensor::from_fn(&[2, head.outputs()], {
            let mut rng = fastrand::Rng::with_seed(3);
            move || rng.f32()
        });
        let network = network(2);
        let mut pass = Pass::train(network.parameters());
        let output = pass.input(outputs);
        let held = head.estimates(&mut pass, output).unwrap();
        let target = [0.2, 0.3, 0.5, 0.0, 1.0, 0.0];
        let losses = head.losses(&mut pass, output, &[1, 0], &target).unwrap();
        let losses = pass.value(losses).unwrap().clone();
        for (n, action) in [1, 0].into_iter().enumerate() {
            let row = &held.probabilities()[(2 * n + action) * 3..][..3];
            let expected: f32 = (0..3).map(|k| -target[3 * n + k] * row[k].ln()).sum();
            assert!((losses.as_slice()[n] - expected).abs() < 1e-6);
            let mean = row[2] - row[0];
            assert!((held.of(n)[action] - mean).abs() < 1e-6);
        }
        assert!(ops::dueling(pass.tape(), output, 4).is_err());
    }
}

/// A run of the task, as a configuration opens it.
fn opened(folder: &std::path::Path, text: &str) -> (Reinforcement, Network<f32>) {
    let flags: Table = format!(
        "preset = 'minatar'\n[method]\nform = 'scratch'\n[task]\nenvironment = 'catch'\n\
         learning_starts = 50\ntotal_steps = 400\ntarget_every = 20\n{text}"
    )
    .parse()
    .unwrap();
    let mut config = Config::layered("", Table::new(), flags).unwrap();
    let crate::train::config::TaskConfig::Reinforcement(settings) = config.task.clone() else {
        panic!("an agent")
    };
    settings.complete(&mut config).unwrap();
    let opened = settings.open(&config, folder).unwrap();
    let name = config.method.architecture.unwrap();
    let channels = config.data.channels.unwrap();
    let design = Design::named(&name, channels, opened.outputs).unwrap();
    let design = design.with_noise(config.task.noise());
    (opened.task, Network::drawn(&design, 1).unwrap())
}

/// The target network shares no values with the one that is trained, and is copied when it is due.
#[test]
fn the_target_network_stays_as_it_was_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (mut task, mut network) = opened(folder.path(), "");
    let weight = network.parameters().find("fc.weight").unwrap();
    let of_target = |task: &Reinforcement| {
        let state = task.target.as_ref().unwrap().state();
        state.get("fc.weight").unwrap().as_slice()[0]
    };
    task.batch(0, &network).unwrap();
    let first = of_target(&task);
    network.parameters_mut().value_mut(weight).as_mut_slice().fill(9.0);
    // 54 steps were made, 58 and 62 follow: a copy is due at 60.
    task.batch(1, &network).unwrap();
    assert_eq!(of_target(&task), first);
    task.batch(2, &network).unwrap();
    assert_eq!(of_target(&task), 9.0);
}

/// Noise that several passes share, or that is still there when an agent is measured.
#[test]
fn noise_is_drawn_for_each_pass_and_for_none_that_measures() {
    let design = Design::named("convnet:1x1:4", 2, 2).unwrap().with_noise(Some(0.5));
    let network = Network::<f32>::drawn(&design, 1).unwrap();
    let by_network = by(&network);
    for (noisy, passes) in [(0.5, 8), (0.0, 1)] {
        let settings = ReinforcementConfig { learning_starts: 0, ..settings() };
        let certain = ReinforcementConfig { epsilon_start: 0.0, epsilon_end: 0.0, ..settings };
        let settings = ReinforcementConfig { noisy, double: true, ..certain };
        let mut agent = agent(&[ON, ON, ON, OVER], &settings, 0);
        let mut drawn = vec![];
        let mut asked = |states, draws| {
            drawn.push(draws);
            by_network(states, draws)
        };
        (0..4).for_each(|_| agent.act(&mut asked).unwrap());
        let transitions = [agent.transition(0).unwrap()];
        for update in [0, 1] {
            agent.targets(&mut asked, &mut by(&network), &transitions, update).unwrap();
            agent.targets(&mut by(&network), &mut asked, &transitions, update).unwrap();
        }
        assert_eq!(drawn.len(), 8);
        drawn.sort();
        drawn.dedup();
        assert_eq!((drawn.len(), drawn[0].is_some()), (passes, noisy > 0.0));
    }
    let state = || Tensor::full(&[1, 2, 1, 1], 1.0);
    let of = |draws| by_network(state(), draws).unwrap().of(0).to_vec();
    let head = Head { actions: 2, dueling: false, support: None };
    let plain = design.with_noise(None).plain();
    let mut means = network.parameters().state("means");
    means.tensors.retain(|name, _| !name.contains("sigma"));
    let plain: Network<f32> = plain.build(&means).unwrap();
    let expected = estimates(&plain, plain.parameters(), &head, state(), None).unwrap();
    assert_eq!(of(None), expected.of(0));
    assert!(of(Some(1)) != of(None) && of(Some(1)) != of(Some(2)) && of(Some(1)) == of(Some(1)));
    // It is in the file.
    let blueprint = network.blueprint();
    let read = Blueprint::from_metadata("a", &blueprint.to_metadata()).unwrap();
    assert_eq!(read, *blueprint);
}

/// A lite network has mixed kernels only once its gates have averages; what it collapses to then acts for
/// it, and is its target network.
#[test]
fn what_a_lite_network_collapses_to_acts_for_it() {
    let design = Design::named("convnet:6x6:4x3-8", 2, 3).unwrap();
    let sources = [1, 2]
        .map(|seed| Network::<f32>::drawn(&design, seed).unwrap().parameters().state("a source"));
    let mixing = Mixing { aligned: Aligned::everywhere(), ..Mixing::default() };
    let mut network = Network::from_sources(&design, Form::Lite(mixing), &sources, 3).unwrap();
    let head = Head { actions: 3, dueling: false, support: None };
    let states = Tensor::normal(&[5, 2, 6, 6], 1.0, &mut fastrand::Rng::with_seed(4));
    assert!(Fixed::faster(&network).unwrap().is_none());
    // What one step of training leaves: averages of the gates.
    let mut pass = Pass::train(network.parameters());
    let x = pass.input(states.clone());
    let output = network.forward(&mut pass, x).unwrap();
    let loss = ops::mean_all(pass.tape(), output).unwrap();
    pass.backward(loss).unwrap().update_buffers(network.parameters_mut());
    let mut copy = Fixed::of(&network).unwrap();
    let mut again = Fixed::restored(&network, &copy.state()).unwrap();
    assert!([&copy, &again].iter().all(|fixed| matches!(fixed, Fixed::Collapsed(_))));
    let of = |fixed: &mut Fixed| {
        let found = fixed.estimates(&network, &head, states.clone(), None).unwrap();
        (0..5).flat_map(|n| found.of(n).to_vec()).collect::<Vec<f32>>()
    };
    let found = of(&mut copy);
    assert_eq!(of(&mut again), found);
    let mixed = estimates(&network, network.parameters(), &head, states.clone(), None).unwrap();
    for (n, found) in found.chunks(3).enumerate() {
        assert!(found.iter().zip(mixed.of(n)).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    assert!(Fixed::restored(&network, &State::new("nothing")).is_err());
}

/// Whatever is between two steps is kept: the batches that follow are the same.
#[test]
fn an_agent_goes_on_from_its_state() {
    for text in ["", "prioritized = 0.6\natoms = 11\ndueling = true\nn_step = 3\nnoisy = 0.5\n"] {
        let [folder, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let (mut task, network) = opened(folder.path(), text);
        let step = |task: &mut Reinforcement, number: u64| {
            let batch = task.batch(number, &network).unwrap();
            let mut pass = Pass::train(network.parameters());
            let x = pass.input(batch.images().clone());
            let output = network.forward(&mut pass, x).unwrap();
            let loss = task.loss(&mut pass, output, &batch).unwrap();
            (batch.indices().to_vec(), pass.value(loss).unwrap().item().unwrap().to_bits())
        };
        (0..20).for_each(|number| drop(step(&mut task, number)));
        let state = task.state().unwrap();
        std::fs::copy(folder.path().join("replay.bin"), other.path().join("replay.bin")).unwrap();
        let expected: Vec<_> = (20..40).map(|number| step(&mut task, number)).collect();
        let (mut again, _) = opened(other.path(), text);
        again.restore(&network, &state).unwrap();
        let found: Vec<_> = (20..40).map(|number| step(&mut again, number)).collect();
        assert_eq!(found, expected);
        assert_eq!(again.measures(), task.measures());
        let damaged = state.below("nothing");
        assert!(again.restore(&network, &damaged).is_err());
    }
}

#[test]
fn what_is_seen_first_stands_for_what_was_not() {
    let mut environment = Script::of(&[ON, ON]);
    environment.reset(1).unwrap();
    let mut seen = Seen::first(&*environment);
    environment.step(0).unwrap();
    seen.next(&*environment);
    let state = seen.state(&*environment).unwrap();
    assert_eq!(state.as_slice(), [10.0 / 255.0, 11.0 / 255.0]);
}

#[test]
fn episodes_are_measured_elsewhere_than_they_are_trained() {
    let folder = tempfile::tempdir().unwrap();
    let (mut task, network) = opened(folder.path(), "episodes = 3\n");
    let found = task.evaluate(&network, Part::Validation).unwrap().unwrap();
    assert_eq!((found.samples, found.deciding().unwrap().0), (3, "return"));
    assert_eq!(task.evaluate(&network, Part::Validation).unwrap().unwrap(), found);
}
