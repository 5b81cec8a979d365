//! How much one user may have open.

/// A user's limits (RabbitMQ's names). Below 0, or left out, there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// `max-connections`.
    pub max_connections: Option<i64>,
    /// `max-channels`, over all connections of the user.
    pub max_channels: Option<i64>,
}

impl UserLimits {
    /// The names of the limits.
    pub const NAMES: [&str; 2] = ["max-connections", "max-channels"];

    /// The limit of that name, to be read or set.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<i64>> {
        match name {
            "max-connections" => Some(&mut self.max_connections),
            "max-channels" => Some(&mut self.max_channels),
            _ => None,
        }
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let values = [self.max_connections, self.max_channels];
        Self::NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)))
    }
}
