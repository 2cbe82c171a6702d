//! Patterns of keys and channels: `*`, `?`, `[a-z]`, `[^x]` and `\` for the next byte as it is.

/// Whether `text` matches `pattern`. Takes at most the product of their lengths in steps, whatever the pattern.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // After a mismatch the last star takes one byte more; earlier ones need not be tried again.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, from));
            continue;
        }
        let step = match (at < pattern.len(), text.get(from)) {
            (false, None) => return true,
            (true, Some(byte)) => one(&pattern[at..], *byte),
            _ => None,
        };
        match (step, &mut retry) {
            (Some(length), _) => {
                at += length;
                from += 1;
            }
            (None, Some((star, taken))) if *taken < text.len() => {
                *taken += 1;
                (at, from) = (*star, *taken);
            }
            (None, _) => return false,
        }
    }
}

/// Length of the first element of the pattern, if it matches the byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', class @ ..] => {
            let length = class
                .iter()
                .position(|end| *end == b']')
                .unwrap_or(class.len());
            let whole = (length + 2).min(pattern.len());
            is_in(&class[..length], byte).then_some(whole)
        }
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

fn is_in(class: &[u8], byte: u8) -> bool {
    let (mut class, negated) = match class {
        [b'^', rest @ ..] => (rest, true),
        _ => (class, false),
    };
    let mut found = false;
    while let [first, rest @ ..] = class {
        if let [b'-', last, rest @ ..] = rest {
            let (low, high) = (first.min(last), first.max(last));
            found |= (low..=high).contains(&&byte);
            class = rest;
        } else {
            found |= *first == byte;
            class = rest;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let hits = [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*c", "abbc"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[^a]x", "bx"),
            ("\\*", "*"),
            ("*a*b*", "xxaxxbxx"),
            ("p1*", "p1"),
        ];
        for (pattern, text) in hits {
            assert!(
                matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
        let misses = [
            ("", "a"),
            ("a", ""),
            ("a?c", "ac"),
            ("[a-c]x", "dx"),
            ("[^a]x", "ax"),
            ("*a", "ab"),
        ];
        for (pattern, text) in misses {
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(2000).as_bytes()));
    }

    proptest! {
        #[test]
        fn any_pattern_ends(pattern in prop::collection::vec(any::<u8>(), 0..20), text in prop::collection::vec(any::<u8>(), 0..20)) {
            matches(&pattern, &text);
        }
    }
}
