//! AWS Signature Version 4 in query parameters, as far as presigned requests to S3 need it checked.

use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::Refused;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DENIED: Refused = Refused(StatusCode::FORBIDDEN, "AccessDenied");
const MISMATCH: Refused = Refused(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
/// The longest a presigned request may be good, as S3 has it.
const EXPIRES_MAX_S: u64 = 7 * 24 * 3_600;
/// How far the signer's clock may be ahead.
const SKEW_S: u64 = 15 * 60;

/// Whose signatures are good, and what they are made with.
pub(super) struct Credentials {
    pub(super) access_key: String,
    pub(super) secret_key: String,
}

/// The parameters of a request, as they were encoded.
pub(super) struct Query<'a>(Vec<(&'a str, &'a str)>);

// === impl Query ===

impl<'a> Query<'a> {
    pub(super) fn parse(query: &'a str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .collect(),
        )
    }

    /// A parameter, decoded.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(found, _)| *found == name)?;
        decoded(value)
    }

    /// What is signed of it: all but the signature, in order.
    fn canonical(&self) -> String {
        let mut signed: Vec<_> = self
            .0
            .iter()
            .filter(|(name, _)| *name != "X-Amz-Signature")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        signed.sort_unstable();
        signed.join("&")
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

// === impl Credentials ===

impl Credentials {
    /// Refuses what was not signed by these credentials, or is not good at this time any more.
    pub(super) fn check(
        &self,
        method: &str,
        path: &str,
        query: &Query<'_>,
        headers: &HeaderMap,
        now_s: u64,
    ) -> Result<(), Refused> {
        let given = |name: &str| query.value(name).ok_or(DENIED);
        if given("X-Amz-Algorithm")? != ALGORITHM {
            return Err(DENIED);
        }
        let (credential, date) = (given("X-Amz-Credential")?, given("X-Amz-Date")?);
        let (access_key, scope) = credential.split_once('/').ok_or(DENIED)?;
        let day = date.get(..8).ok_or(DENIED)?;
        let mut parts = scope.split('/');
        let (scope_day, region) = (parts.next(), parts.next().ok_or(DENIED)?);
        let is_ours = access_key == self.access_key
            && scope_day == Some(day)
            && parts.eq(["s3", "aws4_request"]);
        if !is_ours {
            return Err(DENIED);
        }
        let expires_s: u64 = given("X-Amz-Expires")?.parse().map_err(|_| DENIED)?;
        let at_s = unix_s(&date).ok_or(DENIED)?;
        let is_good = expires_s <= EXPIRES_MAX_S && at_s <= now_s + SKEW_S;
        if !is_good || now_s >= at_s + expires_s {
            return Err(DENIED);
        }
        let signed = given("X-Amz-SignedHeaders")?;
        let canonical = canonical_request(method, path, query, headers, &signed)?;
        let to_sign = format!(
            "{ALGORITHM}\n{date}\n{scope}\n{}",
            hex(&Sha256::digest(canonical))
        );
        let key = [day, region, "s3", "aws4_request"].iter().fold(
            format!("AWS4{}", self.secret_key).into_bytes(),
            |key, part| mac(&key, part.as_bytes()),
        );
        match hex(&mac(&key, to_sign.as_bytes())) == given("X-Amz-Signature")? {
            true => Ok(()),
            false => Err(MISMATCH),
        }
    }
}

fn canonical_request(
    method: &str,
    path: &str,
    query: &Query<'_>,
    headers: &HeaderMap,
    signed: &str,
) -> Result<String, Refused> {
    if !signed.split(';').any(|name| name == "host") {
        return Err(DENIED);
    }
    let mut lines = String::new();
    for name in signed.split(';') {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        let words = value.ok_or(MISMATCH)?.split_whitespace();
        lines.push_str(&format!("{name}:{}\n", words.collect::<Vec<_>>().join(" ")));
    }
    let query = query.canonical();
    Ok(format!(
        "{method}\n{path}\n{query}\n{lines}\n{signed}\nUNSIGNED-PAYLOAD"
    ))
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is taken");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Seconds since the Unix epoch of a date like `20130524T000000Z`.
fn unix_s(date: &str) -> Option<u64> {
    let bytes = date.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' || !date.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| date.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days in the proleptic Gregorian calendar, with years that begin in March.
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    u64::try_from(days * 86_400 + hour * 3_600 + minute * 60 + second).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example of the Amazon S3 API reference, "Authenticating Requests: Using Query Parameters".
    const QUERY: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    const AT_S: u64 = 1_369_353_600;

    fn check(method: &str, path: &str, query: &str, now_s: u64) -> bool {
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        };
        let mut headers = HeaderMap::new();
        headers.insert("host", "examplebucket.s3.amazonaws.com".parse().unwrap());
        let query = Query::parse(query);
        credentials
            .check(method, path, &query, &headers, now_s)
            .is_ok()
    }

    #[test]
    fn the_example_of_the_reference_is_good_until_it_expires() {
        assert!(check("GET", "/test.txt", QUERY, AT_S));
        assert!(check("GET", "/test.txt", QUERY, AT_S + 86_399));
        assert!(!check("GET", "/test.txt", QUERY, AT_S + 86_400));
        assert!(!check("GET", "/test.txt", QUERY, AT_S - 3_600));
    }

    #[test]
    fn whatever_was_signed_can_not_be_changed() {
        assert!(!check("PUT", "/test.txt", QUERY, AT_S));
        assert!(!check("GET", "/other.txt", QUERY, AT_S));
        assert!(!check("GET", "/test.txt", &format!("{QUERY}&x=1"), AT_S));
        assert!(!check(
            "GET",
            "/test.txt",
            &QUERY.replace("86400", "86401"),
            AT_S
        ));
        assert!(!check(
            "GET",
            "/test.txt",
            &QUERY.replace("us-east-1", "us-west-1"),
            AT_S
        ));
        assert!(!check("GET", "/test.txt", "", AT_S));
    }

    #[test]
    fn dates_are_read_as_they_are_and_nothing_else_is() {
        assert_eq!(unix_s("20130524T000000Z"), Some(AT_S));
        assert_eq!(unix_s("19700101T000001Z"), Some(1));
        assert_eq!(unix_s("20240229T120000Z"), Some(1_709_208_000));
        for bad in [
            "",
            "20130524",
            "20131324T000000Z",
            "2013052aT000000Z",
            "20130524T000000+",
        ] {
            assert_eq!(unix_s(bad), None, "{bad}");
        }
    }
}
