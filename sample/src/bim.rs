//! The IFC4 building (BIM): a podium of three storeys and a chamfered tower of nine, with slabs, walls, openings, windows, doors,
//! columns, rooms, property sets, colours and its place in EPSG:4549. Written as text (ISO 10303-21).

use glam::{DVec2, DVec3};

use crate::{city::City, plane::millimetre, random::Random, recipe::SiteKind};

/// Storey height, metres.
const STOREY_M: f64 = 4.2;
const PODIUM_STOREYS: usize = 3;
const STOREYS: usize = 12;
const SLAB_M: f64 = 0.3;
const WALL_M: f64 = 0.25;

/// The file of the city's IFC building, if its site lies in the window.
pub(crate) fn building(city: &City<'_>) -> Option<Vec<u8>> {
    let place = city.places.iter().find(|p| p.kind == SiteKind::Bim)?;
    let at = place.at + city.recipe.shift();
    let mut writer = Writer::new(city.recipe.seed);
    let name = text(&place.name);
    let storeys = writer.project(&name, &text(&city.recipe.name), at, place.front, city.ground.at(place.at));
    for (k, storey) in storeys.iter().enumerate() {
        writer.storey(k, *storey);
    }
    Some(writer.finish())
}

struct Style {
    wall: usize,
    glass: usize,
    slab: usize,
    column: usize,
    door: usize,
    space: usize,
}

struct Writer {
    lines: String,
    count: usize,
    random: Random,
    owner: usize,
    body: usize,
    style: Style,
    site: usize,
    origin: usize,
    up: usize,
}

impl Writer {
    fn new(seed: u64) -> Self {
        Writer {
            lines: String::new(),
            count: 0,
            random: Random::new(seed, "bim"),
            owner: 0,
            body: 0,
            style: Style { wall: 0, glass: 0, slab: 0, column: 0, door: 0, space: 0 },
            site: 0,
            origin: 0,
            up: 0,
        }
    }

    /// Writes one entity and returns its number.
    fn add(&mut self, entity: &str) -> usize {
        self.count += 1;
        self.lines.push_str(&format!("#{}={entity};\n", self.count));
        self.count
    }

    /// Writes a rooted entity: name of the type, then what follows the owner history.
    fn root(&mut self, kind: &str, rest: &str) -> usize {
        let id = self.guid();
        let owner = self.owner;
        self.add(&format!("{kind}('{id}',#{owner},{rest})"))
    }

    /// Globally unique id in IFC's base 64.
    fn guid(&mut self) -> String {
        const LETTERS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_$";
        (0..22).map(|k| LETTERS[(self.random.bits() % if k == 0 { 4 } else { 64 }) as usize] as char).collect()
    }

    fn point(&mut self, p: DVec3) -> usize {
        self.add(&format!("IFCCARTESIANPOINT(({},{},{}))", real(p.x), real(p.y), real(p.z)))
    }

    fn placement(&mut self, parent: Option<usize>, at: DVec3, along: DVec2) -> usize {
        let point = self.point(at);
        let x = self.add(&format!("IFCDIRECTION(({},{},0.))", real(along.x), real(along.y)));
        let up = self.up;
        let axes = self.add(&format!("IFCAXIS2PLACEMENT3D(#{point},#{up},#{x})"));
        let parent = parent.map_or("$".to_owned(), |p| format!("#{p}"));
        self.add(&format!("IFCLOCALPLACEMENT({parent},#{axes})"))
    }

    fn colour(&mut self, name: &str, rgb: [f64; 3], clear: f64) -> usize {
        let colour = self.add(&format!("IFCCOLOURRGB($,{},{},{})", real(rgb[0]), real(rgb[1]), real(rgb[2])));
        let rendering =
            self.add(&format!("IFCSURFACESTYLERENDERING(#{colour},{},$,$,$,$,$,$,.NOTDEFINED.)", real(clear)));
        self.add(&format!("IFCSURFACESTYLE('{name}',.BOTH.,(#{rendering}))"))
    }

