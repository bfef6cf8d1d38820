//! The names that programs give to the tensors of one and the same network.
//!
//! A ResNet-50 is saved by torchvision as `conv1.weight`, by MoCo as
//! `state_dict.module.encoder_q.conv1.weight`, inside a detector as `backbone.body.conv1.weight`,
//! by Detectron2 as `model.backbone.bottom_up.stem.conv1.weight`. A [`Naming`] leads from the
//! file's names to the network's: found by [`Naming::detect`], or said as rules `FROM=TO`.

use super::BATCH_COUNT;
use super::checkpoint::Checkpoint;
use super::layout::{Layout, Rule, Translation, apply};
use crate::{Error, Result};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// A tensor that a network has: its name and its shape.
pub type Expected = (String, Vec<usize>);

/// From the names of a file to those of a network.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    /// What the names of the network's tensors begin with; a tensor whose name does not is
    /// another network's.
    prefix: String,
    /// Whether wrappers within the names behind the prefix are left out.
    unwraps: bool,
    /// Another library's, for what stands behind the prefix.
    layout: Option<Arc<Translation>>,
    /// Applied one after the other before all else.
    rules: Vec<Rule>,
}

/// Where a file holds the network twice, the one to take, by a part of the prefix: of a query and
/// a slowly following key encoder the query, and otherwise the average over training, which
/// evaluates better.
const PREFERRED: [&str; 6] =
    ["encoder_q", "online_encoder", "teacher", "state_dict_ema", "model_ema", "ema"];

/// What wraps a part of a network, between the parts of its names: `torch.compile`, sharded and
/// parallel training, activation checkpoints.
const WRAPPERS: [&str; 6] = [
    "_orig_mod",
    "module",
    "_forward_module",
    "_fsdp_wrapped_module",
    "_fpw_module",
    "_checkpoint_wrapped_module",
];

impl Naming {
    /// Rules `FROM=TO`, applied one after the other: whatever in a name matches the regular
    /// expression `FROM` becomes `TO`, in which `$1` is its first group.
    ///
    /// # Errors
    /// If a rule has no `=`, or its left side is no regular expression.
    pub fn from_rules(rules: &[impl AsRef<str>]) -> Result<Self> {
        let rule = |rule: &str| {
            let refuse = |problem: String| Error::config("rename", format!("{rule:?} {problem}"));
            let (from, to) = rule
                .split_once('=')
                .ok_or_else(|| refuse("should have the form FROM=TO".to_owned()))?;
            Rule::new(from, to)
                .map_err(|error| refuse(format!("is no regular expression: {error}")))
        };
        let rules = rules.iter().map(|text| rule(text.as_ref())).collect::<Result<_>>()?;
        Ok(Self { rules, ..Self::default() })
    }

