//! What stays with a message and is shown to nobody who gets it.

use crate::wire::{Reader, put_long_string};

/// What a broker has to know of a message that has a header `BCC` or was dead-lettered, and that
/// no consumer sees. Most messages have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// The routing keys of its header `BCC`, which was taken out of its properties.
    pub blind_keys: Vec<String>,
    /// It is routed by its routing key alone, whatever its header `CC` says: it was dead-lettered
    /// with a key of its queue's.
    pub own_key_only: bool,
    /// It was dead-lettered: its header `x-death` is the broker's. One that a client sends is not.
    pub has_died: bool,
}

const OWN_KEY_ONLY: u8 = 1;
const HAS_DIED: u8 = 2;

impl Hidden {
    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        let keys = self.blind_keys.iter().map(|key| size_of::<String>() + key.len());
        size_of::<Self>() + keys.sum::<usize>()
    }

    /// Writes an octet of flags and each key as a long string.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        out.push(flag(self.own_key_only, OWN_KEY_ONLY) | flag(self.has_died, HAS_DIED));
        self.blind_keys.iter().for_each(|key| put_long_string(out, key.as_bytes()));
    }

    /// Reads all of `bytes`; nothing where they are none of [`encode`](Self::encode)'s.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u8().ok()?;
        if flags & !(OWN_KEY_ONLY | HAS_DIED) != 0 {
            return None;
        }
        let mut blind_keys = Vec::new();
        while !reader.is_empty() {
            blind_keys.push(std::str::from_utf8(reader.long_string().ok()?).ok()?.to_owned());
        }
        Some(Self {
            blind_keys,
            own_key_only: flags & OWN_KEY_ONLY != 0,
            has_died: flags & HAS_DIED != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_comes_back(
            blind_keys in prop::collection::vec(".{0,300}", 0..4),
            own_key_only: bool,
            has_died: bool,
        ) {
            let hidden = Hidden { blind_keys, own_key_only, has_died };
            let mut bytes = Vec::new();
            hidden.encode(&mut bytes);
            prop_assert_eq!(Hidden::decode(&bytes), Some(hidden));
        }

        #[test]
        fn other_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Hidden::decode(&bytes);
        }
    }

    #[test]
    fn what_a_later_build_knows_is_refused() {
        assert_eq!(Hidden::decode(&[0]), Some(Hidden::default()));
        for bytes in [&[][..], &[4], &[0, 0], &[0, 0, 0, 0, 1], &[0, 0, 0, 0, 1, 0xff]] {
            assert_eq!(Hidden::decode(bytes), None, "{bytes:?}");
        }
    }
}
