//! Attributes by the names that people ask for, and the layers that have them.

use groundline_engine::{
    model::{Class, Stage},
    query::{BUILT_KEYS as YEARS, Column, LayerFields},
};

use crate::{ViewError, city::CityModel, classes::Manner, options::Language, text::Texts};

/// Keys that hold a height above the ground.
const HEIGHTS: [&str; 1] = ["height_m"];
/// Units by how a key ends.
const UNITS: [(&str, &str); 8] = [
    ("_mm", "mm"),
    ("_cm", "cm"),
    ("_m2", "m²"),
    ("_m3", "m³"),
    ("_m", "m"),
    ("_kpa", "kPa"),
    ("_kv", "kV"),
    ("_deg", "°"),
];

/// An attribute that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    /// Class word of the layers that have it; empty for what every object has.
    pub class: String,
    /// Its key.
    pub key: String,
}

impl Field {
    /// As [`ask`] understands it.
    pub fn question(&self) -> String {
        if self.class.is_empty() { self.key.clone() } else { format!("{}:{}", self.class, self.key) }
    }

    /// As a person reads it.
    pub fn title(&self, texts: &Texts) -> String {
        match self.class.as_str() {
            "" => key_title(&self.key, texts),
            class => format!("{} · {}", class_title(class, texts), key_title(&self.key, texts)),
        }
    }
}

/// An attribute that was asked for, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Keys it goes by, in order of belief.
    pub keys: Vec<String>,
    /// Indices of the layers that have it.
    pub layers: Vec<usize>,
    /// Classes of most of their objects, each once.
    pub classes: Vec<String>,
    /// What its values are.
    pub manner: Manner,
}

impl Asked {
    /// The attribute's name with its unit.
    pub fn title(&self, texts: &Texts) -> String {
        self.keys.first().map_or_else(String::new, |key| key_title(key, texts))
    }

    /// What the coloured objects are; empty when they are of many classes.
    pub fn subject(&self, texts: &Texts) -> String {
        if self.classes.len() > 3 {
            return String::new();
        }
        self.classes.iter().map(|class| class_title(class, texts)).collect::<Vec<_>>().join(" · ")
    }

    /// Whether the words are those of classes or stages, which have names in both languages.
    pub fn word(&self, word: &str, texts: &Texts) -> String {
        let is_chinese = texts.language == Language::Zh;
        let known = match self.keys.first().map(String::as_str) {
            Some("class") => Class::parse(word).map(|class| if is_chinese { class.zh() } else { class.word() }),
            Some("stage") => Stage::parse(word).map(|stage| if is_chinese { stage.zh() } else { stage.word() }),
            _ => None,
        };
        known.map_or_else(|| word.to_owned(), |name| name.replace('_', " "))
    }

    /// Whether pipes are coloured, so that their usual colours do not hold.
    pub fn is_about_pipes(&self) -> bool {
        self.classes.iter().any(|class| class == "pipe")
    }
}

fn class_title(class: &str, texts: &Texts) -> String {
    let name = Class::parse(class).filter(|_| texts.language == Language::Zh).map(Class::zh);
    name.map_or_else(|| class.replace('_', " "), str::to_owned)
}

/// The name of a key with its unit, where either is known.
pub fn key_title(key: &str, texts: &Texts) -> String {
    if let Some(title) = texts.maybe(&format!("key-{key}")) {
        return title;
    }
    let unit = UNITS.iter().find(|(end, _)| key.to_ascii_lowercase().ends_with(end));
    match unit {
        Some((end, unit)) => format!("{} ({unit})", &key[..key.len() - end.len()]),
        None => key.to_owned(),
    }
}

/// The name of what objects are coloured by, without class and unit.
pub fn question_title(wanted: &str, texts: &Texts) -> String {
    let key = wanted.rsplit_once(':').map_or(wanted, |(_, key)| key);
    let title = keys_of(key).first().map_or_else(|| key.to_owned(), |first| key_title(first, texts));
    title.split(" (").next().unwrap_or_default().to_owned()
}

/// The keys meant by a word.
fn keys_of(word: &str) -> Vec<String> {
    let own = |list: &[&str]| list.iter().map(|key| (*key).to_owned()).collect();
    match word {
        "height" => own(&HEIGHTS),
        "age" => own(&YEARS),
        year if YEARS.contains(&year) => {
            let rest = YEARS.iter().filter(|other| **other != year);
            std::iter::once(year).chain(rest.copied()).map(str::to_owned).collect()
        }
        other => vec![other.to_owned()],
    }
}