    /// After the rules, only what begins with `prefix`, if there is one, is the network's, and begins
    /// behind it. A prefix that ends in a letter or digit is a whole part of names: `model` is `model.`
    pub fn behind<'a>(self, prefix: impl Into<Option<&'a str>>) -> Self {
        let Some(prefix) = prefix.into() else { return self };
        let mut prefix = prefix.to_owned();
        if prefix.ends_with(|c: char| c.is_alphanumeric()) {
            prefix.push('.');
        }
        Self { prefix, ..self }
    }

    /// Finds the prefix and, among `layouts`, the one under which most tensors of the network
    /// `expected` are in the file, after the rules of this naming; a prefix that it has already
    /// stays. Wrappers within names, such as `_orig_mod.`, are left out. Shapes are not compared,
    /// only their number of axes: a classifier of other classes belongs to the network all the
    /// same.
    pub fn detect(
        self,
        checkpoint: &Checkpoint,
        expected: &[Expected],
        layouts: &[Layout],
    ) -> Self {
        let names = Names::new(&self, checkpoint);
        let axes = expected.iter().map(|(name, shape)| (name.clone(), shape.len())).collect();
        let (mut best, mut found) = (self.clone(), 0);
        // One by one: usually the first look finds them all.
        for layout in std::iter::once(None).chain(layouts.iter().map(Some)) {
            if found == expected.len() {
                break;
            }
            if let Some((naming, count)) = names.under(layout, &axes).filter(|(_, n)| *n > found) {
                (best, found) = (naming, count);
            }
        }
        best
    }

    /// The name in the network of the tensor that the file calls `name`, if it is the network's.
    pub fn apply(&self, name: &str) -> Option<String> {
        let mut name = name.to_owned();
        apply(&self.rules, &mut name);
        self.within(&name)
    }

    /// As [`Self::apply`], after the rules.
    fn within(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix(&self.prefix)?;
        let mut name = if self.unwraps { unwrapped(name) } else { name.to_owned() };
        if let Some(layout) = &self.layout {
            apply(&layout.rules, &mut name);
        }
        Some(name)
    }

    /// The library whose layout the names have, if they are not the network's own.
    pub fn layout(&self) -> Option<&'static str> {
        self.layout.as_ref().map(|layout| layout.name)
    }

    /// What the names begin with in the file; empty for nothing.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether all names stay as they are.
    pub fn is_identity(&self) -> bool {
        self.prefix.is_empty() && !self.unwraps && self.layout.is_none() && self.rules.is_empty()
    }

    /// As [`Self::renamed`], of the network `expected` alone: what else stands behind the same
    /// prefix, such as the head of another task, is left out. Its counters of batches
    /// (`num_batches_tracked`) are kept. Weights of 8 bits that have scales beside them are what they
    /// stand for, in F32.
    ///
    /// # Errors
    /// If two would have one name, or scales do not fit their weight.
    pub fn network(&self, checkpoint: Checkpoint, expected: &[Expected]) -> Result<Checkpoint> {
        let wanted: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let is_counter = |name: &str| {
            let layer = name.strip_suffix(BATCH_COUNT);
            layer.is_some_and(|layer| wanted.contains(format!("{layer}running_mean").as_str()))
        };
        let named = |name: &str| {
            let name = self.apply(name)?;
            (wanted.contains(name.as_str()) || is_counter(&name)).then_some(name)
        };
        checkpoint.with_scales(|name| named(name).is_some())?.map_names(named)
    }

    /// The tensors of the checkpoint behind the prefix, under the network's names.
    ///
    /// # Errors
    /// If two would have one name.
    pub fn renamed(&self, checkpoint: Checkpoint) -> Result<Checkpoint> {
        if self.is_identity() {
            return Ok(checkpoint);
        }
        checkpoint.map_names(|name| self.apply(name))
    }
}

impl fmt::Display for Naming {
    /// Such as `behind module.encoder_q.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = (!self.prefix.is_empty()).then(|| format!("behind {}", self.prefix));
        let layout = self.layout().map(|name| format!("as of {name}"));
        let unwraps = self.unwraps.then(|| "without their wrappers".to_owned());
        let parts: Vec<String> = [prefix, layout, unwraps].into_iter().flatten().collect();
        f.write_str(&if parts.is_empty() { "as they are".to_owned() } else { parts.join(", ") })
    }
}

/// The names of a file after the rules and behind the prefix of a naming, to be compared with
/// several networks.
pub(crate) struct Names<'a> {
    naming: &'a Naming,
    /// With their shapes, in the order of the file; without counters of batches.
    names: Vec<(String, &'a [usize])>,
    /// Which of them a rule changed.
    ruled: Vec<bool>,
    /// Whether there is a wrapper among their parts.
    wrapped: bool,
}

