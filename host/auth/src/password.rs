//! Password hashes in RabbitMQ's form: base64(salt ++ hash(salt ++ password)), salt of 4 bytes.
//!
//! The form is RabbitMQ's so that exported definitions can be imported with their users. Its
//! hashes are fast ones: a login costs a microsecond here, and an attacker who stole the hashes
//! little more. A slow hash for users of our own would be one more [`HashingAlgorithm`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

/// Bytes of salt before the hash.
const SALT_SIZE: usize = 4;

/// How a password is hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HashingAlgorithm {
    /// SHA-256, RabbitMQ's default and ours.
    #[default]
    Sha256,
    /// SHA-512, found in imported definitions.
    Sha512,
    /// MD5, of RabbitMQ before 3.6: such a hash is verified, and none is made.
    Md5,
}

impl HashingAlgorithm {
    /// The name that RabbitMQ's definitions give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "rabbit_password_hashing_sha256",
            Self::Sha512 => "rabbit_password_hashing_sha512",
            Self::Md5 => "rabbit_password_hashing_md5",
        }
    }

    /// The algorithm of that name in RabbitMQ's definitions.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512, Self::Md5]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    fn hash_size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
            Self::Md5 => 16,
        }
    }

    fn hash(self, salt: &[u8], password: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                Sha256::new_with_prefix(salt).chain_update(password).finalize().to_vec()
            }
            Self::Sha512 => {
                Sha512::new_with_prefix(salt).chain_update(password).finalize().to_vec()
            }
            Self::Md5 => Md5::new_with_prefix(salt).chain_update(password).finalize().to_vec(),
        }
    }
}

/// Why a hash from outside is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Not base64.
    #[error("a password hash is not base64")]
    NotBase64,
    /// Salt and hash together have another size than the algorithm makes.
    #[error("a password hash of {algorithm} has {expected} bytes, this one has {found}")]
    WrongSize {
        /// RabbitMQ's name of the algorithm.
        algorithm: &'static str,
        /// Bytes of salt and hash.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
}

/// A salted hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    algorithm: HashingAlgorithm,
    /// Salt, then hash; of the size that the algorithm has.
    bytes: Vec<u8>,
}

impl PasswordHash {
    /// Hashes with SHA-256 and a random salt.
    pub fn new(password: &str) -> Self {
        let mut salt = [0; SALT_SIZE];
        // Without the system's random numbers a hash with a fixed salt still verifies. It is only
        // easier to find for one who steals it, which is no reason to lock everybody out.
        let _ = getrandom::fill(&mut salt);
        Self::with_salt(HashingAlgorithm::default(), salt, password.as_bytes())
    }

    /// Takes a hash from RabbitMQ's definitions.
    pub fn from_base64(algorithm: HashingAlgorithm, text: &str) -> Result<Self, PasswordError> {
        let bytes = BASE64.decode(text).map_err(|_| PasswordError::NotBase64)?;
        let expected = SALT_SIZE + algorithm.hash_size();
        if bytes.len() != expected {
            let found = bytes.len();
            return Err(PasswordError::WrongSize { algorithm: algorithm.name(), expected, found });
        }
        Ok(Self { algorithm, bytes })
    }

    /// The hash as RabbitMQ's definitions hold it.
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.bytes)
    }

    /// How it was hashed.
    pub fn algorithm(&self) -> HashingAlgorithm {
        self.algorithm
    }

    /// Whether this is the password. Takes the same time however much of the hash agrees.
    pub fn verify(&self, password: &[u8]) -> bool {
        let (salt, expected) = self.bytes.split_at(SALT_SIZE);
        same(expected, &self.algorithm.hash(salt, password))
    }

    fn with_salt(algorithm: HashingAlgorithm, salt: [u8; SALT_SIZE], password: &[u8]) -> Self {
        let mut bytes = salt.to_vec();
        bytes.extend(algorithm.hash(&salt, password));
        Self { algorithm, bytes }
    }
}

impl std::fmt::Debug for PasswordHash {
    /// Without the hash: what is debugged ends in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordHash({})", self.algorithm.name())
    }
}

/// Compares every byte whatever the ones before said; `black_box` keeps the compiler from
/// leaving the loop early.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |bits, (a, b)| std::hint::black_box(bits | (a ^ b)));
    a.len() == b.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_password_only() {
        let hash = PasswordHash::new("guest");
        assert!(hash.verify(b"guest"));
        assert!(!hash.verify(b"Guest"));
        assert!(!hash.verify(b""));
        assert_ne!(hash, PasswordHash::new("guest"), "salted");
        let again = PasswordHash::from_base64(hash.algorithm(), &hash.to_base64()).unwrap();
        assert_eq!(again, hash);
    }

    /// The example of RabbitMQ's documentation of password hashes: salt 908DC60A, `test12`.
    #[test]
    fn hashes_are_rabbitmqs() {
        let text = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
        let hash = PasswordHash::from_base64(HashingAlgorithm::Sha256, text).unwrap();
        assert!(hash.verify(b"test12"));
        let sha512 = PasswordHash::with_salt(HashingAlgorithm::Sha512, [1, 2, 3, 4], b"secret");
        assert_eq!(sha512.bytes.len(), SALT_SIZE + 64);
        assert!(sha512.verify(b"secret"));
        let md5 = HashingAlgorithm::from_name("rabbit_password_hashing_md5").unwrap();
        let md5 = PasswordHash::from_base64(md5, "kI3GChNpte2FApYFXScl+0dIluk=").unwrap();
        assert!(md5.verify(b"test12") && !md5.verify(b"test13"));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let take = |text| PasswordHash::from_base64(HashingAlgorithm::Sha256, text);
        assert_eq!(take("not base64!"), Err(PasswordError::NotBase64));
        assert!(matches!(take("AAAA"), Err(PasswordError::WrongSize { found: 3, .. })));
    }
}
