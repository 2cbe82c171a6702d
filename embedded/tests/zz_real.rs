#![allow(warnings)]
#[path = "../../tests/it/probe/mod.rs"]
mod probe;
#[tokio::test(flavor = "multi_thread")]
async fn real() {
    if let Ok(a) = std::env::var("P_REDIS") { println!("{}", probe::redis::run(&a).await); }
    if let Ok(a) = std::env::var("P_DDB") { println!("{}", probe::dynamo::run(&a).await); }
    if let Ok(a) = std::env::var("P_KAFKA") { println!("{}", probe::kafka::run(&a).await); }
}