impl<'a> Names<'a> {
    pub fn new(naming: &'a Naming, checkpoint: &'a Checkpoint) -> Self {
        let behind = |name: &str| {
            let mut name = name.to_owned();
            apply(&naming.rules, &mut name);
            Some(name.strip_prefix(&naming.prefix)?.to_owned())
        };
        let (names, ruled): (Vec<_>, Vec<_>) = checkpoint
            .parts()
            .filter_map(|view| {
                let name = behind(view.name())?;
                let is_ruled = view.name().strip_prefix(&naming.prefix) != Some(&name);
                Some(((name, view.shape()), is_ruled))
            })
            .unzip();
        let wrapped = names.iter().any(|(name, _)| name.split('.').any(is_wrapper));
        Self { naming, names, ruled, wrapped }
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Names and shapes, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a [usize])> {
        self.names.iter().map(|(name, shape)| (name.as_str(), *shape))
    }

    /// The naming of that layout, behind the prefix where most of the tensors stand whose names and
    /// numbers of axes are given, and how many those are; none if there is none of them. A prefix
    /// that the rules made comes before all that they did not touch.
    pub fn under(
        &self,
        layout: Option<&Layout>,
        axes: &HashMap<String, usize>,
    ) -> Option<(Naming, usize)> {
        let layout = match layout {
            Some(layout) => Some(Translation::of(layout)?),
            None => None,
        };
        let prefixes = self.prefixes(layout.as_deref(), axes);
        let rank = |prefix: &str| {
            let preferred = PREFERRED.iter().position(|part| prefix.split('.').any(|p| p == *part));
            Reverse(preferred.unwrap_or(PREFERRED.len()))
        };
        // The rules made its names; and it is no part of a larger network, such as one block.
        let is_ruled = |one: &Prefix| {
            let is_part = |of: &Prefix| one.text.starts_with(of.text) && of.found > one.found;
            one.ruled * 2 > one.found && !prefixes.iter().any(is_part)
        };
        // The momentum of an optimizer has the same names, further down.
        let depth = |prefix: &str| Reverse(prefix.matches('.').count());
        let key = |one: &&Prefix| (is_ruled(one), one.found, rank(one.text), depth(one.text));
        // Of equal ones the last would be taken.
        let best = prefixes.iter().rev().max_by_key(key)?;
        let mut behind = self.names.iter().filter_map(|(name, _)| name.strip_prefix(best.text));
        let unwraps = self.wrapped && behind.any(|rest| rest.split('.').any(is_wrapper));
        let prefix = format!("{}{}", self.naming.prefix, best.text);
        let rules = self.naming.rules.clone();
        Some((Naming { prefix, unwraps, layout, rules }, best.found))
    }

    /// The prefixes where the network `expected` stands in the file once more, in whole or for the
    /// most part, beside where `taken` finds it.
    pub fn elsewhere(
        &self,
        taken: &Naming,
        expected: &[Expected],
        layouts: &[Layout],
    ) -> Vec<String> {
        let axes: HashMap<_, _> =
            expected.iter().map(|(name, shape)| (name.clone(), shape.len())).collect();
        let rest = self.beside(taken, |name| axes.contains_key(name));
        let names: Vec<_> = rest.map(|(name, shape)| (name.to_owned(), shape)).collect();
        let ruled = vec![false; names.len()];
        let rest = Self { naming: self.naming, names, ruled, wrapped: self.wrapped };
        let mut all = Vec::new();
        for layout in std::iter::once(None).chain(layouts.iter().map(Translation::of)) {
            let prefixes = rest.prefixes(layout.as_deref(), &axes);
            let more = prefixes.iter().filter(|one| one.found * 2 > expected.len());
            all.extend(more.map(|one| format!("{}{}", self.naming.prefix, one.text)));
        }
        all.sort();
        all.dedup();
        // A layout may leave out a part that its prefix ends with, such as backbone.
        let is_whole =
            |one: &String| !all.iter().any(|other| other != one && other.starts_with(one));
        all.iter().filter(|one| is_whole(one)).cloned().collect()
    }

