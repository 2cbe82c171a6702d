//! Keys, each with the one algorithm it is good for.

use std::fmt;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};

/// A key that checks signatures.
#[derive(Clone)]
pub(super) struct Key {
    /// Its name in a key set.
    pub(super) id: Option<String>,
    /// The only algorithm it is used with.
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

// === impl Key ===

impl Key {
    /// A shared secret.
    pub(super) fn hs256(secret: &[u8]) -> Self {
        Self {
            id: None,
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(secret),
        }
    }

    /// A public key as PEM; its kind fixes the algorithm. `None` for anything else.
    pub(super) fn from_pem(pem: &[u8]) -> Option<Self> {
        let kinds = [
            (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
            (Algorithm::ES256, DecodingKey::from_ec_pem(pem)),
            (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
        ];
        kinds.into_iter().find_map(|(algorithm, decoding)| {
            Some(Self {
                id: None,
                algorithm,
                decoding: decoding.ok()?,
            })
        })
    }

    /// A signing key of a key set. `None` for keys that are for something else or of a kind that is not accepted;
    /// a shared secret never comes out of a public document.
    pub(super) fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        let stated = match jwk.common.key_algorithm {
            None => Some(algorithm),
            Some(KeyAlgorithm::RS256) => Some(Algorithm::RS256),
            Some(KeyAlgorithm::ES256) => Some(Algorithm::ES256),
            Some(KeyAlgorithm::EdDSA) => Some(Algorithm::EdDSA),
            Some(_) => None,
        };
        let signs = matches!(
            jwk.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        );
        (signs && stated == Some(algorithm))
            .then(|| DecodingKey::from_jwk(jwk).ok())
            .flatten()
            .map(|decoding| Self {
                id: jwk.common.key_id.clone(),
                algorithm,
                decoding,
            })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
