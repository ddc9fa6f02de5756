//! Shapes of many megabytes, laid aside while their rows are put in order: what sorts rows holds one of each run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{StoreError, row::Row};
use crate::tile::raster::{Appender, RasterFile};

/// Shapes from this size on are laid aside.
const LARGE_BYTES: usize = 1 << 20;
/// First byte of what stands in for a shape; no shape begins with it.
const MARK: u8 = 0xff;

/// A file of shapes that only grows.
pub(super) struct Aside {
    folder: std::path::PathBuf,
    file: Option<(Appender, RasterFile)>,
}

/// What an [`Aside`] holds: its file, for a process that goes on with it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct AsideState(Option<(String, u64)>);

impl Aside {
    /// Nothing yet; the file will be made in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), file: None }
    }

    /// Takes a large shape out of `row`.
    pub fn put(&mut self, row: &mut Row) -> Result<(), StoreError> {
        if row.shape.len() < LARGE_BYTES {
            return Ok(());
        }
        let (offset, length) = self.keep(&row.shape)?;
        row.shape = [&[MARK][..], &offset.to_le_bytes(), &length.to_le_bytes()].concat();
        Ok(())
    }

    /// Takes bytes of any kind; says where they lie and how many they are.
    pub fn keep(&mut self, bytes: &[u8]) -> Result<(u64, u64), StoreError> {
        let (file, _) = match &mut self.file {
            Some(file) => file,
            None => {
                let file = Appender::create(&self.folder, "shapes")?;
                let read = RasterFile::new(file.path().to_path_buf());
                self.file.insert((file, read))
            }
        };
        Ok((file.append(bytes)?, bytes.len() as u64))
    }

    /// What was taken by [`Aside::keep`].
    pub fn kept(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, StoreError> {
        let Some((file, read)) = &mut self.file else {
            return Err(StoreError::damaged(&self.folder, "a shape that was laid aside is gone"));
        };
        if offset.checked_add(length).is_none_or(|end| end > file.written) {
            return Err(StoreError::damaged(&self.folder, "a shape was laid aside where there is nothing"));
        }
        file.close()?;
        let mut bytes = vec![0; length as usize];
        read.open()?.read(&mut bytes, offset).map_err(|e| read.error(e))?;
        Ok(bytes)
    }

    /// Gives `row` its shape back.
    pub fn get(&mut self, row: &mut Row) -> Result<(), StoreError> {
        let Some((&MARK, place)) = row.shape.split_first() else { return Ok(()) };
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or(u64::MAX);
        let (offset, length) = place.split_at_checked(8).map_or((0, u64::MAX), |(o, l)| (number(o), number(l)));
        row.shape = self.kept(offset, length)?;
        Ok(())
    }

    /// What it holds; it is on disk when this returns.
    pub fn state(&mut self) -> Result<AsideState, StoreError> {
        let Some((file, _)) = &mut self.file else { return Ok(AsideState(None)) };
        file.sync()?;
        Ok(AsideState(file.path().file_name().map(|name| (name.to_string_lossy().into_owned(), file.written))))
    }

    /// Goes on in `folder` from what was said there.
    pub fn restore(folder: &Path, state: AsideState) -> Result<Self, StoreError> {
        let mut aside = Self::new(folder);
        if let AsideState(Some((name, written))) = state {
            let file = Appender::reopen(folder.join(name), written)?;
            let read = RasterFile::new(file.path().to_path_buf());
            aside.file = Some((file, read));
        }
        Ok(aside)
    }
}

#[cfg(test)]
mod tests {
    use glam::DVec2;

    use super::*;
    use crate::model::{CityObject, Class, Geometry, HeightGrid, ObjectId};

    fn row(side: u32) -> Row {
        let heights = (0..side * side).map(|i| i as f32).collect();
        let grid = HeightGrid { north_west: DVec2::ZERO, step_m: DVec2::ONE, columns: side, rows: side, heights };
        Row::new(&CityObject::new(ObjectId::new("dem", side), Class::Terrain, Geometry::Heights(grid)), 0).unwrap()
    }

    #[test]
    fn large_shapes_come_back_also_in_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut aside = Aside::new(folder.path());
        let all: Vec<Row> = [20, 600, 700].map(row).into();
        let mut kept = all.clone();
        for row in &mut kept {
            aside.put(row).unwrap();
        }
        assert_eq!(kept[0], all[0], "a small one stays");
        assert!(kept[1].shape.len() < 20 && kept[2].shape.len() < 20);
        let state = serde_json::to_string(&aside.state().unwrap()).unwrap();
        for row in kept.clone().iter_mut().rev() {
            aside.get(row).unwrap();
            assert!(all.contains(row));
        }
        drop(aside);
        let mut aside = Aside::restore(folder.path(), serde_json::from_str(&state).unwrap()).unwrap();
        for (row, expected) in kept.iter_mut().zip(&all) {
            aside.get(row).unwrap();
            assert_eq!(row, expected);
        }
        let mut lost = row(600);
        lost.shape = [&[MARK][..], &u64::MAX.to_le_bytes(), &7_u64.to_le_bytes()].concat();
        assert!(aside.get(&mut lost).is_err());
    }
}
