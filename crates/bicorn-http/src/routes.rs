//! Which route of an application a request will take, told without the application.
//!
//! A table is what a program has found out about its application's routes, in the order in which the application tries
//! them. An I/O thread asks it where to hand an exchange over; what it cannot say is `None`, and costs no more than the
//! ordinary way. Nothing here knows what a route does.
//!
//! Matching is a walk over the positions that a pattern's parts can reach, so that its cost is bounded by the product of
//! both lengths, whatever the path: a pattern with three parameters in one segment does not backtrack.

/// What a part of a pattern stands for, with the regular expression that Starlette has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Literal(String),
    /// `[^/]+`
    Segment,
    /// `[0-9]+`
    Integer,
    /// `[0-9]+(\.[0-9]+)?`
    Float,
    /// 32 hexadecimal digits, with or without each of four hyphens.
    Uuid,
    /// `.*`, slashes and all.
    Rest,
}

/// A whole path, as literals and parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

/// One entry of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The methods it takes; `None` takes any.
    pub methods: Option<Vec<String>>,
    /// `None`: nobody can say here which paths it takes.
    pub pattern: Option<Pattern>,
}

/// The routes of an application, in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteTable(Vec<Route>);

/// The groups of hexadecimal digits in a UUID.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

impl Pattern {
    /// A pattern of these parts, which must match a path from its beginning to its end.
    pub fn new(parts: Vec<Part>) -> Self {
        Self(parts)
    }

    /// Whether a decoded path is one of this pattern's.
    pub fn matches(&self, path: &str) -> bool {
        let (first, others) = match self.0.split_first() {
            // Most patterns of a table fail here.
            Some((Part::Literal(text), others)) if path.starts_with(text) => (text.len(), others),
            Some((Part::Literal(_), _)) => return false,
            _ => (0, &*self.0),
        };
        let mut positions = vec![first];
        for part in others {
            positions = part.ends(path, &positions);
            if positions.is_empty() {
                return false;
            }
        }
        positions.last() == Some(&path.len())
    }
}

impl Part {
    /// Where the part can end if it begins at one of these positions. Both lists rise.
    fn ends(&self, path: &str, begins: &[usize]) -> Vec<usize> {
        let mut ends = Vec::new();
        for &begin in begins {
            let rest = &path.as_bytes()[begin..];
            match self {
                Self::Literal(text) if rest.starts_with(text.as_bytes()) => ends.push(begin + text.len()),
                Self::Literal(_) => {}
                Self::Segment => add_run(&mut ends, begin, rest, |byte| *byte != b'/'),
                Self::Integer => add_run(&mut ends, begin, rest, u8::is_ascii_digit),
                Self::Float => {
                    add_run(&mut ends, begin, rest, u8::is_ascii_digit);
                    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    if digits > 0 && rest.get(digits) == Some(&b'.') {
                        add_run(&mut ends, begin + digits + 1, &rest[digits + 1..], u8::is_ascii_digit);
                    }
                }
                Self::Uuid => ends.extend(uuid_length(rest).map(|length| begin + length)),
                // All positions from the first one on.
                Self::Rest => {
                    ends.extend(begin..=path.len());
                    break;
                }
            }
        }
        // Nothing ends within a character.
        ends.retain(|end| path.is_char_boundary(*end));
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

/// Adds every end of one or more bytes of a kind. What earlier beginnings reached is not walked again.
fn add_run(ends: &mut Vec<usize>, begin: usize, rest: &[u8], is_kind: impl Fn(&u8) -> bool) {
    let length = rest.iter().take_while(|byte| is_kind(byte)).count();
    let reached = ends.last().copied().unwrap_or(0);
    ends.extend((begin + 1).max(reached + 1)..=begin + length);
}

/// How long the UUID is that this begins with.
fn uuid_length(rest: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (index, digits) in UUID_GROUPS.into_iter().enumerate() {
        if index > 0 && rest.get(length) == Some(&b'-') {
            length += 1;
        }
        let group = rest.get(length..length + digits)?;
        if !group.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        length += digits;
    }
    Some(length)
}

impl RouteTable {
    /// A table of routes in the order in which the application tries them.
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// The index of the route that takes a request: the first that matches method and path. `None` if none does, or if
    /// one comes first that nobody can say it of.
    pub fn find(&self, method: &[u8], path: &str) -> Option<usize> {
        // `$` and `.` of a regular expression have their own view of line ends.
        if path.contains('\n') {
            return None;
        }
        for (index, route) in self.0.iter().enumerate() {
            if route.pattern.as_ref()?.matches(path) && route.takes(method) {
                return Some(index);
            }
        }
        None
    }
}

impl Route {
    fn takes(&self, method: &[u8]) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.iter().any(|known| known.as_bytes() == method))
    }
}