    /// Behind which prefixes tensors stand whose names and numbers of axes are given, in the order
    /// in which they occur.
    fn prefixes(
        &self,
        layout: Option<&Translation>,
        axes: &HashMap<String, usize>,
    ) -> Vec<Prefix<'_>> {
        /// Parts of a name that are looked at: no real name has more, and a hostile one may.
        const MOST_PARTS: usize = 16;
        /// Names that are looked at first, and if none of them is the network's, no others.
        const FIRST: usize = 64;
        let mut buffer = String::new();
        let mut is_expected = |rest: &str, shape: &[usize]| {
            let is = |name: &str| axes.get(name) == Some(&shape.len());
            if layout.is_none() && !self.wrapped {
                return is(rest);
            }
            if rest.split('.').next().is_some_and(is_wrapper) {
                return false;
            }
            buffer.clear();
            if self.wrapped {
                buffer += &unwrapped(rest)
            } else {
                buffer += rest
            }
            layout.iter().for_each(|layout| apply(&layout.rules, &mut buffer));
            is(&buffer)
        };
        let step = self.names.len().div_ceil(FIRST).max(1);
        if layout.is_some()
            && !self.names.iter().step_by(step).any(|(name, shape)| {
                starts(name).take(MOST_PARTS).any(|start| is_expected(&name[start..], shape))
            })
        {
            return Vec::new();
        }
        let (mut prefixes, mut places): (Vec<Prefix>, HashMap<&str, usize>) = Default::default();
        for ((name, shape), ruled) in self.names.iter().zip(&self.ruled) {
            for start in starts(name).take(MOST_PARTS) {
                let (text, rest) = name.split_at(start);
                if is_expected(rest, shape) {
                    let place = *places.entry(text).or_insert(prefixes.len());
                    if place == prefixes.len() {
                        prefixes.push(Prefix { text, found: 0, ruled: 0 });
                    }
                    prefixes[place].found += 1;
                    prefixes[place].ruled += usize::from(*ruled);
                }
            }
        }
        prefixes
    }

    /// The shapes of the tensors by the names that `naming`, one of [`Self::under`], gives them.
    pub fn shapes(&self, naming: &Naming) -> HashMap<String, &'a [usize]> {
        let naming = self.rest_of(naming);
        self.names.iter().filter_map(|(name, shape)| Some((naming.within(name)?, *shape))).collect()
    }

    /// Names and shapes of the tensors to which `naming` gives none of the names `wanted`.
    pub fn beside(
        &self,
        naming: &Naming,
        wanted: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (&str, &'a [usize])> {
        let naming = self.rest_of(naming);
        self.iter().filter(move |(name, _)| !naming.within(name).is_some_and(|name| wanted(&name)))
    }

    /// What is left of a naming after the rules and the prefix that these names are without.
    fn rest_of(&self, naming: &Naming) -> Naming {
        let prefix = naming.prefix.strip_prefix(&self.naming.prefix).unwrap_or_default();
        Naming { prefix: prefix.to_owned(), rules: Vec::new(), ..naming.clone() }
    }
}

/// What names begin with behind which tensors of a network stand.
struct Prefix<'a> {
    text: &'a str,
    /// How many.
    found: usize,
    /// To how many of them rules gave their names.
    ruled: usize,
}

/// Where in a name its parts begin; MMCV's averages have no dots in their names.
fn starts(name: &str) -> impl Iterator<Item = usize> {
    let between = if name.contains('.') { '.' } else { '_' };
    std::iter::once(0).chain(name.match_indices(between).map(|(at, _)| at + 1))
}

fn is_wrapper(part: &str) -> bool {
    WRAPPERS.contains(&part)
}

