//! `bench`: how fast the library is, on the work of PyTorch's yardstick.

use super::device::DeviceOption;
use super::explain;
use super::measure::{Kind, LAYERS, median, rounded};
use super::output::{Output, Result};
use super::profile::Profiling;
use crate::dataset::landmarks::Annotations;
use crate::dataset::{Ahead, Batch, Loader};
use crate::kernel::Window;
use crate::kernel::engine::Factor;
use crate::nn::architectures::MEASURED;
use crate::nn::{
    Aligned, Architecture, Builder, Conv, Design, GateAverage, Layers, Network, Pass, Values,
    open_zoo,
};
use crate::ops;
use crate::optim::{Groups, Optimizer, Rule, Schedule};
use crate::tape::{Tape, Var};
use crate::tensor::{Device, State, Tensor};
use crate::train::config::DataConfig;
use crate::train::task::landmarks::{Targets, placed};
use crate::train::task::{LandmarksConfig, Part, Scores, Task};
use crate::train::{Augmentation, Data, Input, Purpose, Trainer};
use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde_json::json;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Measure the speed of the library; prints one line of JSON for each measurement.
///
/// The work and the keys are those of a PyTorch script, so that the two can be compared. Each
/// number is the median of several runs.
#[derive(Args)]
#[command(after_help = "\
Examples:
  zoo-tuning bench gemm --threads 1
  zoo-tuning bench step --kind zoo --depth 18 --size 64 --batch 16
  zoo-tuning bench infer --kind lite --depth 50 | jq .images_per_s
  zoo-tuning bench layer --explain --batch 32
  zoo-tuning bench zoo --sources models/*.pth
  zoo-tuning bench load --data photos/ --batch 32
  zoo-tuning bench crops --data faces.csv --size 256 --batch 16")]
pub struct Arguments {
    /// What to measure
    #[arg(value_name = "WHAT")]
    what: What,
    /// The form of the layers
    #[arg(long, default_value = "zoo")]
    kind: Kind,
    /// Which ResNet
    #[arg(long, default_value_t = 50, value_parser = clap::builder::PossibleValuesParser::new(["18", "34", "50"]).map(|text: String| text.parse::<u32>().unwrap_or(50)))]
    depth: u32,
    /// Which network of step, infer and zoo, instead of a ResNet
    #[arg(long, value_name = "ARCHITECTURE", value_parser = super::data::architecture)]
    architecture: Option<String>,
    /// Images of a batch
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    batch: u16,
    /// Height and width of the images of step and infer
    #[arg(long, value_name = "PIXELS", default_value_t = 224, value_parser = clap::value_parser!(u16).range(1..=2048))]
    size: u16,
    /// Rows and columns of the matrices of gemm
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [256, 512, 1024, 2048], value_parser = clap::value_parser!(u16).range(1..=16384))]
    n: Vec<u16>,
    /// Sources of the zoo
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=64))]
    m: u16,
    /// The files of zoo
    #[arg(long, value_name = "FILE", num_args = 1.., required_if_eq("what", "zoo"))]
    sources: Vec<PathBuf>,
    /// The labelled images of load; the annotated pictures of crops
    #[arg(long, value_name = "PATH", required_if_eq_any([("what", "load"), ("what", "crops")]))]
    data: Option<PathBuf>,
    /// Runs to take the median of [default: 9 of gemm and upsample, 7 of conv, 5 of layer and memory, 3 of others]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    runs: Option<u16>,
    /// With layer: measure all ways to mix the sources, beside what the model of their cost says
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    pub profiling: Profiling,
}

impl Arguments {
    fn architecture(&self) -> String {
        let [small, middle, large] = MEASURED;
        let of_depth = [small, middle].into_iter().find(|(depth, _)| *depth == self.depth);
        let default = || of_depth.unwrap_or(large).1.to_owned();
        self.architecture.clone().unwrap_or_else(default)
    }

    fn runs(&self, default: usize) -> usize {
        self.runs.map_or(default, usize::from)
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Matrix products
    Gemm,
    /// Convolutions of a ResNet-50, and of groups, forward and backward
    Conv,
    /// Maps enlarged by bilinear interpolation, forward and backward
    Upsample,
    /// Single layers of a zoo, forward and backward
    Layer,
    /// Steps of training
    Step,
    /// Evaluation
    Infer,
    /// Large arrays: copied, and added up
    Memory,
    /// Checkpoint files: opened as a zoo, and made into a network
    Zoo,
    /// Labelled images: read, changed at random or not, and put into batches, all of them once
    Load,
    /// Annotated pictures: read, turned and cropped as for training, with a heat map for each point, all of
    /// them once
    Crops,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let device = arguments.device.open()?;
    match arguments.what {
        What::Gemm => gemm(&arguments, &device, output),
        What::Conv => conv(&arguments, &device, output),
        What::Upsample => upsample(&arguments, &device, output),
        What::Step | What::Infer => network(&arguments, &device, output),
        _ if device != Device::Cpu => {
            let problem = "measures gemm, conv, upsample, step and infer on a device";
            Err(crate::Error::config("bench", problem).into())
        }
        What::Layer if arguments.explain => {
            let sizes = [arguments.batch, arguments.m].map(usize::from);
            explain::layers(arguments.kind, sizes, arguments.runs(5), output)
        }
        What::Layer => layer(&arguments, output),
        What::Memory => memory(&arguments, output),
        What::Zoo => zoo(&arguments, output),
        What::Load => load(&arguments, output),
        What::Crops => crops(&arguments, output),
    }
}

fn gemm(arguments: &Arguments, device: &Device, output: &mut Output) -> Result {
    for n in arguments.n.iter().copied().map(usize::from) {
        let mut rng = fastrand::Rng::with_seed(0);
        let [a, b] = [0, 1].map(|_| Tensor::<f32>::normal(&[n, n], 1.0, &mut rng).to(device));
        let (a, b) = (a?, b?);
        let seconds = median(3, arguments.runs(9), || {
            black_box(device.engine().product(Factor::new(&a), Factor::new(&b))?);
            device.finish()
        })?;
        let gflops = 2.0 * (n as f64).powi(3) / seconds / 1e9;
        output.object(&json!({ "gemm": n, "gflops": rounded(gflops, 1) }))?;
    }
    Ok(())
}

/// Input and output channels, taps, height and width, stride, groups: the convolutions of a ResNet-50,
/// then grouped ones of a ResNeXt-50 and depthwise ones of an EfficientNet-Lite0.
const CONVOLUTIONS: &str = include_str!("convolutions.json");

fn conv(arguments: &Arguments, device: &Device, output: &mut Output) -> Result {
    let batch = usize::from(arguments.batch);
    let all: Vec<[usize; 6]> = serde_json::from_str(CONVOLUTIONS)
        .map_err(|problem| crate::Error::config("convolutions.json", problem.to_string()))?;
    for sizes @ [inputs, outputs, taps, side, stride, groups] in all {
        let mut rng = fastrand::Rng::with_seed(0);
        let x = Tensor::<f32>::normal(&[batch, inputs, side, side], 1.0, &mut rng).to(device)?;
        let kernel = [outputs, inputs / groups, taps, taps];
        let weight = Tensor::normal(&kernel, 1.0, &mut rng).to(device)?;
        let window = Window { groups, ..Window::square(stride, taps / 2) };
        let convolve = |tape: &mut Tape<f32>, x: Var, w: Var| ops::conv2d(tape, x, w, None, window);
        let forward = || {
            let mut tape = Tape::new();
            let (x, w) = (tape.constant(x.clone()), tape.constant(weight.clone()));
            let y = convolve(&mut tape, x, w)?;
            device.finish()?;
            tape.value(y).cloned()
        };
        let y = forward()?;
        let dy = Tensor::normal(y.shape(), 1.0, &mut rng).to(device)?;
        let seconds = median(2, arguments.runs(7), || forward().map(|y| drop(black_box(y))))?;
        let both = median(2, arguments.runs(7), || {
            let mut tape = Tape::new();
            let (x, w) = (tape.parameter(x.clone()), tape.parameter(weight.clone()));
            let y = convolve(&mut tape, x, w)?;
            black_box(tape.backward_from(y, dy.clone())?);
            device.finish()
        })?;
        let flops = (2 * y.len() * inputs / groups * taps * taps) as f64;
        output.object(&json!({
            "conv": if groups > 1 { &sizes[..] } else { &sizes[..5] },
            "batch": batch,
            "fwd_ms": rounded(seconds * 1e3, 2),
            "fwd_gflops": rounded(flops / seconds / 1e9, 1),
            "fwdbwd_ms": rounded(both * 1e3, 2),
            "fwdbwd_gflops": rounded(3.0 * flops / both / 1e9, 1),
        }))?;
    }
    Ok(())
}

/// Channels, height and width, and how many times larger they become: the branches of a network of
/// several resolutions (HRNet) as they join the largest.
const MAPS: [[usize; 3]; 3] = [[64, 28, 2], [64, 14, 4], [64, 7, 8]];

fn upsample(arguments: &Arguments, device: &Device, output: &mut Output) -> Result {
    let batch = usize::from(arguments.batch);
    for sizes @ [channels, side, times] in MAPS {
        let mut rng = fastrand::Rng::with_seed(0);
        let large = [side * times; 2];
        let x = Tensor::<f32>::normal(&[batch, channels, side, side], 1.0, &mut rng).to(device)?;
        let dy = [batch, channels, large[0], large[1]];
        let dy = Tensor::<f32>::normal(&dy, 1.0, &mut rng).to(device)?;
        let seconds = median(2, arguments.runs(9), || {
            let mut tape = Tape::new();
            let x = tape.constant(x.clone());
            black_box(ops::upsample_bilinear(&mut tape, x, large)?);
            device.finish()
        })?;
        let both = median(2, arguments.runs(9), || {
            let mut tape = Tape::new();
            let x = tape.parameter(x.clone());
            let y = ops::upsample_bilinear(&mut tape, x, large)?;
            black_box(tape.backward_from(y, dy.clone())?);
            device.finish()
        })?;
        output.object(&json!({
            "upsample": sizes,
            "batch": batch,
            "fwd_ms": rounded(seconds * 1e3, 3),
            "fwdbwd_ms": rounded(both * 1e3, 3),
        }))?;
    }
    Ok(())
}

/// A single layer as a network.
struct OneLayer {
    shape: [usize; 4],
}

impl Architecture for OneLayer {
    fn name(&self) -> &str {
        "one layer"
    }

    fn layers(&self, b: &mut Builder) -> crate::Result<Layers> {
        let conv = b.conv("conv", self.shape, Window::square(1, self.shape[2] / 2))?;
        Ok(Box::new(move |o, x| o.conv(&conv, x)))
    }
}

fn layer(arguments: &Arguments, output: &mut Output) -> Result {
    let (batch, m) = (usize::from(arguments.batch), usize::from(arguments.m));
    for sizes @ [inputs, outputs, taps, side] in LAYERS {
        let layer = OneLayer { shape: [outputs, inputs, taps, taps] };
        let form = arguments.kind.form(Aligned::everywhere());
        let blueprint = Design::new(layer, inputs, outputs).in_form(form, m);
        let layer = Network::<f32>::new(&blueprint, Values::drawn(0))?;
        let mut rng = fastrand::Rng::with_seed(0);
        let x = Tensor::<f32>::normal(&[batch, inputs, side, side], 1.0, &mut rng);
        // A drawn router would send all images to one source.
        let routes: Vec<usize> = (0..batch).map(|image| image % m).collect();
        let forward = || {
            // Lite has no average yet, and takes the batch's mean gate as in training.
            let mut pass = Pass::evaluate(layer.parameters()).give_routes(&routes);
            let x = pass.input(x.clone());
            let y = layer.forward(&mut pass, x)?;
            pass.value(y).cloned()
        };
        let dy = Tensor::normal(forward()?.shape(), 1.0, &mut rng);
        let seconds = median(1, arguments.runs(5), || forward().map(|y| drop(black_box(y))))?;
        let both = median(1, arguments.runs(5), || {
            let mut pass = Pass::train(layer.parameters()).give_routes(&routes);
            // The gradient of the input is wanted too.
            let x = pass.tape().parameter(x.clone());
            let y = layer.forward(&mut pass, x)?;
            pass.tape().backward_from(y, dy.clone()).map(|gradients| drop(black_box(gradients)))
        })?;
        output.object(&json!({
            "layer": sizes,
            "kind": arguments.kind.name(),
            "m": m,
            "batch": batch,
            "fwd_ms": rounded(seconds * 1e3, 2),
            "fwdbwd_ms": rounded(both * 1e3, 2),
        }))?;
    }
    Ok(())
}

/// One batch again and again. Of classes the cross-entropy is lost, of maps their squared error.
struct Again(Batch);

impl Task for Again {
    type Batch = Batch;

    fn batch(&mut self, _: u64, _: &Network<f32>) -> crate::Result<Batch> {
        Ok(self.0.clone())
    }

    fn loss(&mut self, pass: &mut Pass<f32>, output: Var, batch: &Batch) -> crate::Result<Var> {
        let answers = pass.value(output)?;
        if answers.shape().len() < 4 {
            return ops::cross_entropy(pass.tape(), output, &batch.labels, 0.0);
        }
        let nothing = Tensor::zeros(answers.shape()).to(&pass.parameters().device())?;
        let nothing = pass.input(nothing);
        ops::mse(pass.tape(), output, nothing)
    }

    fn evaluate(&mut self, _: &Network<f32>, _: Part) -> crate::Result<Option<Scores>> {
        Ok(None)
    }
}

fn network(arguments: &Arguments, device: &Device, output: &mut Output) -> Result {
    let &Arguments { what, kind, batch, size, m, .. } = arguments;
    let runs = arguments.runs(3);
    let design = Design::named(&arguments.architecture(), 3, 100)?;
    let blueprint = design.in_form(kind.form(Aligned::default()), m.into());
    let mut network = Network::new(&blueprint, Values::drawn(0))?;
    let mut rng = fastrand::Rng::with_seed(0);
    let (n, side) = (usize::from(batch), usize::from(size));
    // The pixels of a batch that a mistake in a size must not exceed.
    const MOST: usize = 1 << 28;
    if n * side * side > MOST {
        let problem = format!("{n} images of {side}x{side} are more than {MOST} pixels");
        return Err(crate::Error::config("batch", problem).into());
    }
    let images = Tensor::normal(&[n, 3, side, side], 1.0, &mut rng);
    let labels: Vec<usize> = (0..n).map(|_| rng.usize(..100)).collect();
    let indices: Vec<usize> = (0..n).collect();
    let labelled = Batch { images: images.clone(), labels, indices };
    let optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
    let mut trainer = Trainer::new(optimizer, 1e-3, Schedule::default(), u64::MAX);
    let mut task = Again(labelled);
    let (name, seconds) = match what {
        What::Infer => {
            give_averages(&mut network, m);
            network.parameters_mut().to(device)?;
            let seconds = median(1, runs, || {
                // A drawn router would send all images to one source.
                let routes: Vec<usize> = (0..n).map(|image| image % usize::from(m)).collect();
                let mut pass = Pass::evaluate(network.parameters()).give_routes(&routes);
                let x = pass.input(images.to(device)?);
                let y = network.forward(&mut pass, x)?;
                black_box(pass.value(y)?);
                device.finish()
            })?;
            ("infer", seconds)
        }
        _ => {
            network.parameters_mut().to(device)?;
            let seconds = median(1, runs, || {
                trainer.step(&mut network, &mut task, 0)?;
                device.finish()
            })?;
            ("step", seconds)
        }
    };
    output.object(&json!({
        "what": name,
        "architecture": design.name(),
        "depth": arguments.depth,
        "kind": kind.name(),
        "m": m,
        "batch": batch,
        "size": size,
        "seconds": rounded(seconds, 5),
        "images_per_s": rounded(f64::from(batch) / seconds, 2),
        "peak_mib": peak_mib(),
    }))
}

/// What the memory takes and gives, which is a floor of all work that does little else with it.
fn memory(arguments: &Arguments, output: &mut Output) -> Result {
    // 128 MiB each, beyond any cache; a part for a thread.
    const VALUES: usize = 1 << 25;
    const PART: usize = 1 << 16;
    let [a, b] = [1.0f32, 2.0].map(|value| vec![value; VALUES]);
    let mut c = vec![0.0; VALUES];
    let copy = median(1, arguments.runs(5), || {
        c.par_chunks_mut(PART).zip(a.par_chunks(PART)).for_each(|(c, a)| c.copy_from_slice(a));
        black_box(&c);
        Ok(())
    })?;
    let add = median(1, arguments.runs(5), || {
        let parts = c.par_chunks_mut(PART).zip(a.par_chunks(PART)).zip(b.par_chunks(PART));
        parts.for_each(|((c, a), b)| {
            for ((c, a), b) in c.iter_mut().zip(a).zip(b) {
                *c = a + b;
            }
        });
        black_box(&c);
        Ok(())
    })?;
    for (what, arrays, seconds) in [("copy", 2, copy), ("add", 3, add)] {
        let bytes = (arrays * VALUES * size_of::<f32>()) as f64;
        let rate = rounded(bytes / seconds / 1e9, 1);
        output.object(&json!({ "memory": what, "gb_per_s": rate }))?;
    }
    Ok(())
}

/// Once, since a second look finds the files' pages in memory.
fn zoo(arguments: &Arguments, output: &mut Output) -> Result {
    let begun = Instant::now();
    let (zoo, design) = open_zoo(&arguments.sources, Some(&arguments.architecture()))?;
    let states: Vec<State<f32>> = State::from_zoo(&zoo)?;
    let opened = begun.elapsed().as_secs_f64();
    let peak_open = peak_mib();
    let form = arguments.kind.form(Aligned::default());
    let begun = Instant::now();
    let network = Network::from_sources(&design, form, &states, 0)?;
    let built = begun.elapsed().as_secs_f64();
    let bytes = network.parameters().count() * size_of::<f32>();
    output.object(&json!({
        "what": "zoo",
        "architecture": design.name(),
        "kind": arguments.kind.name(),
        "m": states.len(),
        "open_ms": rounded(opened * 1e3, 1),
        "open_peak_mib": peak_open,
        "build_ms": rounded(built * 1e3, 1),
        "parameters_mib": bytes >> 20,
        "peak_mib": peak_mib(),
    }))
}

/// Images as for training with `--augmentation crop`, and as for evaluation.
fn load(arguments: &Arguments, output: &mut Output) -> Result {
    let Some(path) = &arguments.data else { return Ok(()) };
    let size = Some(arguments.size.into());
    let seen = DataConfig { size, ..DataConfig::default() };
    let input = seen.input(Input::usual(&Design::named(&arguments.architecture(), 3, 100)?))?;
    let data = Data::open(path, Purpose::Training, &input)?;
    let batch = usize::from(arguments.batch);
    let training = data.shuffled(None, batch, 0, Augmentation::Crop)?;
    for (name, loader) in [("training", training), ("evaluation", data.in_order(None, batch)?)] {
        let (samples, steps) = (loader.samples(), loader.batches_per_epoch() as u64);
        // As in training.
        let mut ahead = Ahead::new(loader, 2);
        let seconds = median(0, arguments.runs(3), || {
            (0..steps).try_for_each(|step| ahead.batch(step).map(|batch| drop(black_box(batch))))
        })?;
        output.object(&json!({
            "load": name,
            "batch": batch,
            "size": arguments.size,
            "seconds": rounded(seconds, 4),
            "images_per_s": rounded(samples as f64 / seconds, 1),
            "peak_mib": peak_mib(),
        }))?;
    }
    Ok(())
}

/// Crops as the task landmarks trains on by default, and heat maps of a quarter of their sides.
fn crops(arguments: &Arguments, output: &mut Output) -> Result {
    const SEED: u64 = 0;
    let Some(path) = &arguments.data else { return Ok(()) };
    let (size, batch) = (usize::from(arguments.size), usize::from(arguments.batch));
    let settings = LandmarksConfig::default();
    let annotations = Annotations::open(path)?;
    let scheme = settings.scheme(&annotations.names)?;
    let seen = DataConfig { size: Some(size), ..DataConfig::default() };
    let input = seen.input(Input::usual(&Design::named(&arguments.architecture(), 3, 100)?))?;
    let crops = scheme.crops(annotations, &input)?.varied(settings.variation());
    let loader = Loader::shared(Arc::new(crops.clone()), batch, SEED)?;
    let loader = loader.transformed(vec![input.normalise()]);
    let (samples, steps) = (loader.samples(), loader.batches_per_epoch() as u64);
    let mut ahead = Ahead::new(loader, 2);
    let mut once = || {
        (0..steps).try_for_each(|step| {
            let batch = ahead.batch(step)?;
            let points = placed(&crops, &scheme, [SEED, 0], &batch.indices)?;
            let targets = Targets::new(&points, size, [size / 4; 2], scheme.codec)?;
            black_box((batch, targets));
            Ok(())
        })
    };
    let seconds = median(0, arguments.runs(3), &mut once)?;
    output.object(&json!({
        "load": "crops",
        "batch": batch,
        "size": size,
        "points": scheme.names.len(),
        "seconds": rounded(seconds, 4),
        "images_per_s": rounded(samples as f64 / seconds, 1),
        "peak_mib": peak_mib(),
    }))
}

/// The gates' averages as after training, so that lite takes them.
fn give_averages(network: &mut Network<f32>, m: u16) {
    let of_gate = |conv: &Conv| conv.mix.as_ref()?.gate.average;
    let averages: Vec<GateAverage> = network.convolutions().filter_map(of_gate).collect();
    let parameters = network.parameters_mut();
    for average in averages {
        parameters.value_mut(average.sum).as_mut_slice().fill(1.0 / f32::from(m));
        parameters.value_mut(average.weight).as_mut_slice().fill(1.0);
    }
}

/// The most memory that this process had, where the system tells.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib + 512) / 1024)
}
