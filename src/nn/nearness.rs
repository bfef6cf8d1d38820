//! What a file comes near to that holds no network at hand.

use super::Identified;
use super::catalog::{Catalog, Entry};
use crate::Result;
use crate::zoo::{Checkpoint, Names};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;

/// What a file comes near to that holds none of the networks at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nearness {
    /// The tensors of an architecture as another library has them, which computes something else.
    Refused {
        /// The architecture.
        architecture: String,
        /// The library.
        layout: &'static str,
        /// Why it is not the same network.
        reason: String,
    },
    /// The tensors of an architecture, the axes of its kernels in the order `[kh, kw, C, O]`.
    Transposed {
        /// The architecture.
        architecture: String,
    },
    /// The tensors of an architecture under names that are not known: rules can lead to them.
    Renamed {
        /// The architecture.
        architecture: String,
        /// The file's name and the network's, of some tensors.
        examples: Vec<(String, String)>,
    },
    /// A relative of an architecture: another network, which no rules lead to it.
    Variant {
        /// The architecture.
        architecture: String,
        /// In what it differs.
        differences: Vec<String>,
    },
    /// Something else.
    Unknown {
        /// What it looks like.
        kind: Option<&'static str>,
        /// The architecture whose kernels are most like its own, if half of them are.
        alike: Option<Alike>,
        /// Its first tensors.
        first: Vec<String>,
    },
}

/// An architecture with kernels of the same shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// The architecture.
    pub architecture: String,
    /// Kernels of the file that it has too, and all of the file's.
    pub kernels: [usize; 2],
}

/// Names that tell of parts that no network at hand has.
const PARTS: [(&str, &[&str]); 4] = [
    ("squeeze-and-excitation", &["se", "se_module", "se_layer", "se_block", "senet"]),
    ("channel attention", &["eca", "cbam", "ca"]),
    ("attention", &["attn", "attention", "self_attn"]),
    ("low-rank adapters", &["lora_A", "lora_B"]),
];

/// What tensors of that name are of.
const KINDS: [(&str, &str); 14] = [
    ("qweight", "a network whose weights GPTQ or AWQ packed, which is not read"),
    (
        "weight.quant_map",
        "a network whose weights bitsandbytes packed to 4 bits, which is not read",
    ),
    ("patch_embed.", "a vision transformer"),
    ("patch_embeddings.", "a vision transformer"),
    ("visual.", "a CLIP"),
    ("transition1.", "an HRNet"),
    ("denseblock1.", "a DenseNet"),
    ("denselayer1.", "a DenseNet"),
    ("conv_stem.", "an EfficientNet or a MobileNet"),
    ("_conv_stem.", "an EfficientNet"),
    ("Mixed_5b.", "an Inception"),
    ("dwconv.", "a ConvNeXt"),
    ("query.", "a transformer"),
    ("q_proj.", "a transformer"),
];

impl Nearness {
    /// Of a file in which [`search`](super::catalog::search) found nothing.
    pub(super) fn new(catalog: &Catalog, checkpoint: &Checkpoint, names: &Names) -> Result<Self> {
        let (mut nearest, mut renamed) = (None, None);
        for family in &catalog.families {
            let naming = family.naming(names);
            let present = naming.as_ref().map(|naming| names.shapes(naming)).unwrap_or_default();
            for member in &family.members {
                let likeness = Likeness::new(member, &present);
                if let Some(naming) = naming.as_ref().filter(|_| likeness.is_near()) {
                    let better = |(best, ..): &(Likeness, _)| likeness.score() > best.score();
                    if nearest.as_ref().is_none_or(better) {
                        let one = Identified::under(checkpoint, member, naming.clone(), &present)?;
                        nearest = Some((likeness, (member, one)));
                    }
                }
            }
        }
        if let Some((_, (member, one))) = &nearest {
            if let Some(reason) = one.caveat() {
                return Ok(Self::Refused {
                    architecture: one.design.name().to_owned(),
                    layout: one.naming.layout().unwrap_or_default(),
                    reason: reason.to_owned(),
                });
            }
            let wanted: HashSet<&str> =
                member.tensors.iter().map(|(name, _)| name.as_str()).collect();
            let free: Vec<_> = names.beside(&one.naming, |name| wanted.contains(name)).collect();
            // Of a relative, parts of it are more than renamed.
            let beyond = one.fit.beyond.iter().filter(|name| !member.is_head(name)).count();
            match renamed_as(member, &free, &names.shapes(&one.naming))? {
                Some((matched, renamed)) if beyond <= matched => return Ok(renamed),
                _ => {}
            }
            let architecture = one.design.name().to_owned();
            let differences = Differences::of(member, one, names).told;
            return Ok(Self::Variant { architecture, differences });
        }
        let free: Vec<_> = names.iter().collect();
        for member in catalog.families.iter().flat_map(|family| &family.members) {
            let one = renamed_as(member, &free, &HashMap::new())?;
            let most = renamed.as_ref().map_or(0, |(most, _)| *most);
            renamed = one.filter(|(matched, _)| *matched > most).or(renamed);
        }
        Ok(renamed.map_or_else(|| Self::unknown(catalog, names), |(_, renamed)| renamed))
    }

