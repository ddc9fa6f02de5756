//! `groundline serve`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use groundline_engine::{
    serve::{LatestValues, serve},
    store::City,
};
use serde_json::json;

use crate::{
    live::{Feeds, Live},
    outcome::{Ask, Outcome, UsageError},
};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, or s3://bucket/prefix/name.city.
    city: PathBuf,
    /// Address to listen on; port 0 takes a free one. Only this machine's own addresses until users and rights exist.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    feeds: Feeds,
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    // There are no users and rights yet: what anybody may read stays on this machine.
    for addr in std::iter::once(&args.listen).chain(args.feeds.mqtt.as_ref()) {
        if !addr.ip().is_loopback() {
            let text = format!(
                "{addr}: only addresses of this machine (127.0.0.1, ::1) are served, since there are no users and rights yet"
            );
            return Err(UsageError(text).into());
        }
    }
    let city = City::open(&args.city)?;
    let live = Live::start(&city, &args.feeds)?;
    let latest: Arc<dyn LatestValues> = Arc::new(live.state.clone());
    let runtime = tokio::runtime::Runtime::new().context("starting the server's threads")?;
    runtime.block_on(async {
        let server = serve(&args.city, args.listen, Some(latest)).await?;
        let mqtt = live.listener.as_ref().map(groundline_engine::live::Listener::addr);
        if ask.json {
            // One line at the start, so that a script learns the port; there is no other document.
            println!(
                "{}",
                json!({ "http": format!("http://{}", server.address()), "mqtt": mqtt.map(|a| format!("mqtt://{a}")) })
            );
        } else {
            println!("http://{}", server.address());
            if let Some(addr) = mqtt {
                println!("mqtt://{addr}");
            }
        }
        server.run_until(stopped()).await?;
        Ok::<(), anyhow::Error>(())
    })?;
    Ok(Outcome::Done)
}

/// Ends when the terminal or the system asks the program to stop.
async fn stopped() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Without this signal, Ctrl-C still ends the program.
            Err(_) => std::future::pending::<()>().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
