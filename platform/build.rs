//! Generates the link's client and server from `proto/link.proto`, without the protobuf compiler.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/link.proto");
    let files = protox::compile(["proto/link.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".roomlog.link.v1")
        .compile_fds(files)?;
    Ok(())
}
