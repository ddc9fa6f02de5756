//! A new version of the city, taken over while the window is open.
//!
//! A thread looks for it where the city lies: a folder, a bucket, a server. What is the same stays as it is, what changed is drawn as it was
//! until its tiles have been read, so that nothing is ever blank; while the city cannot be reached the window keeps the version that it has.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use bevy::{prelude::*, window::RequestRedraw};
use groundline_engine::{store::City, tile::TileId};

use crate::{
    city::{CityModel, LayerModel},
    colouring::Colouring,
    cut::Cuts,
    desk::Desk,
    network::Network,
    overlay::OverlayState,
    scene::CityScene,
    sift::Sift,
    stream::{ShownLayers, Streaming, TileKey, TileState, drop_tile, take_back},
    tile_part::TilePart,
    validity::Timeline,
};

/// How often a folder is looked at, and a bucket or a server asked.
const FOLDER_PERIOD: Duration = Duration::from_secs(1);
const URL_PERIOD: Duration = Duration::from_secs(3);

/// What the watching thread has found.
enum News {
    Newer(Box<CityModel>),
    /// The city cannot be read, and why.
    Away(String),
    Back,
}

/// The watch over the city's version.
#[derive(Resource)]
pub struct Renewal {
    news: Mutex<Receiver<News>>,
    _watched: Arc<()>,
}

impl Renewal {
    /// Watches the city at `place`, of which `version` is shown.
    pub fn watch(place: &Path, version: u64) -> std::io::Result<Self> {
        let is_url = place.to_string_lossy().contains("://");
        Self::start(place.to_owned(), version, if is_url { URL_PERIOD } else { FOLDER_PERIOD })
    }

    fn start(place: PathBuf, version: u64, period: Duration) -> std::io::Result<Self> {
        let (sender, news) = sync_channel(1);
        let watched = Arc::new(());
        let weak = Arc::downgrade(&watched);
        std::thread::Builder::new()
            .name("versions".into())
            .spawn(move || look(&place, version, period, &sender, &weak))?;
        Ok(Self { news: Mutex::new(news), _watched: watched })
    }
}

fn look(place: &Path, mut shown: u64, period: Duration, sender: &SyncSender<News>, watched: &Weak<()>) {
    let mut is_away = false;
    loop {
        std::thread::sleep(period);
        if watched.upgrade().is_none() {
            return;
        }
        let newer = City::open(place).map_err(Into::into).and_then(|city| match city.version() > shown {
            true => CityModel::open(place).map(Some),
            false => Ok(None),
        });
        let news = match newer {
            Ok(newer) if std::mem::take(&mut is_away) => {
                if sender.send(News::Back).is_err() {
                    return;
                }
                newer.map(|city| News::Newer(Box::new(city)))
            }
            Ok(newer) => newer.map(|city| News::Newer(Box::new(city))),
            Err(error) if !std::mem::replace(&mut is_away, true) => Some(News::Away(error.to_string())),
            Err(_) => None,
        };
        if let Some(News::Newer(city)) = &news {
            shown = city.version;
        }
        if news.is_some_and(|news| sender.send(news).is_err()) {
            return;
        }
    }
}

/// Takes over what the watch has found.
#[allow(clippy::too_many_arguments)]
pub fn renew(
    renewal: Option<Res<Renewal>>,
    mut commands: Commands,
    mut city: ResMut<CityScene>,
    mut streaming: ResMut<Streaming>,
    mut shown: ResMut<ShownLayers>,
    (mut colouring, mut network): (ResMut<Colouring>, ResMut<Network>),
    (mut sift, mut cuts, mut timeline): (ResMut<Sift>, ResMut<Cuts>, ResMut<Timeline>),
    (mut desk, overlay): (ResMut<Desk>, Option<Res<OverlayState>>),
    mut redraw: MessageWriter<RequestRedraw>,
) {
    let Some(renewal) = renewal else { return };
    let Ok(news) = renewal.news.lock().unwrap_or_else(PoisonError::into_inner).try_recv() else { return };
    redraw.write(RequestRedraw);
    let mut tell = |key: &str, name: &str, value: String| {
        if let Some(overlay) = &overlay {
            desk.tell(overlay.texts.with(key, name, value));
        }
    };
    let mut newer = match news {
        News::Newer(newer) => newer,
        News::Away(reason) => return tell("city-away", "reason", reason),
        News::Back => return tell("city-back", "version", city.0.version.to_string()),
    };
    if let Err(error) = newer.take_places_of(&city.0) {
        return tell("city-away", "reason", error.to_string());
    }
    tell("city-renewed", "version", newer.version.to_string());
    take_over(&mut streaming, &city.0, &newer, &mut commands);
    shown.0.resize(newer.layers.len(), true);
    city.0 = Arc::from(newer);
    // What was asked of the version before is asked again.
    colouring.renew();
    network.renew();
    sift.renew();
    timeline.renew();
    cuts.set_changed();
}

