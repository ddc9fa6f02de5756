//! How a subcommand ends, and in which form and language it speaks.

use std::process::ExitCode;

/// How the answer is wanted.
pub struct Ask {
    /// One JSON document on standard output.
    pub json: bool,
    /// `zh` or `en`.
    pub lang: String,
}

impl Ask {
    /// The text in the language asked for.
    pub fn say<'a>(&self, en: &'a str, zh: &'a str) -> &'a str {
        if self.lang == "zh" { zh } else { en }
    }
}

/// The ends of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All done.
    Done,
    /// Not done.
    Failed,
    /// Not understood.
    WrongUsage,
    /// Done, but data was skipped; the report says what.
    Skipped,
    /// Ended by the user before it was done.
    Stopped,
}

impl Outcome {
    /// The exit code that others rely on.
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::WrongUsage => 2,
            Outcome::Skipped => 3,
            Outcome::Stopped => StoppedError::CODE as u8,
        })
    }
}

/// An error of the user's call rather than of the data.
#[derive(Debug)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// The user ended it.
#[derive(Debug)]
pub struct StoppedError(pub String);

impl StoppedError {
    /// What programs report that Ctrl-C ended.
    pub const CODE: i32 = 130;
}

impl std::fmt::Display for StoppedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoppedError {}

/// Lets the program end without a word when the reader of its output is gone, as in `groundline info CITY | head`.
pub fn end_quietly_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to stdout") {
            // What a program that SIGPIPE ends reports.
            std::process::exit(141);
        }
        usual(info);
    }));
}

/// `zh` when the system's locale is Chinese, else `en`.
pub fn system_language() -> String {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|k| std::env::var(k).ok().filter(|v| !v.is_empty()));
    if locale.is_some_and(|l| l.starts_with("zh")) { "zh".into() } else { "en".into() }
}

/// Prints a failure: to standard error for people, as the one document for programs.
pub fn print_error(error: &anyhow::Error, ask: &Ask) {
    if ask.json && !matches!(error.downcast_ref::<Told>(), Some(Told)) {
        println!("{}", serde_json::json!({ "error": format!("{error:#}") }));
    }
    eprintln!("{} {error:#}", ask.say("groundline: error:", "groundline：错误："));
}

/// Marks a failure whose JSON document has been printed already.
#[derive(Debug)]
pub struct Told;

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("see the report")
    }
}

impl std::error::Error for Told {}

/// Prints the one JSON document.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// `1 234 567` for people.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Bytes for people.
pub fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} kB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number as f64 / 1e6),
        _ => format!("{:.2} GB", number as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn bytes_change_unit_where_people_expect_it() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(2_500_000_000), "2.50 GB");
    }
}
