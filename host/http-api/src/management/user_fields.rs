//! A user as a request or a file of definitions has it, and how it is read.

use serde::Deserialize;
use shunt_auth::{HashingAlgorithm, PasswordHash};
use utoipa::ToSchema;

use crate::limits::{USER_NAME_MAX, USER_TAG_SIZE_MAX, USER_TAGS_MAX};

/// A user's password and tags.
#[derive(Deserialize, ToSchema)]
pub(super) struct UserFields {
    /// The password; or give its hash.
    password: Option<String>,
    /// The password's salted hash in base64, as `GET` shows it. Empty, or without either: the
    /// user can't log in by password.
    password_hash: Option<String>,
    /// How it was hashed: `rabbit_password_hashing_sha256` (default),
    /// `rabbit_password_hashing_sha512` or, by old RabbitMQs, `rabbit_password_hashing_md5`.
    hashing_algorithm: Option<String>,
    /// Tags: `administrator`, `monitoring`, `policymaker`, `management`, or any other; a list, or
    /// text with commas.
    tags: Option<Tags>,
}

/// Tags in either form.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "'tags' must be a list of text, or text with commas")]
pub(super) enum Tags {
    List(Vec<String>),
    Text(String),
}

impl Tags {
    /// The tags, without what is empty.
    pub(super) fn into_list(self) -> Vec<String> {
        let tags = match self {
            Self::List(tags) => tags,
            Self::Text(text) => text.split(',').map(str::to_owned).collect(),
        };
        let tags = tags.iter().map(|tag| tag.trim().to_owned());
        tags.filter(|tag| !tag.is_empty()).collect()
    }
}

/// What was read.
pub(super) struct ReadUser {
    pub(super) password: ReadPassword,
    pub(super) tags: Vec<String>,
}

/// A password that was given, or not.
pub(super) enum ReadPassword {
    /// In plain.
    Plain(String),
    /// Hashed.
    Hash(PasswordHash),
    /// None: can't log in by password.
    Absent,
    /// Hashed by an algorithm that is not honoured.
    Foreign(String),
}

impl ReadPassword {
    /// The hash to keep. Hashing happens here and not while reading, which may be in vain.
    pub(super) fn into_hash(self) -> Option<PasswordHash> {
        match self {
            Self::Plain(password) => Some(PasswordHash::new(&password)),
            Self::Hash(hash) => Some(hash),
            Self::Absent | Self::Foreign(_) => None,
        }
    }
}

impl UserFields {
    /// Reads the fields of the user of that name.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub(super) fn read(self, name: &str) -> Result<ReadUser, String> {
        check_name(name)?;
        let tags = match self.tags {
            None => {
                return Err(
                    "the field 'tags' is missing (for a user without tags, give [])".to_owned()
                );
            }
            Some(tags) => tags.into_list(),
        };
        if tags.len() > USER_TAGS_MAX || tags.iter().any(|tag| tag.len() > USER_TAG_SIZE_MAX) {
            return Err(format!(
                "a user has at most {USER_TAGS_MAX} tags of at most {USER_TAG_SIZE_MAX} bytes"
            ));
        }
        let password = match (self.password, self.password_hash) {
            (Some(_), Some(_)) => {
                return Err("give either 'password' or 'password_hash', not both".to_owned());
            }
            (Some(password), None) if password.is_empty() => {
                return Err("'password' is empty (for a user who can't log in by password, give \
                     'password_hash' \"\")"
                    .to_owned());
            }
            (Some(password), None) => ReadPassword::Plain(password),
            (None, None) => ReadPassword::Absent,
            (None, Some(hash)) => read_hash(&hash, self.hashing_algorithm.as_deref())?,
        };
        Ok(ReadUser { password, tags })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > USER_NAME_MAX {
        return Err(format!("a user's name has 1 to {USER_NAME_MAX} bytes"));
    }
    Ok(())
}

fn read_hash(hash: &str, algorithm: Option<&str>) -> Result<ReadPassword, String> {
    if hash.is_empty() {
        return Ok(ReadPassword::Absent);
    }
    let algorithm = match algorithm {
        None => HashingAlgorithm::default(),
        Some(name) => match HashingAlgorithm::from_name(name) {
            Some(algorithm) => algorithm,
            None => return Ok(ReadPassword::Foreign(name.to_owned())),
        },
    };
    let hash = PasswordHash::from_base64(algorithm, hash);
    hash.map(ReadPassword::Hash).map_err(|error| format!("'password_hash': {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn read(fields: Json) -> Result<ReadUser, String> {
        serde_json::from_value::<UserFields>(fields).unwrap().read("ann")
    }

    #[test]
    fn tags_are_a_list_or_text() {
        let tags = |tags: Json| read(json!({"tags": tags})).unwrap().tags;
        assert_eq!(tags(json!(["a", "b"])), ["a", "b"]);
        assert_eq!(tags(json!("a, b,")), ["a", "b"]);
        assert!(tags(json!("")).is_empty());
    }

    #[test]
    fn a_password_is_plain_hashed_or_absent() {
        let hash = PasswordHash::new("secret");
        let password = |fields: Json| read(fields).unwrap().password;
        let plain = password(json!({"tags": [], "password": "secret"})).into_hash().unwrap();
        assert!(plain.verify(b"secret"));
        let hashed = password(json!({"tags": [], "password_hash": hash.to_base64()}));
        assert_eq!(hashed.into_hash(), Some(hash));
        for none in [json!({"tags": []}), json!({"tags": [], "password_hash": ""})] {
            assert!(matches!(password(none), ReadPassword::Absent));
        }
        let own = json!({"tags": [], "password_hash": "AAAA", "hashing_algorithm": "my_hashing"});
        assert!(matches!(password(own), ReadPassword::Foreign(name) if name == "my_hashing"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |fields: Json| read(fields).err().unwrap();
        assert!(refused(json!({})).contains("'tags' is missing"));
        assert!(refused(json!({"tags": [], "password": ""})).contains("'password' is empty"));
        let both = json!({"tags": [], "password": "x", "password_hash": "y"});
        assert!(refused(both).contains("not both"));
        let hash = json!({"tags": [], "password_hash": "?"});
        assert_eq!(refused(hash), "'password_hash': a password hash is not base64");
        assert!(refused(json!({"tags": vec!["t"; USER_TAGS_MAX + 1]})).contains("at most 64"));
        for name in ["", &"u".repeat(256)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