/// The path below a root path, as Starlette's `get_route_path` tells it.
pub fn below_root<'a>(path: &'a str, root_path: &str) -> &'a str {
    match path.strip_prefix(root_path) {
        Some("") if !root_path.is_empty() => "",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Part {
        Part::Literal(text.to_owned())
    }

    fn route(method: &str, parts: Vec<Part>) -> Route {
        Route { methods: Some(vec![method.to_owned()]), pattern: Some(Pattern::new(parts)) }
    }

    #[test]
    fn each_kind_of_part_takes_what_its_regular_expression_takes() {
        let uuid = "123e4567-e89b-12d3-a456-426614174000";
        let cases = [
            (vec![literal("/a")], vec!["/a"], vec!["/", "/ab", "/a/", ""]),
            (vec![literal("/"), Part::Segment], vec!["/x", "/ä b"], vec!["/", "/x/", "/x/y"]),
            (vec![literal("/"), Part::Segment, Part::Segment], vec!["/ab", "/äö"], vec!["/", "/a", "/ä"]),
            (
                vec![literal("/"), Part::Segment, literal("-"), Part::Segment],
                vec!["/a-b", "/a-b-c", "/--x"],
                vec!["/a-", "/-b", "/ab", "/a/-b"],
            ),
            (vec![literal("/"), Part::Integer], vec!["/0", "/123"], vec!["/", "/-1", "/1a", "/1.5", "/٣"]),
            (vec![literal("/"), Part::Float], vec!["/1", "/1.50"], vec!["/", "/.5", "/1.", "/1.5.2"]),
            (vec![literal("/"), Part::Float, literal(".5")], vec!["/1.5", "/1.2.5"], vec!["/1", "/.5"]),
            (vec![literal("/"), Part::Uuid], vec![&uuid, &uuid[..8]], vec![]),
            (vec![literal("/files"), Part::Rest], vec!["/files", "/files/a/b", "/filesx"], vec!["/file"]),
            (
                vec![literal("/"), Part::Rest, literal("/edit")],
                vec!["/a/b/edit", "//edit"],
                vec!["/edit", "/a/edit/"],
            ),
            (vec![], vec![""], vec!["/"]),
        ];
        for (parts, accepted, refused) in cases {
            let is_uuid = parts.contains(&Part::Uuid);
            let pattern = Pattern::new(parts);
            for path in accepted.into_iter().filter(|_| !is_uuid) {
                assert!(pattern.matches(path), "{pattern:?} refuses {path:?}");
            }
            for path in refused {
                assert!(!pattern.matches(path), "{pattern:?} takes {path:?}");
            }
        }
    }

    #[test]
    fn a_uuid_may_leave_out_each_of_its_hyphens() {
        let pattern = Pattern::new(vec![literal("/"), Part::Uuid]);
        for text in [
            "123e4567-e89b-12d3-a456-426614174000",
            "123E4567e89b12d3a456426614174000",
            "123e4567e89b-12d3a456-426614174000",
        ] {
            assert!(pattern.matches(&format!("/{text}")), "{text}");
        }
        for text in
            ["", "123e4567", "123e4567--e89b-12d3-a456-426614174000", "g23e4567-e89b-12d3-a456-426614174000"]
        {
            assert!(!pattern.matches(&format!("/{text}")), "{text}");
        }
    }

    #[test]
    fn many_parameters_in_one_segment_cost_no_more_than_the_square() {
        let mut parts = vec![literal("/")];
        for _ in 0..20 {
            parts.extend([Part::Segment, literal("a")]);
        }
        parts.push(literal("b"));
        assert!(!Pattern::new(parts).matches(&format!("/{}", "a".repeat(16_000))));
    }

    #[test]
    fn the_first_route_with_the_method_decides() {
        let table = RouteTable::new(vec![
            route("GET", vec![literal("/items/"), Part::Segment]),
            route("POST", vec![literal("/items/new")]),
            route("GET", vec![literal("/items/new")]),
        ]);
        assert_eq!(table.find(b"GET", "/items/new"), Some(0));
        assert_eq!(table.find(b"POST", "/items/new"), Some(1));
        assert_eq!(table.find(b"PUT", "/items/new"), None);
        assert_eq!(table.find(b"GET", "/items/new\n"), None);
    }

    #[test]
    fn behind_a_route_that_cannot_be_told_nothing_is() {
        let unknown = Route { methods: None, pattern: None };
        let table = RouteTable::new(vec![
            route("GET", vec![literal("/a")]),
            unknown,
            route("GET", vec![literal("/b")]),
        ]);
        assert_eq!(table.find(b"GET", "/a"), Some(0));
        assert_eq!(table.find(b"GET", "/b"), None);
    }

    #[test]
    fn the_root_path_is_taken_off_where_it_stands_alone() {
        for (path, root, expected) in [
            ("/a", "", "/a"),
            ("/api/a", "/api", "/a"),
            ("/api", "/api", ""),
            ("/apis", "/api", "/apis"),
            ("/a", "/api", "/a"),
        ] {
            assert_eq!(below_root(path, root), expected, "{path} below {root}");
        }
    }
}