    fn unknown(catalog: &Catalog, names: &Names) -> Self {
        const MOST: usize = 3;
        let is = |part: &&(&str, &str)| {
            names.iter().any(|(name, _)| {
                name.match_indices(part.0).any(|(at, _)| at == 0 || name[..at].ends_with('.'))
            })
        };
        let kind = KINDS.iter().find(is).map(|(_, kind)| *kind);
        let first = names.iter().take(MOST).map(|(name, shape)| format!("{name} {shape:?}"));
        let alike = Alike::find(catalog, names);
        Self::Unknown { kind, alike, first: first.collect() }
    }

    /// One word for the kind.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Transposed { .. } => "transposed",
            Self::Renamed { .. } => "renamed",
            Self::Variant { .. } => "variant",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The architecture that is near, if one is.
    pub fn architecture(&self) -> Option<&str> {
        match self {
            Self::Refused { architecture, .. }
            | Self::Transposed { architecture }
            | Self::Renamed { architecture, .. }
            | Self::Variant { architecture, .. } => Some(architecture),
            Self::Unknown { alike, .. } => alike.as_ref().map(|alike| &*alike.architecture),
        }
    }
}

impl fmt::Display for Nearness {
    /// What stands behind the name of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { architecture, layout, reason } => {
                write!(f, "holds a {architecture} of {layout}, which is not supported: {reason}")
            }
            Self::Transposed { architecture } => write!(
                f,
                "holds the kernels of a {architecture} with their axes in the order [kh, kw, C, O], as \
                 JAX and TensorFlow have them; --layout hwio takes them, or hwio-io, if matrices are \
                 [C, O] too"
            ),
            Self::Renamed { architecture, examples } => {
                write!(f, "holds the tensors of a {architecture} under other names")?;
                if let [(first, its), ..] = &examples[..] {
                    write!(f, ", such as {first} for {its}")?;
                }
                write!(
                    f,
                    "; compare it with {architecture} to see them (inspect --as {architecture}), and \
                     change names by rules (--rename FROM=TO)"
                )
            }
            Self::Variant { architecture, differences } => {
                write!(f, "holds a relative of {architecture} that is not supported: ")?;
                f.write_str(&differences.join("; "))
            }
            Self::Unknown { first, .. } if first.is_empty() => f.write_str("holds no tensors"),
            Self::Unknown { kind, alike, first } => {
                f.write_str("holds no network that is known here, nor one near to it: ")?;
                if let Some(kind) = kind {
                    write!(f, "it looks like {kind}, and ")?;
                }
                if let Some(Alike { architecture, kernels: [same, all] }) = alike {
                    write!(
                        f,
                        "{same} of its {all} kernels have the shapes of a {architecture}'s, and "
                    )?;
                }
                write!(f, "its first tensors are {}", first.join(", "))
            }
        }
    }
}

impl Alike {
    /// The architecture with most kernels of the same shapes, whatever their names.
    fn find(catalog: &Catalog, names: &Names) -> Option<Self> {
        let of_file: Vec<&[usize]> =
            names.iter().map(|(_, shape)| shape).filter(|shape| shape.len() == 4).collect();
        let count = |member: &Entry| {
            let mut free = HashMap::<&[usize], usize>::new();
            of_file.iter().for_each(|shape| *free.entry(shape).or_default() += 1);
            let kernels = member.tensors.iter().filter(|(_, shape)| shape.len() == 4);
            let (mut same, mut all) = (0, 0);
            for (_, shape) in kernels {
                all += 1;
                if let Some(left) = free.get_mut(&shape[..]).filter(|left| **left > 0) {
                    (*left, same) = (*left - 1, same + 1);
                }
            }
            (same, Reverse(all))
        };
        let members = catalog.families.iter().flat_map(|family| &family.members);
        let counted = members.map(|member| (count(member), member.design.name()));
        let ((same, Reverse(all)), name) = counted.max_by_key(|(count, _)| *count)?;
        let is_half = same * 2 >= of_file.len().max(all).max(1);
        is_half.then(|| Self { architecture: name.to_owned(), kernels: [same, of_file.len()] })
    }
}

