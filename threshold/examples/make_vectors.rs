//! Writes `threshold/vectors/*.json`. Run it only when the protocol changes its version: stored objects and other
//! implementations depend on these bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "../tests/vectors/generate.rs"]
mod generate;

fn main() -> std::io::Result<()> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    std::fs::create_dir_all(&directory)?;
    for (name, value) in generate::all() {
        std::fs::write(directory.join(name), generate::text(&value))?;
    }
    Ok(())
}
