//! Topic filters of MQTT (§4.7 of 3.1.1 and 5.0).

/// Whether a text is a filter that can be subscribed to: `#` only at the end, `+` only as a whole level.
pub(super) fn is_filter(filter: &str) -> bool {
    if filter.is_empty() || filter.len() > 1024 || filter.contains('\0') {
        return false;
    }
    let levels: Vec<&str> = filter.split('/').collect();
    let last = levels.len() - 1;
    levels.iter().enumerate().all(|(at, level)| match *level {
        "#" => at == last,
        "+" => true,
        plain => !plain.contains(['#', '+']),
    })
}

/// Whether a topic falls under a filter. Wildcards in front do not match topics that begin with `$`.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['#', '+']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match topic.next() {
            Some(part) if level == "+" || level == part => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        for (filter, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("#", "a/b"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("$SYS/#", "$SYS/a"),
        ] {
            assert!(is_filter(filter) && matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("#", "$SYS/a"),
            ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ] {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
        for filter in ["", "sport/tennis#", "sport/tennis/#/ranking", "sport+"] {
            assert!(!is_filter(filter), "{filter}");
        }
    }
}