/// The name without the parts that are wrappers.
fn unwrapped(name: &str) -> String {
    name.split('.').filter(|part| !is_wrapper(part)).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::super::dtype::Dtype;
    use super::super::{Fit, fixture};
    use super::*;

    fn expected(tensors: &[(&str, &[usize])]) -> Vec<Expected> {
        tensors.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect()
    }

    fn layouts() -> &'static [Layout] {
        &[
            Layout {
                name: "Detectron2",
                rules: &[
                    (r"^stem\.conv1\.norm\.", "bn1."),
                    (r"^stem\.", ""),
                    (r"^res2\.", "layer1."),
                    (r"\.shortcut\.", ".downsample.0."),
                    (r"\.conv(\d)\.norm\.", ".bn$1."),
                ],
            },
            Layout {
                name: "torch.nn.Sequential",
                rules: &[(r"^0\.", "conv1."), (r"^1\.", "bn1."), (r"^4\.", "layer1.")],
            },
        ]
    }

    fn network() -> Vec<Expected> {
        expected(&[
            ("conv1.weight", &[2, 1, 1, 1]),
            ("bn1.weight", &[2]),
            ("layer1.0.conv1.weight", &[2, 2, 1, 1]),
            ("layer1.0.bn1.weight", &[2]),
            ("layer1.0.downsample.0.weight", &[2, 2, 1, 1]),
            ("fc.bias", &[3]),
        ])
    }

    /// A file of zeros.
    fn file(tensors: &[(&str, &[usize])]) -> Checkpoint {
        let zeros = [0; 64];
        let tensors: Vec<_> = tensors
            .iter()
            .map(|&(name, shape)| (name, Dtype::U8, shape, &zeros[..shape.iter().product()]))
            .collect();
        fixture::checkpoint(&tensors)
    }

    fn behind(prefix: &str) -> Vec<(String, Vec<usize>)> {
        network().into_iter().map(|(name, shape)| (format!("{prefix}{name}"), shape)).collect()
    }

    fn file_of(tensors: &[(String, Vec<usize>)]) -> Checkpoint {
        let tensors: Vec<_> =
            tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
        file(&tensors)
    }

    #[test]
    fn the_prefix_of_the_network_is_found() {
        for prefix in
            ["", "module.", "backbone.body.", "state_dict.module.encoder_q.", "a.b.c.d.e."]
        {
            let file = file_of(&behind(prefix));
            let naming = Naming::default().detect(&file, &network(), layouts());
            assert_eq!((naming.prefix(), naming.is_identity()), (prefix, prefix.is_empty()));
            let fit = Fit::new(&file, &naming, &network());
            assert_eq!(fit, Fit { found: 6, ..Fit::default() });
            let renamed = naming.renamed(file).unwrap();
            assert_eq!(renamed.names().count(), 6);
            assert!(renamed.contains("layer1.0.downsample.0.weight"));
        }
    }

    #[test]
    fn of_two_encoders_the_query_is_taken_whatever_their_order() {
        for prefixes in [["m.encoder_k.", "m.encoder_q."], ["m.encoder_q.", "m.encoder_k."]] {
            let file = file_of(&prefixes.map(behind).concat());
            let naming = Naming::default().detect(&file, &network(), layouts());
            assert_eq!(naming.prefix(), "m.encoder_q.");
            assert_eq!(Fit::new(&file, &naming, &network()).unexpected.len(), 6);
            assert_eq!(naming.renamed(file).unwrap().len(), 6);
        }
    }

    #[test]
    fn the_first_is_taken_where_nothing_else_decides() {
        let file = file_of(&["left.", "right."].map(behind).concat());
        assert_eq!(Naming::default().detect(&file, &network(), layouts()).prefix(), "left.");
    }

    #[test]
    fn an_optimizer_with_the_same_names_is_not_taken_for_the_network() {
        let file = file_of(&["optimizer.momentum.", "model."].map(behind).concat());
        assert_eq!(Naming::default().detect(&file, &network(), layouts()).prefix(), "model.");
    }

    #[test]
    fn detectron_and_sequential_names_are_known() {
        let detectron = file(&[
            ("model.backbone.stem.conv1.weight", &[2, 1, 1, 1]),
            ("model.backbone.stem.conv1.norm.weight", &[2]),
            ("model.backbone.res2.0.conv1.weight", &[2, 2, 1, 1]),
            ("model.backbone.res2.0.conv1.norm.weight", &[2]),
            ("model.backbone.res2.0.shortcut.weight", &[2, 2, 1, 1]),
        ]);
        let sequential = file(&[
            ("net.0.weight", &[2, 1, 1, 1]),
            ("net.1.weight", &[2]),
            ("net.4.0.conv1.weight", &[2, 2, 1, 1]),
            ("net.4.0.bn1.weight", &[2]),
            ("net.4.0.downsample.0.weight", &[2, 2, 1, 1]),
        ]);
        for (file, prefix, text) in [
            (detectron, "model.backbone.", "behind model.backbone., as of Detectron2"),
            (sequential, "net.", "behind net., as of torch.nn.Sequential"),
        ] {
            let naming = Naming::default().detect(&file, &network(), layouts());
            assert_eq!((naming.prefix(), naming.to_string().as_str()), (prefix, text));
            let fit = Fit::new(&file, &naming, &network());
            assert_eq!((fit.found, fit.missing.len()), (5, 1));
            assert!(fit.is_complete(&["fc."]) && !fit.is_complete(&[]));
        }
    }

    #[test]
    fn rules_are_applied_in_their_order_and_before_detection() {
        let file = file(&[("x.first.weight", &[2, 1, 1, 1]), ("x.bn1.weight", &[2])]);
        let rules = Naming::from_rules(&["first=second", r"\.second\.(w.*)$=.conv1.$1"]).unwrap();
        assert_eq!(rules.apply("x.first.weight").unwrap(), "x.conv1.weight");
        let naming = rules.detect(&file, &network(), layouts());
        assert_eq!(naming.prefix(), "x.");
        assert!(naming.renamed(file).unwrap().contains("conv1.weight"));
    }

    #[test]
    fn rules_without_meaning_are_errors() {
        for (rule, problem) in [("a", "FROM=TO"), ("(=b", "no regular expression")] {
            let error = Naming::from_rules(&[rule]).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains(rule), "{error}");
        }
    }

    #[test]
    fn two_tensors_that_would_have_one_name_are_an_error() {
        let naming = Naming::from_rules(&["^[ab]$=c"]).unwrap();
        let error = naming.renamed(file(&[("a", &[]), ("b", &[])])).unwrap_err().to_string();
        assert!(error.contains("c: is there more than once"), "{error}");
    }

    #[test]
    fn a_deeper_network_is_another() {
        let more = |name: &str| {
            let mut tensors = behind("module.");
            tensors.push((format!("module.{name}"), vec![2]));
            let file = file_of(&tensors);
            let naming = Naming::default().detect(&file, &network(), layouts());
            (Fit::new(&file, &naming, &network()), naming.network(file, &network()).unwrap())
        };
        for name in ["layer1.1.bn1.weight", "layer1.0.se.weight", "conv1.bias"] {
            let (fit, _) = more(name);
            assert_eq!((fit.found, &fit.beyond[..]), (6, &[name.to_owned()][..]));
            assert!(!fit.is_complete(&["fc."]), "{name}");
        }
        // Another task's head, wherever it is, is no part of the network.
        for name in ["projection_head.0.weight", "fc.2.bias", "queue"] {
            let (fit, network) = more(name);
            assert_eq!((fit.found, fit.unexpected.len(), network.len()), (6, 1, 6), "{name}");
            assert!(fit.is_complete(&["fc."]), "{name}");
        }
        let counted = [("m.bn1.running_mean", &[2][..]), ("m.bn1.num_batches_tracked", &[])];
        let network = expected(&[("bn1.running_mean", &[2])]);
        let naming = Naming::default().behind("m.");
        let taken = naming.network(file(&counted), &network).unwrap();
        assert_eq!(taken.len(), 2, "counters of batches belong to their layer");
    }
}