/// How much of a network is in a file, the head apart.
struct Likeness {
    /// Tensors that it should have.
    all: usize,
    /// Those whose names are there, with as many axes.
    named: usize,
    /// Those that have the same shapes too.
    same: usize,
}

impl Likeness {
    fn new(member: &Entry, present: &HashMap<String, &[usize]>) -> Self {
        let mut likeness = Self { all: 0, named: 0, same: 0 };
        for (name, shape) in member.tensors.iter().filter(|(name, _)| !member.is_head(name)) {
            let found = present.get(name);
            likeness.all += 1;
            likeness.named += usize::from(found.is_some_and(|found| found.len() == shape.len()));
            likeness.same += usize::from(found.is_some_and(|found| found == shape));
        }
        likeness
    }

    fn is_near(&self) -> bool {
        self.named * 2 >= self.all.max(1)
    }

    /// Same shapes tell more than names, and what is missing speaks against it.
    fn score(&self) -> (isize, Reverse<usize>) {
        let [all, named, same] = [self.all, self.named, self.same].map(usize::cast_signed);
        (2 * same + 2 * named - all, Reverse(self.all))
    }
}

/// Whether the tensors of the network that are not among those `present` are among the `free` ones
/// under other names, in the same shapes; and how many those are.
fn renamed_as(
    member: &Entry,
    free: &[(&str, &[usize])],
    present: &HashMap<String, &[usize]>,
) -> Result<Option<(usize, Nearness)>> {
    let other = member.design.with_channels(member.design.channels + 1).tensors()?;
    // By their shapes, those in the order of the file that no name was found for.
    let mut by_shape: BTreeMap<&[usize], VecDeque<&str>> = BTreeMap::new();
    free.iter().for_each(|(name, shape)| by_shape.entry(shape).or_default().push_back(name));
    let (mut missing, mut examples) = (0, Vec::new());
    for ((name, shape), (_, changed)) in member.tensors.iter().zip(&other) {
        let is_there = present.get(name).is_some_and(|found| found.len() == shape.len());
        if member.is_head(name) || is_there {
            continue;
        }
        missing += 1;
        // How many channels the file's images have is not known.
        let fits = |found: &[usize]| {
            found.len() == shape.len()
                && (0..shape.len()).all(|i| found[i] == shape[i] || shape[i] != changed[i])
        };
        let mut of_it =
            by_shape.iter_mut().filter(|(found, names)| fits(found) && !names.is_empty());
        match of_it.next().and_then(|(_, names)| names.pop_front()) {
            Some(its) => examples.push((its.to_owned(), name.clone())),
            // Batch norms are everywhere; it is the convolutions that tell.
            None if shape.len() == 4 => return Ok(None),
            None => {}
        }
    }
    let matched = examples.len();
    let convolutions = |all: &mut dyn Iterator<Item = usize>| all.filter(|axes| *axes == 4).count();
    let known = convolutions(&mut member.tensors.iter().map(|(_, shape)| shape.len()));
    let others = convolutions(&mut free.iter().map(|(_, shape)| shape.len()));
    let is = missing > 0 && (missing - matched) * 20 <= missing && others <= 2 * known;
    examples.truncate(3);
    let architecture = member.design.name().to_owned();
    Ok(is.then_some((matched, Nearness::Renamed { architecture, examples })))
}

/// In what a file differs from the architecture that is nearest to it.
#[derive(Default)]
struct Differences {
    told: Vec<String>,
}

