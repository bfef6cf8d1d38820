//! Tunes a whole zoo of pretrained networks to one task.
//!
//! Zoo-Tuning ("Adaptive Transfer from A Zoo of Models", Shu et al., ICML 2021) takes several
//! pretrained networks of one architecture, the *zoo*, and a *target* task. It does not run
//! them side by side: in every layer it *aggregates* their kernels into one, so that a forward
//! pass costs about what one network costs. This crate is the method, and below it a tensor
//! engine that was made for it: reverse-mode differentiation, convolutions, memory-mapped
//! checkpoints, optimizers, in Rust alone.
//!
//! # A zoo in ten lines
//!
//! ```
//! use zoo_tuning::collapse::collapse;
//! use zoo_tuning::nn::{Form, Mixing, Network, Pass, open_zoo};
//! use zoo_tuning::optim::{Groups, Optimizer, Rule};
//! use zoo_tuning::{Result, ops, tensor::State, tensor::Tensor};
//!
//! # fn main() -> Result<()> {
//! # let images = Tensor::<f32>::full(&[4, 1, 16, 16], 0.5);
//! # let labels = [3, 1, 4, 1];
//! let files = ["data/zoo/as_is.safetensors", "data/zoo/rotated.safetensors"];
//! let (zoo, design) = open_zoo(&files, None)?; // any format; mapped, not read
//! let sources = State::from_zoo(&zoo)?;
//! let form = Form::Lite(Mixing::default());
//! let mut network = Network::<f32>::from_sources(&design, form, &sources, 1)?;
//! let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
//!
//! let mut pass = Pass::train(network.parameters()); // one step, of as many as you like
//! let x = pass.input(images); // [N, 1, H, W]
//! let logits = network.forward(&mut pass, x)?;
//! let loss = ops::cross_entropy(pass.tape(), logits, &labels, 0.0)?;
//! let step = pass.backward(loss)?;
//! optimizer.step(network.parameters_mut(), step, 0.01)?;
//!
//! let plain = collapse(&network)?; // one network of the size of one source
//! # assert!(plain.parameters().count() < network.parameters().count() / 2);
//! # Ok(())
//! # }
//! ```
//!
//! More, in the order of a tutorial, is in the folder `examples`.
//!
//! # Any checkpoint
//!
//! Sources are other people's files: of PyTorch of any age ([`zoo::pytorch`], and the
//! [`zoo::pickle`] inside, of which nothing is ever run), [`zoo::safetensors`], [`zoo::numpy`],
//! [`zoo::onnx`], in one file or in several ([`zoo::shards`]). Each page has a picture of the
//! format's bytes. [`nn::open_zoo`] tells by its tensors which network a file holds, and behind
//! which prefix; [`export`] writes files that the others read.
//!
//! # The method
//!
//! One convolution of the target network, with input `x` of shape `[N, C, H, W]`. Source `i`
//! of `m` holds a pretrained kernel `W_i` of shape `[O, C, k, k]`.
//!
//! **Channel alignment.** Sources learned their channels in different orders. So each kernel is
//! mixed over its output channels by a matrix `T_i` of shape `[O, O]`, which starts as the
//! identity ([`ops::align`]; [`nn::Aligned`] says in which layers):
//!
//! ```text
//! A_i[o, c, :, :] = sum_p T_i[o, p] W_i[p, c, :, :]
//! ```
//!
//! **Gate.** From the layer's own input: how much to take of each source ([`ops::gate`]), for
//! every sample `n`; softmax by default, a sigmoid in the authors' released code:
//!
//! ```text
//! g[n, :] = softmax(W2 relu(W1 mean_hw(x[n])) + b2)
//!           W1: [C/4 + 1, C]   W2: [m, C/4 + 1]   b2: [m]
//! ```
//!
//! **Aggregation.** Every sample is convolved with a kernel of its own
//! ([`ops::aggregated_conv2d`]); the kernels of a batch are never all in memory:
//!
//! ```text
//! y[n] = conv(x[n], sum_i g[n, i] A_i)
//! ```
//!
//! `W_i`, `T_i` and the gate are trained together, by the loss of the target task alone.
//!
//! **Lite.** One gate for the whole batch, hence one kernel ([`nn::Form::Lite`]); beside it an
//! exponential moving average of the gate, bias-corrected, so that it is right from the first
//! step on ([`nn::GateAverage`]). At inference the average is the gate:
//!
//! ```text
//! g    = mean_n g[n, :]                       y = conv(x, sum_i g[i] A_i)
//! s_t  = (1 - a) s_(t-1) + a g_t              s_0 = 0, a = 0.1
//! v_t  = (1 - a) v_(t-1) + a                  v_0 = 0
//! EMA  = s_t / v_t
//! ```
//!
//! **Collapse.** That gate depends on no input, so alignment and aggregation can be done once,
//! and the zoo becomes a plain network of the size of one source, under torchvision's names
//! ([`mod@collapse`]). A full zoo has another kernel for every sample; it does not collapse:
//!
//! ```text
//! K = sum_i EMA[i] T_i W_i
//! ```
//!
//! Two starts are ours and not the paper's. Both look only at the target's training samples,
//! and both mend the same thing: the mean of kernels whose channels are in different orders
//! knows less than each of them.
//!
//! **Matched start** ([`start::matched`]). For every set of channels that must share an order,
//! `a_p` are the activations of channel `p` over all samples and positions, in a reference
//! source and in source `i`. The best permutation `P` of the channels (an assignment problem)
//! is applied to source `i`, which computes just what it computed before:
//!
//! ```text
//! P = argmax_P sum_p correlation(a_p of the reference, a_P(p) of source i)
//! ```
//!
//! **Gate prior** ([`start::gate_bias`]). The score of a source is the leave-one-out accuracy of
//! a ridge classifier on its frozen features, in closed form. The gate then starts with
//!
//! ```text
//! W2 = 0      b2[i] = 2.5 for the source with the best score, 0 for the others
//! ```
//!
//! One form is ours too:
//!
//! **Routed** ([`nn::Form::Routed`], [`start::fit_router`]). Where sources know different conditions
//! of the input, mixed kernels know less than each of them, so each sample goes through one source,
//! which a frozen linear map of what a first layer sees in it chooses for all layers. Batch norms of
//! the sources are folded into their kernels before; every sample teaches all sources:
//!
//! ```text
//! phi(x) = mean over positions of relu(norm(conv1(x)))      i(n) = argmax_i (V phi(x_n) + c)[i]
//! y[n] = conv(x[n], W_i(n)) + b_i(n)                        dW_i = own gradient + sum of all
//! ```
//!
//! # The rooms
//!
//! A module imports only from those above it, in the order in which data flows:
//!
//! | module | holds |
//! |---|---|
//! | [`error`](mod@error) | the one [`Error`]: what was expected, what was found, where, what to do |
//! | [`profile`] | where the time goes, by operation and by layer |
//! | [`processes`] | several processes that train one network together |
//! | [`zoo`] | checkpoints, memory-mapped, checked against each other |
//! | [`tensor`] | values and a shape, from and to arrays of [`ndarray`]; owned, where they lie in a file, or on a device; `f32` or `f64` |
//! | [`kernel`] | numbers in, numbers out: products, convolutions, aggregation, norms, pools; [`kernel::engine`] lists what a device has to be able to do |
//! | [`tape`] | reverse-mode differentiation, one loop |
//! | [`ops`] | differentiable operations, one per file; [`gradcheck`] checks them |
//! | [`nn`] | layers and networks; a network is defined once, for all its forms |
//! | [`start`] | what a zoo begins with: matched channels, a prior of the gates, a router |
//! | [`optim`] | SGD, Adam, AdamW, RMSProp, parameter groups, schedules, averages of parameters |
//! | [`prune`] | a zoo of fewer sources |
//! | [`mod@collapse`] | a lite network becomes a plain one, and a routed one that has no choice |
//! | [`export`] | checkpoints, written in whole or not at all |
//! | `dataset` | readers, transforms, the loader (feature `train`) |
//! | `environment` | games that agents act in (feature `train`) |
//! | `train` | steps, runs, what they measure and keep (feature `train`) |
//! | `compare` | ways of using a zoo side by side, on the same samples (feature `train`) |
//! | `report` | a run, or several side by side, as one page of HTML (feature `report`) |
//! | `demo` | the main job, on data in the repository, and its page (feature `report`) |
//! | `serve` | what a network sees in a picture, on a page of this machine (feature `serve`) |
//!
//! # Features
//!
//! With `default-features = false` the crate is the library for embedding: everything above
//! `dataset` in the list of rooms.
//!
//! - `train`: data sets, environments, tasks, the loop and what a run records.
//! - `report`: the page of runs, and the demo with its own; brings `train`.
//! - `cli`, on by default: the program `zoo-tuning`; brings `report`.
//! - `serve`, on by default: its command `serve`; brings `report`.
//!
//! - `opencl`: tensors on a device of any OpenCL 1.2 driver, by
//!   [`Tensor::to`](tensor::Tensor::to), and everything computed there. Needs the loader
//!   `libOpenCL` to link and to start, and a driver when a device is asked for.
//! - `mpi`: training by several processes that `mpirun` has started, see [`processes`]. Needs an MPI
//!   with its compiler's wrapper, and libclang, to build.
//!
//! # Errors
//!
//! Nothing that a file's bytes or a tensor's shape say makes a function panic: it returns an
//! [`Error`]. The exceptions are named under *Panics* where they are, such as
//! [`Tensor::full`](tensor::Tensor::full) with a shape beyond the address space. A loss that is
//! not finite is an error too; it names the layer whose output turned first.
//!
//! # Determinism
//!
//! The same seed gives the same bits of losses, metrics and checkpoints, whatever the number
//! of threads: every reduction has a fixed order, and what is random follows from the seed and
//! from a sample's index, never from time or from the order in which threads come. So it is on a
//! device, too; but another device rounds differently.

/// The program, whose `main` is all that `src/main.rs` calls: what is generic is compiled once so.
#[cfg(feature = "cli")]
#[doc(hidden)]
#[allow(missing_docs, reason = "arguments document themselves for their help")]
pub mod cli;
pub mod collapse;
#[cfg(feature = "train")]
pub mod compare;
#[cfg(feature = "train")]
pub mod dataset;
#[cfg(feature = "report")]
pub mod demo;
#[cfg(feature = "train")]
pub mod environment;
pub mod error;
pub mod export;
pub mod gradcheck;
pub mod kernel;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod processes;
pub mod profile;
pub mod prune;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "serve")]
pub mod serve;
pub mod start;
pub mod tape;
pub mod tensor;
#[cfg(feature = "train")]
pub mod train;
pub mod zoo;

pub use error::{Error, Result};
/// Arrays, which tensors are made of and turned into. A program that names them by this path has
/// the version of `ndarray` that this crate was built with.
pub use ndarray;

/// The examples of the README are compiled and run like those of this documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
