//! Which kind of line a table is about: the class letters of CJJ 61-2017 App. B and the words people use.

use groundline_engine::model::PipeKind;

/// A kind of line with the sub-class that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Main class; drainage whose sub-class is not known counts as combined.
    pub pipe_kind: PipeKind,
    /// Sub-class (小类) as CJJ 61-2017 App. B writes it, such as 配水 or 有线电视; empty when none was named.
    pub subclass: &'static str,
    /// Whether it is drainage (PS, 排水) and nothing says which.
    pub is_drainage_of_unknown_sort: bool,
}

const fn kind(pipe_kind: PipeKind, subclass: &'static str) -> Kind {
    Kind { pipe_kind, subclass, is_drainage_of_unknown_sort: false }
}

const DRAINAGE: Kind = Kind { pipe_kind: PipeKind::Combined, subclass: "", is_drainage_of_unknown_sort: true };

/// A line of which nothing says what it is.
pub const OTHER: Kind = kind(PipeKind::Other, "");

/// Class letters (大类) of CJJ 61-2017 App. B, and DX, which older data use for telecom.
static CLASS_LETTERS: &[(&str, Kind)] = &[
    ("JS", kind(PipeKind::Water, "")),
    ("PS", DRAINAGE),
    ("YS", kind(PipeKind::Storm, "雨水")),
    ("WS", kind(PipeKind::Sewage, "污水")),
    ("HS", kind(PipeKind::Combined, "雨污合流")),
    ("RQ", kind(PipeKind::Gas, "")),
    ("RL", kind(PipeKind::Heat, "")),
    ("DL", kind(PipeKind::Power, "")),
    ("TX", kind(PipeKind::Telecom, "")),
    ("DX", kind(PipeKind::Telecom, "")),
    ("GY", kind(PipeKind::Industrial, "")),
    ("QT", kind(PipeKind::Other, "")),
];

/// Sub-class letters (小类) of CJJ 61-2017 App. B. Only whole tokens are looked up here: they are too short to be found
/// inside other words, and in file names they mean too much else (GB, XX).
static SUBCLASS_LETTERS: &[(&str, Kind)] = &[
    ("JY", kind(PipeKind::Water, "原水")),
    ("SS", kind(PipeKind::Water, "输水")),
    ("ZS", kind(PipeKind::Water, "中水")),
    ("JP", kind(PipeKind::Water, "配水")),
    ("JZ", kind(PipeKind::Water, "直饮水")),
    ("XS", kind(PipeKind::Water, "消防水")),
    ("LS", kind(PipeKind::Water, "绿化水")),
    ("JH", kind(PipeKind::Water, "循环水")),
    ("MQ", kind(PipeKind::Gas, "煤气")),
    ("YH", kind(PipeKind::Gas, "液化气")),
    ("TR", kind(PipeKind::Gas, "天然气")),
    ("RS", kind(PipeKind::Heat, "热水")),
    ("ZQ", kind(PipeKind::Heat, "蒸汽")),
    ("GD", kind(PipeKind::Power, "供电")),
    ("LD", kind(PipeKind::Power, "路灯")),
    ("XH", kind(PipeKind::Power, "交通信号")),
    ("DC", kind(PipeKind::Power, "电车")),
    ("GG", kind(PipeKind::Power, "广告")),
    ("DH", kind(PipeKind::Telecom, "电话")),
    ("DS", kind(PipeKind::Telecom, "有线电视")),
    ("XX", kind(PipeKind::Telecom, "信息网络")),
    ("GB", kind(PipeKind::Telecom, "广播")),
    ("QQ", kind(PipeKind::Industrial, "氢")),
    ("YQ", kind(PipeKind::Industrial, "氧")),
    ("GQ", kind(PipeKind::Industrial, "乙炔")),
    ("YX", kind(PipeKind::Industrial, "乙烯")),
    ("BQ", kind(PipeKind::Industrial, "苯")),
    ("LQ", kind(PipeKind::Industrial, "氯")),
    ("DQ", kind(PipeKind::Industrial, "氮")),
    ("EY", kind(PipeKind::Industrial, "二氧化碳")),
    ("AQ", kind(PipeKind::Industrial, "氨")),
    ("JB", kind(PipeKind::Industrial, "甲苯")),
    ("ZH", kind(PipeKind::Other, "综合管沟")),
    ("BM", kind(PipeKind::Other, "不明")),
];