    fn project(&mut self, name: &str, district: &str, at: DVec2, front: DVec2, ground_m: f64) -> Vec<Storey> {
        let person = self.add("IFCPERSON($,$,'Groundline',$,$,$,$,$)");
        let firm = self.add(&format!("IFCORGANIZATION($,'{}',$,$,$)", text("海湾区建筑设计院")));
        let both = self.add(&format!("IFCPERSONANDORGANIZATION(#{person},#{firm},$)"));
        let program = self.add(&format!("IFCAPPLICATION(#{firm},'1','Groundline sample','groundline-sample')"));
        self.owner = self.add(&format!("IFCOWNERHISTORY(#{both},#{program},$,.ADDED.,$,$,$,1774915200)"));
        self.up = self.add("IFCDIRECTION((0.,0.,1.))");
        let zero = self.point(DVec3::ZERO);
        let x = self.add("IFCDIRECTION((1.,0.,0.))");
        let up = self.up;
        self.origin = self.add(&format!("IFCAXIS2PLACEMENT3D(#{zero},#{up},#{x})"));
        let origin = self.origin;
        let north = self.add("IFCDIRECTION((0.,1.))");
        let context = self.add(&format!("IFCGEOMETRICREPRESENTATIONCONTEXT($,'Model',3,1.E-05,#{origin},#{north})"));
        self.body = self
            .add(&format!("IFCGEOMETRICREPRESENTATIONSUBCONTEXT('Body','Model',*,*,*,*,#{context},$,.MODEL_VIEW.,$)"));
        let metre = self.add("IFCSIUNIT(*,.LENGTHUNIT.,$,.METRE.)");
        let square = self.add("IFCSIUNIT(*,.AREAUNIT.,$,.SQUARE_METRE.)");
        let cubic = self.add("IFCSIUNIT(*,.VOLUMEUNIT.,$,.CUBIC_METRE.)");
        let radian = self.add("IFCSIUNIT(*,.PLANEANGLEUNIT.,$,.RADIAN.)");
        let units = self.add(&format!("IFCUNITASSIGNMENT((#{metre},#{square},#{cubic},#{radian}))"));
        let project = self.root("IFCPROJECT", &format!("'{name}',$,$,$,$,(#{context}),#{units}"));
        let crs = self.add(&format!(
            "IFCPROJECTEDCRS('EPSG:4549','CGCS2000 / 3-degree Gauss-Kruger CM 120E','CGCS2000','EPSG:5737','Gauss-Kruger','CM 120E',#{metre})"
        ));
        self.add(&format!(
            "IFCMAPCONVERSION(#{context},#{crs},{},{},{},{},{},1.)",
            real(millimetre(at.x)),
            real(millimetre(at.y)),
            real(millimetre(ground_m)),
            real(front.x),
            real(front.y)
        ));
        self.style = Style {
            wall: self.colour("facade", [0.86, 0.85, 0.82], 0.0),
            glass: self.colour("glass", [0.42, 0.60, 0.70], 0.45),
            slab: self.colour("slab", [0.72, 0.72, 0.70], 0.0),
            column: self.colour("column", [0.62, 0.62, 0.63], 0.0),
            door: self.colour("door", [0.45, 0.33, 0.24], 0.0),
            space: self.colour("space", [0.55, 0.72, 0.86], 0.8),
        };
        let base = self.placement(None, DVec3::ZERO, DVec2::X);
        self.site = self.root("IFCSITE", &format!("'{district}',$,$,#{base},$,$,.ELEMENT.,$,$,{},$,$", real(ground_m)));
        let here = self.placement(Some(base), DVec3::ZERO, DVec2::X);
        let building = self.root("IFCBUILDING", &format!("'{name}',$,$,#{here},$,$,.ELEMENT.,{},$,$", real(ground_m)));
        let storeys: Vec<Storey> = (0..STOREYS)
            .map(|k| {
                let z = k as f64 * STOREY_M;
                let placement = self.placement(Some(here), DVec3::new(0.0, 0.0, z), DVec2::X);
                let title = text(&format!("{}层", k + 1));
                let entity =
                    self.root("IFCBUILDINGSTOREY", &format!("'{title}',$,$,#{placement},$,$,.ELEMENT.,{}", real(z)));
                Storey { entity, placement }
            })
            .collect();
        let site = self.site;
        self.root("IFCRELAGGREGATES", &format!("$,$,#{project},(#{site})"));
        self.root("IFCRELAGGREGATES", &format!("$,$,#{site},(#{building})"));
        let list: Vec<String> = storeys.iter().map(|s| format!("#{}", s.entity)).collect();
        self.root("IFCRELAGGREGATES", &format!("$,$,#{building},({})", list.join(",")));
        let values = [
            ("BuildingID", "IFCIDENTIFIER('HWZX-01')".to_owned()),
            ("NumberOfStoreys", format!("IFCINTEGER({STOREYS})")),
            ("YearOfConstruction", "IFCLABEL('2024')".to_owned()),
        ];
        self.properties("Pset_BuildingCommon", &values, &[building]);
        storeys
    }

