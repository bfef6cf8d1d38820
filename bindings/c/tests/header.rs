//! The header is what this crate says. `ZOO_WRITE=1 cargo test -p zoo-tuning-c --test header` writes it.

#[test]
fn the_header_is_that_of_the_sources() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let config = cbindgen::Config::from_file(format!("{folder}/cbindgen.toml")).unwrap();
    // Of the sources alone: nothing of the engine is in it. The modules are found from the first file.
    let builder =
        cbindgen::Builder::new().with_config(config).with_src(format!("{folder}/src/lib.rs"));
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let (made, path) = (String::from_utf8(made).unwrap(), format!("{folder}/include/zoo_tuning.h"));
    if std::env::var_os("ZOO_WRITE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert_eq!(made.matches("zoo_model_run(").count(), 1, "declared once");
    assert_eq!(made, std::fs::read_to_string(&path).unwrap(), "ZOO_WRITE=1 writes it anew");
}
