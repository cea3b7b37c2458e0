//! URIs by RFC 2396, as `java.net.URI` reads them: what is refused, and what the parts are. (Crates for URLs follow other
//! standards, and accept or change what Java refuses or keeps.)

/// The parts of a URI, as written.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Uri<'a> {
    pub scheme: Option<&'a str>,
    pub authority: Option<&'a str>,
    pub user_info: Option<&'a str>,
    pub host: Option<&'a str>,
    /// Missing of an opaque URI (`mailto:a@b`).
    pub path: Option<&'a str>,
    pub query: Option<&'a str>,
    pub fragment: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// `None` of what is no URI.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut uri = Uri::default();
        let (rest, fragment) = match text.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (text, None),
        };
        if let Some(fragment) = fragment {
            allowed(fragment, URIC)?;
            uri.fragment = Some(fragment);
        }
        let mut rest = rest;
        // A colon before any slash or question mark ends a scheme.
        if let Some(colon) = rest.find([':', '/', '?'])
            && rest.as_bytes().get(colon) == Some(&b':')
        {
            let (scheme, after) = (&rest[..colon], &rest[colon + 1..]);
            let mut bytes = scheme.bytes();
            let valid = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
                && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
            if !valid || after.is_empty() {
                return None;
            }
            uri.scheme = Some(scheme);
            if !after.starts_with('/') {
                allowed(after, URIC)?;
                return Some(uri);
            }
            rest = after;
        }
        if let Some(after) = rest.strip_prefix("//") {
            let end = after.find(['/', '?']).unwrap_or(after.len());
            let authority = &after[..end];
            rest = &after[end..];
            if authority.is_empty() {
                // `file:///path` has none; `http://` alone is nothing.
                if rest.is_empty() {
                    return None;
                }
            } else {
                uri.authority = Some(authority);
                uri.read_authority(authority)?;
            }
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        allowed(path, PATH)?;
        uri.path = Some(path);
        if let Some(query) = query {
            allowed(query, URIC)?;
            uri.query = Some(query);
        }
        Some(uri)
    }

    /// `user@host:port`; an authority that is not of that form stands without host.
    fn read_authority(&mut self, authority: &'a str) -> Option<()> {
        let bracketed = authority.contains('[');
        allowed(authority, if bracketed { AUTHORITY_WITH_BRACKETS } else { AUTHORITY })?;
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, authority),
        };
        if user.is_some_and(|u| allowed(u, USER).is_none()) {
            return Some(());
        }
        let (host, port) = if server.starts_with('[') {
            let end = server.find(']')?;
            let host = &server[..=end];
            if !is_ipv6(&server[1..end]) {
                return None;
            }
            (host, server[end + 1..].strip_prefix(':').or(Some(&server[end + 1..]).filter(|r| r.is_empty()))?)
        } else {
            server.split_once(':').unwrap_or((server, ""))
        };
        let known = host.starts_with('[') || is_ipv4(host) || is_host_name(host);
        if known
            && port.bytes().all(|b| b.is_ascii_digit())
            && (port.is_empty() || port.parse::<i32>().is_ok())
        {
            self.user_info = user;
            self.host = Some(host);
        }
        Some(())
    }
}

const UNRESERVED: &str = "-_.!~*'()";
/// Characters beside letters, digits and escapes.
const PATH: &[&str] = &[UNRESERVED, ":@&=+$,;/"];
const URIC: &[&str] = &[UNRESERVED, ";/?:@&=+$,[]"];
const USER: &[&str] = &[UNRESERVED, ";:&=+$,"];
const AUTHORITY: &[&str] = &[UNRESERVED, "$,;:@&=+"];
const AUTHORITY_WITH_BRACKETS: &[&str] = &[UNRESERVED, "$,;:@&=+[]%"];

/// Letters, digits, the marks given, escapes (`%41`), and letters beyond ASCII.
fn allowed(text: &str, marks: &[&str]) -> Option<()> {
    let bytes = text.as_bytes();
    for (i, c) in text.char_indices() {
        let fine = match c {
            '%' => {
                matches!(bytes.get(i + 1..i + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
            }
            c if c.is_ascii() => c.is_ascii_alphanumeric() || marks.iter().any(|m| m.contains(c)),
            c => !c.is_whitespace() && !c.is_control(),
        };
        if !fine {
            return None;
        }
    }
    Some(())
}

fn is_ipv4(host: &str) -> bool {
    let parts: Vec<&str> = host.split('.').collect();
    parts.len() == 4
        && parts.iter().all(|p| {
            !p.is_empty() && p.len() <= 3 && p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u8>().is_ok()
        })
}

fn is_ipv6(host: &str) -> bool {
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Labels of letters, digits and inner hyphens; of several the last begins with a letter. A dot may end the name.
fn is_host_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label)
        && (!name.contains('.')
            || name
                .rsplit('.')
                .next()
                .is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic())))
}
