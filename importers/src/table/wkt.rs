//! Well-known text of shapes (OGC 06-103r4, 7.2), with the `SRID=4326;` that PostGIS writes before it.

use glam::DVec3;
use groundline_engine::model::Polygon;

use crate::feature::Shape;

/// Collections within collections.
const MAX_DEPTH: usize = 8;

/// The shape and the code of its system, where one stands before it; the error is the reason to skip the row.
pub(super) fn shape(text: &str) -> Result<(Shape, Option<u32>), String> {
    let text = text.trim();
    let (srid, text) = match text.get(..5).filter(|head| head.eq_ignore_ascii_case("SRID=")).and(text.split_once(';')) {
        Some((head, rest)) => {
            (Some(head[5..].trim().parse::<u32>().map_err(|_| format!("{head:?} is no SRID"))?), rest)
        }
        None => (None, text),
    };
    let mut reader = Reader { text, shape: Shape::default() };
    reader.geometry(0)?;
    match reader.text.trim().is_empty() {
        true => Ok((reader.shape, srid)),
        false => Err(format!("{:?} stands behind the shape", start(reader.text))),
    }
}

fn start(text: &str) -> String {
    text.trim().chars().take(24).collect()
}

struct Reader<'t> {
    text: &'t str,
    shape: Shape,
}

impl<'t> Reader<'t> {
    fn geometry(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("collections nested too deep".into());
        }
        let kind = self.word().to_uppercase();
        let mut kind = kind.as_str();
        // `POINTZ` is written as well as `POINT Z`.
        let mut dimension = "";
        for ending in ["ZM", "Z", "M"] {
            if let Some(bare) = kind.strip_suffix(ending).filter(|bare| KINDS.contains(bare)) {
                (kind, dimension) = (bare, ending);
                break;
            }
        }
        if !KINDS.contains(&kind) {
            return Err(format!("{:?} is no well-known text", start(if kind.is_empty() { self.text } else { kind })));
        }
        let mut next = self.peek_word().to_uppercase();
        if dimension.is_empty() && matches!(next.as_str(), "Z" | "M" | "ZM") {
            self.word();
            dimension = match next.as_str() {
                "Z" => "Z",
                "M" => "M",
                _ => "ZM",
            };
            next = self.peek_word().to_uppercase();
        }
        if next == "EMPTY" {
            self.word();
            return Ok(());
        }
        let has_m_only = dimension == "M";
        match kind {
            "POINT" => {
                let places = self.places(has_m_only)?;
                match places[..] {
                    [place] => self.shape.points.push(place),
                    _ => return Err("a point has one place".into()),
                }
            }
            "LINESTRING" => {
                let places = self.places(has_m_only)?;
                self.shape.lines.push(places);
            }
            "POLYGON" => self.polygon(has_m_only)?,
            "MULTIPOINT" => self.list(|me| {
                // Each place may stand in brackets of its own.
                let places = if me.peek() == Some('(') { me.places(has_m_only)? } else { vec![me.place(has_m_only)?] };
                me.shape.points.extend(places);
                Ok(())
            })?,
            "MULTILINESTRING" => self.list(|me| {
                let places = me.places(has_m_only)?;
                me.shape.lines.push(places);
                Ok(())
            })?,
            "MULTIPOLYGON" => self.list(|me| me.polygon(has_m_only))?,
            _ => self.list(|me| me.geometry(depth + 1))?,
        }
        Ok(())
    }

    fn polygon(&mut self, has_m_only: bool) -> Result<(), String> {
        let mut rings = Vec::new();
        self.list(|me| {
            rings.push(me.places(has_m_only)?);
            Ok(())
        })?;
        let mut rings = rings.into_iter();
        let outer = rings.next().ok_or("a polygon without rings")?;
        self.shape.polygons.push(Polygon { outer, holes: rings.collect() });
        Ok(())
    }

    fn places(&mut self, has_m_only: bool) -> Result<Vec<DVec3>, String> {
        let mut places = Vec::new();
        self.list(|me| {
            places.push(me.place(has_m_only)?);
            Ok(())
        })?;
        Ok(places)
    }

    fn place(&mut self, has_m_only: bool) -> Result<DVec3, String> {
        let mut numbers = [0.0; 4];
        let mut count = 0;
        while let Some(c) = self.peek()
            && !matches!(c, ',' | ')')
        {
            let end =
                self.text.find(|c: char| c.is_whitespace() || matches!(c, ',' | ')' | '(')).unwrap_or(self.text.len());
            let (word, rest) = self.text.split_at(end);
            let number = word.parse::<f64>().ok().filter(|n| n.is_finite());
            let (Some(number), true) = (number, count < 4 && end > 0) else {
                return Err(format!("{:?} is no place", start(self.text)));
            };
            numbers[count] = number;
            count += 1;
            self.text = rest;
        }
        match count {
            2 => Ok(DVec3::new(numbers[0], numbers[1], 0.0)),
            3 if has_m_only => Ok(DVec3::new(numbers[0], numbers[1], 0.0)),
            3 | 4 => {
                self.shape.has_z = true;
                Ok(DVec3::new(numbers[0], numbers[1], numbers[2]))
            }
            _ => Err("a place has two to four numbers".into()),
        }
    }

    /// `( item, item, … )`.
    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.expect('(')?;
        loop {
            item(self)?;
            match self.peek() {
                Some(',') => self.expect(',')?,
                _ => return self.expect(')'),
            }
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.text = self.text.trim_start();
        self.text.chars().next()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        self.peek();
        match self.text.strip_prefix(wanted) {
            Some(rest) => {
                self.text = rest;
                Ok(())
            }
            None => Err(format!("{wanted:?} is missing before {:?}", start(self.text))),
        }
    }

    fn peek_word(&mut self) -> &'t str {
        self.peek();
        let end = self.text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.text.len());
        &self.text[..end]
    }

    fn word(&mut self) -> &'t str {
        let word = self.peek_word();
        self.text = &self.text[word.len()..];
        word
    }
}

