//! Compiles the messages of Spark Connect and Delta Connect from the descriptors that `tools/extract_protos.py`
//! took from the released Python clients. No `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;
use prost_types::FileDescriptorSet;

const DESCRIPTORS: &str = "proto/spark_connect.fds";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={DESCRIPTORS}");
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let descriptors = FileDescriptorSet::decode(std::fs::read(root.join(DESCRIPTORS))?.as_slice())?;

    let mut prost = tonic_prost_build::Config::new();
    // The depth of a request is checked by the name of its message before it is decoded.
    prost.enable_type_names();
    tonic_prost_build::configure()
        .build_client(true)
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .include_file("messages.rs")
        .codec_path("crate::codec::GuardedCodec")
        // Maps in the order of their keys: the same request gives the same plan.
        .btree_map(".spark.connect")
        .btree_map(".delta.connect")
        .bytes(".spark.connect.ExecutePlanResponse.ArrowBatch.data")
        .bytes(".spark.connect.LocalRelation.data")
        .bytes(".spark.connect.AddArtifactsRequest.ArtifactChunk.data")
        .compile_fds_with_config(descriptors, prost)?;
    Ok(())
}
