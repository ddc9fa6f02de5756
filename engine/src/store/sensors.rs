//! The sensors of a city, read from its layers.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{
    City, StoreError,
    json::Origins,
    manifest::LayerRecord,
    path::join_inside,
    read::{self, RowReader, Rows},
};
use crate::model::{Sensor, Sensors};

/// Sensors that are put in order of their ids; more are not held as they are.
const MOST_ORDERED: u64 = 1_000_000;

impl City {
    /// The sensors of the city: its objects of class `Sensor`.
    pub fn sensors(&self) -> Result<Vec<Sensor>, StoreError> {
        let mut sensors = Vec::new();
        for part in self.sensor_files()? {
            sensors.extend(sensors_in(&part)?);
        }
        sensors.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(sensors)
    }

    /// All sensors, packed: in the order of their ids where they are not too many to be put in order, else as they lie on the disk.
    pub fn register(&self) -> Result<Sensors, StoreError> {
        let of_layer = |layer: &LayerRecord| layer.classes.get("sensor").copied().unwrap_or(0);
        if self.manifest.layers.iter().map(of_layer).sum::<u64>() <= MOST_ORDERED {
            return Ok(self.sensors()?.into());
        }
        let mut failed = None;
        let files = self.sensor_files()?;
        // As many files at a time as are read side by side: each is held whole until it is packed.
        let parts = files
            .chunks(rayon::current_num_threads().max(1))
            .flat_map(|files| files.par_iter().map(|path| sensors_in(path)).collect::<Vec<_>>());
        let good = parts.map_while(|part| part.map_err(|error| failed = Some(error)).ok());
        let register = Sensors::new(good.flatten());
        failed.map_or(Ok(register), Err)
    }

    /// The files in which there are sensors.
    fn sensor_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let layers = self.manifest.layers.iter().filter(|layer| layer.classes.contains_key("sensor"));
        layers.flat_map(LayerRecord::parquet).map(|file| join_inside(&self.folder, &file.path)).collect()
    }
}

/// The sensors in a file of objects.
fn sensors_in(path: &Path) -> Result<Vec<Sensor>, StoreError> {
    let rows = read::rows_with_word(path, "class", "sensor")?;
    let mut origins = Origins::default();
    let mut sensors = Vec::with_capacity(rows.len());
    for row in RowReader::open(path, Rows::These(&rows))? {
        let object = row?.object(&mut origins).map_err(|e| StoreError::damaged(path, e))?;
        sensors.extend(Sensor::from_object(&object));
    }
    Ok(sensors)
}