/// Words, the more telling first: 雨污合流 before 雨水, 污水 before the 水 of anything.
static WORDS: &[(&str, Kind)] = &[
    ("合流", kind(PipeKind::Combined, "雨污合流")),
    ("雨污", kind(PipeKind::Combined, "雨污合流")),
    ("雨水", kind(PipeKind::Storm, "雨水")),
    ("污水", kind(PipeKind::Sewage, "污水")),
    ("排水", DRAINAGE),
    ("原水", kind(PipeKind::Water, "原水")),
    ("输水", kind(PipeKind::Water, "输水")),
    ("中水", kind(PipeKind::Water, "中水")),
    ("再生水", kind(PipeKind::Water, "中水")),
    ("配水", kind(PipeKind::Water, "配水")),
    ("直饮水", kind(PipeKind::Water, "直饮水")),
    ("消防水", kind(PipeKind::Water, "消防水")),
    ("绿化水", kind(PipeKind::Water, "绿化水")),
    ("循环水", kind(PipeKind::Water, "循环水")),
    ("给水", kind(PipeKind::Water, "")),
    ("供水", kind(PipeKind::Water, "")),
    ("上水", kind(PipeKind::Water, "")),
    ("自来水", kind(PipeKind::Water, "")),
    ("煤气", kind(PipeKind::Gas, "煤气")),
    ("液化气", kind(PipeKind::Gas, "液化气")),
    ("天然气", kind(PipeKind::Gas, "天然气")),
    ("燃气", kind(PipeKind::Gas, "")),
    ("蒸汽", kind(PipeKind::Heat, "蒸汽")),
    ("热水", kind(PipeKind::Heat, "热水")),
    ("热力", kind(PipeKind::Heat, "")),
    ("供热", kind(PipeKind::Heat, "")),
    ("路灯", kind(PipeKind::Power, "路灯")),
    ("照明", kind(PipeKind::Power, "路灯")),
    ("交通信号", kind(PipeKind::Power, "交通信号")),
    ("电车", kind(PipeKind::Power, "电车")),
    ("广告", kind(PipeKind::Power, "广告")),
    ("供电", kind(PipeKind::Power, "供电")),
    ("电力", kind(PipeKind::Power, "")),
    ("有线电视", kind(PipeKind::Telecom, "有线电视")),
    ("电话", kind(PipeKind::Telecom, "电话")),
    ("信息网络", kind(PipeKind::Telecom, "信息网络")),
    ("广播", kind(PipeKind::Telecom, "广播")),
    ("通信", kind(PipeKind::Telecom, "")),
    ("通讯", kind(PipeKind::Telecom, "")),
    ("电信", kind(PipeKind::Telecom, "")),
    ("弱电", kind(PipeKind::Telecom, "")),
    ("移动", kind(PipeKind::Telecom, "")),
    ("联通", kind(PipeKind::Telecom, "")),
    ("工业", kind(PipeKind::Industrial, "")),
    ("综合管沟", kind(PipeKind::Other, "综合管沟")),
    ("不明", kind(PipeKind::Other, "不明")),
    ("其他", kind(PipeKind::Other, "")),
    ("其它", kind(PipeKind::Other, "")),
    ("combined", kind(PipeKind::Combined, "雨污合流")),
    ("storm", kind(PipeKind::Storm, "雨水")),
    ("rain", kind(PipeKind::Storm, "雨水")),
    ("sewage", kind(PipeKind::Sewage, "污水")),
    ("sewer", kind(PipeKind::Sewage, "污水")),
    ("drain", DRAINAGE),
    ("water", kind(PipeKind::Water, "")),
    ("gas", kind(PipeKind::Gas, "")),
    ("heat", kind(PipeKind::Heat, "")),
    ("power", kind(PipeKind::Power, "")),
    ("electric", kind(PipeKind::Power, "")),
    ("telecom", kind(PipeKind::Telecom, "")),
    ("industrial", kind(PipeKind::Industrial, "")),
];

/// Operators (权属) that stand in the class column of telecom tables.
static OPERATOR_LETTERS: &[&str] = &["YD", "LT", "WT", "TT", "JX", "EX"];

/// The kind that a cell of a class column (管线类别) names: letters, a word, or both as in `JS给水`.
pub fn of_cell(text: &str) -> Option<Kind> {
    let text = super::value::half_width(text);
    let upper = text.to_uppercase();
    let letters: String = upper.chars().take_while(char::is_ascii_alphabetic).collect();
    of_word(&text).or_else(|| of_letters(&letters))
}

