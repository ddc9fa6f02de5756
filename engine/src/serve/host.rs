//! Requests to other names than this machine's are refused, and those with a body of no stated length.
//!
//! A page of a stranger may point a name of its own at 127.0.0.1 (DNS rebinding) and would then, in its reader's browser, be of the
//! same origin as this server. Its requests carry that name.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Hall, Refusal, options::split_port};

/// Lets through what is asked of this machine by one of its names.
pub(super) async fn check(State(hall): State<Arc<Hall>>, request: Request, next: Next) -> Response {
    match refusal(&request, &hall.options.hosts) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(request: &Request, hosts: &[String]) -> Option<Refusal> {
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        // Nothing here takes a body, and two lengths are how requests are smuggled past a proxy.
        return Some(Refusal(StatusCode::BAD_REQUEST, "no body is wanted".into()));
    }
    let mut named = request.headers().get_all(header::HOST).iter();
    let bad = |text: &str| Some(Refusal(StatusCode::BAD_REQUEST, text.into()));
    let host = match (named.next(), named.next()) {
        (Some(_), Some(_)) => return bad("more than one Host"),
        (Some(host), None) => match host.to_str() {
            Ok(host) => Some(host),
            Err(_) => return bad("Host is no name"),
        },
        (None, _) if request.version() == Version::HTTP_10 => None,
        (None, _) => return bad("Host is missing"),
    };
    let in_uri = request.uri().authority().map(axum::http::uri::Authority::as_str);
    let is_ours = host.into_iter().chain(in_uri).all(|name| is_ours(name, hosts));
    (!is_ours).then(|| {
        let text = "this server does not answer to that name; --host of `groundline serve` adds one";
        Refusal(StatusCode::MISDIRECTED_REQUEST, text.into())
    })
}

fn is_ours(authority: &str, hosts: &[String]) -> bool {
    let (host, port) = split_port(authority);
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_loopback = address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || host.eq_ignore_ascii_case("localhost") || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_names_that_were_given_are_answered_to() {
        let hosts = ["City.example.org".to_owned()];
        for ours in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.1.2.3", "[::1]:8080", "[::1]", "city.example.org:443"]
        {
            assert!(is_ours(ours, &hosts), "{ours}");
        }
        for other in [
            "",
            "evil.example.org",
            "localhost.evil.org",
            "127.0.0.1.evil.org",
            "10.0.0.1",
            "localhost:x",
            "localhost:80:80",
            "user@localhost",
            "a<script>",
            "xcity.example.org",
        ] {
            assert!(!is_ours(other, &hosts), "{other}");
        }
    }
}