/// Keeps the tiles that are the same, and those of the same place until they have been read anew.
pub(crate) fn take_over(streaming: &mut Streaming, before: &CityModel, now: &CityModel, commands: &mut Commands) {
    take_back(streaming);
    streaming.age += 1;
    // What workers are at is thrown away when it comes.
    streaming.loading.clear();
    streaming.fades.stop();
    let contents: Vec<HashMap<String, TileId>> = now.layers.iter().map(contents).collect();
    let tiles = std::mem::take(&mut streaming.tiles);
    let mut outdated = Vec::new();
    for (key, state) in tiles {
        let TileState::Ready(mut tile) = state else { continue };
        let trees = (before.layers.get(key.layer), before.layers.get(key.layer).map(|layer| layer.tree.now()));
        let old = trees.0.zip(trees.1.as_ref()).map(|(layer, tree)| (layer, tree.tile(key.tile)));
        let same = old.and_then(|(layer, node)| {
            let is_there = now.layers.get(key.layer).is_some_and(|new| new.folder == layer.folder);
            contents.get(key.layer)?.get(node.content.as_deref().filter(|_| is_there)?)
        });
        match (same, old) {
            (Some(id), _) => {
                let moved = TileKey { tile: *id, ..key };
                if moved != key {
                    for (mesh, entity) in tile.entities.iter().enumerate().take(tile.pick.meshes.len()) {
                        commands.entity(*entity).insert(TilePart { key: moved, mesh });
                    }
                }
                streaming.tiles.insert(moved, TileState::Ready(tile));
            }
            (None, Some((_, node))) if stands_for(now.layers.get(key.layer), key.tile, node) => {
                tile.is_outdated = true;
                outdated.push((key, tile));
            }
            _ => drop_tile(streaming, tile, commands),
        }
    }
    for (key, tile) in outdated {
        if let std::collections::hash_map::Entry::Vacant(free) = streaming.tiles.entry(key) {
            free.insert(TileState::Ready(tile));
        } else {
            drop_tile(streaming, tile, commands);
        }
    }
    streaming.shown.retain(|key| streaming.tiles.contains_key(key));
    streaming.is_complete = false;
}

/// Tiles of a layer by their content, whose name is its hash.
fn contents(layer: &LayerModel) -> HashMap<String, TileId> {
    let tree = layer.tree.now();
    let named = tree.tiles().iter().zip(0..);
    named.filter_map(|(tile, id)| Some((tile.content.clone()?, TileId(id)))).collect()
}

/// Whether the tile of this number in the newer layer covers the same ground as the old one, which may stand for it.
fn stands_for(layer: Option<&LayerModel>, id: TileId, old: &groundline_engine::tile::Tile) -> bool {
    let tree = layer.map(|layer| layer.tree.now());
    let new = tree.as_ref().and_then(|tree| tree.tiles().get(id.index()));
    new.is_some_and(|new| {
        let near = |a: glam::DVec3, b: glam::DVec3| (a - b).truncate().abs().max_element() <= SAME_GROUND_M;
        new.content.is_some() && near(new.extent.min, old.extent.min) && near(new.extent.max, old.extent.max)
    })
}

/// Boxes in plan that differ by no more are of the same ground: an object at its edge has changed.
const SAME_GROUND_M: f64 = 50.0;