    fn properties(&mut self, name: &str, values: &[(&str, String)], of: &[usize]) {
        let list: Vec<String> = values
            .iter()
            .map(|(key, value)| {
                let key = text(key);
                format!("#{}", self.add(&format!("IFCPROPERTYSINGLEVALUE('{key}',$,{value},$)")))
            })
            .collect();
        let name = text(name);
        let set = self.root("IFCPROPERTYSET", &format!("'{name}',$,({})", list.join(",")));
        let of: Vec<String> = of.iter().map(|k| format!("#{k}")).collect();
        self.root("IFCRELDEFINESBYPROPERTIES", &format!("$,$,({}),#{set}", of.join(",")));
    }

    /// Vertical prism over a ring of the placement's own plane.
    fn prism(&mut self, ring: &[DVec2], bottom: f64, height: f64, style: Option<usize>) -> usize {
        let points: Vec<String> = ring
            .iter()
            .chain(ring.first())
            .map(|p| format!("#{}", self.add(&format!("IFCCARTESIANPOINT(({},{}))", real(p.x), real(p.y)))))
            .collect();
        let line = self.add(&format!("IFCPOLYLINE(({}))", points.join(",")));
        let profile = self.add(&format!("IFCARBITRARYCLOSEDPROFILEDEF(.AREA.,$,#{line})"));
        let place = if bottom == 0.0 {
            self.origin
        } else {
            let point = self.point(DVec3::new(0.0, 0.0, bottom));
            self.add(&format!("IFCAXIS2PLACEMENT3D(#{point},$,$)"))
        };
        let up = self.up;
        let solid = self.add(&format!("IFCEXTRUDEDAREASOLID(#{profile},#{place},#{up},{})", real(height)));
        if let Some(style) = style {
            self.add(&format!("IFCSTYLEDITEM(#{solid},(#{style}),$)"));
        }
        let body = self.body;
        let shape = self.add(&format!("IFCSHAPEREPRESENTATION(#{body},'Body','SweptSolid',(#{solid}))"));
        self.add(&format!("IFCPRODUCTDEFINITIONSHAPE($,$,(#{shape}))"))
    }

