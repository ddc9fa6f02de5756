//! The unit of heights in a source's coordinate system.

use groundline_engine::{crs::Crs, model::SourceReport};

/// Metres per unit of z: as the system says, else metres, with a warning where x and y are no metres.
pub(crate) fn unit_of(crs: &Crs, report: &mut SourceReport, place: &str) -> f64 {
    if let Some(heights) = &crs.vertical {
        if heights.unit_m != 1.0 {
            let message = format!("heights ({}) are in units of {} m and were converted", heights.name, heights.unit_m);
            report.warn("height_unit", message, place);
        }
        return heights.unit_m;
    }
    if crs.unit_m != 1.0 {
        let message =
            format!("heights are taken as metres, while the plane coordinates are in units of {} m", crs.unit_m);
        report.warn("z_unit_unknown", message, place);
    }
    1.0
}
