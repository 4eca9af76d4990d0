//! Generates the wire types and services from `proto/` without a protoc: protox compiles the schema,
//! tonic-prost-build writes the code, and the compiled schema is kept for server reflection.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

/// The schema, one file for each interface.
const FILES: [&str; 3] = [
    "quorate/ledger/v1/ledger.proto",
    "quorate/custody/v1/custody.proto",
    "quorate/coordinator/v1/coordinator.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let schema = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("quorate.descriptors"), schema.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(false)
        // In a key generation it holds a share.
        .type_attribute(
            "quorate.custody.v1.DeliverRequest",
            "#[derive(::zeroize::Zeroize, ::zeroize::ZeroizeOnDrop)]",
        )
        // Its one field is a passphrase.
        .skip_debug(["quorate.custody.v1.UnsealRequest"])
        .compile_fds(schema)?;
    Ok(())
}
