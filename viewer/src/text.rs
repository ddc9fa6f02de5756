//! Texts in Chinese and English, from the Fluent files in `assets/i18n`.
//!
//! Of Fluent's syntax the viewer uses messages of one line with `{ $variable }` placeables; that much is read here,
//! and translators' tools read the files as they are. The tests hold the files to this.

use std::collections::HashMap;

use crate::options::Language;

const ZH: &str = include_str!("../../assets/i18n/zh-CN.ftl");
const EN: &str = include_str!("../../assets/i18n/en.ftl");

/// All texts of one language.
pub struct Texts {
    messages: HashMap<&'static str, &'static str>,
    /// The language.
    pub language: Language,
}

/// The messages of a Fluent file; comments and empty lines are passed over.
fn messages(source: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    source
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, text)| (key.trim(), text.trim()))
}

impl Texts {
    /// The texts of `language`.
    pub fn new(language: Language) -> Self {
        let source = match language {
            Language::Zh => ZH,
            Language::En => EN,
        };
        Self { messages: messages(source).collect(), language }
    }

    /// Whether it is Chinese.
    pub fn is_chinese(&self) -> bool {
        self.language == Language::Zh
    }

    /// A text without arguments; `⟦key⟧` when there is none.
    pub fn get(&self, key: &str) -> String {
        self.maybe(key).unwrap_or_else(|| format!("⟦{key}⟧"))
    }

    /// A text with one argument.
    pub fn with(&self, key: &str, name: &str, value: impl ToString) -> String {
        self.with_all(key, [(name, value.to_string())])
    }

    /// A text with several arguments.
    pub fn with_all<'a>(&self, key: &str, values: impl IntoIterator<Item = (&'a str, String)>) -> String {
        let mut text = self.get(key);
        for (name, value) in values {
            text = text.replace(&format!("{{ ${name} }}"), &value);
        }
        text
    }

    /// A text that need not exist, such as the name of an attribute's key.
    pub fn maybe(&self, key: &str) -> Option<String> {
        self.messages.get(key).map(|text| (*text).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys(source: &'static str) -> BTreeSet<&'static str> {
        messages(source).map(|(key, _)| key).collect()
    }

    /// The placeables of a text, in order of their names.
    fn placeables(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|part| part.split('}').next()).collect()
    }

    #[test]
    fn both_languages_have_every_key() {
        let (zh, en) = (keys(ZH), keys(EN));
        assert_eq!(zh, en);
        assert!(zh.len() > 50);
        let zh: HashMap<_, _> = messages(ZH).collect();
        for (key, text) in messages(EN) {
            assert_eq!(placeables(text), placeables(zh[key]), "{key}");
            assert!(!text.is_empty() && !zh[key].is_empty(), "{key}");
        }
    }

    #[test]
    fn the_files_keep_to_messages_of_one_line() {
        for line in ZH.lines().chain(EN.lines()).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, text) = line.split_once(" = ").expect(line);
            assert!(key.starts_with(|c: char| c.is_ascii_alphabetic()), "{line}");
            assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{line}");
            for placeable in placeables(text) {
                assert!(placeable.starts_with(" $") && placeable.ends_with(' '), "{line}");
            }
        }
    }

    #[test]
    fn every_key_asked_for_in_the_source_exists() {
        let known = keys(EN);
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut asked = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for call in ["texts.get(\"", "texts.with(\"", "texts.with_all(\""] {
                for part in source.split(call).skip(1) {
                    let key = part.split('"').next().unwrap();
                    if key.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')) {
                        continue;
                    }
                    assert!(known.contains(key), "`{key}` is in no language file");
                    asked += 1;
                }
            }
        }
        assert!(asked > 20, "the test looks at the right files");
    }

    #[test]
    fn arguments_are_put_in_without_marks() {
        assert_eq!(Texts::new(Language::En).with("version", "number", 7), "version 7");
        assert_eq!(Texts::new(Language::Zh).with("version", "number", 7), "第 7 版");
        assert_eq!(Texts::new(Language::Zh).get("no-such-key"), "⟦no-such-key⟧");
    }
}
