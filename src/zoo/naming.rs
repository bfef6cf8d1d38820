//! The names that programs give to the tensors of one and the same network.
//!
//! A ResNet-50 is saved by torchvision as `conv1.weight`, by MoCo as
//! `state_dict.module.encoder_q.conv1.weight`, inside a detector as `backbone.body.conv1.weight`,
//! by Detectron2 as `model.backbone.bottom_up.stem.conv1.weight`. A [`Naming`] leads from the
//! file's names to the network's: found by [`Naming::detect`], or said as rules `FROM=TO`.

use super::BATCH_COUNT;
use super::checkpoint::Checkpoint;
use crate::{Error, Result};
use regex_lite::Regex;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// A tensor that a network has: its name and its shape.
pub type Expected = (String, Vec<usize>);

/// From the names of a file to those of a network.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    /// What the names of the network's tensors begin with; a tensor whose name does not is
    /// another network's.
    prefix: String,
    /// Another library's, for what stands behind the prefix.
    layout: Option<Translation>,
    /// Applied one after the other before all else.
    rules: Vec<Rule>,
}

/// Whatever matches `from` becomes `to`.
#[derive(Clone, Debug)]
struct Rule {
    from: Regex,
    to: String,
}

/// The names that another library gives to the tensors of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Whose names they are.
    pub name: &'static str,
    /// Whatever in a name matches the regular expression on the left becomes what is on the right,
    /// in which `$1` is the first group; one rule after the other.
    pub rules: &'static [(&'static str, &'static str)],
}

/// A [`Layout`] that can be applied.
#[derive(Clone, Debug)]
struct Translation {
    name: &'static str,
    rules: Vec<Rule>,
}

/// Where a file holds the network twice, the one to take, by a part of the prefix: of a query and
/// a slowly following key encoder the query, and otherwise the average over training, which
/// evaluates better.
const PREFERRED: [&str; 6] =
    ["encoder_q", "online_encoder", "teacher", "state_dict_ema", "model_ema", "ema"];

impl Translation {
    /// None if a rule is no regular expression.
    fn new(layout: &Layout) -> Option<Self> {
        let rule = |(from, to): &(&str, &str)| {
            Some(Rule { from: Regex::new(from).ok()?, to: (*to).to_owned() })
        };
        let rules = layout.rules.iter().map(rule).collect::<Option<_>>()?;
        Some(Self { name: layout.name, rules })
    }
}

fn apply(rules: &[Rule], name: &str) -> String {
    let mut name = name.to_owned();
    for Rule { from, to } in rules {
        name = from.replace_all(&name, to.as_str()).into_owned();
    }
    name
}

impl Naming {
    /// Rules `FROM=TO`, applied one after the other: whatever in a name matches the regular
    /// expression `FROM` becomes `TO`, in which `$1` is its first group.
    ///
    /// # Errors
    /// If a rule has no `=`, or its left side is no regular expression.
    pub fn of_rules(rules: &[impl AsRef<str>]) -> Result<Self> {
        let rule = |rule: &str| {
            let refuse = |problem: String| Error::config("rename", format!("{rule:?} {problem}"));
            let (from, to) = rule
                .split_once('=')
                .ok_or_else(|| refuse("should have the form FROM=TO".to_owned()))?;
            let from = Regex::new(from)
                .map_err(|error| refuse(format!("is no regular expression: {error}")))?;
            Ok(Rule { from, to: to.to_owned() })
        };
        let rules = rules.iter().map(|text| rule(text.as_ref())).collect::<Result<_>>()?;
        Ok(Self { rules, ..Self::default() })
    }

