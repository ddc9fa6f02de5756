//! Which column of a borehole table holds what.

use crate::pipe_table::{
    header::{self, Column, Field, Unit},
    value::half_width,
};

/// What a column of a borehole table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// 钻孔编号.
    Hole,
    /// 孔口高程.
    Ground,
    /// 孔深.
    Depth,
    /// 钻孔类型.
    Kind,
    /// 层顶深度.
    Top,
    /// 层底深度.
    Base,
    /// 层顶高程.
    TopHeight,
    /// 层底高程.
    BaseHeight,
    /// 层厚.
    Thickness,
    /// 地层编号.
    Number,
    /// 地层名称.
    Name,
    /// 岩性描述.
    Description,
    /// 地质时代、成因.
    Age,
}

/// Headers as `normalised` leaves them.
#[rustfmt::skip]
const TITLES: &[(Part, &[&str])] = &[
    (Part::Hole, &[
        "钻孔编号", "钻孔号", "孔号", "钻孔", "钻孔名称", "勘探点编号", "勘探点号", "勘探孔编号", "勘探孔号", "勘探点", "孔编号", "钻孔id", "boreholeid", "borehole", "boreholeno",
        "holeid", "hole", "holeno", "bhid", "bh", "locaid", "boreid",
    ]),
    (Part::Ground, &[
        "孔口高程", "孔口标高", "地面高程", "地面标高", "孔口高程z", "井口高程", "groundlevel", "groundelevation", "collarelevation", "collar", "elevation", "gl", "rl", "z",
    ]),
    (Part::Depth, &["孔深", "钻孔深度", "终孔深度", "勘探深度", "勘探孔深", "总深度", "深度", "totaldepth", "finaldepth", "holedepth", "depth", "td", "maxdepth", "eoh"]),
    (Part::Kind, &["钻孔类型", "勘探点类型", "孔类型", "勘探类型", "boreholetype", "holetype"]),
    (Part::Top, &["层顶深度", "层顶埋深", "顶板埋深", "顶深", "起始深度", "topdepth", "depthtop", "top", "depthfrom", "from"]),
    (Part::Base, &[
        "层底深度", "层底埋深", "底板埋深", "底深", "终止深度", "分层深度", "分层底深", "basedepth", "bottomdepth", "depthbase", "depthbottom", "base", "bottom", "depthto", "to",
    ]),
    (Part::TopHeight, &["层顶高程", "层顶标高", "顶板高程", "顶板标高", "topelevation"]),
    (Part::BaseHeight, &["层底高程", "层底标高", "底板高程", "底板标高", "baseelevation", "bottomelevation"]),
    (Part::Thickness, &["层厚", "分层厚度", "地层厚度", "厚度", "土层厚度", "thickness"]),
    (Part::Number, &["地层编号", "层号", "土层编号", "地层代号", "岩土层编号", "主层编号", "分层编号", "地层序号", "layerno", "layernumber", "layercode"]),
    (Part::Name, &[
        "地层名称", "岩土名称", "土层名称", "岩土层名称", "岩性", "岩性名称", "土名", "岩土类型", "土类", "岩土体名称", "lithology", "soil", "soiltype", "stratum", "formation",
        "layername", "material",
    ]),
    (Part::Description, &["岩性描述", "地层描述", "岩土描述", "描述", "description"]),
    (Part::Age, &["地质年代", "时代成因", "地质时代", "年代成因", "成因时代", "地层时代", "成因", "age"]),
];

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Heading {
    pub title: String,
    pub part: Option<Part>,
    pub unit: Option<Unit>,
}

/// What a table of boreholes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// 钻孔表: a row is a hole.
    Holes,
    /// 地层表: a row is a stratum of a hole of another table.
    Layers,
    /// A row is a stratum and says where its hole is.
    Both,
}

/// The recognised header of a table.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub headings: Vec<Heading>,
    pub layout: Layout,
    /// The columns as the pipe tables' search for axes wants them.
    pub axes: header::Header,
}

