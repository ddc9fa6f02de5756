//! Subcatchments and rain gages as objects.

use groundline_engine::model::{
    Area, Attribute, CityObject, Class, Domain, Geometry, Instance, InstanceModel, ObjectId, Polygon, Value, Vertical,
};

use super::Reading;
use crate::{
    ImportError,
    feature::cleaned_rings,
    inp::{network::dress, section::Row, unit::FOOT_M},
};

/// 43 560 square feet.
const ACRE_M2: f64 = 43_560.0 * FOOT_M * FOOT_M;
const HECTARE_M2: f64 = 10_000.0;

impl Reading<'_> {
    /// Makes a subcatchment or a rain gage and hands it on, or skips it with the reason.
    pub(super) fn emit_area(&mut self, row: &Row<'_>) -> Result<(), ImportError> {
        // They share no ids with links, but a second one of the same kind would share its own.
        let (id, is_gage) = (row.get(0), row.section == "RAINGAGES");
        let word = if is_gage { "raingage" } else { "subcatchment" };
        if !self.network.is_new_link(&format!("{word}/{id}")) {
            self.report.skip(row.line, format!("{}: {word} {id} stands twice; the first is used", row.place()));
            return Ok(());
        }
        let made = if is_gage { Ok(self.gage(row)) } else { self.subcatchment(row) };
        let mut object = match made {
            Ok(object) => object,
            Err(reason) => {
                self.report.skip(row.line, format!("{}: {reason}", row.place()));
                return Ok(());
            }
        };
        let feature = Attribute::converted("feature", Value::Text(word.into()), "", "section of the file");
        object.attributes.insert(0, feature);
        dress(&mut object, self.job, row.line, id);
        self.out.emit(object)
    }

    fn subcatchment(&mut self, row: &Row<'_>) -> Result<CityObject, String> {
        let id = row.get(0);
        let units = self.survey.units;
        let area = row.needed(3, "area")?;
        let ring = self.survey.polygons.remove(&self.network.key(id)).unwrap_or_default();
        let outer = ring.into_iter().map(|at| at.extend(0.0)).collect();
        let (polygons, _) = cleaned_rings(vec![Polygon { outer, holes: Vec::new() }]);
        let geometry = if polygons.is_empty() {
            let message = "subcatchments without a polygon were kept without a shape";
            self.report.warn("no_polygon", message, row.place());
            Geometry::None
        } else {
            Geometry::Area(Area { polygons, vertical: Vertical::AboveTerrain })
        };
        let id = ObjectId::new(self.job.layer, format!("subcatchment/{id}"));
        let mut object = CityObject::new(id, Class::District, geometry);
        object.domain = Domain::Surface;
        let (factor, rule) = match units.is_us {
            true => (ACRE_M2, "acres to square metres"),
            false => (HECTARE_M2, "hectares to square metres"),
        };
        let out = &mut object.attributes;
        out.push(Attribute::converted("area_m2", Value::Real(area * factor), "Area", rule));
        for (token, key, field) in [(1, "rain_gage", "Rain Gage"), (2, "outlet", "Outlet")] {
            if !matches!(row.get(token), "" | "*") {
                out.push(Attribute::converted(key, Value::Text(row.get(token).into()), field, "text as read"));
            }
        }
        for (token, key, field, is_length) in [
            (4, "impervious_percent", "%Imperv", false),
            (5, "width_m", "Width", true),
            (6, "slope_percent", "%Slope", false),
        ] {
            match row.number(token).map_err(|reason| format!("{field}: {reason}"))? {
                Some(number) if is_length => out.push(units.length(key, number * units.length_m(), field)),
                Some(number) => out.push(Attribute::converted(key, Value::Real(number), field, "per cent")),
                None => {}
            }
        }
        Ok(object)
    }

    fn gage(&mut self, row: &Row<'_>) -> CityObject {
        let id = row.get(0);
        let geometry = match self.survey.symbols.get(&self.network.key(id)) {
            Some(at) => Geometry::Instance(Instance {
                at: at.extend(0.0),
                vertical: Vertical::AboveTerrain,
                model: InstanceModel::Marker,
                height_m: 2.0,
                width_m: 0.5,
                yaw: 0.0,
            }),
            None => {
                let message = "rain gages without a place on the map were kept without a shape";
                self.report.warn("no_place", message, row.place());
                Geometry::None
            }
        };
        let id = ObjectId::new(self.job.layer, format!("raingage/{id}"));
        let mut object = CityObject::new(id, Class::Furniture, geometry);
        object.domain = Domain::Above;
        object
    }
}
