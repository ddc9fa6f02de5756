//! glTF 1.0 as glTF 2.0: objects by name become lists, shaders are forgotten, what their parameters say of colour and
//! picture is kept (Khronos glTF 1.0; `KHR_binary_glTF`, `KHR_materials_common`). Old 3D Tiles hold such models.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

/// Things of one kind that are taken.
const MAX_THINGS: usize = 1_000_000;

/// Names of the things of one kind to their numbers.
type Numbers = HashMap<String, usize>;

/// The JSON of a glTF 1.0 as that of a glTF 2.0.
pub(super) fn upgraded(old: &Json) -> Result<Json, String> {
    let numbers = |kind: &str| -> Result<Numbers, String> {
        let things = old.get(kind).and_then(Json::as_object).into_iter().flatten().map(|(name, _)| name);
        let mut names: Vec<&String> = things.collect();
        if names.len() > MAX_THINGS {
            return Err(format!("more than {MAX_THINGS} {kind}"));
        }
        // The buffer of a binary container comes first, as in 2.0.
        names.sort_by_key(|name| !is_binary(name));
        Ok(names.into_iter().cloned().zip(0..).collect())
    };
    let [buffers, views, accessors] = [numbers("buffers")?, numbers("bufferViews")?, numbers("accessors")?];
    let [meshes, nodes, scenes] = [numbers("meshes")?, numbers("nodes")?, numbers("scenes")?];
    let [materials, textures, images] = [numbers("materials")?, numbers("textures")?, numbers("images")?];
    let list = |kind: &str, known: &Numbers, make: &dyn Fn(&Json) -> Json| {
        let mut made = vec![json!({}); known.len()];
        for (name, thing) in old.get(kind).and_then(Json::as_object).into_iter().flatten() {
            if let Some(place) = known.get(name).and_then(|n| made.get_mut(*n)) {
                *place = make(thing);
            }
        }
        made
    };
    let number = |known: &Numbers, name: Option<&Json>| {
        name.and_then(Json::as_str).and_then(|name| known.get(name)).map_or(Json::Null, |n| json!(n))
    };

    let mut new_buffers =
        list("buffers", &buffers, &|buffer| json!({"byteLength": of(buffer, "byteLength"), "uri": of(buffer, "uri")}));
    for (name, n) in &buffers {
        if is_binary(name)
            && let Some(Json::Object(buffer)) = new_buffers.get_mut(*n)
        {
            buffer.remove("uri");
        }
    }
    let mut new_views = list(
        "bufferViews",
        &views,
        &|view| json!({"buffer": number(&buffers, view.get("buffer")), "byteOffset": whole(view, "byteOffset"), "byteLength": whole(view, "byteLength")}),
    );
    let mut new_accessors = list("accessors", &accessors, &|accessor| {
        let mut made = accessor.clone();
        made["bufferView"] = number(&views, accessor.get("bufferView"));
        made
    });
    // What one accessor said of its stride is now the view's word: each gets a view of its own.
    for accessor in &mut new_accessors {
        let stride = whole(accessor, "byteStride");
        let view = accessor.get("bufferView").and_then(Json::as_u64).and_then(|n| new_views.get(n as usize)).cloned();
        if let (true, Some(mut view)) = (stride > 0, view) {
            view["byteStride"] = json!(stride);
            accessor["bufferView"] = json!(new_views.len());
            new_views.push(view);
        }
    }
    let primitive = |old: &Json| {
        let mut made = Map::new();
        let attributes = old.get("attributes").and_then(Json::as_object).into_iter().flatten();
        let attributes = attributes.map(|(name, accessor)| {
            let name = match name.as_str() {
                "TEXCOORD" | "COLOR" => format!("{name}_0"),
                _ => name.clone(),
            };
            (name, number(&accessors, Some(accessor)))
        });
        made.insert("attributes".into(), Json::Object(attributes.filter(|(_, n)| !n.is_null()).collect()));
        for (key, known) in [("indices", &accessors), ("material", &materials)] {
            made.insert(key.into(), number(known, old.get(key)));
        }
        made.insert("mode".into(), of(old, "mode"));
        Json::Object(made)
    };
    let all = |known: &Numbers, names: Option<&Json>| -> Vec<Json> {
        let names = names.and_then(Json::as_array).into_iter().flatten();
        names.map(|name| number(known, Some(name))).filter(|n| !n.is_null()).collect()
    };
    let mut new_nodes = list("nodes", &nodes, &|node| {
        let mut made = Map::new();
        for key in ["name", "matrix", "translation", "rotation", "scale"] {
            made.insert(key.into(), of(node, key));
        }
        made.insert("children".into(), Json::Array(all(&nodes, node.get("children"))));
        Json::Object(made)
    });
    // A node may draw several meshes; now each needs a node.
    for (name, n) in &nodes {
        let drawn = all(&meshes, old.get("nodes").and_then(|all| all.get(name)?.get("meshes")));
        for (k, mesh) in drawn.into_iter().enumerate() {
            let more = new_nodes.len();
            if more > MAX_THINGS {
                return Err(format!("more than {MAX_THINGS} nodes"));
            }
            let Some(node) = new_nodes.get_mut(*n) else { continue };
            if k == 0 {
                node["mesh"] = mesh;
            } else if let Some(children) = node.get_mut("children").and_then(Json::as_array_mut) {
                children.push(json!(more));
                new_nodes.push(json!({"mesh": mesh}));
            }
        }
    }
    let new_meshes = list("meshes", &meshes, &|mesh| {
        let primitives = mesh.get("primitives").and_then(Json::as_array).into_iter().flatten().map(&primitive);
        json!({"name": of(mesh, "name"), "primitives": primitives.collect::<Vec<_>>()})
    });
    let new_materials = list("materials", &materials, &|material| {
        let common = material.pointer("/extensions/KHR_materials_common/values");
        let diffuse = common.or_else(|| material.get("values")).and_then(|values| values.get("diffuse"));
        let mut pbr = Map::new();
        match diffuse {
            Some(Json::String(_)) => {
                let index = number(&textures, diffuse);
                if !index.is_null() {
                    pbr.insert("baseColorTexture".into(), json!({"index": index}));
                }
            }
            Some(Json::Array(colour)) if colour.len() == 4 && colour.iter().all(Json::is_number) => {
                // Colours were given as they are shown; 2.0 wants them as light.
                let light = |n: &Json| n.as_f64().unwrap_or(1.0).clamp(0.0, 1.0).powf(2.2);
                let shares = colour.iter().enumerate();
                let shares = shares.map(|(k, n)| if k < 3 { json!(light(n)) } else { n.clone() });
                pbr.insert("baseColorFactor".into(), Json::Array(shares.collect()));
            }
            _ => {}
        }
        json!({"pbrMetallicRoughness": pbr})
    });
    let new_textures =
        list("textures", &textures, &|texture| json!({"source": number(&images, texture.get("source"))}));
    let new_images = list("images", &images, &|image| match image.pointer("/extensions/KHR_binary_glTF/bufferView") {
        Some(view) => json!({"bufferView": number(&views, Some(view))}),
        None => json!({"uri": of(image, "uri")}),
    });
    let new_scenes = list("scenes", &scenes, &|scene| json!({"nodes": all(&nodes, scene.get("nodes"))}));
    let mut made = json!({
        "asset": {"version": "2.0"},
        "scene": number(&scenes, old.get("scene")),
        "buffers": new_buffers, "bufferViews": new_views, "accessors": new_accessors,
        "meshes": new_meshes, "nodes": new_nodes, "scenes": new_scenes,
        "materials": new_materials, "textures": new_textures, "images": new_images,
        "extensions": of(old, "extensions"),
    });
    without_null(&mut made);
    Ok(made)
}

fn is_binary(name: &str) -> bool {
    matches!(name, "binary_glTF" | "KHR_binary_glTF")
}

fn of(thing: &Json, key: &str) -> Json {
    thing.get(key).cloned().unwrap_or(Json::Null)
}

fn whole(thing: &Json, key: &str) -> u64 {
    thing.get(key).and_then(Json::as_u64).unwrap_or(0)
}

/// Leaves out what is `null`, two levels deep: what was not said is not there.
fn without_null(json: &mut Json) {
    let Json::Object(members) = json else { return };
    members.retain(|_, member| !member.is_null());
    for list in members.values_mut().filter_map(Json::as_array_mut) {
        for thing in list.iter_mut().filter_map(Json::as_object_mut) {
            thing.retain(|_, member| !member.is_null());
            let inner = thing.get_mut("primitives").and_then(Json::as_array_mut).into_iter().flatten();
            inner.filter_map(Json::as_object_mut).for_each(|p| p.retain(|_, member| !member.is_null()));
        }
    }
}
