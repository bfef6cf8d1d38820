//! A zoo of gigabytes is opened without being read, and its values stay in the files.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use zoo_tuning::Result;
use zoo_tuning::nn::{Design, Form, Network, Pass};
use zoo_tuning::tensor::{State, Tensor};
use zoo_tuning::zoo::{Checkpoint, Zoo};

/// A file of one tensor of `gigabytes`; sparse, so that the disk holds only its header.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn large(path: &Path, gigabytes: usize) -> std::io::Result<()> {
    let (values, bytes) = (gigabytes << 28, gigabytes << 30);
    let mut header =
        format!(r#"{{"w":{{"dtype":"F32","shape":[{values}],"data_offsets":[0,{bytes}]}}}}"#);
    let padded = header.len().next_multiple_of(8);
    header.extend(std::iter::repeat_n(' ', padded - header.len()));
    let mut file = File::create(path)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    file.set_len((8 + header.len() + bytes) as u64)
}

/// Bytes of this process that are in memory.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn a_zoo_of_gigabytes_is_opened_without_being_read() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.safetensors", "b.safetensors"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| large(path, 2).unwrap());
    let before = resident();
    let zoo = Zoo::open(&paths)?;
    let sources = zoo.sources().iter().map(State::<f32>::mapped).collect::<Result<Vec<_>>>()?;
    for source in &sources {
        let tensor = source.get("w")?.clone();
        assert!(tensor.is_mapped());
        assert_eq!((tensor.len(), tensor.as_slice()[tensor.len() - 1]), (1 << 29, 0.0));
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 20 << 20, "opening 4 GiB took {grown} bytes of memory");
    Ok(())
}

fn source() -> Result<Checkpoint> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Checkpoint::open(folder.join("data/zoo/as_is.safetensors"))
}

#[test]
fn a_plain_network_computes_on_the_values_in_the_file() -> Result<()> {
    let state = State::<f32>::mapped(&source()?)?;
    let design = Design::named("resnet_small", 1, 10)?;
    let network = design.plain().build(&state)?;
    let mut pass = Pass::evaluate(network.parameters());
    let x = pass.input(Tensor::full(&[2, 1, 16, 16], 0.5));
    network.forward(&mut pass, x)?;
    let parameters = network.parameters();
    for id in parameters.ids() {
        assert!(parameters.value(id).is_mapped(), "{}", parameters.name(id));
        let place = state.get(parameters.name(id))?.as_slice().as_ptr();
        assert_eq!(parameters.value(id).as_slice().as_ptr(), place);
    }
    Ok(())
}

#[test]
fn training_writes_to_copies_and_never_to_the_file() -> Result<()> {
    let file = source()?;
    let before = std::fs::read(file.path()).unwrap();
    let state = [State::<f32>::mapped(&file)?];
    let design = Design::named("resnet_small", 1, 10)?;
    let mut network = Network::from_sources(&design, Form::Plain, &state, 1)?;
    for id in network.parameters().ids() {
        let value = network.parameters_mut().value_mut(id);
        value.as_mut_slice().iter_mut().for_each(|v| *v += 1.0);
        assert!(!value.is_mapped());
    }
    assert!(state[0].tensors.values().all(Tensor::is_mapped));
    assert!(std::fs::read(file.path()).unwrap() == before);
    Ok(())
}
