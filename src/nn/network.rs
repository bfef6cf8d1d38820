//! A network: what runs, in one of its forms, with its values.

use super::router::Sorted;
use super::trace::Graph;
use super::{BatchNorm, Blueprint, Builder, Conv, Design, Form, Layers, Node, Operations};
use super::{Parameters, Pass, Router, Run, Step, Values};
use crate::kernel::reduce::softmax_row;
use crate::tape::Var;
use crate::tensor::{Device, Element, State, Tensor};
use crate::{Error, Result, ops};

/// How likely a source behind the likeliest one has to be, to be asked.
const WORTH: f64 = 0.05;

/// A network that can be trained and evaluated.
///
/// It holds its [`Parameters`] and, for each layer, the [`Id`](super::Id)s of those it uses.
pub struct Network<T> {
    blueprint: Blueprint,
    layers: Layers,
    graph: Graph,
    convolutions: Vec<Conv>,
    router: Option<Router>,
    /// How many sources answer for a sample, in a routed network.
    asked: usize,
    parameters: Parameters<T>,
}

impl<T: Element> Network<T> {
    /// The network of a blueprint with values from there.
    ///
    /// # Errors
    /// If a source lacks a tensor or has it in another shape, a prior has not one finite value for
    /// each source, or there is no network of these sizes.
    pub fn new(blueprint: &Blueprint, values: Values<T>) -> Result<Self> {
        let Blueprint { design, form, sources } = blueprint;
        values.check(form, *sources)?;
        let mut builder = Builder::new(design, form, *sources);
        let layers = design.architecture().layers(&mut builder)?;
        let graph = Graph::trace(&builder, &layers, None)?;
        let router = match form {
            Form::Routed => Some(router(&mut builder, &graph)?),
            _ => None,
        };
        let convolutions = builder.convolutions;
        form.mixing().map_or(Ok(()), |mixing| mixing.aligned.check(&convolutions))?;
        let parameters = values.fill(builder.declared)?;
        let blueprint = blueprint.clone();
        Ok(Self { blueprint, layers, graph, convolutions, router, asked: 1, parameters })
    }

    /// A plain network with drawn values.
    ///
    /// # Errors
    /// If there is no network of these sizes.
    pub fn drawn(design: &Design, seed: u64) -> Result<Self> {
        Self::new(&design.plain(), Values::drawn(seed))
    }

    /// A network of that form that starts from `sources`, with a fresh head; `seed` draws what they
    /// do not hold. A plain network of several sources is their mean.
    ///
    /// # Errors
    /// As [`Network::new`]; if there is no source.
    pub fn from_sources(
        design: &Design,
        form: Form,
        sources: &[State<T>],
        seed: u64,
    ) -> Result<Self> {
        Self::new(&design.in_form(form, sources.len()), Values::sources(sources, seed))
    }

    /// What the network is, without its values.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Its architecture and sizes.
    pub fn design(&self) -> &Design {
        &self.blueprint.design
    }

    /// Whether its output is maps `[N, outputs, H', W']`, as of landmarks, and not `[N, outputs]`.
    pub fn makes_maps(&self) -> bool {
        self.graph.makes_maps
    }

    /// Everything that is trained or kept.
    pub fn parameters(&self) -> &Parameters<T> {
        &self.parameters
    }

    /// The same, to be changed.
    pub fn parameters_mut(&mut self) -> &mut Parameters<T> {
        &mut self.parameters
    }

    /// All convolutions, in the order in which they were declared.
    pub fn convolutions(&self) -> impl Iterator<Item = &Conv> {
        self.convolutions.iter()
    }

    /// What chooses a source for each sample, in a routed network.
    pub fn router(&self) -> Option<&Router> {
        self.router.as_ref()
    }

    /// The batch norm that alone reads the output of a convolution, if there is one.
    pub fn norm_behind(&self, conv: &Conv) -> Option<&BatchNorm> {
        self.graph.norms.get(conv.name())
    }

