//! The index of boxes beside rstar and geo-index in one process: random boxes of 5 to 25 m, box questions of 100 × 100 m and
//! the nearest one, on one thread, rounds interleaved. Every answer is compared: the sets of hits must be equal.

use std::{hint::black_box, time::Instant};

use anyhow::{Result, ensure};
use geo_index::rtree::{RTree as Packed, RTreeBuilder, RTreeIndex, sort::HilbertSort};
use glam::{DVec2, DVec3};
use groundline_engine::{model::Extent, query::LayerIndex};
use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};

const QUESTIONS: usize = 100_000;
const ROUNDS: usize = 5;
const SIDE_M: f64 = 100.0;

/// Numbers that look like chance and are always the same; of a seed above 0.
pub struct Dice(pub u64);

impl Dice {
    /// From 0 to 1.
    pub fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Prints a row for each number of boxes.
pub fn index() -> Result<()> {
    println!(
        "\n| boxes | index | built, M/s | bytes a box | box questions, k/s | p99, µs | nearest, k/s | p99, µs | box: ours over it | nearest |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for count in [10_000, 100_000, 1_000_000, 10_000_000] {
        one(count)?;
    }
    Ok(())
}

/// One index's answers.
struct Row {
    name: &'static str,
    built_s: f64,
    bytes: f64,
    boxes: Vec<f64>,
    nearest: Vec<f64>,
    box_p99: f64,
    nearest_p99: f64,
}

fn one(count: usize) -> Result<()> {
    let mut dice = Dice(88_172_645_463_325_252);
    let side = (count as f64).sqrt() * 30.0;
    let boxes: Vec<[f64; 4]> = (0..count)
        .map(|_| {
            let (x, y, half) = (dice.roll() * side, dice.roll() * side, 2.5 + dice.roll() * 10.0);
            [x - half, y - half, x + half, y + half]
        })
        .collect();
    let mut dice = Dice(99);
    let places: Vec<[f64; 2]> = (0..QUESTIONS).map(|_| [dice.roll() * side, dice.roll() * side]).collect();

    let timer = Instant::now();
    let extents: Vec<Extent> = boxes
        .iter()
        .map(|[a, b, c, d]| Extent { min: DVec3::new(*a, *b, 0.0), max: DVec3::new(*c, *d, 0.0) })
        .collect();
    let (ours, order) = LayerIndex::packed(&extents);
    let ours_s = timer.elapsed().as_secs_f64();
    let sorted: Vec<[f64; 4]> = order.iter().map(|number| boxes[*number as usize]).collect();

    let timer = Instant::now();
    let mut builder = RTreeBuilder::<f64>::new(count as u32);
    for [a, b, c, d] in &boxes {
        builder.add(*a, *b, *c, *d);
    }
    let packed: Packed<f64> = builder.finish::<HilbertSort>();
    let packed_s = timer.elapsed().as_secs_f64();

    let timer = Instant::now();
    let items = boxes
        .iter()
        .zip(0_u32..)
        .map(|([a, b, c, d], number)| GeomWithData::new(Rectangle::from_corners([*a, *b], [*c, *d]), number));
    let dynamic = RTree::bulk_load(items.collect());
    let dynamic_s = timer.elapsed().as_secs_f64();

    let row = |name, built_s, bytes| Row {
        name,
        built_s,
        bytes,
        boxes: Vec::new(),
        nearest: Vec::new(),
        box_p99: 0.0,
        nearest_p99: 0.0,
    };
    let mut rows = [
        row("ours", ours_s, ours.held_bytes() as f64 / count as f64),
        row("geo-index 0.4, f64, Hilbert", packed_s, packed.as_ref().len() as f64 / count as f64),
        row("rstar 0.12, bulk", dynamic_s, f64::NAN),
    ];
    let at = |row: (usize, u32)| row.0 * LayerIndex::PART_ROWS + row.1 as usize;
    let our_box = |[x, y]: [f64; 2], hits: &mut Vec<u32>| {
        let wanted = Extent { min: DVec3::new(x, y, 0.0), max: DVec3::new(x + SIDE_M, y + SIDE_M, 0.0) };
        let found = ours.each_in_box(&wanted, &mut |row, is_sure| {
            let row = at(row);
            let is_hit = || {
                let [a, b, c, d] = sorted[row];
                a <= wanted.max.x && c >= wanted.min.x && b <= wanted.max.y && d >= wanted.min.y
            };
            if is_sure || is_hit() {
                hits.push(order[row]);
            }
        });
        found.is_ok()
    };
    let exact = |[x, y]: [f64; 2], [a, b, c, d]: [f64; 4]| {
        DVec2::new((a - x).max(x - c).max(0.0), (b - y).max(y - d).max(0.0)).length()
    };
    let our_nearest = |place: [f64; 2]| {
        let mut nearest = ours.nearest(DVec2::from_array(place), None);
        let (mut best, mut distance) = (u32::MAX, f64::INFINITY);
        while let Ok(Some((_, row))) = nearest.next_within(distance) {
            let row = at(row);
            let found = exact(place, sorted[row]);
            if found < distance {
                (best, distance) = (order[row], found);
                if found == 0.0 {
                    break;
                }
            }
        }
        best
    };

    // The quality twin: the same hits, and a nearest one of the same distance.
    let mut hits = 0;
    for place in places.iter().step_by(20) {
        let [x, y] = *place;
        let mut own = Vec::new();
        ensure!(our_box(*place, &mut own), "the index cannot be read");
        own.sort_unstable();
        let mut theirs = packed.search(x, y, x + SIDE_M, y + SIDE_M);
        theirs.sort_unstable();
        ensure!(own == theirs, "{} and {} hits at {place:?}", own.len(), theirs.len());
        hits += own.len();
        let theirs = dynamic.nearest_neighbor(place).map_or(u32::MAX, |found| found.data);
        let (a, b) = (our_nearest(*place) as usize, theirs as usize);
        ensure!(exact(*place, boxes[a]) == exact(*place, boxes[b]), "another nearest one at {place:?}");
    }

    let rate = |timer: Instant| QUESTIONS as f64 / timer.elapsed().as_secs_f64() / 1e3;
    for _ in 0..ROUNDS {
        let timer = Instant::now();
        for place in &places {
            let mut own = Vec::new();
            our_box(*place, &mut own);
            black_box(own);
        }
        rows[0].boxes.push(rate(timer));
        let timer = Instant::now();
        for [x, y] in &places {
            black_box(packed.search(*x, *y, x + SIDE_M, y + SIDE_M));
        }
        rows[1].boxes.push(rate(timer));
        let timer = Instant::now();
        for [x, y] in &places {
            let wanted = AABB::from_corners([*x, *y], [x + SIDE_M, y + SIDE_M]);
            let found: Vec<u32> = dynamic.locate_in_envelope_intersecting(&wanted).map(|found| found.data).collect();
            black_box(found);
        }
        rows[2].boxes.push(rate(timer));
        let timer = Instant::now();
        places.iter().for_each(|place| _ = black_box(our_nearest(*place)));
        rows[0].nearest.push(rate(timer));
        let timer = Instant::now();
        places.iter().for_each(|[x, y]| _ = black_box(packed.neighbors(*x, *y, Some(1), None)));
        rows[1].nearest.push(rate(timer));
        let timer = Instant::now();
        places.iter().for_each(|place| _ = black_box(dynamic.nearest_neighbor(place)));
        rows[2].nearest.push(rate(timer));
    }
    rows[0].box_p99 = p99(&places, |place| _ = black_box(our_box(place, &mut Vec::new())));
    rows[0].nearest_p99 = p99(&places, |place| _ = black_box(our_nearest(place)));
    let median = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ratios = |ours: &[f64], theirs: &[f64]| {
        let all: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        median(&all)
    };
    let figure = |value: f64| if value > 0.0 { format!("{value:.1}") } else { String::new() };
    for row in &rows {
        println!(
            "| {count} | {} | {:.2} | {} | {:.0} | {} | {:.0} | {} | {:.2}× | {:.2}× |",
            row.name,
            count as f64 / row.built_s / 1e6,
            figure(row.bytes),
            median(&row.boxes),
            figure(row.box_p99),
            median(&row.nearest),
            figure(row.nearest_p99),
            ratios(&rows[0].boxes, &row.boxes),
            ratios(&rows[0].nearest, &row.nearest),
        );
    }
    println!("| | {:.1} hits a box question, equal sets | | | | | | | | |", hits as f64 / (QUESTIONS / 20) as f64);
    Ok(())
}

/// The 99th percentile of single questions, microseconds.
fn p99(places: &[[f64; 2]], ask: impl Fn([f64; 2])) -> f64 {
    let mut times: Vec<f64> = places
        .iter()
        .map(|place| {
            let timer = Instant::now();
            ask(*place);
            timer.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}
