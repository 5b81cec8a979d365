//! What is said about a virtual host, as a request or a file of definitions has it.

use serde::Deserialize;
use shunt_broker::metadata::VhostMetadata;
use utoipa::ToSchema;

use super::user_fields::Tags;
use crate::limits::{USER_TAG_SIZE_MAX, USER_TAGS_MAX, VHOST_DESCRIPTION_MAX};

/// Names of the default queue type that mean what a queue is here without saying.
const CLASSIC: [&str; 5] = ["", "classic", "default", "undefined", "rabbit_classic_queue"];

/// What is said about a virtual host; what is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct VhostFields {
    /// For people.
    pub(super) description: Option<String>,
    /// For tools: a list, or text with commas.
    pub(super) tags: Option<Tags>,
    /// `classic`; there are no others here.
    pub(super) default_queue_type: Option<String>,
    /// Whether what is published and delivered is traced, until the node restarts.
    pub(super) tracing: Option<bool>,
    /// Whether its deletion is refused.
    pub(super) protected_from_deletion: Option<bool>,
}

impl VhostFields {
    /// Why queues that say nothing can't be of that type.
    pub(super) fn foreign_queue_type(&self) -> Option<String> {
        let kind = self.default_queue_type.as_deref()?;
        (!CLASSIC.contains(&kind)).then(|| format!("queues of type {kind} are not supported"))
    }

    /// Reads the fields, all but the default queue type.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub(super) fn read(self) -> Result<impl FnOnce(&mut VhostMetadata), String> {
        let Self { description, tags, protected_from_deletion, .. } = self;
        if description.as_ref().is_some_and(|text| text.len() > VHOST_DESCRIPTION_MAX) {
            return Err(format!("'description' is longer than {VHOST_DESCRIPTION_MAX} bytes"));
        }
        let tags = tags.map(Tags::into_list);
        let is_long = |tags: &Vec<String>| {
            tags.len() > USER_TAGS_MAX || tags.iter().any(|tag| tag.len() > USER_TAG_SIZE_MAX)
        };
        if tags.as_ref().is_some_and(is_long) {
            return Err(format!(
                "a virtual host has at most {USER_TAGS_MAX} tags of at most {USER_TAG_SIZE_MAX} \
                 bytes"
            ));
        }
        Ok(move |metadata: &mut VhostMetadata| {
            if let Some(description) = description {
                metadata.description = description;
            }
            if let Some(tags) = tags {
                metadata.tags = tags;
            }
            if let Some(is_protected) = protected_from_deletion {
                metadata.is_protected = is_protected;
            }
        })
    }
}
