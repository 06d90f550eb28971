//! A value that must not be shown: tokens, keys, verifiers, session ids.
//!
//! [`Secret`] has no `Display` and no `Serialize`, so that a secret can't slip into a message, a
//! log line or a body. Where one has to be written (into a sealed record, into a command to a
//! session's object) the field says so with `#[serde(with = "crate::secret::in_the_clear")]`.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret of type `T`; wiped when dropped, redacted in `Debug`.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a value into custody.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every caller is a place to look at in a review.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Compared in constant time for equal lengths.
impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl From<String> for Secret<String> {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

/// For `#[serde(with = …)]` on a field that is written inside a seal or to our own object only.
pub mod in_the_clear {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use zeroize::Zeroize;

    use super::Secret;

    /// Writes the secret as its inner value.
    pub fn serialize<T: Zeroize + Serialize, S: Serializer>(
        secret: &Secret<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        secret.expose().serialize(serializer)
    }

    /// Reads the inner value into custody.
    pub fn deserialize<'de, T: Zeroize + Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Secret<T>, D::Error> {
        T::deserialize(deserializer).map(Secret::new)
    }

    /// The same for an optional secret.
    pub mod option {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};
        use zeroize::Zeroize;

        use crate::secret::Secret;

        /// Writes the secret as its inner value, or null.
        pub fn serialize<T: Zeroize + Serialize, S: Serializer>(
            secret: &Option<Secret<T>>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            secret.as_ref().map(Secret::expose).serialize(serializer)
        }

        /// Reads an optional inner value into custody.
        pub fn deserialize<'de, T: Zeroize + Deserialize<'de>, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Secret<T>>, D::Error> {
            Option::<T>::deserialize(deserializer).map(|value| value.map(Secret::new))
        }
    }
}