/// The kind that the name of a file or sheet tells: `JSPoint`, `YS_L`, `给水管线表`.
pub fn of_name(name: &str) -> Option<Kind> {
    if let Some(kind) = of_word(name) {
        return Some(kind);
    }
    for token in name.split(|c: char| !c.is_ascii_alphabetic()).filter(|t| !t.is_empty()) {
        let upper = token.to_uppercase();
        if let Some(kind) = find(CLASS_LETTERS, &upper) {
            return Some(kind);
        }
        // `JSPoint`, `YSL`: two letters with the role behind them
        if let (Some(head), Some(tail)) = (upper.get(..2), upper.get(2..))
            && matches!(
                tail,
                "POINT" | "POINTS" | "LINE" | "LINES" | "P" | "L" | "PT" | "LN" | "NODE" | "NODES" | "PIPE" | "PIPES"
            )
            && let Some(kind) = find(CLASS_LETTERS, head)
        {
            return Some(kind);
        }
    }
    None
}

/// The kind that the prefix of a point id tells: `JS12`, `YS-3`, `1WS7`.
pub fn of_point_id(id: &str) -> Option<Kind> {
    let upper = super::value::half_width(id).to_uppercase();
    let letters: String =
        upper.chars().skip_while(char::is_ascii_digit).take_while(char::is_ascii_alphabetic).collect();
    find(CLASS_LETTERS, &letters).or_else(|| letters.get(..2).and_then(|head| find(CLASS_LETTERS, head)))
}

fn of_letters(letters: &str) -> Option<Kind> {
    find(CLASS_LETTERS, letters)
        .or_else(|| find(SUBCLASS_LETTERS, letters))
        .or_else(|| OPERATOR_LETTERS.contains(&letters).then_some(kind(PipeKind::Telecom, "")))
}

fn of_word(text: &str) -> Option<Kind> {
    let lower = text.to_lowercase();
    find_by(WORDS, |word| lower.contains(word))
}

fn find(table: &[(&str, Kind)], key: &str) -> Option<Kind> {
    find_by(table, |word| word == key)
}

fn find_by(table: &[(&str, Kind)], test: impl Fn(&str) -> bool) -> Option<Kind> {
    table.iter().find(|(word, _)| test(word)).map(|(_, kind)| *kind)
}

/// Whether the depth of this kind of line is measured to the invert (管底), as is common for gravity drains,
/// and not to the top (管顶), as for pressure pipes, cables and ducts.
pub fn is_measured_to_invert(kind: PipeKind) -> bool {
    matches!(kind, PipeKind::Storm | PipeKind::Sewage | PipeKind::Combined)
}

/// Diameter that is drawn where a survey has none, metres: a common size of the kind, above the smallest that
/// CJJ 61 asks to be surveyed.
pub fn default_diameter_m(kind: PipeKind) -> f64 {
    match kind {
        PipeKind::Storm | PipeKind::Combined => 0.6,
        PipeKind::Sewage => 0.4,
        PipeKind::Heat => 0.3,
        PipeKind::Power => 0.15,
        PipeKind::Telecom => 0.11,
        PipeKind::Water | PipeKind::Gas | PipeKind::Industrial | PipeKind::Other => 0.2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<PipeKind> {
        of_name(text).map(|k| k.pipe_kind)
    }

    #[test]
    fn names_of_files_and_sheets_tell_the_kind() {
        assert_eq!(name("JSPoint"), Some(PipeKind::Water));
        assert_eq!(name("YS_L"), Some(PipeKind::Storm));
        assert_eq!(name("wsl"), Some(PipeKind::Sewage));
        assert_eq!(name("给水管线表"), Some(PipeKind::Water));
        assert_eq!(name("雨污合流管点"), Some(PipeKind::Combined));
        assert_eq!(name("2019燃气_管线"), Some(PipeKind::Gas));
        assert_eq!(name("power_line"), Some(PipeKind::Power));
        assert_eq!(name("TXLine"), Some(PipeKind::Telecom));
        assert_eq!(name("results"), None);
        assert_eq!(name("管线表"), None);
        assert!(of_name("排水管线").unwrap().is_drainage_of_unknown_sort);
        assert!(of_name("PSLine").unwrap().is_drainage_of_unknown_sort);
    }

    #[test]
    fn ids_and_cells_tell_the_kind() {
        assert_eq!(of_point_id("JS12").unwrap().pipe_kind, PipeKind::Water);
        assert_eq!(of_point_id("1WS7").unwrap().pipe_kind, PipeKind::Sewage);
        assert_eq!(of_point_id("YSA3").unwrap().pipe_kind, PipeKind::Storm);
        assert_eq!(of_point_id("17"), None);
        assert_eq!(of_cell("JP").unwrap().subclass, "配水");
        assert_eq!(of_cell("污水").unwrap().pipe_kind, PipeKind::Sewage);
        assert_eq!(of_cell("ＴＸ").unwrap().pipe_kind, PipeKind::Telecom);
        assert_eq!(of_cell("YD").unwrap().pipe_kind, PipeKind::Telecom);
        assert_eq!(of_cell("?"), None);
    }
}