    fn storey(&mut self, k: usize, storey: Storey) {
        let mut parts = Vec::new();
        let is_podium = k < PODIUM_STOREYS;
        let ring = if is_podium { podium() } else { tower() };
        let label = |what: &str, n: usize| text(&format!("{what}{}-{n}", k + 1));
        let slab_style = self.style.slab;
        let shape = self.prism(&ring, -SLAB_M, SLAB_M, Some(slab_style));
        let place = self.placement(Some(storey.placement), DVec3::ZERO, DVec2::X);
        let kind = if k == 0 { "BASESLAB" } else { "FLOOR" };
        parts.push(self.root("IFCSLAB", &format!("'{}',$,$,#{place},#{shape},$,.{kind}.", label("楼板", 1))));
        if k + 1 == PODIUM_STOREYS || k + 1 == STOREYS {
            let shape = self.prism(&ring, STOREY_M - SLAB_M, SLAB_M, Some(slab_style));
            let place = self.placement(Some(storey.placement), DVec3::ZERO, DVec2::X);
            parts.push(self.root("IFCSLAB", &format!("'{}',$,$,#{place},#{shape},$,.ROOF.", label("屋面板", 1))));
        }
        let mut walls = Vec::new();
        for side in 0..ring.len() {
            let (a, b) = (ring[side], ring[(side + 1) % ring.len()]);
            let windows = ((a.distance(b) - 1.0) / 7.5).round().max(1.0) as usize;
            let has_door = k == 0 && side == 0;
            let wall = self.wall(storey, a, b, windows, has_door, &label("外墙", side + 1), &mut parts);
            walls.push(wall);
        }
        let values = [
            ("IsExternal", "IFCBOOLEAN(.T.)".to_owned()),
            ("LoadBearing", "IFCBOOLEAN(.F.)".to_owned()),
            ("ThermalTransmittance", "IFCTHERMALTRANSMITTANCEMEASURE(0.45)".to_owned()),
            ("FireRating", "IFCLABEL('2h')".to_owned()),
        ];
        self.properties("Pset_WallCommon", &values, &walls);
        let core = core();
        let mut inner = Vec::new();
        for side in 0..4 {
            let (a, b) = (core[side], core[(side + 1) % 4]);
            inner.push(self.wall(storey, a, b, 0, side % 2 == 0, &label("核心筒", side + 1), &mut parts));
        }
        let values = [("IsExternal", "IFCBOOLEAN(.F.)".to_owned()), ("LoadBearing", "IFCBOOLEAN(.T.)".to_owned())];
        self.properties("Pset_WallCommon", &values, &inner);
        self.columns(k, storey, &mut parts);
        let list: Vec<String> = parts.iter().map(|p| format!("#{p}")).collect();
        let here = storey.entity;
        self.root("IFCRELCONTAINEDINSPATIALSTRUCTURE", &format!("$,$,({}),#{here}", list.join(",")));
        self.rooms(k, storey);
    }

    /// A wall from corner to corner (its outer face on the line), with windows or a door; returns the wall.
    #[allow(clippy::too_many_arguments)]
    fn wall(
        &mut self,
        storey: Storey,
        a: DVec2,
        b: DVec2,
        windows: usize,
        has_door: bool,
        name: &str,
        parts: &mut Vec<usize>,
    ) -> usize {
        let length = a.distance(b);
        let along = (b - a) / length;
        let height = STOREY_M - SLAB_M;
        let place = self.placement(Some(storey.placement), a.extend(0.0), along);
        let (wall_style, glass, door_style) = (self.style.wall, self.style.glass, self.style.door);
        let shape = self.prism(&rectangle(0.0, length, WALL_M), 0.0, height, Some(wall_style));
        let wall = self.root("IFCWALL", &format!("'{name}',$,$,#{place},#{shape},$,.SOLIDWALL."));
        parts.push(wall);
        let each = length / windows.max(1) as f64;
        for n in 0..windows.max(usize::from(has_door)) {
            let is_door = has_door && n == windows / 2;
            let (from, width, sill, tall) = if is_door {
                let width = if windows == 0 { 1.6 } else { (each - 1.0).min(5.0) };
                ((n as f64 + 0.5) * each - width / 2.0, width, 0.0, if windows == 0 { 2.2 } else { 3.0 })
            } else {
                (n as f64 * each + 0.45, each - 0.9, 0.55, height - 0.85)
            };
            let hole_place = self.placement(Some(place), DVec3::new(from, 0.0, sill), DVec2::X);
            let grown = vec![
                DVec2::new(0.0, -0.1),
                DVec2::new(width, -0.1),
                DVec2::new(width, WALL_M + 0.1),
                DVec2::new(0.0, WALL_M + 0.1),
            ];
            let shape = self.prism(&grown, 0.0, tall, None);
            let hole = self.root("IFCOPENINGELEMENT", &format!("'{name}',$,$,#{hole_place},#{shape},$,.OPENING."));
            self.root("IFCRELVOIDSELEMENT", &format!("$,$,#{wall},#{hole}"));
            let fill_place = self.placement(Some(hole_place), DVec3::new(0.0, 0.08, 0.0), DVec2::X);
            let style = if is_door && windows == 0 { door_style } else { glass };
            let shape = self.prism(&rectangle(0.0, width, 0.08), 0.0, tall, Some(style));
            let (kind, tail) = if is_door {
                ("IFCDOOR", ".DOOR.,.SINGLE_SWING_LEFT.,$")
            } else {
                ("IFCWINDOW", ".WINDOW.,.SINGLE_PANEL.,$")
            };
            let title = format!("{name}-{}", n + 1);
            let fill = self
                .root(kind, &format!("'{title}',$,$,#{fill_place},#{shape},$,{},{},{tail}", real(tall), real(width)));
            self.root("IFCRELFILLSELEMENT", &format!("$,$,#{hole},#{fill}"));
            parts.push(fill);
        }
        wall
    }

