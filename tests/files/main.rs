//! Files of networks, as other libraries write and read them.

mod hrnet;
mod names;
mod onnx;
mod pytorch;
mod safetensors;
mod save_pytorch;
