//! `groundline demo`: from a recipe to files, from files to a city, from recorded readings to live sensors, to the viewer.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use groundline_engine::{model::ImportReport, store::City};
use groundline_importers::intake::{self, Request};
use groundline_sample::Recipe;
use groundline_viewer::{SnapshotOptions, SnapshotReport, ViewOptions};
use serde_json::json;

use crate::{
    live::{self, Feeds, Live},
    outcome::{Ask, Outcome, bytes, grouped, print_json},
    view::{Scene, Shelf},
};

/// The sample city lies in CGCS2000 / 3-degree Gauss-Krüger CM 120E, heights of 1985.
const CRS: &str = "EPSG:4549";
const VERTICAL: u32 = 5737;

#[derive(clap::Args)]
pub struct Args {
    /// Folder for the sample city's files and the city made from them.
    #[arg(long, default_value = "demo-city")]
    dir: PathBuf,
    /// Do not open the viewer.
    #[arg(long)]
    no_view: bool,
    /// Take this picture (PNG) once everything is there.
    #[arg(long)]
    snapshot: Option<PathBuf>,
    /// Recipe of the city; the one that is built in when absent.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// Address of the built-in MQTT listener that the demo's sensors publish at; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    mqtt: std::net::SocketAddr,
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let started = Instant::now();
    let recipe = match &args.recipe {
        Some(path) => Recipe::read(path)?,
        None => Recipe::default_city(),
    };
    let files = args.dir.join("sources");
    let city_folder = args.dir.join("haiwan.city");
    let say = |text: &str| {
        if !ask.json {
            println!("{:>5.1} s  {text}", started.elapsed().as_secs_f64());
        }
    };

    std::fs::create_dir_all(&files).with_context(|| files.display().to_string())?;
    let made = groundline_sample::make(&recipe, &files, &mut |_| {})?;
    let size: u64 = made.files.iter().map(|(_, bytes)| bytes).sum();
    say(&format!("{} {} ({})", made.files.len(), ask.say("source files made", "个数据源文件已生成"), bytes(size)));

    let request = Request {
        sources: vec![files.clone()],
        city: city_folder.clone(),
        name: Some(ask.say("Haiwan 海湾区", "海湾区 Haiwan").to_owned()),
        vertical: Some(VERTICAL),
        options: crate::import::options(Some(CRS), &[])?,
        ..Request::default()
    };
    let report = intake::import(&request, &mut |_| {})?;
    say(&imported(&report, ask));

    let city = City::open(&city_folder)?;
    let feeds = Feeds { mqtt: Some(args.mqtt), ..Feeds::default() };
    let live = Live::start(&city, &feeds, false)?;
    let addr = live.listener.as_ref().map(groundline_engine::live::Listener::addr).context("the listener")?;
    let recording = live::recording(&files.join("物联网/读数.csv"))?;
    let broker = live::broker(&addr.to_string())?;
    let player = live::play(&recording, &live.state, broker, 1.0, true)?;
    say(&format!(
        "{} {} {} mqtt://{addr}",
        live.state.sensors().len(),
        ask.say("sensors publish at", "个感知终端正在发布到"),
        ""
    ));

    let mut pictures = Vec::new();
    if let Some(out) = &args.snapshot {
        pictures.push(take(&city_folder, out, false, &live, ask)?);
    }
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|n| std::env::var_os(n).is_some_and(|v| !v.is_empty()));
    if !args.no_view && !has_display {
        say(ask.say("no display here: taking pictures instead of opening the viewer", "没有显示器：改为生成图片"));
        for (name, below) in [("above.png", false), ("below.png", true)] {
            pictures.push(take(&city_folder, &args.dir.join(name), below, &live, ask)?);
        }
    }
    for picture in &pictures {
        say(&format!("{} ({})", picture.out.display(), picture.gpu));
    }
    if ask.json {
        print_json(&json!({
            "city": city_folder.display().to_string(),
            "files": made.files.len(),
            "import": report,
            "sensors": live.state.sensors().len(),
            "pictures": pictures,
            "seconds": started.elapsed().as_secs_f64(),
        }))?;
    }
    if !args.no_view && has_display {
        say(ask.say("opening the viewer; ? shows the keys", "打开查看器；按 ? 查看按键"));
        let scene = Scene::default().options(&city_folder, Some(&live), ask)?;
        let bookmarks = Shelf::default().file(&city);
        groundline_viewer::view(ViewOptions { scene, bookmarks, ..ViewOptions::default() })?;
    }
    player.stop();
    Ok(if intake::has_skipped(&report) { Outcome::Skipped } else { Outcome::Done })
}

fn imported(report: &ImportReport, ask: &Ask) -> String {
    if report.sources.iter().all(|s| s.unchanged || s.objects == 0) {
        return ask.say("the city already holds these files", "城市中已有这些文件的内容").to_owned();
    }
    format!(
        "{} {}, {} {}, {} {}",
        grouped(report.objects),
        ask.say("objects", "个对象"),
        grouped(report.points),
        ask.say("points", "个点"),
        grouped(report.tiles),
        ask.say("tiles imported", "个瓦片已入库")
    )
}

fn take(city: &Path, out: &Path, below: bool, live: &Live, ask: &Ask) -> Result<SnapshotReport> {
    let scene = Scene { below, ..Scene::default() }.options(city, Some(live), ask)?;
    let options = SnapshotOptions { scene, out: out.to_owned(), ..SnapshotOptions::default() };
    Ok(groundline_viewer::snapshot(options)?)
}
