//! The ONNX format, to be written.

#[cfg(test)]
pub(crate) mod message;
