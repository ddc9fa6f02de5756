//! The entities of SensorThings 1.1 (OGC 18-088, clause 8.2): which sets there are, what an entity of each has, what it leads to.

/// A set of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    Things,
    Locations,
    HistoricalLocations,
    Datastreams,
    Sensors,
    ObservedProperties,
    Observations,
    FeaturesOfInterest,
}

/// Where an entity leads to: by which name, to entities of which set, and whether to many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub name: &'static str,
    pub set: Set,
    pub is_many: bool,
}

const fn one(name: &'static str, set: Set) -> Link {
    Link { name, set, is_many: false }
}

const fn many(name: &'static str, set: Set) -> Link {
    Link { name, set, is_many: true }
}

const PLACED: &[&str] = &["name", "description", "encodingType", "location", "properties"];

impl Set {
    pub const ALL: [Self; 8] = [
        Self::Things,
        Self::Locations,
        Self::HistoricalLocations,
        Self::Datastreams,
        Self::Sensors,
        Self::ObservedProperties,
        Self::Observations,
        Self::FeaturesOfInterest,
    ];

    /// Its name, as addresses have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Things => "Things",
            Self::Locations => "Locations",
            Self::HistoricalLocations => "HistoricalLocations",
            Self::Datastreams => "Datastreams",
            Self::Sensors => "Sensors",
            Self::ObservedProperties => "ObservedProperties",
            Self::Observations => "Observations",
            Self::FeaturesOfInterest => "FeaturesOfInterest",
        }
    }

    /// The set of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.word() == word)
    }

    /// What an entity has, in the order of the standard.
    pub fn properties(self) -> &'static [&'static str] {
        match self {
            Self::Things => &["name", "description", "properties"],
            Self::Locations => PLACED,
            Self::HistoricalLocations => &["time"],
            Self::Datastreams => &[
                "name",
                "description",
                "observationType",
                "unitOfMeasurement",
                "observedArea",
                "phenomenonTime",
                "resultTime",
                "properties",
            ],
            Self::Sensors => &["name", "description", "encodingType", "metadata", "properties"],
            Self::ObservedProperties => &["name", "definition", "description", "properties"],
            Self::Observations => &["phenomenonTime", "resultTime", "result"],
            Self::FeaturesOfInterest => &["name", "description", "encodingType", "feature", "properties"],
        }
    }

    /// What an entity leads to.
    pub fn links(self) -> &'static [Link] {
        const LINKS: [&[Link]; 8] = [
            &[
                many("Datastreams", Set::Datastreams),
                many("Locations", Set::Locations),
                many("HistoricalLocations", Set::HistoricalLocations),
            ],
            &[many("Things", Set::Things), many("HistoricalLocations", Set::HistoricalLocations)],
            &[one("Thing", Set::Things), many("Locations", Set::Locations)],
            &[
                one("Thing", Set::Things),
                one("Sensor", Set::Sensors),
                one("ObservedProperty", Set::ObservedProperties),
                many("Observations", Set::Observations),
            ],
            &[many("Datastreams", Set::Datastreams)],
            &[many("Datastreams", Set::Datastreams)],
            &[one("Datastream", Set::Datastreams), one("FeatureOfInterest", Set::FeaturesOfInterest)],
            &[many("Observations", Set::Observations)],
        ];
        LINKS[self as usize]
    }

    /// The link of this name.
    pub fn link(self, name: &str) -> Option<Link> {
        self.links().iter().copied().find(|link| link.name == name)
    }
}

/// One entity: which set it is of, and what of the register it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Entity {
    /// An object that is watched, or a device that watches none: its number in the register.
    Thing(u32),
    /// Where the Thing of this number is.
    Location(u32),
    /// What the sensor of this dense index measures.
    Datastream(u32),
    /// The sensor of this dense index.
    Sensor(u32),
    /// The observed property of this number in the register.
    Property(u32),
    /// A reading of the sensor with this dense index.
    Observation { sensor: u32, time_ms: i64, value: f64 },
    /// The Thing of this number, as what is observed.
    Feature(u32),
}

impl Entity {
    pub fn set(self) -> Set {
        match self {
            Self::Thing(_) => Set::Things,
            Self::Location(_) => Set::Locations,
            Self::Datastream(_) => Set::Datastreams,
            Self::Sensor(_) => Set::Sensors,
            Self::Property(_) => Set::ObservedProperties,
            Self::Observation { .. } => Set::Observations,
            Self::Feature(_) => Set::FeaturesOfInterest,
        }
    }
}