    fn columns(&mut self, k: usize, storey: Storey, parts: &mut Vec<usize>) {
        let spots: Vec<(f64, f64)> = if k < PODIUM_STOREYS {
            [-21.0, -13.0, 13.0, 21.0].iter().flat_map(|x| [-14.0, 0.0, 14.0].map(|y| (*x, y))).collect()
        } else {
            vec![
                (-9.0, -5.0),
                (-9.0, 5.0),
                (9.0, -5.0),
                (9.0, 5.0),
                (-4.0, -10.0),
                (4.0, -10.0),
                (-4.0, 10.0),
                (4.0, 10.0),
            ]
        };
        let style = self.style.column;
        for (n, (x, y)) in spots.into_iter().enumerate() {
            let place = self.placement(Some(storey.placement), DVec3::new(x, y, 0.0), DVec2::X);
            let square = [DVec2::new(-0.4, -0.4), DVec2::new(0.4, -0.4), DVec2::new(0.4, 0.4), DVec2::new(-0.4, 0.4)];
            let shape = self.prism(&square, 0.0, STOREY_M - SLAB_M, Some(style));
            let name = text(&format!("柱{}-{}", k + 1, n + 1));
            parts.push(self.root("IFCCOLUMN", &format!("'{name}',$,$,#{place},#{shape},$,.COLUMN.")));
        }
    }

    fn rooms(&mut self, k: usize, storey: Storey) {
        let (x, y, cx, cy) = if k < PODIUM_STOREYS { (23.6, 17.6, 5.0, 4.0) } else { (12.6, 8.6, 5.0, 4.0) };
        let use_of = if k == 0 {
            "大堂"
        } else if k < PODIUM_STOREYS {
            "商铺"
        } else {
            "办公"
        };
        let rooms = [
            (use_of, [-x, -y, x, -cy - 0.3]),
            (use_of, [-x, cy + 0.3, x, y]),
            ("走廊", [-x, -cy, -cx - 0.3, cy]),
            ("走廊", [cx + 0.3, -cy, x, cy]),
            ("电梯厅", [-cx + 0.3, -cy + 0.3, cx - 0.3, cy - 0.3]),
        ];
        let style = self.style.space;
        let mut spaces = Vec::new();
        for (n, (usage, [x0, y0, x1, y1])) in rooms.into_iter().enumerate() {
            let ring = [DVec2::new(x0, y0), DVec2::new(x1, y0), DVec2::new(x1, y1), DVec2::new(x0, y1)];
            let place = self.placement(Some(storey.placement), DVec3::ZERO, DVec2::X);
            let shape = self.prism(&ring, 0.0, STOREY_M - SLAB_M - 0.1, Some(style));
            let number = format!("{}{:02}", k + 1, n + 1);
            let long = text(usage);
            let space =
                self.root("IFCSPACE", &format!("'{number}',$,$,#{place},#{shape},'{long}',.ELEMENT.,.INTERNAL.,$"));
            let area = (x1 - x0) * (y1 - y0);
            let values = [
                ("Reference", format!("IFCIDENTIFIER('{number}')")),
                ("GrossPlannedArea", format!("IFCAREAMEASURE({})", real(area))),
                ("PubliclyAccessible", format!("IFCBOOLEAN({})", if k < PODIUM_STOREYS { ".T." } else { ".F." })),
            ];
            self.properties("Pset_SpaceCommon", &values, &[space]);
            let firm = text(["海湾银行", "远航物流", "蓝谷科技", "明德律所"][(k + n) % 4]);
            let values = [
                ("使用单位", format!("IFCLABEL('{firm}')")),
                ("空调设定", "IFCTHERMODYNAMICTEMPERATUREMEASURE(299.15)".to_owned()),
                ("人数上限", format!("IFCINTEGER({})", (area / 9.0) as i64 + 1)),
            ];
            self.properties("海湾中心_运维", &values, &[space]);
            spaces.push(format!("#{space}"));
        }
        let here = storey.entity;
        self.root("IFCRELAGGREGATES", &format!("$,$,#{here},({})", spaces.join(",")));
    }

