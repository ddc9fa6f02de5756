use super::*;
use crate::serve::things::value::Value;

/// An entity with a few properties.
fn look(path: &[String]) -> Vec<Value> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["result"] => vec![Value::Number(7.5)],
        ["name"] => vec![Value::Text("Gas O'Neil 燃气".into())],
        ["phenomenonTime"] => vec![Value::Time(1_767_225_600_000)],
        ["span"] => vec![Value::Interval(1_000, 2_000)],
        ["Datastreams", "name"] => vec![Value::Text("a".into()), Value::Text("b".into())],
        ["location"] => vec![Value::of_json(serde_json::json!({"type": "Point", "coordinates": [120.5, 36.5, 3.0]}))],
        _ => vec![Value::Null],
    }
}

fn holds(text: &str) -> bool {
    Expression::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).holds(&look)
}

#[test]
fn operators_bind_as_in_odata() {
    for text in [
        "result gt 3 and result lt 5 or result eq 7.5",
        "not (result gt 8) and true",
        "result add 2 mul 3 eq 13.5",
        "(result add 2) mul 2 eq 19",
        "result sub 1 sub 1 eq 5.5",
        "-result lt -7 and -7.6 lt -result",
        "result mod 2 eq 1.5 and result div 2 eq 3.75",
        "name eq 'Gas O''Neil 燃气'",
        "missing eq null and result ne null",
        "1e1 gt result and 1E-1 lt result",
    ] {
        assert!(holds(text), "{text}");
    }
    for text in ["result gt 8", "not true", "name eq 'x' or false", "missing gt 3", "missing lt 3", "result div 0 gt 1"]
    {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn functions_are_those_of_the_standard() {
    for text in [
        "substringof('Neil', name) and startswith(name, 'Gas') and endswith(name,'燃气')",
        "length(name) eq 13 and indexof(name, '燃') eq 11",
        "substring(name, 0, 3) eq 'Gas' and toupper(substring(name,1,2)) eq 'AS'",
        "concat(trim('  a '), 'b') eq 'ab' and tolower('AB') eq 'ab'",
        "year(phenomenonTime) eq 2026 and month(phenomenonTime) eq 1 and hour(phenomenonTime) eq 0",
        "round(result) eq 8 and floor(result) eq 7 and ceiling(result) eq 8",
        "phenomenonTime lt now() and phenomenonTime gt now() sub duration'P36500D'",
        "phenomenonTime ge 2026-01-01T00:00:00Z and phenomenonTime lt 2026-01-01T08:00:01+08:00",
        "phenomenonTime eq '2026-01-01T00:00:00Z' and phenomenonTime sub duration'PT1H' lt 2025-12-31T23:00:01Z",
        "span lt 1970-01-01T00:00:03Z and span gt 1970-01-01T00:00:00Z",
        "st_within(location, geography'POLYGON((120 36, 121 36, 121 37, 120 37, 120 36))')",
        "geo.intersects(location, geography'POINT(120.5 36.5)') and st_equals(location, geography'POINT(120.5 36.5)')",
        "geo.distance(location, geography'POINT(120.5 37.5)') eq 1",
        "st_disjoint(location, geography'POLYGON((0 0, 1 0, 1 1, 0 0))')",
    ] {
        assert!(holds(text), "{text}");
    }
    assert!(!holds("st_within(location, geography'POLYGON((0 0, 1 0, 1 1, 0 0))')"));
    // The interval holds this time: neither before nor after it.
    assert!(!holds("span lt 1970-01-01T00:00:01.5Z") && !holds("span gt 1970-01-01T00:00:01.5Z"));
}

#[test]
fn of_many_one_is_enough() {
    assert!(holds("Datastreams/name eq 'b'") && holds("startswith(Datastreams/name, 'b')"));
    assert!(!holds("Datastreams/name eq 'c'"));
}

#[test]
fn what_is_no_condition_says_where() {
    for (text, at) in [
        ("result gt", "at character 10"),
        ("result 5", "at character 8"),
        ("(result gt 5", "at character 13: ) is expected"),
        ("name eq 'x", "a ' is missing"),
        ("nope(name)", "no function nope"),
        ("length(name, 1)", "does not take 2"),
        ("result gt 5x", "neither a number nor a time"),
        ("a//b eq 1", "a name is missing"),
        ("location eq geography'POLYGON(1 2'", "geography"),
        ("燃 eq ", "at character 6"),
        ("x eq 2026-13-45T00:00:00Z", "neither a number nor a time"),
    ] {
        let error = Expression::parse(text).expect_err(text);
        assert!(error.contains(at), "{text}: {error}");
    }
    let deep = format!("{}1{} eq 1", "(".repeat(5000), ")".repeat(5000));
    assert!(Expression::parse(&deep).expect_err("deep").contains("too deep"));
    assert!(Expression::parse(&format!("{}1 eq 1", "-".repeat(5000))).is_err());
    assert!(Expression::parse(&format!("{}true", "not ".repeat(5000))).is_err());
    assert!(Expression::parse(&"a".repeat(100_000)).expect_err("long").contains("longer"));
    // Long, but not deep.
    let long = |terms: usize| vec!["result gt 1"; terms].join(" and ");
    assert!(holds(&long(500)));
    assert!(Expression::parse(&long(502)).expect_err("long").contains("operators"));
}

#[test]
fn the_period_of_a_condition_is_never_too_short() {
    let period = |text: &str| Expression::parse(text).unwrap().period(&[]);
    let (a, b) = (1_767_225_600_000, 1_767_312_000_000);
    let within = "phenomenonTime ge 2026-01-01T00:00:00Z and 2026-01-02T00:00:00Z gt phenomenonTime and result gt 3";
    assert_eq!(period(within), a..b);
    assert_eq!(period("phenomenonTime eq '2026-01-01T00:00:00Z'"), a..a + 1);
    assert_eq!(period("resultTime gt 2026-01-01T00:00:00Z").start, a + 1);
    assert_eq!(period("resultTime le 2026-01-01T00:00:00Z").end, a + 1);
    for whole in [
        "phenomenonTime ge 2026-01-01T00:00:00Z or result gt 3",
        "not (phenomenonTime lt 2026-01-01T00:00:00Z)",
        "phenomenonTime ne 2026-01-01T00:00:00Z",
    ] {
        assert_eq!(period(whole), i64::MIN..i64::MAX, "{whole}");
    }
    let of_stream = Expression::parse("Observations/phenomenonTime ge 2026-01-01T00:00:00Z").unwrap();
    assert_eq!((of_stream.period(&["Observations"]).start, of_stream.period(&[]).start), (a, i64::MIN));
}
