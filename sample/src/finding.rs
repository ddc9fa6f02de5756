//! What an analysis is meant to find: a few dangerous places, planted on purpose and told in 说明.txt.
//!
//! The first is the one that the program is for: an oil pipeline through a storm drain.

use glam::DVec2;

use crate::{
    building::Building,
    network::{Network, Pipe, Service, finish},
    plane::crossing,
    recipe::Recipe,
    terrain::Terrain,
};

/// Plants the findings; returns the oil line and one sentence for each.
pub(crate) fn plant(
    recipe: &Recipe,
    ground: &Terrain,
    networks: &mut [Network],
    buildings: &[Building],
) -> (Network, Vec<String>) {
    let mut told = Vec::new();
    let oil = oil_line(recipe, ground, networks, &mut told);
    shallow_gas(networks, &mut told);
    water_through_sewer(ground, networks, &mut told);
    gas_under_house(ground, networks, buildings, &mut told);
    (oil, told)
}

fn oil_line(recipe: &Recipe, ground: &Terrain, networks: &[Network], told: &mut Vec<String>) -> Network {
    let mut oil = Network { service: Service::Oil, nodes: Vec::new(), pipes: Vec::new(), hubs: Vec::new() };
    let places: Vec<DVec2> = [
        (262.0, 905.0),
        (262.0, 950.0),
        (263.0, 1000.0),
        (265.0, 1046.0),
        (268.0, 1092.0),
        (270.0, 1130.0),
        (272.0, 1152.0),
    ]
    .iter()
    .map(|(x, y)| DVec2::new(*x, *y))
    .filter(|p| recipe.extent().contains(*p, 2.0))
    .collect();
    if places.len() < 2 {
        return oil;
    }
    let mut top = 2.9;
    let mut sentence = None;
    if let Some(storm) = networks.iter().find(|n| n.service == Service::Storm) {
        'search: for s in places.windows(2) {
            for pipe in &storm.pipes {
                let (a, b) = (&storm.nodes[pipe.ends[0]], &storm.nodes[pipe.ends[1]]);
                if let Some((_, t)) = crossing(s[0], s[1], a.at, b.at) {
                    let invert = pipe.depths_m[0] + (pipe.depths_m[1] - pipe.depths_m[0]) * t;
                    top = ((invert - f64::from(pipe.size_mm[1]) / 2000.0 - 0.36) * 100.0).round() / 100.0;
                    sentence = Some(format!(
                        "输油管线（GY）在滨海大道穿过雨水管涵 {}—{}，同一高程，两者相碰。",
                        storm.id(pipe.ends[0]),
                        storm.id(pipe.ends[1])
                    ));
                    break 'search;
                }
            }
        }
    }
    told.extend(sentence);
    for p in &places {
        oil.add_node(ground, *p, "直线点", "");
    }
    for k in 1..places.len() {
        oil.pipes.push(Pipe {
            ends: [k - 1, k],
            depths_m: [top; 2],
            size_mm: [720; 2],
            is_round: true,
            is_size_missing: false,
            material: "钢",
            laying: "直埋",
            year: 1986,
            street: "港区输油线".into(),
        });
    }
    finish(&mut oil);
    oil
}

fn shallow_gas(networks: &mut [Network], told: &mut Vec<String>) {
    let Some(gas) = networks.iter_mut().find(|n| n.service == Service::Gas) else { return };
    let Some(k) = gas.pipes.iter().position(|p| p.street == "黄县路") else { return };
    // the neighbours meet it at the same depth
    let [_, b] = gas.pipes[k].ends;
    for pipe in &mut gas.pipes {
        for end in 0..2 {
            if pipe.ends[end] == b {
                pipe.depths_m[end] = 0.35;
            }
        }
    }
    told.push(format!("黄县路燃气管点 {} 管顶覆土仅 0.35 m，小于车行道下 0.9 m 的要求。", gas.id(b)));
}

fn water_through_sewer(ground: &Terrain, networks: &mut [Network], told: &mut Vec<String>) {
    let Some(sewage) = networks.iter().find(|n| n.service == Service::Sewage).cloned() else { return };
    let Some(water) = networks.iter_mut().find(|n| n.service == Service::Water) else { return };
    let found = water.nodes.iter().enumerate().filter(|(_, n)| n.out != DVec2::ZERO).find_map(|(k, node)| {
        let far = node.at - node.out * 16.0;
        sewage.pipes.iter().filter(|p| p.street == "莱阳路").find_map(|pipe| {
            let (a, b) = (&sewage.nodes[pipe.ends[0]], &sewage.nodes[pipe.ends[1]]);
            let (_, t) = crossing(node.at, far, a.at, b.at)?;
            let invert = pipe.depths_m[0] + (pipe.depths_m[1] - pipe.depths_m[0]) * t;
            Some((k, far, invert - f64::from(pipe.size_mm[1]) / 2000.0 - 0.05, pipe.ends))
        })
    });
    let Some((k, far, depth, ends)) = found else { return };
    let depth = (depth * 100.0).round() / 100.0;
    let end = water.add_node(ground, far, "进户", "");
    water.pipes.push(Pipe {
        ends: [k, end],
        depths_m: [depth; 2],
        size_mm: [100; 2],
        is_round: true,
        is_size_missing: false,
        material: "钢",
        laying: "直埋",
        year: 1979,
        street: "莱阳路".into(),
    });
    told.push(format!(
        "莱阳路给水支管 {}—{} 从污水管 {}—{} 管内穿过。",
        water.id(k),
        water.id(end),
        sewage.id(ends[0]),
        sewage.id(ends[1])
    ));
}

fn gas_under_house(ground: &Terrain, networks: &mut [Network], buildings: &[Building], told: &mut Vec<String>) {
    let Some(gas) = networks.iter_mut().find(|n| n.service == Service::Gas) else { return };
    let found = gas.pipes.iter().enumerate().filter(|(_, p)| p.size_mm[0] == 63).find_map(|(k, pipe)| {
        let (a, b) = (gas.nodes[pipe.ends[0]].at, gas.nodes[pipe.ends[1]].at);
        let beyond = b + (b - a).normalize_or_zero() * 5.0;
        let house = buildings.iter().find(|h| h.holds(beyond, 0.0))?;
        Some((k, beyond, house.name.clone()))
    });
    let Some((k, beyond, name)) = found else { return };
    let end = gas.pipes[k].ends[1];
    let node = gas.add_node(ground, beyond, "预留口", "");
    let pipe = Pipe { ends: [end, node], ..gas.pipes[k].clone() };
    told.push(format!("燃气支管 {}—{} 被建筑“{name}”占压。", gas.id(end), gas.id(node)));
    gas.pipes.push(pipe);
}
