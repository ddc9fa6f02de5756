//! The page for people.

use std::sync::Arc;

use axum::{extract::State, response::Html};

use super::{Hall, Refusal, off_thread, root::percent_encode};
use crate::store::City;

/// `GET /`.
pub(super) async fn page(State(hall): State<Arc<Hall>>) -> Result<Html<String>, Refusal> {
    off_thread(hall, |hall| Ok(Html(write(&*hall.city()?)))).await
}

fn write(city: &City) -> String {
    let mut rows = String::new();
    for layer in city.layers() {
        let name = escape(&layer.name);
        let uri = layer.name.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
        let tiles = match &layer.tileset {
            Some(tileset) => format!("<a href=\"/{}\">tileset.json</a>", percent_encode(tileset)),
            None => "–".into(),
        };
        let classes = layer.classes.keys().map(|c| escape(c)).collect::<Vec<_>>().join(", ");
        rows.push_str(&format!(
            "<tr><td>{name}</td><td>{classes}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td>\
             <td>{tiles}</td><td><a href=\"/query?layers={uri}&amp;limit=100\">GeoJSON</a></td></tr>\n",
            layer.objects, layer.points, layer.tiles
        ));
    }
    let (name, crs) = (escape(city.name()), escape(&city.crs().label()));
    format!(
        "<!doctype html><html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{name} · Groundline</title><style>\
         body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1d2733;background:#f6f7f9}}\
         table{{border-collapse:collapse;width:100%;background:#fff}}td,th{{padding:.4rem .6rem;border-bottom:1px solid #dfe4ea;text-align:left}}\
         .n{{text-align:right;font-variant-numeric:tabular-nums}}a{{color:#0b62a8}}small{{color:#5b6775}}</style></head><body>\
         <h1>{name}</h1><p>版本 version {} · 坐标系 CRS {crs}</p>\
         <table><thead><tr><th>图层 layer</th><th>类别 classes</th><th class=n>要素 objects</th><th class=n>点 points</th>\
         <th class=n>瓦片 tiles</th><th>3D Tiles</th><th>数据 data</th></tr></thead><tbody>\n{rows}</tbody></table>\
         <p><a href=\"/tileset.json\">tileset.json</a> · <a href=\"/city.json\">city.json</a> · <a href=\"/layers\">layers</a> · \
         <a href=\"/versions\">versions</a> · <a href=\"/ogc\">OGC API – Features</a> · <a href=\"/sensors\">sensors 感知终端</a> · \
         <a href=\"/api\">OpenAPI</a> · <a href=\"/metrics\">metrics</a></p>\
         <p><small>查询 query: /query?box=xmin,ymin,xmax,ymax · near=x,y&amp;radius=m · where=height_m &gt; 24 · layers= · classes= · limit= · crs=city</small></p>\
         </body></html>\n",
        city.version()
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
