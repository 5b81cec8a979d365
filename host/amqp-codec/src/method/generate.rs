//! From the table of methods to Rust: a struct for each, and the enum over them.

/// Turns the table into types.
///
/// ```text
/// 60 {                                        class id
///     /// Publishes a message.                documentation
///     40 "basic.publish" BasicPublish<'a>     method id, name in the specification, struct
///     [u16]                                   reserved arguments before the others, if any
///     { exchange: &'a str, mandatory: bool }  arguments in the order of the wire
///     [bool]                                  reserved arguments after the others, if any
/// }
/// ```
///
/// The Rust type of an argument says how it is written (see [`Field`](super::field::Field)).
/// Reserved arguments are read over, and written as zeros.
macro_rules! methods {
    (
        $(#[$enum_doc:meta])*
        pub enum $method:ident<$a:lifetime>;
        $($class:literal {
            $(
                $(#[$doc:meta])*
                $id:literal $wire_name:literal $name:ident $(<$life:lifetime>)?
                $([$($before:ty),*])?
                { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
                $([$($after:ty),*])?
            )*
        })*
    ) => {
        $($(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq)]
            pub struct $name $(<$life>)? {
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl $(<$life>)? $name $(<$life>)? {
                /// Class and method.
                pub const ID: MethodId = MethodId { class: $class, method: $id };
            }

            impl<$a> From<$name $(<$life>)?> for $method<$a> {
                fn from(method: $name $(<$life>)?) -> Self {
                    Self::$name(method)
                }
            }
        )*)*

        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum $method<$a> {
            $($(
                $(#[$doc])*
                $name($name $(<$life>)?),
            )*)*
        }

        impl<$a> $method<$a> {
            /// Class and method.
            pub fn id(&self) -> MethodId {
                match self {
                    $($(Self::$name(_) => $name $(::<$life>)? ::ID,)*)*
                }
            }

            /// The name in the specification, such as `basic.publish`.
            pub fn name(&self) -> &'static str {
                match self {
                    $($(Self::$name(_) => $wire_name,)*)*
                }
            }

            /// Reads the arguments of the method `id`.
            ///
            /// Each arm builds its own result, so that a method is written once to where the
            /// caller wants it and not carried through a common one.
            #[inline(always)]
            pub(super) fn decode_arguments(
                id: MethodId,
                arguments: Reader<$a>,
            ) -> Result<Self, MethodError> {
                let mut fields = FieldReader::new(arguments);
                match (id.class, id.method) {
                    $($(($class, $id) => {
                        let read = move || {
                            $($(let _: $before = fields.read()?;)*)?
                            let method = $name { $($field: fields.read()?,)* };
                            $($(let _: $after = fields.read()?;)*)?
                            fields.finish()?;
                            Ok(method)
                        };
                        match read() {
                            Ok(method) => Ok(Self::$name(method)),
                            Err(error) => Err(MethodError::Damaged { method: id, error }),
                        }
                    })*)*
                    _ => Err(MethodError::Unknown(id)),
                }
            }

            /// Appends the arguments.
            pub(super) fn encode_arguments(self, out: &mut Vec<u8>) {
                let mut fields = FieldWriter::new(out);
                match self {
                    $($(Self::$name($name { $($field,)* }) => {
                        $($(fields.write(<$before>::default());)*)?
                        $(fields.write($field);)*
                        $($(fields.write(<$after>::default());)*)?
                    })*)*
                }
            }
        }

        /// The name in the specification of the method `id`, if there is such a method.
        pub fn method_name(id: MethodId) -> Option<&'static str> {
            Some(match (id.class, id.method) {
                $($(($class, $id) => $wire_name,)*)*
                _ => return None,
            })
        }

        /// One of each method, its arguments taken from `pick`.
        #[cfg(test)]
        pub(super) fn one_of_each<$a>(pick: &mut super::tests::Pick<$a>) -> Vec<$method<$a>> {
            vec![$($($method::$name($name { $($field: pick.field(),)* }),)*)*]
        }
    };
}

pub(super) use methods;
