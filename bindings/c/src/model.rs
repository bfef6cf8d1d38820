//! A network in a file: opened, described, run.

use crate::failure::{Failure, ZooStatus, told};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use zoo_tuning::nn::Pass;
use zoo_tuning::tensor::{Lender, Tensor};
use zoo_tuning::train::Model;

/// A network. Several threads may run it at once.
pub struct ZooModel {
    model: Model,
    architecture: CString,
    form: CString,
    classes: Vec<CString>,
    /// By how many threads they have.
    pools: Mutex<HashMap<usize, Arc<ThreadPool>>>,
}

/// What a network is. Texts and lists live as long as the model.
#[repr(C)]
pub struct ZooDescription {
    /// The name of its architecture, such as "resnet50".
    pub architecture: *const c_char,
    /// "plain", "zoo", "lite" or "routed".
    pub form: *const c_char,
    /// How many sources it is made of; 1 if it is plain.
    pub sources: usize,
    /// How many numbers it holds.
    pub parameters: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Usual height and width of an image; others are taken too.
    pub size: usize,
    /// For each channel, what is subtracted from values from 0 to 1.
    pub mean: *const f32,
    /// For each channel, what they are divided by then.
    pub std: *const f32,
    /// Outputs: classes, or maps.
    pub outputs: usize,
    /// Whether outputs are maps and not classes.
    pub makes_maps: bool,
}

/// A text of C.
///
/// # Safety
/// `text` is null or ends with a zero.
unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a CStr, Failure> {
    if text.is_null() {
        return Err(Failure::argument(format!("{name} is a null pointer")));
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { CStr::from_ptr(text) })
}

#[cfg(unix)]
fn path(text: &CStr) -> Result<PathBuf, Failure> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::OsStr::from_bytes(text.to_bytes()).into())
}

#[cfg(not(unix))]
fn path(text: &CStr) -> Result<PathBuf, Failure> {
    let text = text.to_str().map_err(|_| Failure::argument("the path is no UTF-8"))?;
    Ok(text.into())
}

/// Opens the network in a file of any format: PyTorch of any age, safetensors, NumPy, ONNX; of a run, or of
/// another program. Nothing in it is run. `architecture` is NULL, or its name where the file's tensors
/// do not tell it. What `*model` points to is to be closed in the end; it is NULL if this fails.
///
/// # Safety
/// Texts end with a zero; `model` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_model_open(
    file: *const c_char,
    architecture: *const c_char,
    model: *mut *mut ZooModel,
) -> ZooStatus {
    told(|| {
        if model.is_null() {
            return Err(Failure::argument("model is a null pointer"));
        }
        // SAFETY: the caller promises that it can be written to.
        unsafe { *model = ptr::null_mut() };
        // SAFETY: the caller promises that texts end.
        let file = path(unsafe { text(file, "file") }?)?;
        let architecture = match architecture.is_null() {
            true => None,
            false => {
                // SAFETY: as above.
                let name = unsafe { text(architecture, "architecture") }?.to_str();
                Some(name.map_err(|_| Failure::argument("architecture is no UTF-8"))?)
            }
        };
        let opened = Model::open(file, architecture)?;
        let owned = |text: &str| CString::new(text.replace('\0', " ")).unwrap_or_default();
        let opened = ZooModel {
            architecture: owned(opened.design().name()),
            form: owned(opened.network.blueprint().form.name()),
            classes: opened.classes.iter().map(|name| owned(name)).collect(),
            pools: Mutex::default(),
            model: opened,
        };
        // SAFETY: as above.
        unsafe { *model = Box::into_raw(Box::new(opened)) };
        Ok(())
    })
}

/// Closes a model, once; NULL is let through.
///
/// # Safety
/// `model` is of zoo_model_open, and nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_model_close(model: *mut ZooModel) {
    told(|| {
        if !model.is_null() {
            // SAFETY: `zoo_model_open` made the box, and the caller gives it back once.
            drop(unsafe { Box::from_raw(model) });
        }
        Ok(())
    });
}

/// The model behind a pointer.
///
/// # Safety
/// `model` is null, or of zoo_model_open and open for as long as this is used.
unsafe fn known<'a>(model: *const ZooModel) -> Result<&'a ZooModel, Failure> {
    // SAFETY: as the caller promises.
    unsafe { model.as_ref() }.ok_or_else(|| Failure::argument("model is a null pointer"))
}

/// Says what a network is.
///
/// # Safety
/// `model` is open, `description` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_model_describe(
    model: *const ZooModel,
    description: *mut ZooDescription,
) -> ZooStatus {
    told(|| {
        // SAFETY: as the caller promises.
        let this = unsafe { known(model) }?;
        if description.is_null() {
            return Err(Failure::argument("description is a null pointer"));
        }
        let (network, input) = (&this.model.network, &this.model.input);
        let found = ZooDescription {
            architecture: this.architecture.as_ptr(),
            form: this.form.as_ptr(),
            sources: network.blueprint().sources,
            parameters: network.parameters().count(),
            channels: network.design().channels,
            size: input.size,
            mean: input.mean.as_ptr(),
            std: input.std.as_ptr(),
            outputs: network.design().outputs,
            makes_maps: network.makes_maps(),
        };
        // SAFETY: as the caller promises.
        unsafe { description.write(found) };
        Ok(())
    })
}

