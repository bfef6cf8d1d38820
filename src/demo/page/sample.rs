//! A made-up outcome of realistic shape, for tests of the page.

use crate::compare::{Method, MethodKind, Point, Run};
use crate::demo::{Outcome, Settings};
use crate::train::observe::{LayerAlignment, LayerEma, LayerGates, SampleGates, Source};

/// What the made-up outcome is made of.
pub(super) struct Sample {
    pub(super) sources: usize,
    pub(super) layers: usize,
    pub(super) seeds: usize,
    pub(super) samples: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Self { sources: 4, layers: 9, seeds: 3, samples: 8 }
    }
}

const STEPS: usize = 240;
const CONDITIONS: [&str; 8] =
    ["as_is", "rotated", "inverted", "edges", "shifted", "noisy", "blurred", "sheared"];
const LAYERS: [&str; 9] = [
    "conv1",
    "layer1.0.conv1",
    "layer1.0.conv2",
    "layer2.0.conv1",
    "layer2.0.conv2",
    "layer2.0.downsample.0",
    "layer3.0.conv1",
    "layer3.0.conv2",
    "layer3.0.downsample.0",
];

impl Sample {
    pub(super) fn outcome(&self) -> Outcome {
        let mut draw = fastrand::Rng::with_seed(7);
        let names: Vec<String> = CONDITIONS[..self.sources].iter().map(|&n| n.into()).collect();
        let layers: Vec<String> = (0..self.layers)
            .map(|at| LAYERS.get(at).map_or(format!("layer4.{at}.conv1"), |&n| n.into()))
            .collect();
        Outcome {
            version: "0.1.0".into(),
            seconds: 372.4,
            settings: Settings {
                seeds: (1..=self.seeds as u64).collect(),
                shots: 20,
                epochs: 30,
                steps: STEPS,
                batch: 25,
                threads: 2,
                test_samples: 4000,
                classes: 10,
                validation: false,
                rate: None,
            },
            sources: names.iter().map(|name| self.source(name, &mut draw)).collect(),
            methods: self.methods(&names, &mut draw),
            gates: layers
                .iter()
                .map(|layer| LayerGates {
                    layer: layer.clone(),
                    mean: softmax(self.sources, 1.6, &mut draw),
                    std: (0..self.sources).map(|_| 0.02 + 0.1 * draw.f64()).collect(),
                })
                .collect(),
            samples: (0..self.samples).map(|at| self.sample(at, &mut draw)).collect(),
            alignment: layers
                .iter()
                .filter(|layer| !layer.contains("downsample"))
                .map(|layer| LayerAlignment {
                    layer: layer.clone(),
                    distance: (0..self.sources).map(|_| 0.05 + 0.35 * draw.f64()).collect(),
                })
                .collect(),
            ema: layers
                .iter()
                .map(|layer| {
                    let (from, to) = (
                        softmax(self.sources, 0.2, &mut draw),
                        softmax(self.sources, 1.5, &mut draw),
                    );
                    let steps: Vec<usize> = (0..=STEPS).step_by(12).collect();
                    let values = steps
                        .iter()
                        .map(|&step| {
                            let part = 1.0 - (-(step as f64) / 70.0).exp();
                            (0..self.sources)
                                .map(|s| from[s] * (1.0 - part) + to[s] * part)
                                .map(|gate| gate + 0.01 * (draw.f64() - 0.5))
                                .collect()
                        })
                        .collect();
                    LayerEma { layer: layer.clone(), steps, values }
                })
                .collect(),
            collapse_error: 3.1e-7,
        }
    }

    fn source(&self, name: &str, draw: &mut fastrand::Rng) -> Source {
        Source {
            name: name.into(),
            trained_on: format!("handwritten digits, {name}, 16x16, the classes 0 to 9"),
            file: format!("zoo-demo/sources/{name}.safetensors"),
            bytes: 246_812,
            scores: (0..self.seeds).map(|_| 0.55 + 0.25 * draw.f64()).collect(),
            ..Source::default()
        }
    }

