//! Which way of a kernel was measured to be the fastest on a device, and where that is kept.
//!
//! Here are only numbers; what they mean is known to those who launch the kernels
//! ([`kernel::opencl`](crate::kernel::opencl)). A table comes from the disk, where
//! `devices --tune` left it for this device and driver, or from the program itself, for devices
//! that were measured before it was published. An entry that makes no sense is one that is not there.

use super::{OpenCl, Properties, cache};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A product, as far as its speed depends on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Product {
    /// The kernel that computes it.
    pub kernel: String,
    /// Bytes of a number.
    pub bytes: usize,
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result.
    pub columns: usize,
    /// How many results there are.
    pub times: usize,
    /// The length of the sums.
    pub depth: usize,
}

/// How a product is cut: see `panel.cl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Way {
    /// Work-items of a group, along both axes.
    pub workers: usize,
    /// Rows and columns of a tile.
    pub tile: [usize; 2],
    /// Steps that are packed at a time.
    pub steps: usize,
    /// Parts that the sums are cut into.
    pub parts: usize,
}

impl Way {
    /// Whether tiles are the same, whatever the parts.
    pub fn has_tile_of(&self, other: &Self) -> bool {
        Self { parts: other.parts, ..*self } == *other
    }
}

/// A line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Of sizes rounded up to powers of two, all of which it stands for.
    #[serde(flatten)]
    pub product: Product,
    /// The fastest.
    #[serde(flatten)]
    pub way: Way,
    /// What it took.
    pub microseconds: f64,
    /// What the way took that would be chosen without measuring.
    pub unmeasured: f64,
}

/// What is kept on the disk.
#[derive(Serialize, Deserialize)]
struct File {
    platform: String,
    device: String,
    driver: String,
    products: Vec<Measured>,
}

/// Tables that the program brings along.
const PUBLISHED: &[&str] = &[];

/// The tables of a device.
#[derive(Default)]
pub struct Tuning {
    is_measuring: AtomicBool,
    measured: Mutex<HashMap<Product, Measured>>,
    /// What this run has measured, or is about to.
    begun: Mutex<HashSet<Product>>,
    /// What was decided for sizes as they are, so that it is decided once.
    decided: Mutex<HashMap<(&'static str, usize, [usize; 4]), Way>>,
}

impl Product {
    /// What stands for it in a table.
    pub fn rounded(&self) -> Self {
        let [rows, columns, times, depth] =
            [self.rows, self.columns, self.times, self.depth].map(usize::next_power_of_two);
        Self { rows, columns, times, depth, ..self.clone() }
    }
}

impl Tuning {
    /// What is known of a device.
    pub(super) fn of(properties: &Properties) -> Self {
        let of_disk = cache::load_text(&key(properties), EXTENSION);
        let file = of_disk.as_deref().and_then(|text| read(text, properties, true));
        let published = || PUBLISHED.iter().find_map(|text| read(text, properties, false));
        let products = file.or_else(published).map_or_else(Vec::new, |file| file.products);
        let measured = products.into_iter().map(|line| (line.product.clone(), line)).collect();
        Self { measured: Mutex::new(measured), ..Self::default() }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Product, Measured>> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether products are to be measured when they are next computed.
    pub fn is_measuring(&self) -> bool {
        self.is_measuring.load(Ordering::Relaxed)
    }

    /// The way that was measured to be the fastest.
    pub fn measured(&self, product: &Product) -> Option<Way> {
        self.table().get(&product.rounded()).map(|line| line.way)
    }

    /// Whether a product of about these sizes is still to be measured by this run; it no longer is.
    pub fn begin(&self, product: &Product) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(product.rounded())
    }

    /// Adds a line to the table.
    pub fn note(&self, product: &Product, way: Way, microseconds: f64, unmeasured: f64) {
        let product = product.rounded();
        let line = Measured { product: product.clone(), way, microseconds, unmeasured };
        self.table().insert(product, line);
        self.forget();
    }

    /// What was decided is to be decided anew.
    fn forget(&self) {
        self.decided.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The way for these sizes (rows, columns, times, depth), decided by `decide` the first time.
    pub fn decided(
        &self,
        kernel: &'static str,
        bytes: usize,
        sizes: [usize; 4],
        decide: impl FnOnce() -> Way,
    ) -> Way {
        let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        *decided.entry((kernel, bytes, sizes)).or_insert_with(decide)
    }
}

impl OpenCl {
    /// What was measured on it.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// Measures the ways of every product that `work` computes, and keeps what it found: for this
    /// process, and on the disk for later ones. Gives the table, sorted, with what was known before.
    ///
    /// # Errors
    /// Those of `work`. That the table cannot be written is none: it is measured anew then.
    pub fn tune(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<Measured>> {
        self.tuning.is_measuring.store(true, Ordering::Relaxed);
        let done = work();
        self.tuning.is_measuring.store(false, Ordering::Relaxed);
        self.tuning.forget();
        self.tuning.begun.lock().unwrap_or_else(PoisonError::into_inner).clear();
        done?;
        let mut products: Vec<_> = self.tuning.table().values().cloned().collect();
        products.sort_by(|a, b| a.product.cmp(&b.product));
        let p = &self.properties;
        let [platform, device, driver] = [&p.platform, &p.name, &p.driver].map(Clone::clone);
        let file = File { platform, device, driver, products };
        if let Ok(text) = serde_json::to_string_pretty(&file) {
            cache::store_text(&key(p), EXTENSION, &text);
        }
        Ok(file.products)
    }
}

const EXTENSION: &str = "tuned.json";

/// What a table on the disk belongs to.
fn key(properties: &Properties) -> String {
    [&properties.platform, &properties.name, &properties.version, &properties.driver]
        .map(|text| text.trim())
        .join("\n")
}

/// A table, if it is one of this device, and of this driver if that matters.
fn read(text: &str, properties: &Properties, of_driver: bool) -> Option<File> {
    let file: File = serde_json::from_str(text).ok()?;
    let same = file.platform == properties.platform && file.device == properties.name;
    (same && (!of_driver || file.driver == properties.driver)).then_some(file)
}