/// Finds the layers that have an attribute and reads it: `class`, `stage`, `height`, `age`, or a key, of all objects that have
/// it, or of those of a class or layer alone (`pipe:diameter_mm`). Without a class, buildings come first, then pipes: the
/// heights of trees are no heights of buildings.
pub fn ask(city: &CityModel, wanted: &str) -> Result<(Asked, Column), String> {
    let asked = city.with_store(|store| {
        let has = |layer: usize, keys: &[String]| {
            let name = &city.layers[layer].name;
            let fields = LayerFields::read(store, name)?;
            keys.iter().try_fold(false, |is_there, key| Ok(is_there || fields.has(store, name, key)?))
        };
        if let Some((scope, key)) = wanted.split_once(':')
            && let Some(asked) = layers_with(city, Some(scope), key, &has)?
        {
            return Ok(Some(asked));
        }
        layers_with(city, None, wanted, &has)
    });
    let fail = |error: ViewError| error.to_string();
    let asked = asked.map_err(fail)?.ok_or_else(|| unknown(city, wanted))?;
    let names: Vec<&str> = asked.layers.iter().map(|layer| city.layers[*layer].name.as_str()).collect();
    let keys: Vec<&str> = asked.keys.iter().map(String::as_str).collect();
    let column = city.with_store(|store| Column::read(store, &names, &keys)).map_err(fail)?;
    Ok((asked, column))
}

/// That nothing has an attribute, and what there is instead.
fn unknown(city: &CityModel, wanted: &str) -> String {
    let fields = city.fields().unwrap_or_default();
    let known: Vec<String> = fields.iter().map(Field::question).take(40).collect();
    format!("no object has `{wanted}`; there are: {}", known.join(", "))
}

/// What of `city` has an attribute of this name.
fn layers_with<E>(
    city: &CityModel,
    scope: Option<&str>,
    word: &str,
    has: &impl Fn(usize, &[String]) -> Result<bool, E>,
) -> Result<Option<Asked>, E> {
    let is_own = matches!(word, "class" | "stage");
    let keys = keys_of(word);
    let mut layers = Vec::new();
    for (index, layer) in city.layers.iter().enumerate() {
        let is_meant = scope.is_none_or(|scope| layer.name == scope || layer.classes.iter().any(|(c, _)| c == scope));
        // The sea goes on beyond the city: where everything is coloured it stays water.
        let is_sea = is_own && scope.is_none() && layer.main_class() == "water";
        if !is_meant || is_sea || layer.is_ground() || layer.points > 0 {
            continue;
        }
        if is_own || has(index, &keys)? {
            layers.push(index);
        }
    }
    for first in ["building", "pipe"] {
        let of_first: Vec<usize> = layers.iter().copied().filter(|l| city.layers[*l].main_class() == first).collect();
        if scope.is_none() && !is_own && !of_first.is_empty() {
            layers = of_first;
        }
    }
    if layers.is_empty() {
        return Ok(None);
    }
    let mut classes: Vec<String> = layers.iter().map(|layer| city.layers[*layer].main_class().to_owned()).collect();
    classes.sort_unstable();
    classes.dedup();
    let manner = match word {
        "class" => Manner::Vocabulary,
        _ if keys.iter().any(|key| YEARS.contains(&key.as_str())) => Manner::Years,
        _ => Manner::Plain,
    };
    Ok(Some(Asked { keys, layers, classes, manner }))
}

impl CityModel {
    /// The attributes of its layers, by the class of most of a layer's objects.
    pub fn fields(&self) -> Result<Vec<Field>, ViewError> {
        let own = ["class", "stage"].map(|key| Field { class: String::new(), key: key.to_owned() });
        let mut fields = Vec::new();
        self.with_store(|store| {
            for layer in self.layers.iter().filter(|layer| !layer.is_ground() && layer.points == 0) {
                let kinds = LayerFields::read(store, &layer.name)?.kinds;
                let class = layer.main_class();
                fields.extend(kinds.into_keys().map(|key| Field { class: class.to_owned(), key }));
            }
            Ok(())
        })?;
        fields.sort_unstable();
        fields.dedup();
        Ok(own.into_iter().chain(fields).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_the_keys_that_importers_write() {
        assert_eq!(keys_of("height"), ["height_m"]);
        assert_eq!(keys_of("age")[0], "year_built");
        assert_eq!(keys_of("建成年")[..2], ["建成年", "year_built"]);
        assert_eq!(keys_of("diameter_mm"), ["diameter_mm"]);
    }

    #[test]
    fn titles_have_units() {
        let (zh, en) = (Texts::new(Language::Zh), Texts::new(Language::En));
        assert_eq!(key_title("diameter_mm", &en), "Diameter (mm)");
        assert_eq!(key_title("crown_m", &en), "crown (m)");
        assert_eq!(key_title("roof_area_m2", &en), "roof_area (m²)");
        assert_eq!(key_title("用途", &zh), "用途");
        assert_eq!(
            (question_title("height", &zh), question_title("pipe:size_mm", &en)),
            ("高度".into(), "size".into())
        );
        let asked = Asked {
            keys: vec!["class".into()],
            layers: vec![],
            classes: vec!["pipe".into()],
            manner: Manner::Vocabulary,
        };
        assert_eq!((asked.word("building", &zh), asked.word("land_use", &en)), ("建筑".into(), "land use".into()));
        assert_eq!((asked.subject(&en), asked.is_about_pipes()), ("pipe".into(), true));
    }
}