    fn finish(self) -> Vec<u8> {
        format!(
            "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION(('ViewDefinition [DesignTransferView_V1.0]'),'2;1');\nFILE_NAME('haiwan_centre.ifc','2026-03-31T08:00:00',(''),(''),'groundline-sample','groundline-sample','');\nFILE_SCHEMA(('IFC4'));\nENDSEC;\nDATA;\n{}ENDSEC;\nEND-ISO-10303-21;\n",
            self.lines
        )
        .into_bytes()
    }
}

#[derive(Clone, Copy)]
struct Storey {
    entity: usize,
    placement: usize,
}

fn podium() -> Vec<DVec2> {
    [(-24.0, -18.0), (24.0, -18.0), (24.0, 18.0), (-24.0, 18.0)].map(|(x, y)| DVec2::new(x, y)).to_vec()
}

fn tower() -> Vec<DVec2> {
    [(-9.0, -13.0), (9.0, -13.0), (13.0, -9.0), (13.0, 9.0), (9.0, 13.0), (-9.0, 13.0), (-13.0, 9.0), (-13.0, -9.0)]
        .map(|(x, y)| DVec2::new(x, y))
        .to_vec()
}

fn core() -> Vec<DVec2> {
    [(-5.0, -4.0), (5.0, -4.0), (5.0, 4.0), (-5.0, 4.0)].map(|(x, y)| DVec2::new(x, y)).to_vec()
}

fn rectangle(from: f64, length: f64, depth: f64) -> Vec<DVec2> {
    vec![
        DVec2::new(from, 0.0),
        DVec2::new(from + length, 0.0),
        DVec2::new(from + length, depth),
        DVec2::new(from, depth),
    ]
}

fn real(v: f64) -> String {
    let v = if v == 0.0 { 0.0 } else { v };
    let text = format!("{v:.6}");
    let text = text.trim_end_matches('0');
    text.to_owned()
}

/// Text of a STEP file: other letters than ASCII as UTF-16 in hexadecimal (ISO 10303-21, \X2\).
fn text(s: &str) -> String {
    let mut out = String::new();
    let mut is_wide = false;
    for c in s.chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            if is_wide {
                out.push_str("\\X0\\");
                is_wide = false;
            }
            match c {
                '\'' => out.push_str("''"),
                '\\' => out.push_str("\\\\"),
                c => out.push(c),
            }
        } else {
            if !is_wide {
                out.push_str("\\X2\\");
                is_wide = true;
            }
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("{unit:04X}"));
            }
        }
    }
    if is_wide {
        out.push_str("\\X0\\");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_numbers_follow_part_21() {
        assert_eq!(text("1层'a"), "1\\X2\\5C42\\X0\\''a");
        assert_eq!(real(-0.0), "0.");
        assert_eq!(real(1.25), "1.25");
    }
}