const KINDS: [&str; 7] =
    ["POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_in_all_spellings() {
        for (text, points, lines, polygons, has_z) in [
            ("POINT (1 2)", 1, 0, 0, false),
            ("point z(1 2 3)", 1, 0, 0, true),
            ("POINTZ(1 2 3)", 1, 0, 0, true),
            ("POINT M (1 2 3)", 1, 0, 0, false),
            ("SRID=4549;LINESTRING(1 2, 3 4,5 6)", 0, 1, 0, false),
            ("POLYGON((0 0,1 0,1 1,0 0),(0.2 0.1,0.4 0.1,0.4 0.2,0.2 0.1))", 0, 0, 1, false),
            ("MULTIPOINT(1 2,3 4)", 2, 0, 0, false),
            ("MULTIPOINT((1 2),(3 4))", 2, 0, 0, false),
            ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))", 0, 0, 2, false),
            ("GEOMETRYCOLLECTION(POINT(1 2),GEOMETRYCOLLECTION(LINESTRING(0 0,1 1)))", 1, 1, 0, false),
            ("POLYGON EMPTY", 0, 0, 0, false),
        ] {
            let (shape, srid) = shape(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (shape.points.len(), shape.lines.len(), shape.polygons.len()),
                (points, lines, polygons),
                "{text}"
            );
            assert_eq!((shape.has_z, srid), (has_z, text.starts_with("SRID").then_some(4549)), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let deep = "GEOMETRYCOLLECTION(".repeat(100_000);
        for text in [
            "",
            "POINT",
            "POINT(1)",
            "POINT(1 2",
            "POINT(1 2) x",
            "POINT(1 x)",
            "POINT(nan 1)",
            "CIRCLE(1 2)",
            "SRID=x;POINT(1 2)",
            "POINT(1 2 3 4 5)",
            "面(1 2)",
            &deep,
        ] {
            assert!(shape(text).is_err(), "{text:.40}");
        }
    }
}
