//! One macro for every enum that is also a list, a table of names, or a byte on the wire.

/// Defines an enum of plain variants, each with the name by which people and scripts know it, and what follows from
/// that list: `ALL`, `name()` and `Display`. In an `enum Kind: u8` each variant has its byte too, and there is
/// `from_byte()`.
#[macro_export]
macro_rules! named_enum {
    (
        $(#[$meta:meta])*
        pub enum $Enum:ident: u8 {
            $($(#[$variant_meta:meta])* $Variant:ident = $byte:literal => $name:literal,)+
        }
    ) => {
        $crate::named_enum! {
            $(#[$meta])*
            #[repr(u8)]
            pub enum $Enum { $($(#[$variant_meta])* $Variant = $byte => $name,)+ }
        }

        impl $Enum {
            /// The one that this byte stands for on the wire, if any does.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$Variant),)+
                    _ => None,
                }
            }
        }
    };
    (
        $(#[$meta:meta])*
        pub enum $Enum:ident {
            $($(#[$variant_meta:meta])* $Variant:ident $(= $byte:literal)? => $name:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $Enum { $($(#[$variant_meta])* $Variant $(= $byte)?,)+ }

        impl $Enum {
            /// All of them, in the order of their definition.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$Variant),+];

            /// Its name for people and scripts.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name,)+
                }
            }
        }

        impl ::std::fmt::Display for $Enum {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