impl Header {
    /// Finds the header among the first rows of a table.
    pub fn find(rows: &[(u64, Vec<String>)], map: &[(String, String)]) -> Option<Self> {
        rows.iter().find_map(|(number, cells)| Self::of(*number, cells, map))
    }

    fn of(row: u64, cells: &[String], map: &[(String, String)]) -> Option<Self> {
        let mut headings: Vec<Heading> = cells.iter().map(|title| heading(title)).collect();
        let mut columns: Vec<Column> = cells.iter().map(|title| header::column(title, map)).collect();
        for at in 0..headings.len() {
            let part = headings[at].part;
            if part.is_some() && headings[..at].iter().any(|h| h.part == part) {
                headings[at].part = None;
            }
        }
        let index = |part: Part| headings.iter().position(|h| h.part == Some(part));
        let hole = index(Part::Hole)?;
        // X is north in the tables of Chinese survey offices and east everywhere else.
        if headings[hole].title.is_ascii() {
            for column in &mut columns {
                column.field = match column.field {
                    Some(Field::X) => Some(Field::East),
                    Some(Field::Y) => Some(Field::North),
                    other => other,
                };
            }
        }
        let has = |field: Field| columns.iter().any(|c| c.field == Some(field));
        let has_place = has(Field::X) && has(Field::Y)
            || has(Field::North) && has(Field::East)
            || has(Field::Longitude) && has(Field::Latitude);
        let has_layer = [Part::Base, Part::BaseHeight, Part::Thickness].iter().any(|p| index(*p).is_some())
            && [Part::Name, Part::Number, Part::Description].iter().any(|p| index(*p).is_some());
        let has_hole = index(Part::Ground).is_some() || index(Part::Depth).is_some();
        let layout = match (has_place, has_layer) {
            (true, true) => Layout::Both,
            (true, false) if has_hole => Layout::Holes,
            (false, true) => Layout::Layers,
            _ => return None,
        };
        let axes = header::Header { columns, layout: header::Layout::Points, last_row: row };
        Some(Self { headings, layout, axes })
    }

    /// Row number of the header.
    pub fn row(&self) -> u64 {
        self.axes.last_row
    }

    /// The column of a part.
    pub fn column(&self, part: Part) -> Option<(usize, &Heading)> {
        self.headings.iter().enumerate().find(|(_, h)| h.part == Some(part))
    }
}

fn heading(title: &str) -> Heading {
    let shown: String = half_width(title).split_whitespace().collect();
    let (plain, unit) = header::normalise(&shown);
    let part = TITLES.iter().find(|(_, titles)| titles.contains(&plain.as_str())).map(|(part, _)| *part);
    Heading { title: shown, part, unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(titles: &str) -> Option<Layout> {
        let cells: Vec<String> = titles.split(',').map(str::to_owned).collect();
        Header::find(&[(1, cells)], &[]).map(|header| header.layout)
    }

    #[test]
    fn tables_are_told_by_their_columns() {
        for (titles, wanted) in [
            ("钻孔编号,X,Y,孔口高程,孔深", Some(Layout::Holes)),
            ("钻孔编号,X坐标(m),Y坐标(m),孔口标高（m）,层底深度(m),岩土名称", Some(Layout::Both)),
            ("孔号,层号,土层名称,层底埋深", Some(Layout::Layers)),
            ("BH_ID,From,To,Lithology", Some(Layout::Layers)),
            ("Borehole ID,Easting,Northing,Elevation,Total depth", Some(Layout::Holes)),
            // Pipes, sensors and others.
            ("物探点号,X,Y,地面高程,特征", None),
            ("起点点号,终点点号,起点埋深,材质", None),
            ("id,x,y,depth", None),
            ("编号,名称,X,Y,类型", None),
            ("钻孔编号,X,Y", None),
        ] {
            assert_eq!(layout(titles), wanted, "{titles}");
        }
    }
}
