//! x
use throng::config::{Config, Sources, load};
use throng::role::Roles;
fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let args: Vec<String> = std::env::args().collect();
    let dir = args.iter().position(|a| a == "--data-dir").map(|i| args[i + 1].clone());
    let flags = dir.map(|d| vec![("data_dir".to_owned(), d)]).unwrap_or_default();
    let config: Config = match load(&Sources::of_process(None, flags), &Roles::all()) {
        Ok(c) => c,
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(78)
        }
    };
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let s = stop.clone();
        tokio::spawn(async move {
            let mut t =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
            t.recv().await;
            s.cancel();
        });
        throng::run::run(config, Roles::all(), metrics, stop).await.unwrap();
    });
}
