//! What people sign in with and are called by.

use std::fmt;

use thiserror::Error;

/// The shortest and longest login name, in bytes.
pub const LOGIN_BYTES: std::ops::RangeInclusive<usize> = 3..=64;
/// The longest display name, in bytes: it travels with every event.
pub const NAME_BYTES_MAX: usize = 64;
/// The shortest password, in characters, once normalised (NIST SP 800-63B, section 3.1.1).
pub const PASSWORD_CHARS_MIN: usize = 8;
/// The longest password, in bytes: enough for any sentence, and a bound on the work before a hash. None is cut.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// The name somebody signs in with. Letters are small ones, so that two spellings are one account.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Login(String);

/// Why a text is no login name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a login is 3 to 64 characters of A-Z, a-z, 0-9 and . _ @ + -, and begins with a letter or digit"
)]
pub struct LoginError;

// === impl Login ===

impl Login {
    /// Parses a login name.
    pub fn parse(text: &str) -> Result<Self, LoginError> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
        let fits = LOGIN_BYTES.contains(&text.len())
            && text.bytes().all(is_good)
            && text.starts_with(|first: char| first.is_ascii_alphanumeric());
        fits.then(|| Self(text.to_ascii_lowercase()))
            .ok_or(LoginError)
    }

    /// The login's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Login names are personal; a log that has to tell them apart hashes them.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(login)")
    }
}

/// A name people can see: trimmed, one line, without characters that show nothing or turn the text around them.
/// `None` where nothing is left or it is longer than [`NAME_BYTES_MAX`].
pub fn display_name(name: &str) -> Option<String> {
    let seen: String = name
        .chars()
        .map(|letter| if letter.is_whitespace() { ' ' } else { letter })
        .filter(|letter| !letter.is_control() && !is_unseen(*letter))
        .collect();
    // Joiners bind the parts of emoji and of some scripts, but at the ends they only make equal-looking names.
    let seen = seen.trim_matches([' ', '\u{200c}', '\u{200d}', '\u{fe0f}']);
    (!seen.is_empty() && seen.len() <= NAME_BYTES_MAX).then(|| seen.to_owned())
}

/// A display name as it is looked for: whatever the size of its letters.
pub fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Marks of no width, and those that change the direction of what follows (Unicode TR 36, section 3).
fn is_unseen(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180e}' | '\u{200b}'
        | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_has_one_spelling() {
        assert_eq!(
            Login::parse("Ada.L+x@Example.org").map(|login| login.0),
            Ok("ada.l+x@example.org".into())
        );
        for bad in [
            "",
            "ab",
            "-ada",
            ".ada",
            "a b c",
            "adä",
            "ada\n",
            &"x".repeat(65),
        ] {
            assert_eq!(Login::parse(bad), Err(LoginError), "{bad:?}");
        }
    }

    #[test]
    fn a_name_can_be_seen() {
        assert_eq!(display_name(" Ada\n").as_deref(), Some("Ada"));
        assert_eq!(
            display_name("Ada\nLovelace").as_deref(),
            Some("Ada Lovelace")
        );
        assert_eq!(display_name("Zoë 🦀").as_deref(), Some("Zoë 🦀"));
        for bad in [
            "",
            "  ",
            "\u{1b}",
            "\u{200b}\u{200d}",
            "\u{2028}",
            &"x".repeat(65),
        ] {
            assert_eq!(display_name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_name_can_not_turn_the_text_around_it() {
        assert_eq!(
            display_name("nimda\u{202e}x\u{2066}").as_deref(),
            Some("nimdax")
        );
        assert_eq!(display_name("\u{200d}Ada\u{200d}").as_deref(), Some("Ada"));
        // A family is several people joined by what would be dropped at the ends.
        assert_eq!(
            display_name("👩\u{200d}👧").as_deref(),
            Some("👩\u{200d}👧")
        );
    }
}