impl Differences {
    fn of(member: &Entry, one: &Identified, names: &Names) -> Self {
        let mut differences = Self::default();
        let present = names.shapes(&one.naming);
        let mut beyond: Vec<&str> = one.fit.beyond.iter().map(String::as_str).collect();
        beyond.retain(|name| !member.is_head(name));
        let mut missing: Vec<&str> =
            one.fit.missing.iter().map(|missing| missing.name.as_str()).collect();
        missing.retain(|name| !member.is_head(name));
        let misshapen = one.fit.misshapen.iter().filter(|tensor| !member.is_head(&tensor.name));
        let mut misshapen: Vec<_> = misshapen.collect();

        for (what, parts) in PARTS {
            let (of_it, rest): (Vec<&str>, Vec<&str>) =
                beyond.iter().partition(|name| name.split('.').any(|part| parts.contains(&part)));
            if let Some(name) = of_it.first() {
                differences.told.push(format!("it has {what} ({name} and such)"));
            }
            beyond = rest;
        }

        let found = Blocks::of(present.keys().map(String::as_str));
        let usual = Blocks::of(member.tensors.iter().map(|(name, _)| name.as_str()));
        let depths = usual.0.iter().map(|(part, blocks)| {
            (*part, found.0.get(*part).map_or(0, BTreeSet::len), blocks.len())
        });
        let depths: Vec<_> = depths.collect();
        if depths.iter().any(|(_, found, usual)| found != usual) {
            let parts: Vec<_> = depths.iter().map(|(part, ..)| *part).collect();
            let list =
                |all: Vec<usize>| all.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            differences.told.push(format!(
                "it has {} blocks in {} instead of {}",
                list(depths.iter().map(|(_, found, _)| *found).collect()),
                parts.join(", "),
                list(depths.iter().map(|(.., usual)| *usual).collect()),
            ));
            let is_common = |name: &&str| {
                block(name).is_none_or(|(part, number)| {
                    let both = [&found, &usual].map(|blocks| blocks.0.get(part));
                    both.iter().all(|of| of.is_some_and(|of| of.contains(number)))
                        || !usual.0.contains_key(part)
                })
            };
            beyond.retain(is_common);
            missing.retain(is_common);
        }

        if let Some((stem, shape)) = member.tensors.iter().find(|(_, shape)| shape.len() == 4) {
            let part = stem.strip_suffix("weight").unwrap_or(stem);
            let changed = misshapen.iter().any(|tensor| tensor.name == *stem);
            if changed || missing.contains(&stem.as_str()) {
                if let Some((name, found)) = names.iter().find(|(_, shape)| shape.len() == 4) {
                    let told =
                        format!("it begins with {name} {found:?} instead of {stem} {shape:?}");
                    differences.told.push(told);
                }
                missing.retain(|name| name != stem);
                misshapen.retain(|tensor| tensor.name != *stem);
                beyond.retain(|name| !name.starts_with(part));
            }
        }

        let statistics =
            |name: &&str| name.ends_with(".running_mean") || name.ends_with(".running_var");
        let expected = member.tensors.iter().filter(|(name, _)| statistics(&name.as_str())).count();
        let without = missing.iter().filter(|name| statistics(name)).count();
        if without > 0 && without * 10 >= expected * 9 {
            differences.told.push(
                "its norms have no running statistics, as group norms and layer norms have none"
                    .to_owned(),
            );
            missing.retain(|name| !statistics(name));
        }

        if let Some(tensor) = misshapen.iter().find(|tensor| tensor.expected.len() == 4) {
            let (found, expected) = (&tensor.found, &tensor.expected);
            let what = match (&found[..], &expected[..]) {
                ([.., a, b], [.., c, d]) if (a, b) != (c, d) => "kernels of other sizes",
                ([o, i, ..], [e, j, ..]) if i < j && o >= e => "grouped convolutions",
                _ => "other widths",
            };
            differences.told.push(format!("it has {what} ({tensor})"));
            misshapen.retain(|tensor| tensor.found.len() != tensor.expected.len());
        }
        differences.rest("lacks", &missing);
        let misshapen: Vec<String> = misshapen.iter().map(ToString::to_string).collect();
        differences.rest("has", &misshapen.iter().map(String::as_str).collect::<Vec<_>>());
        differences.rest("also has", &beyond);
        if differences.told.is_empty() {
            differences.told.push(one.fit.to_string());
        }
        differences
    }

    /// What nothing else explains.
    fn rest(&mut self, verb: &str, all: &[&str]) {
        if let Some(first) = all.first() {
            let more = match all.len() {
                1 => String::new(),
                more => format!(" and {} more", more - 1),
            };
            self.told.push(format!("it {verb} {first}{more}"));
        }
    }
}

/// The numbered blocks of a network, by the part that they are in.
struct Blocks<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl<'a> Blocks<'a> {
    fn of(names: impl Iterator<Item = &'a str>) -> Self {
        let mut blocks = BTreeMap::<_, BTreeSet<_>>::new();
        for (part, number) in names.filter_map(block) {
            blocks.entry(part).or_default().insert(number);
        }
        Self(blocks)
    }
}

/// Of `layer3.5.conv1.weight`, `layer3` and `5`.
fn block(name: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    for part in name.split('.') {
        if at > 0 && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some((&name[..at - 1], part));
        }
        at += part.len() + 1;
    }
    None
}
