//! Readers of data sets, transforms, the loader.