    /// Lets the `top` likeliest sources of each sample answer in evaluation, in a routed network: the
    /// output `[N, K]` is then the logarithm of `sum_k q_k softmax(z_k)`, where `z_k` is what source k
    /// makes of the sample and `q_k` how likely it is, in parts of what those that are asked have. A
    /// source behind the likeliest one is asked only where it has a twentieth at least, so that
    /// inference costs that of `top` networks or less.
    ///
    /// # Errors
    /// If the network is not routed, `top` is not one of 1 to its number of sources, or its outputs are
    /// no classes.
    pub fn mix_likeliest(&mut self, top: usize) -> Result<()> {
        let sources = self.blueprint.sources;
        let problem = match &self.router {
            None => format!(
                "a {} network has no router that says which sources are likely",
                self.blueprint.form.name()
            ),
            Some(_) if self.makes_maps() => "maps are not mixed".to_owned(),
            Some(_) if !(1..=sources).contains(&top) => {
                format!("the network has {sources} sources, of which {top} cannot be mixed")
            }
            Some(_) => {
                self.asked = top;
                return Ok(());
            }
        };
        Err(Error::argument("Network::mix_likeliest", problem))
    }

    /// In a routed network, lets each sample teach all sources: beside its own gradient, the kernel of
    /// each source gets the sum of those of all sources of its layer. The other forms stay as they are.
    ///
    /// For a rule that is linear in the gradients, as SGD with momentum is, this trains `W_i + D` with
    /// a change `D` that all sources share and that begins at zero, without keeping it.
    ///
    /// # Errors
    /// If the gradients are not those of this network.
    pub fn share_gradients(&self, step: &mut Step<T>) -> Result<()> {
        let routes = self.convolutions.iter().filter_map(|conv| conv.routes.as_ref());
        routes.into_iter().try_for_each(|routes| step.share(&routes.kernels))
    }

    /// The output for the batch `x` `[N, C, H, W]`, recorded in `pass`: logits `[N, outputs]`, or
    /// maps `[N, outputs, H', W']`.
    ///
    /// # Errors
    /// If `x` does not have the shape that the network takes.
    pub fn forward(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        match &self.router {
            Some(router) if self.asked > 1 && pass.chooses_likeliest() => {
                self.mixed(router, pass, x)
            }
            _ => self.routed(pass, x, None),
        }
    }

    /// The same, each sample by the source that is given for it, or by one source alone.
    fn routed(&self, pass: &mut Pass<T>, x: Var, given: Option<&[usize]>) -> Result<Var> {
        let x = self.sorted(pass, x, given)?;
        let mut run = Run::new(pass, &self.graph.last_uses, x);
        let output = (self.layers)(&mut run, Node::INPUT)?;
        let output = run.finish(output)?;
        as_given(pass, output)
    }

    /// What the likeliest sources of each sample make of it, mixed; see [`Network::mix_likeliest`].
    fn mixed(&self, router: &Router, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let device = pass.value(x)?.device();
        let likeliest = router.likeliest(pass, x, self.asked, WORTH)?;
        let (mut mean, mut first) = (Vec::new(), None);
        for rank in 0..self.asked {
            let at: Vec<usize> =
                (0..likeliest.len()).filter(|&n| likeliest[n].len() > rank).collect();
            if at.is_empty() && rank > 0 {
                break;
            }
            // Every sample has a likeliest source.
            let part = match rank {
                0 => x,
                _ => {
                    let part = ops::rows_of(pass.value(x)?, &at)?;
                    pass.input(part)
                }
            };
            let routes: Vec<usize> = at.iter().map(|&n| likeliest[n][rank].0).collect();
            let z = self.routed(pass, part, Some(&routes))?;
            let z = pass.value(z)?.to(&Device::Cpu)?;
            let [_, classes] = z.dims("Network::forward", "logits", "[N, K]")?;
            mean.resize(likeliest.len() * classes, 0.0);
            for (&n, row) in at.iter().zip(z.as_slice().chunks(classes.max(1))) {
                let mut row: Vec<f64> = row.iter().map(|z| z.widen()).collect();
                softmax_row(&mut row);
                let all: f64 = likeliest[n].iter().map(|(_, share)| share).sum();
                let weight = likeliest[n][rank].1 / all;
                let mean = mean[n * classes..][..classes].iter_mut();
                mean.zip(row).for_each(|(mean, p)| *mean += weight * p);
            }
            // What the pass tells of routes is the likeliest source of each sample.
            first = first.or_else(|| pass.sorted().cloned());
        }
        first.into_iter().for_each(|sorted| pass.sort(sorted));
        let classes = mean.len() / likeliest.len().max(1);
        // Of nothing there is no logarithm; what is no number stays none, so that it is noticed.
        let log = |p: f64| if p == 0.0 { f64::MIN_POSITIVE.ln() } else { p.ln() };
        let logs = mean.into_iter().map(|p| T::from_f64(log(p))).collect();
        Ok(pass.input(Tensor::new(&[likeliest.len(), classes], logs)?.to(&device)?))
    }

