//! Texts in Chinese and English, from the Fluent files in `assets/i18n`.

use fluent::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use unic_langid::{LanguageIdentifier, langid};

use crate::options::Language;

const ZH: &str = include_str!("../../assets/i18n/zh-CN.ftl");
const EN: &str = include_str!("../../assets/i18n/en.ftl");

/// All texts of one language.
pub struct Texts {
    bundle: FluentBundle<FluentResource>,
    /// The language.
    pub language: Language,
}

impl Texts {
    /// The texts of `language`.
    pub fn new(language: Language) -> Self {
        let (id, source): (LanguageIdentifier, &str) = match language {
            Language::Zh => (langid!("zh-CN"), ZH),
            Language::En => (langid!("en"), EN),
        };
        let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(resource, _)| resource);
        let mut bundle = FluentBundle::new_concurrent(vec![id]);
        // Marks around arguments are for right-to-left scripts; the font draws them as boxes.
        bundle.set_use_isolating(false);
        bundle.add_resource_overriding(resource);
        Self { bundle, language }
    }

    /// A text without arguments; `⟦key⟧` when there is none.
    pub fn get(&self, key: &str) -> String {
        self.find(key, None).unwrap_or_else(|| format!("⟦{key}⟧"))
    }

    /// A text with one argument.
    pub fn with<'a>(&self, key: &str, name: &'a str, value: impl Into<FluentValue<'a>>) -> String {
        self.with_all(key, [(name, value.into())])
    }

    /// A text with several arguments.
    pub fn with_all<'a>(&self, key: &str, values: impl IntoIterator<Item = (&'a str, FluentValue<'a>)>) -> String {
        let mut args = FluentArgs::new();
        for (name, value) in values {
            args.set(name, value);
        }
        self.find(key, Some(&args)).unwrap_or_else(|| format!("⟦{key}⟧"))
    }

    /// A text that need not exist, such as the name of an attribute's key.
    pub fn maybe(&self, key: &str) -> Option<String> {
        self.find(key, None)
    }

    fn find(&self, key: &str, args: Option<&FluentArgs<'_>>) -> Option<String> {
        let pattern = self.bundle.get_message(key)?.value()?;
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, args, &mut errors).into_owned();
        errors.is_empty().then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys(source: &str) -> BTreeSet<&str> {
        let lines = source.lines().filter(|line| !line.starts_with(['#', ' ']));
        lines.filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect()
    }

    #[test]
    fn both_languages_have_every_key() {
        let (zh, en) = (keys(ZH), keys(EN));
        assert_eq!(zh, en);
        assert!(zh.len() > 50);
        for source in [ZH, EN] {
            assert!(FluentResource::try_new(source.to_owned()).is_ok(), "syntax");
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
