//! `groundline serve`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result};
use groundline_engine::{
    serve::{Feed, Options, Origin, serve},
    store::City,
};
use serde_json::json;

use crate::{
    live::{Feeds, Live},
    outcome::{Ask, Outcome, UsageError},
};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, s3://bucket/prefix/name.city, or the URL of a Groundline server.
    city: PathBuf,
    /// Address to listen on; port 0 takes a free one. Only this machine's own addresses until users and rights exist.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Pages of this origin may read the city in a browser, such as https://maps.example.org:8443; may be given again. Without it only
    /// pages that come from the server itself may; `*` lets in every page that somebody on this machine opens.
    #[arg(long, value_name = "ORIGIN", value_parser = Origin::parse)]
    cors: Vec<Origin>,
    /// Answers to this name in `Host` too, such as that of a proxy before it; may be given again. Without it only to localhost and
    /// addresses of this machine.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Most connections at once; then idle ones are closed for new ones.
    #[arg(long, value_name = "N", default_value_t = Options::default().connections, value_parser = at_least_one)]
    connections: usize,
    /// Questions that are worked on at once; 16 more for each wait, the others get 503 and when to ask again. Twice the cores when not given.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    queries: Option<usize>,
    /// Memory for tiles that were asked for, MiB.
    #[arg(long, value_name = "MIB", default_value_t = Options::default().cache_bytes >> 20)]
    cache: usize,
    /// Take readings over HTTP too (POST /readings), and what people do about alarms (POST /alarms).
    #[arg(long)]
    push: bool,
    #[command(flatten)]
    feeds: Feeds,
}

impl Args {
    fn options(&self) -> Options {
        let usual = Options::default();
        Options {
            cors: self.cors.clone(),
            hosts: self.host.clone(),
            connections: self.connections,
            queries: self.queries.unwrap_or(usual.queries),
            cache_bytes: self.cache.saturating_mul(1 << 20),
            ..usual
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| (1..=1_000_000).contains(number))
        .ok_or_else(|| "a number from 1 to 1000000".into())
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
    // Which version it is, and why, is said by the server.
    let (city, _) = City::open_or_recall(&args.city)?;
    let live = Live::start(&city, &args.feeds, args.push)?;
    let feed = Feed::new(live.state.clone());
    let feed = if args.push { feed.taking(live.log.clone()) } else { feed };
    let runtime = tokio::runtime::Runtime::new().context("starting the server's threads")?;
    runtime.block_on(async {
        let server = serve(&args.city, args.listen, Some(feed), args.options()).await?;
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_is_set_on_the_command_reaches_the_server() {
        let options = |line: &str| Line::try_parse_from(["serve", "a.city"].into_iter().chain(line.split_whitespace()));
        let usual = options("").unwrap().args.options();
        assert!(usual.cors.is_empty() && usual.hosts.is_empty(), "nobody else, unless somebody says so");
        let set = "--cors https://a.example.org --cors http://localhost:5173 --host city.example.org --connections 9 --queries 3 --cache 7";
        let set = options(set).unwrap().args.options();
        let origins = ["https://a.example.org", "http://localhost:5173"].map(|origin| Origin::parse(origin).unwrap());
        assert_eq!((set.cors, set.hosts), (origins.to_vec(), vec!["city.example.org".to_owned()]));
        assert_eq!((set.connections, set.queries, set.cache_bytes), (9, 3, 7 << 20));
        for bad in ["--cors https://a/b", "--cors a.example.org", "--connections 0", "--queries -1", "--cache x"] {
            assert!(options(bad).is_err(), "{bad}");
        }
    }
}