    /// The batch sorted by source, in a routed network; any other takes it as it is.
    fn sorted(&self, pass: &mut Pass<T>, x: Var, given: Option<&[usize]>) -> Result<Var> {
        let Some(router) = &self.router else { return Ok(x) };
        let routes = given.map_or_else(|| router.routes(pass, x), |given| Ok(given.to_vec()))?;
        let count = pass.value(x)?.shape()[0];
        let sources = self.blueprint.sources;
        if routes.len() != count || routes.iter().any(|&source| source >= sources) {
            let problem = format!(
                "{routes:?} should name one of {sources} sources for each of {count} samples"
            );
            return Err(Error::argument("Pass::give_routes", problem));
        }
        let sorted = Sorted::new(&routes, sources);
        let y = match sorted.is_sorted() {
            true => x,
            false => ops::reorder(pass.tape(), x, &sorted.order)?,
        };
        pass.sort(sorted);
        Ok(y)
    }

    /// What goes into the head, `[N, D]`: of a map the mean of each channel.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn features(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let features = self.up_to(self.graph.features, pass, x)?;
        pooled(pass, features)
    }

    /// The last map `[N, C, H, W]` before the head.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn map(&self, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let map = self.up_to(self.graph.last_map, pass, x)?;
        as_given(pass, map)
    }

    /// What a node holds, in the order in which samples were sorted.
    fn up_to(&self, node: Node, pass: &mut Pass<T>, x: Var) -> Result<Var> {
        let x = self.sorted(pass, x, None)?;
        let mut run = Run::new(pass, &self.graph.last_uses, x);
        (self.layers)(&mut run, Node::INPUT)?;
        run.finish(node)
    }

    /// What went into the head, as [`Network::features`], of the last forward pass in `pass`, which is
    /// one for training.
    ///
    /// # Errors
    /// If there was none.
    pub fn last_features(&self, pass: &mut Pass<T>) -> Result<Var> {
        let features = pass.activation_var(self.graph.features)?;
        pooled(pass, features)
    }

    /// The nodes that [`last_features`](Self::last_features) and [`last_map`](Self::last_map) look at.
    pub(crate) fn last_nodes(&self) -> [Node; 2] {
        [self.graph.features, self.graph.last_map]
    }

    /// The last map `[N, C, H, W]` before the head, of the last forward pass in `pass`, which is one
    /// for training.
    ///
    /// # Errors
    /// If there was none.
    pub fn last_map(&self, pass: &mut Pass<T>) -> Result<Var> {
        let map = pass.activation_var(self.graph.last_map)?;
        as_given(pass, map)
    }

    /// The same output, by whoever else carries out operations; `x` is its first node.
    ///
    /// # Errors
    /// Those of `operations`.
    pub fn operate(&self, operations: &mut dyn Operations, x: Node) -> Result<Node> {
        (self.layers)(operations, x)
    }
}

/// Features `[N, D]`: of a map the mean of each channel.
fn pooled<T: Element>(pass: &mut Pass<T>, features: Var) -> Result<Var> {
    let features = match pass.value(features)?.shape().len() {
        4 => ops::global_mean_pool(pass.tape(), features)?,
        _ => features,
    };
    as_given(pass, features)
}

/// What was computed of a batch, in the order in which its samples were given.
fn as_given<T: Element>(pass: &mut Pass<T>, values: Var) -> Result<Var> {
    match pass.sorted().filter(|sorted| !sorted.is_sorted()).map(|sorted| sorted.inverse.clone()) {
        Some(inverse) => ops::reorder(pass.tape(), values, &inverse),
        None => Ok(values),
    }
}

/// The router of a network whose image is read by one convolution alone.
fn router(builder: &mut Builder, graph: &Graph) -> Result<Router> {
    let first = graph.first_layer.as_ref().and_then(|first| {
        let is_first = |conv: &&Conv| builder.declared_name(conv.weight) == first.weight;
        builder.convolutions.iter().find(is_first).cloned()
    });
    let problem = "the routed form describes an image by the one layer that reads it, and here \
                   several layers read it, or one that is no convolution";
    let first = first.ok_or_else(|| Error::argument("Network::new", problem))?;
    if let Some(norm) = &graph.loose_norm {
        let problem = format!(
            "the routed form folds each batch norm into the convolution that it follows, and {norm} \
             follows none"
        );
        return Err(Error::argument("Network::new", problem));
    }
    Router::declare(builder, &first)
}
