//! `groundline snapshot`.

use std::path::PathBuf;

use anyhow::Result;
use groundline_engine::{store::City, tile::TileSource};
use groundline_viewer::{FilmReport, Sheet, SnapshotOptions, SnapshotReport, bookmark::Bookmarks, city::CityModel};

use crate::{
    live::{Feeds, Live},
    loose::{Looked, Loose},
    outcome::{Ask, Outcome, UsageError, grouped, print_json},
    view::{Scene, Shelf},
};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, s3://bucket/prefix/name.city, the URL of a Groundline server, a tileset.json of 3D Tiles 1.0 or 1.1 in a folder
    /// or on any web server (https://host/path/tileset.json), or any other file or folder that `import` reads.
    city: PathBuf,
    #[command(flatten)]
    loose: Loose,
    /// PNG to write.
    #[arg(long, required_unless_present = "tour", conflicts_with = "tour")]
    out: Option<PathBuf>,
    /// Fly this tour, or `all` bookmarks, and write its pictures into the folder of --frames.
    #[arg(long, value_name = "NAME", requires = "frames")]
    tour: Option<String>,
    /// Folder for the pictures of a tour: frame-00001.png and on.
    #[arg(long, value_name = "DIR", requires = "tour")]
    frames: Option<PathBuf>,
    /// Pictures a second of a tour.
    #[arg(long, default_value_t = 25.0)]
    fps: f64,
    #[command(flatten)]
    shelf: Shelf,
    /// Size of the picture.
    #[arg(long, default_value = "1280x720", value_parser = parse_size)]
    size: (u32, u32),
    /// Make a picture for this sheet of paper instead, with texts to be read on it: A0 to A5, A3-portrait, or 420x297mm.
    #[arg(long, value_name = "SHEET", conflicts_with_all = ["size", "tour"])]
    print: Option<Sheet>,
    /// Dots to the inch of --print.
    #[arg(long, default_value_t = 300, requires = "print", value_parser = clap::value_parser!(u32).range(30..=1200))]
    dpi: u32,
    /// Render this many times larger and average, 1 to 4: finer edges, more time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4))]
    fine: u32,
    #[command(flatten)]
    scene: Scene,
    #[command(flatten)]
    feeds: Feeds,
    /// Wait this many seconds for readings before the picture is taken.
    #[arg(long, default_value_t = 0.0)]
    wait: f64,
}

pub fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("{text}: WIDTHxHEIGHT is wanted, each 1 to 16384");
    let (width, height) = text.split_once(['x', 'X', '×']).ok_or_else(wrong)?;
    let size = (width.parse().map_err(|_| wrong())?, height.parse().map_err(|_| wrong())?);
    let fits = |n: u32| (1..=16_384).contains(&n);
    if fits(size.0) && fits(size.1) { Ok(size) } else { Err(wrong()) }
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    if !(0.0..=3600.0).contains(&args.wait) {
        return Err(UsageError(format!("--wait {}: 0 to 3600 seconds", args.wait)).into());
    }
    let looked = args.loose.look(&args.city, ask)?;
    let open = match &looked {
        Looked::City(place) => {
            let city = City::open(place)?;
            let live = Live::start(&city, &args.feeds, false)?;
            std::thread::sleep(std::time::Duration::from_secs_f64(args.wait));
            if !city.sensors()?.is_empty() {
                live.heard(std::time::Duration::from_secs(3));
            }
            Some((city, live))
        }
        Looked::Tileset(_) => None,
    };
    let scene_of = |scene: &Scene| match &looked {
        Looked::City(place) => scene.options(place, open.as_ref().map(|(_, live)| live), ask),
        Looked::Tileset(tileset) => scene.options_of(&args.city, tileset, ask),
    };
    let scene = scene_of(&args.scene)?;
    let mut options = SnapshotOptions { scene, size: args.size, supersample: args.fine, ..SnapshotOptions::default() };
    if let Some(sheet) = &args.print {
        options.print(sheet, args.dpi);
    }
    let size = options.size;
    if let (Some(tour), Some(folder)) = (&args.tour, &args.frames) {
        if !(0.1..=120.0).contains(&args.fps) {
            return Err(UsageError(format!("--fps {}: 0.1 to 120 pictures a second", args.fps)).into());
        }
        let name = match (&looked, &open) {
            (Looked::Tileset(tileset), _) => tileset.name().to_owned(),
            (_, open) => open.as_ref().map_or(String::new(), |(city, _)| city.name().to_owned()),
        };
        let shelf = match &open {
            Some((city, _)) => args.shelf.file(city),
            None => args.shelf.file_of(&args.city, &name),
        };
        let (bookmarks, trouble) = Bookmarks::open(shelf, &name);
        if let Some(trouble) = trouble {
            eprintln!("{trouble}");
        }
        let mut stops = Vec::new();
        for (view, seconds) in bookmarks.tour(tour).map_err(UsageError)? {
            // Options beside the tour hold for every stop.
            let stop = Scene { view: Some(view), ..args.scene.clone() };
            stops.push((scene_of(&stop)?, seconds));
        }
        let report = groundline_viewer::film(CityModel::of_scene(&options.scene)?, options, stops, folder, args.fps)?;
        return tell_film(&report, ask);
    }
    options.out = args.out.unwrap_or_default();
    let report = groundline_viewer::snapshot(options)?;
    if (report.width, report.height) != size {
        let ((width, height), largest) =
            (size, ask.say("the largest that the driver can is", "驱动程序所能的最大尺寸为"));
        eprintln!("{width}×{height}: {largest} {}×{}", report.width, report.height);
    }
    tell(&report, ask)
}

/// Prints what the pictures of a tour are.
fn tell_film(report: &FilmReport, ask: &Ask) -> Result<Outcome> {
    if ask.json {
        print_json(report)?;
    } else {
        println!(
            "{}: {} {}, {:.1} s {} {}, {:.1} s, {}",
            report.folder.display(),
            report.pictures,
            ask.say("pictures", "幅图"),
            report.film_seconds,
            ask.say("at", "，每秒"),
            report.fps,
            report.seconds,
            report.gpu
        );
        for tile in &report.damaged_tiles {
            println!("  {} {tile}", ask.say("not drawn:", "未绘制："));
        }
    }
    Ok(if report.damaged_tiles.is_empty() { Outcome::Done } else { Outcome::Skipped })
}

/// Prints what a picture showed; tiles that could not be read are skipped data.
pub fn tell(report: &SnapshotReport, ask: &Ask) -> Result<Outcome> {
    if ask.json {
        print_json(report)?;
    } else {
        println!(
            "{} ({}×{}): {} {}, {} {}, {:.1} s, {}",
            report.out.display(),
            report.width,
            report.height,
            report.tiles_drawn,
            ask.say("tiles", "个瓦片"),
            grouped(report.triangles as u64),
            ask.say("triangles", "个三角形"),
            report.seconds,
            report.gpu
        );
        for tile in &report.damaged_tiles {
            println!("  {} {tile}", ask.say("not drawn:", "未绘制："));
        }
    }
    Ok(if report.damaged_tiles.is_empty() { Outcome::Done } else { Outcome::Skipped })
}