    fn methods(&self, names: &[String], draw: &mut fastrand::Rng) -> Vec<Method> {
        use MethodKind::*;
        let m = names.len() as u64;
        let mut list: Vec<(String, String, MethodKind, f64)> = vec![(
            "scratch".into(),
            "The same network, from random weights".into(),
            Scratch,
            0.742,
        )];
        for (at, name) in names.iter().enumerate() {
            let mean = 0.861 - 0.021 * at as f64;
            let text = format!("Fine-tunes the source {name} alone");
            list.push((format!("single {name}"), text, Single, mean));
        }
        list.extend([
            (
                "best single".into(),
                "The single that did best on the test, which nobody knows beforehand".into(),
                Hindsight,
                0.864,
            ),
            (
                "ensemble".into(),
                "All singles, their class probabilities averaged".into(),
                Ensemble,
                0.896,
            ),
            (
                "average".into(),
                "Fine-tunes the plain mean of the sources' weights".into(),
                Average,
                0.787,
            ),
            (
                "zoo".into(),
                "Zoo-Tuning: aligned, and gated for each image on its own".into(),
                Zoo,
                0.876,
            ),
            ("lite".into(), "Lite Zoo-Tuning: one gate for the whole batch".into(), Lite, 0.869),
            (
                "collapsed".into(),
                "Lite as one plain network, read back from its file".into(),
                Collapsed,
                0.869,
            ),
        ]);
        let luck: Vec<f64> = (0..self.seeds).map(|_| 0.03 * (draw.f64() - 0.5)).collect();
        list.into_iter()
            .map(|(name, description, kind, level)| {
                let runs: Vec<Run> =
                    (0..self.seeds).map(|at| self.run(kind, at, level + luck[at], draw)).collect();
                let accuracies: Vec<f64> = runs.iter().map(|run| run.accuracy).collect();
                let n = accuracies.len() as f64;
                let mean = accuracies.iter().sum::<f64>() / n;
                let squares = accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>();
                let std = if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
                let (copies, cost) = match kind {
                    Ensemble => (m, 100 * m),
                    Zoo => (m, 118),
                    _ => (1, 100),
                };
                Method {
                    name,
                    description,
                    kind,
                    mean,
                    std,
                    interval: (n > 1.0).then(|| 4.303 * std / n.sqrt()),
                    parameters: 61_706 * copies,
                    multiply_adds: 15_400 * cost,
                    seconds: runs.iter().map(|run| run.seconds).sum::<f64>() / n,
                    bytes: 246_812 * copies,
                    runs,
                }
            })
            .collect()
    }

    fn run(&self, kind: MethodKind, at: usize, level: f64, draw: &mut fastrand::Rng) -> Run {
        use MethodKind::*;
        let accuracy = level + 0.008 * (draw.f64() - 0.5);
        let curve = match kind {
            Hindsight | Ensemble | Collapsed => Vec::new(),
            _ => (0..=20)
                .map(|point| {
                    let part = 1.0 - (-(point as f64) / 5.0).exp();
                    Point {
                        step: point * STEPS / 20,
                        loss: 2.4 * (1.0 - part) + 0.02 + 0.2 * (1.0 - level) * draw.f64(),
                        accuracy: 0.1 * (1.0 - part) + accuracy * part + 0.02 * (draw.f64() - 0.5),
                    }
                })
                .collect(),
        };
        let seconds = match kind {
            Hindsight | Collapsed => 0.0,
            Ensemble => 6.1 * self.sources as f64,
            Zoo => 17.3,
            Lite => 9.2,
            _ => 6.1,
        };
        Run { seed: at as u64 + 1, accuracy, seconds, learning_rate: None, routed: None, curve }
    }

    fn sample(&self, at: usize, draw: &mut fastrand::Rng) -> SampleGates {
        let label = at % 10;
        // A ring, a bar or a cross, so that the page has something to show.
        let pixels = (0..256)
            .map(|place| {
                let (y, x) = ((place / 16) as f64 - 7.5, (place % 16) as f64 - 7.5);
                let distance = match at % 3 {
                    0 => (x.hypot(y) - 4.5).abs(),
                    1 => x.abs() + if y.abs() > 6.0 { 9.0 } else { 0.0 },
                    _ => (x - y).abs().min((x + y).abs()),
                };
                let value = (255.0 * (1.6 - distance).clamp(0.0, 1.0)) as u8;
                if at % 4 == 2 { 255 - value } else { value }
            })
            .collect();
        SampleGates {
            size: [16, 16],
            pixels,
            label,
            predicted: if at == 5 { 8 } else { label },
            condition: CONDITIONS[at % self.sources.max(1)].into(),
            gates: (0..self.layers).map(|_| softmax(self.sources, 2.2, draw)).collect(),
        }
    }
}

fn softmax(m: usize, spread: f64, draw: &mut fastrand::Rng) -> Vec<f64> {
    let scores: Vec<f64> = (0..m).map(|_| (spread * (2.0 * draw.f64() - 1.0)).exp()).collect();
    let sum: f64 = scores.iter().sum();
    scores.into_iter().map(|score| score / sum).collect()
}