/// The name of a class, from 0 on; NULL if it is not known. It lives as long as the model.
///
/// # Safety
/// `model` is open, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_model_class_name(
    model: *const ZooModel,
    index: usize,
) -> *const c_char {
    let mut name = ptr::null();
    told(|| {
        // SAFETY: as the caller promises.
        let this = unsafe { known(model) }?;
        name = this.classes.get(index).map_or(ptr::null(), |name| name.as_ptr());
        Ok(())
    });
    name
}

/// Images of the caller, for as long as a call lasts.
#[derive(Debug)]
struct Images {
    first: *const f32,
    count: usize,
}

// SAFETY: the memory is only read, and outlives the call that holds this.
unsafe impl Send for Images {}
// SAFETY: as above.
unsafe impl Sync for Images {}

impl Lender<f32> for Images {
    fn values(&self) -> &[f32] {
        // SAFETY: the caller of `zoo_model_run` promises so many values for as long as it lasts, and no
        // tensor outlives it.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}

/// Runs a network on `batch` images of `height` and `width`, in the order image, channel, row, column,
/// normalised as zoo_model_describe() says, by `threads` threads (0: one for each core; the first call with a
/// number starts them). Results do not depend on it.
///
/// `output` takes `capacity` numbers: for each image one for each class, or for each map its rows.
/// `shape`, unless NULL, takes 4 sizes: batch, outputs, and height and width of a map, or 1 and 1;
/// it is written too where `capacity` is too small, which is ZOO_ARGUMENT.
///
/// # Safety
/// `model` is open; `images` holds batch * channels * height * width numbers, which nobody changes
/// meanwhile; `output` has room for `capacity`; `shape` is NULL or has room for 4.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_model_run(
    model: *const ZooModel,
    images: *const f32,
    batch: usize,
    height: usize,
    width: usize,
    threads: usize,
    output: *mut f32,
    capacity: usize,
    shape: *mut usize,
) -> ZooStatus {
    told(|| {
        // SAFETY: as the caller promises.
        let this = unsafe { known(model) }?;
        let are_numbers = !images.is_null() && !output.is_null();
        if !(are_numbers && images.is_aligned() && output.is_aligned() && shape.is_aligned()) {
            return Err(Failure::argument("images, output or shape is no pointer to numbers"));
        }
        let sizes = [batch, this.model.network.design().channels, height, width];
        let count = sizes.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        let most = isize::MAX as usize / size_of::<f32>();
        let count = count
            .filter(|&count| (1..=most).contains(&count))
            .ok_or_else(|| Failure::argument(format!("there are no images of shape {sizes:?}")))?;
        let images = Tensor::lent(&sizes, Arc::new(Images { first: images, count }))?;
        let found = match this.pool(threads)? {
            Some(pool) => pool.install(|| this.outputs(images)),
            None => this.outputs(images),
        }?;
        let mut of_output = [1; 4];
        of_output.iter_mut().zip(found.shape()).for_each(|(to, &size)| *to = size);
        if !shape.is_null() {
            // SAFETY: the caller promises room for 4.
            unsafe { ptr::copy_nonoverlapping(of_output.as_ptr(), shape, 4) };
        }
        if found.len() > capacity {
            let (needed, shape) = (found.len(), found.shape());
            let text = format!(
                "output has room for {capacity} numbers, but there are {needed}: {shape:?}"
            );
            return Err(Failure::argument(text));
        }
        // SAFETY: the caller promises room for `capacity`, and there are no more.
        unsafe { ptr::copy_nonoverlapping(found.as_slice().as_ptr(), output, found.len()) };
        Ok(())
    })
}

impl ZooModel {
    /// What computes with so many threads; `None` for one for each core, which all models share.
    fn pool(&self, threads: usize) -> Result<Option<Arc<ThreadPool>>, Failure> {
        if threads == 0 {
            return Ok(None);
        }
        if threads > 1024 {
            return Err(Failure::argument(format!("{threads} threads; 1024 are the most")));
        }
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&threads) {
            return Ok(Some(pool.clone()));
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool =
            pool.map_err(|error| Failure::argument(format!("{threads} threads: {error}")))?;
        Ok(Some(pools.entry(threads).or_insert(Arc::new(pool)).clone()))
    }

    fn outputs(&self, images: Tensor<f32>) -> zoo_tuning::Result<Tensor<f32>> {
        let network = &self.model.network;
        let mut pass = Pass::evaluate(network.parameters());
        let x = pass.input(images);
        let output = network.forward(&mut pass, x)?;
        pass.value(output).cloned()
    }
}
