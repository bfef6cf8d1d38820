//! All architectures with their tensors, and which of them a file holds.

use super::identify::{CHANNELS, OUTPUTS};
use super::{Design, Identified, architectures};
use crate::Result;
use crate::zoo::{Checkpoint, Expected, Layout, Names, Naming};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An architecture at the usual sizes.
pub(super) struct Entry {
    pub design: Design,
    pub tensors: Vec<Expected>,
    /// Tensors beside the head's.
    body: usize,
}

/// Architectures whose tensors have the same names in the same layouts: a file's prefix and
/// layout are looked for once for all of them.
pub(super) struct Family {
    /// By their number of tensors, the most first; equal ones in the order of the list.
    pub members: Vec<Entry>,
    layouts: Vec<Layout>,
    /// Numbers of axes of all members' tensors.
    axes: HashMap<String, usize>,
}

pub(super) struct Catalog {
    pub families: Vec<Family>,
    /// How many architectures there were.
    count: usize,
}

impl Catalog {
    /// Of all architectures that there are now; made once, and again after one was registered.
    pub fn get() -> Result<Arc<Self>> {
        static MADE: Mutex<Option<Arc<Catalog>>> = Mutex::new(None);
        let all = architectures::all();
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(catalog) = made.as_ref().filter(|catalog| catalog.count == all.len()) {
            return Ok(Arc::clone(catalog));
        }
        let mut catalog = Self { families: Vec::new(), count: all.len() };
        for architecture in all {
            let (channels, outputs) = (CHANNELS, OUTPUTS);
            let design = Design { architecture, channels, outputs, noise: None };
            catalog.add(Entry::new(design)?);
        }
        for family in &mut catalog.families {
            family.members.sort_by_key(|member| Reverse(member.tensors.len()));
        }
        Ok(Arc::clone(made.insert(Arc::new(catalog))))
    }

    fn add(&mut self, entry: Entry) {
        let layouts = entry.design.architecture().layouts().to_vec();
        let first = entry.tensors.first().map(|(name, _)| name.clone());
        let is_kin = |family: &&mut Family| {
            // Their own names too: networks of other kinds may have no layouts either.
            family.layouts == layouts
                && first.as_ref().is_some_and(|name| family.axes.contains_key(name))
        };
        let axes = entry.tensors.iter().map(|(name, shape)| (name.clone(), shape.len()));
        match self.families.iter_mut().find(is_kin) {
            Some(family) => {
                family.axes.extend(axes);
                family.members.push(entry);
            }
            None => {
                let axes = axes.collect();
                self.families.push(Family { members: vec![entry], layouts, axes });
            }
        }
    }
}

impl Entry {
    fn new(design: Design) -> Result<Self> {
        let mut entry = Self { tensors: design.tensors()?, design, body: 0 };
        entry.body = entry.tensors.iter().filter(|(name, _)| !entry.is_head(name)).count();
        Ok(entry)
    }

    /// Whether a tensor of that name belongs to the head.
    pub fn is_head(&self, name: &str) -> bool {
        self.design.architecture().head().iter().any(|prefix| name.starts_with(prefix))
    }

    /// Whether the file may hold this network, whose tensors' shapes are `present`: all are there,
    /// the head's perhaps excepted, and most have the shapes that they have at the usual sizes.
    fn may_be(&self, present: &HashMap<String, &[usize]>) -> bool {
        // Only the tensors next to the image have other shapes at other sizes.
        let mut others = 16.max(self.tensors.len() / 2);
        self.tensors.iter().filter(|(name, _)| !self.is_head(name)).all(|(name, shape)| {
            present.get(name).is_some_and(|found| {
                let same = found == shape;
                let counts = same || others > 0;
                others -= usize::from(!same && counts);
                counts
            })
        })
    }
}

/// The network that the file holds with the most tensors, if it holds one whole.
///
/// Whatever the order of architectures, the one with most tensors found wins, and of equal ones the
/// one that is listed first. Layouts are looked at last, and only for architectures that could have
/// more tensors in the file than the best one so far: for a whole network under its own names, none.
pub(super) fn search(
    catalog: &Catalog,
    checkpoint: &Checkpoint,
    names: &Names,
) -> Result<Option<Identified>> {
    let mut best: Option<Identified> = None;
    for layouts in [false, true] {
        for family in &catalog.families {
            let most = rank(best.as_ref());
            let hopeful = |member: &&Entry| {
                member.body <= names.len() && (member.tensors.len(), Reverse(0)) > most
            };
            if !family.members.iter().any(|member| hopeful(&member)) {
                continue;
            }
            let naming = if layouts { family.by_layout(names) } else { family.as_named(names) };
            let Some((naming, _)) = naming else { continue };
            let present = names.shapes(&naming);
            for member in family.members.iter().filter(hopeful) {
                if !member.may_be(&present) {
                    continue;
                }
                let one = Identified::under(checkpoint, member, naming.clone(), &present)?;
                if one.is_complete() && rank(Some(&one)) > rank(best.as_ref()) {
                    best = Some(one);
                }
            }
        }
    }
    Ok(best)
}

/// Tensors found, and those that are not.
fn rank(identified: Option<&Identified>) -> (usize, Reverse<usize>) {
    let fit = identified.map(|identified| &identified.fit);
    fit.map_or((0, Reverse(0)), |fit| (fit.found, Reverse(fit.missing.len() + fit.misshapen.len())))
}

impl Family {
    /// The naming that finds most of the members' tensors under their own names, and how many.
    fn as_named(&self, names: &Names) -> Option<(Naming, usize)> {
        names.under(None, &self.axes)
    }

    /// The same among the layouts.
    fn by_layout(&self, names: &Names) -> Option<(Naming, usize)> {
        let all = self.layouts.iter().filter_map(|layout| names.under(Some(layout), &self.axes));
        // Of equal ones the first.
        all.reduce(|best, one| if one.1 > best.1 { one } else { best })
    }

    /// The best of all of them.
    pub fn naming(&self, names: &Names) -> Option<Naming> {
        let (named, other) = (self.as_named(names), self.by_layout(names));
        let more = |other: &(Naming, usize)| named.as_ref().is_none_or(|named| other.1 > named.1);
        Some(other.filter(more).or(named)?.0)
    }
}
