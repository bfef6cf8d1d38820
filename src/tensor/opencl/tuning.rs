//! Which tilings of products were measured to be the fastest on a device, and where that is kept.
//!
//! Here are only numbers; what they mean is known to those who launch the kernels
//! ([`kernel::opencl`](crate::kernel::opencl)). A table comes from the disk, where
//! `devices --tune` left it for this device and driver. A table, or a line of it, that makes no
//! sense is as one that is not there.

use super::{OpenCl, Properties, Variant, cache};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A product, as far as its speed depends on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProductSizes {
    /// The kernel that computes it.
    pub kernel: Cow<'static, str>,
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

/// How a product is split into tiles, and its sums into parts: see `panel.cl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tiling {
    /// Work-items of a group, along both axes.
    pub workers: usize,
    /// Rows and columns of a tile.
    pub tile: [usize; 2],
    /// Steps that are packed at a time.
    pub steps: usize,
    /// Parts that the sums are split into.
    pub parts: usize,
}

impl Tiling {
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
    pub product: ProductSizes,
    /// The fastest.
    #[serde(flatten)]
    pub tiling: Tiling,
    /// What it took.
    pub microseconds: f64,
    /// What the tiling took that is chosen where nothing was measured.
    pub microseconds_of_model: f64,
}

/// What is kept on the disk.
#[derive(Serialize, Deserialize)]
struct Table {
    /// [`identity`].
    device: String,
    products: Vec<Measured>,
}

/// The tables of a device.
#[derive(Default)]
pub struct Tuning {
    is_measuring: AtomicBool,
    preferred: Mutex<Option<Tiling>>,
    measured: Mutex<HashMap<ProductSizes, Measured>>,
    /// What this run has measured, or is about to.
    begun: Mutex<HashSet<ProductSizes>>,
    /// What was decided for sizes as they are, so that it is decided once.
    decided: Mutex<HashMap<ProductSizes, Tiling>>,
}

impl ProductSizes {
    /// What stands for it in a table.
    pub fn rounded(&self) -> Self {
        let [rows, columns, times, depth] =
            [self.rows, self.columns, self.times, self.depth].map(usize::next_power_of_two);
        Self { rows, columns, times, depth, ..self.clone() }
    }
}

impl Tuning {
    /// What is known of a device.
    pub(super) fn of(properties: &Properties, variant: Variant) -> Self {
        let device = identity(properties, variant);
        let text = cache::load_text(&device, EXTENSION);
        let table = text.and_then(|text| serde_json::from_str::<Table>(&text).ok());
        // Two devices may have one name of a file.
        let table = table.filter(|table| table.device == device);
        let products = table.map_or_else(Vec::new, |table| table.products);
        let measured = products.into_iter().map(|line| (line.product.clone(), line)).collect();
        Self { measured: Mutex::new(measured), ..Self::default() }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<ProductSizes, Measured>> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether products are to be measured when they are next computed.
    pub fn is_measuring(&self) -> bool {
        self.is_measuring.load(Ordering::Relaxed)
    }

    /// From now on every product has this tiling, as far as it can, or again the best one: to test one
    /// after the other.
    pub fn prefer(&self, tiling: Option<Tiling>) {
        *self.preferred.lock().unwrap_or_else(PoisonError::into_inner) = tiling;
        self.forget();
    }

    /// The tiling that is preferred, or that was measured to be the fastest.
    pub fn wanted(&self, product: &ProductSizes) -> Option<Tiling> {
        let preferred = *self.preferred.lock().unwrap_or_else(PoisonError::into_inner);
        preferred.or_else(|| self.table().get(&product.rounded()).map(|line| line.tiling))
    }

    /// Whether a product of about these sizes is still to be measured by this run; it no longer is.
    pub fn begin(&self, product: &ProductSizes) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(product.rounded())
    }

    /// Adds a line to the table, for products of about those sizes.
    pub fn note(&self, line: Measured) {
        let product = line.product.rounded();
        self.table().insert(product.clone(), Measured { product, ..line });
        self.forget();
    }

    /// What was decided is to be decided anew.
    fn forget(&self) {
        self.decided.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The tiling of a product, decided by `decide` the first time.
    pub fn decided(
        &self,
        product: ProductSizes,
        decide: impl FnOnce(&ProductSizes) -> Tiling,
    ) -> Tiling {
        let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tiling) = decided.get(&product) {
            return *tiling;
        }
        let tiling = decide(&product);
        decided.insert(product, tiling);
        tiling
    }
}

impl OpenCl {
    /// What was measured on it.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// Measures the tilings of every product that `work` computes, and keeps what it found: for this
    /// process, and on the disk for later ones. Gives the whole table, sorted.
    ///
    /// # Errors
    /// Those of `work`; what was measured before is kept. That the table cannot be written is none:
    /// it is measured anew then.
    pub fn tune(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<Measured>> {
        self.tuning.is_measuring.store(true, Ordering::Relaxed);
        let done = work();
        self.tuning.is_measuring.store(false, Ordering::Relaxed);
        self.tuning.forget();
        self.tuning.begun.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut products: Vec<_> = self.tuning.table().values().cloned().collect();
        products.sort_by(|a, b| a.product.cmp(&b.product));
        let table = Table { device: identity(&self.properties, self.variant), products };
        if let Ok(text) = serde_json::to_string_pretty(&table) {
            cache::store_text(&table.device, EXTENSION, &text);
        }
        done.map(|()| table.products)
    }
}

/// What a table belongs to.
fn identity(properties: &Properties, variant: Variant) -> String {
    // Parts of a device may be given out as devices of their own.
    format!("{}\n{} units\n{}", properties.identity(), properties.units, variant.name())
}

/// What the files of tables end in.
const EXTENSION: &str = "tuned.json";