    /// After the rules, only what begins with `prefix` is the network's, and begins behind it.
    pub fn behind(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Finds the prefix and, among `layouts`, the one under which most tensors of the network
    /// `expected` are in the file, after the rules of this naming; a prefix that it has already
    /// stays. Shapes are not compared, only their number of axes: a classifier of other classes
    /// belongs to the network all the same.
    pub fn detect(
        self,
        checkpoint: &Checkpoint,
        expected: &[Expected],
        layouts: &[Layout],
    ) -> Self {
        let behind = |name: &str| {
            let name = apply(&self.rules, name);
            name.strip_prefix(&self.prefix).map(str::to_owned)
        };
        let names: Vec<(String, usize)> = checkpoint
            .iter()
            .filter_map(|view| Some((behind(view.name())?, view.shape().len())))
            .collect();
        let axes: HashMap<&str, usize> =
            expected.iter().map(|(name, shape)| (name.as_str(), shape.len())).collect();
        let (mut best, mut found) = (self.clone(), 0);
        // One by one: usually the first look finds them all, and no rule is made.
        let layouts = layouts.iter().filter_map(Translation::new).map(Some);
        for layout in std::iter::once(None).chain(layouts) {
            if found * 10 >= expected.len() * 9 {
                break;
            }
            let rules = layout.as_ref().map_or(&[][..], |layout| &layout.rules);
            let Some((prefix, count)) = most_common_prefix(&names, &axes, rules) else { continue };
            if count > found {
                let prefix = format!("{}{prefix}", self.prefix);
                best = Self { prefix, layout, rules: self.rules.clone() };
                found = count;
            }
        }
        best
    }

    /// The name in the network of the tensor that the file calls `name`, if it is the network's.
    pub fn apply(&self, name: &str) -> Option<String> {
        let name = apply(&self.rules, name);
        let name = name.strip_prefix(&self.prefix)?;
        Some(match &self.layout {
            Some(layout) => apply(&layout.rules, name),
            None => name.to_owned(),
        })
    }

    /// What the names begin with in the file; empty for nothing.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether all names stay as they are.
    pub fn is_identity(&self) -> bool {
        self.prefix.is_empty() && self.layout.is_none() && self.rules.is_empty()
    }

    /// As [`Self::renamed`], of the network `expected` alone: what else stands behind the same
    /// prefix, such as the head of another task, is left out. Its counters of batches
    /// (`num_batches_tracked`) are kept.
    ///
    /// # Errors
    /// If two would have one name.
    pub fn network(&self, checkpoint: Checkpoint, expected: &[Expected]) -> Result<Checkpoint> {
        let wanted: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let is_counter = |name: &str| {
            let layer = name.strip_suffix(BATCH_COUNT);
            layer.is_some_and(|layer| wanted.contains(format!("{layer}running_mean").as_str()))
        };
        checkpoint.map_names(|name| {
            let name = self.apply(name)?;
            (wanted.contains(name.as_str()) || is_counter(&name)).then_some(name)
        })
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
        match (self.prefix.as_str(), &self.layout) {
            ("", None) => f.write_str("as they are"),
            (prefix, None) => write!(f, "behind {prefix}"),
            ("", Some(layout)) => write!(f, "as of {}", layout.name),
            (prefix, Some(layout)) => write!(f, "behind {prefix}, as of {}", layout.name),
        }
    }
}

/// The prefix behind which most of the expected names stand, and how many.
fn most_common_prefix(
    names: &[(String, usize)],
    expected: &HashMap<&str, usize>,
    rules: &[Rule],
) -> Option<(String, usize)> {
    /// Parts of a name that are looked at: no real name has more, and a hostile one may.
    const MOST_PARTS: usize = 16;
    // In the order in which they occur.
    let (mut prefixes, mut votes): (Vec<&str>, HashMap<&str, usize>) = Default::default();
    for (name, axes) in names {
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        for start in starts.take(MOST_PARTS) {
            let (prefix, rest) = name.split_at(start);
            let is_expected = |name: &str| expected.get(name) == Some(axes);
            let fits =
                if rules.is_empty() { is_expected(rest) } else { is_expected(&apply(rules, rest)) };
            if fits {
                *votes.entry(prefix).or_insert_with(|| {
                    prefixes.push(prefix);
                    0
                }) += 1;
            }
        }
    }
    let rank = |prefix: &str| {
        let preferred = PREFERRED.iter().position(|part| prefix.split('.').any(|p| p == *part));
        std::cmp::Reverse(preferred.unwrap_or(PREFERRED.len()))
    };
    // The momentum of an optimizer has the same names, further down.
    let depth = |prefix: &str| std::cmp::Reverse(prefix.matches('.').count());
    let key = |prefix: &&&str| (votes[**prefix], rank(prefix), depth(prefix));
    // Of equal ones the last would be taken.
    let best = prefixes.iter().rev().max_by_key(key)?;
    Some(((*best).to_owned(), votes[*best]))
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
        let rules = Naming::of_rules(&["first=second", r"\.second\.(w.*)$=.conv1.$1"]).unwrap();
        assert_eq!(rules.apply("x.first.weight").unwrap(), "x.conv1.weight");
        let naming = rules.detect(&file, &network(), layouts());
        assert_eq!(naming.prefix(), "x.");
        assert!(naming.renamed(file).unwrap().contains("conv1.weight"));
    }

    #[test]
    fn rules_without_meaning_are_errors() {
        for (rule, problem) in [("a", "FROM=TO"), ("(=b", "no regular expression")] {
            let error = Naming::of_rules(&[rule]).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains(rule), "{error}");
        }
    }

    #[test]
    fn two_tensors_that_would_have_one_name_are_an_error() {
        let naming = Naming::of_rules(&["^[ab]$=c"]).unwrap();
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
