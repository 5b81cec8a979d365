//! `amqp://user:password@host:port/vhost`.

use std::str::FromStr;

const PORT_DEFAULT: u16 = 5672;

/// Where a broker is and who comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AmqpUri {
    /// Name or address; an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    /// `/` where the URI names none, and also for a lone slash at its end.
    pub(crate) vhost: String,
}

/// A text that is no AMQP URI.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriError {
    /// Without the text: it may hold a password.
    #[error("a broker's URI begins with amqp://")]
    Scheme,
    #[error("amqps:// would need TLS, which this load generator doesn't speak; use amqp://")]
    Tls,
    #[error("{0:?} is no port")]
    Port(String),
    #[error("no host")]
    Host,
    #[error("{0:?} has a bad percent escape")]
    Escape(String),
}

impl AmqpUri {
    /// For people: where the broker is, without who comes.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for AmqpUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.starts_with("amqps://") {
            return Err(UriError::Tls);
        }
        let rest = text.strip_prefix("amqp://").ok_or(UriError::Scheme)?;
        let (authority, vhost) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (unescape(user)?, unescape(password)?),
            None if login.is_empty() => ("guest".to_owned(), "guest".to_owned()),
            None => (unescape(login)?, "guest".to_owned()),
        };
        // A colon inside brackets belongs to an IPv6 address.
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| UriError::Port(port.to_owned()))?)
            }
            _ => (address, PORT_DEFAULT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(UriError::Host);
        }
        let vhost = if vhost.is_empty() { "/".to_owned() } else { unescape(vhost)? };
        Ok(Self { host: host.to_owned(), port, user, password, vhost })
    }
}

fn unescape(text: &str) -> Result<String, UriError> {
    let bad = || UriError::Escape(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(bad)?;
        let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, port: u16, user: &str, password: &str, vhost: &str) {
        let [host, user, password, vhost] = [host, user, password, vhost].map(str::to_owned);
        assert_eq!(text.parse(), Ok(AmqpUri { host, port, user, password, vhost }));
    }

    #[test]
    fn uris() {
        check("amqp://h", "h", 5672, "guest", "guest", "/");
        check("amqp://h/", "h", 5672, "guest", "guest", "/");
        check("amqp://u:p%40@h:1/%2Fv", "h", 1, "u", "p@", "/v");
        check("amqp://[::1]", "::1", 5672, "guest", "guest", "/");
        check("amqp://[::1]:9/v", "::1", 9, "guest", "guest", "v");
    }

    #[test]
    fn errors_name_the_part() {
        let error = |text: &str| text.parse::<AmqpUri>().unwrap_err();
        assert_eq!(error("amqps://h"), UriError::Tls);
        assert_eq!(error("user:secret@h"), UriError::Scheme);
        assert_eq!(error("amqp://h:x"), UriError::Port("x".into()));
        assert_eq!(error("amqp:///v"), UriError::Host);
        assert_eq!(error("amqp://h/%2"), UriError::Escape("%2".into()));
    }
}
