//! What a file is by its first bytes, where its type has a mark of its own, and what it is called.

/// Whether a text can be the id of a file: 1 to 64 letters, digits and hyphens.
pub fn is_file_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Whether a media type is one of these; `image/*` stands for all that begin so. A picture that can run scripts is none.
pub fn is_allowed<'a>(media_type: &str, allowed: impl IntoIterator<Item = &'a str>) -> bool {
    if media_type == "image/svg+xml" {
        return allowed.into_iter().any(|one| one == media_type);
    }
    allowed.into_iter().any(|one| match one.strip_suffix("/*") {
        Some(kind) => media_type
            .strip_prefix(kind)
            .is_some_and(|rest| rest.starts_with('/')),
        None => one == media_type,
    })
}

/// Whether a text is a media type without parameters (RFC 6838, section 4.2): small letters, digits and a few marks.
pub fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte)
            })
    };
    text.split_once('/')
        .is_some_and(|(kind, name)| is_name(kind) && is_name(name))
}

/// Whether a file that begins like this can be what it is said to be. Types without a mark are taken at their word, but
/// for pages and scripts that say they are something else.
pub fn begins_as(media_type: &str, bytes: &[u8]) -> bool {
    let begins = |mark: &[u8]| bytes.starts_with(mark);
    match media_type {
        "image/png" => begins(b"\x89PNG\r\n\x1a\n"),
        "image/jpeg" => begins(b"\xff\xd8\xff"),
        "image/gif" => begins(b"GIF87a") || begins(b"GIF89a"),
        "image/webp" => begins(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        "application/pdf" => begins(b"%PDF-"),
        "application/zip" => begins(b"PK\x03\x04") || begins(b"PK\x05\x06"),
        _ if media_type.starts_with("text/") || media_type == "application/json" => true,
        _ => !is_page(bytes),
    }
}

/// Whether a browser that guesses would take it for a page.
fn is_page(bytes: &[u8]) -> bool {
    let text: Vec<u8> = bytes
        .iter()
        .copied()
        .skip_while(u8::is_ascii_whitespace)
        .take(16)
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    [&b"<!doctype"[..], b"<html", b"<script", b"<svg", b"<?xml"]
        .iter()
        .any(|mark| text.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_types_takes_what_it_names_and_no_pictures_with_scripts() {
        let list = ["image/*", "application/pdf"];
        for good in ["image/png", "image/webp", "application/pdf"] {
            assert!(is_allowed(good, list), "{good}");
        }
        for bad in [
            "image/svg+xml",
            "imagex/png",
            "text/html",
            "application/pdfx",
            "image",
        ] {
            assert!(!is_allowed(bad, list), "{bad}");
        }
        assert!(is_allowed("image/svg+xml", ["image/svg+xml"]));
    }

    #[test]
    fn the_id_of_a_file_leads_nowhere_else() {
        assert!(is_file_id("f-0a") && is_file_id(&"x".repeat(64)));
        for bad in ["", "..", "f/x", "f x", "f_x", "é", &"x".repeat(65)] {
            assert!(!is_file_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_media_type_has_two_plain_names() {
        assert!(is_media_type("image/png") && is_media_type("application/vnd.ms-excel"));
        for bad in [
            "",
            "image",
            "image/",
            "/png",
            "Image/PNG",
            "text/html; charset=x",
            "a/b/c",
            "a/b\r\nx",
        ] {
            assert!(!is_media_type(bad), "{bad}");
        }
    }

    #[test]
    fn what_begins_as_something_else_is_not_what_it_says() {
        assert!(begins_as("image/png", b"\x89PNG\r\n\x1a\n...."));
        assert!(begins_as("image/jpeg", b"\xff\xd8\xff\xe0"));
        assert!(begins_as("image/webp", b"RIFF\0\0\0\0WEBPVP8 "));
        assert!(begins_as("audio/mpeg", b"ID3"));
        assert!(!begins_as("image/png", b"<html>"));
        assert!(!begins_as("image/png", b"\xff\xd8\xff\xe0"));
        assert!(!begins_as("application/octet-stream", b" <!DOCTYPE html>"));
        assert!(!begins_as("video/mp4", b"<script>"));
        assert!(!begins_as("application/pdf", b""));
    }
}
