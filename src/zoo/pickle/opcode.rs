//! The opcodes of a pickle: their bytes, their names, and what follows each.

/// What stands behind an opcode's byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    Bare,
    /// This many bytes.
    Fixed(usize),
    /// A text that a line feed ends.
    Line,
    /// Two such texts.
    TwoLines,
    /// A length of this many bytes, lower byte first, and as many bytes as it says.
    Counted(usize),
    /// The same with a length of four bytes that has a sign, which must be plus.
    CountedSigned,
}

/// Declares the opcodes once: byte, name as the language's own tools print it, form.
macro_rules! opcodes {
    ($($opcode:ident $byte:literal $name:literal $form:expr;)*) => {
        /// One instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the table below says what each is")]
        pub enum Opcode { $($opcode),* }

        impl Opcode {
            /// Every opcode of the protocols 0 to 5 with its byte.
            #[cfg(test)]
            pub const ALL: &[(u8, Self)] = &[$(($byte, Self::$opcode)),*];

            /// The opcode of this byte.
            pub fn of(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$opcode),)*
                    _ => None,
                }
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$opcode => $name),* }
            }

            /// What follows its byte.
            pub fn form(self) -> Form {
                match self { $(Self::$opcode => $form),* }
            }
        }
    };
}

use Form::{Bare, Counted, CountedSigned, Fixed, Line, TwoLines};

opcodes! {
    // Protocol 0: every argument is printable text.
    Mark            b'(' "MARK"             Bare;
    Stop            b'.' "STOP"             Bare;
    Pop             b'0' "POP"              Bare;
    PopMark         b'1' "POP_MARK"         Bare;
    Dup             b'2' "DUP"              Bare;
    Float           b'F' "FLOAT"            Line;
    Int             b'I' "INT"              Line;
    Long            b'L' "LONG"             Line;
    None            b'N' "NONE"             Bare;
    PersId          b'P' "PERSID"           Line;
    Reduce          b'R' "REDUCE"           Bare;
    String          b'S' "STRING"           Line;
    Unicode         b'V' "UNICODE"          Line;
    Append          b'a' "APPEND"           Bare;
    Build           b'b' "BUILD"            Bare;
    Global          b'c' "GLOBAL"           TwoLines;
    Dict            b'd' "DICT"             Bare;
    Get             b'g' "GET"              Line;
    Inst            b'i' "INST"             TwoLines;
    List            b'l' "LIST"             Bare;
    Put             b'p' "PUT"              Line;
    SetItem         b's' "SETITEM"          Bare;
    Tuple           b't' "TUPLE"            Bare;

    // Protocol 1: arguments in binary.
    BinFloat        b'G' "BINFLOAT"         Fixed(8);
    BinInt          b'J' "BININT"           Fixed(4);
    BinInt1         b'K' "BININT1"          Fixed(1);
    BinInt2         b'M' "BININT2"          Fixed(2);
    BinPersId       b'Q' "BINPERSID"        Bare;
    BinString       b'T' "BINSTRING"        CountedSigned;
    ShortBinString  b'U' "SHORT_BINSTRING"  Counted(1);
    BinUnicode      b'X' "BINUNICODE"       Counted(4);
    EmptyList       b']' "EMPTY_LIST"       Bare;
    EmptyTuple      b')' "EMPTY_TUPLE"      Bare;
    EmptyDict       b'}' "EMPTY_DICT"       Bare;
    Appends         b'e' "APPENDS"          Bare;
    BinGet          b'h' "BINGET"           Fixed(1);
    LongBinGet      b'j' "LONG_BINGET"      Fixed(4);
    Obj             b'o' "OBJ"              Bare;
    BinPut          b'q' "BINPUT"           Fixed(1);
    LongBinPut      b'r' "LONG_BINPUT"      Fixed(4);
    SetItems        b'u' "SETITEMS"         Bare;

    // Protocol 2: what PyTorch writes.
    Proto           0x80 "PROTO"            Fixed(1);
    NewObj          0x81 "NEWOBJ"           Bare;
    Ext1            0x82 "EXT1"             Fixed(1);
    Ext2            0x83 "EXT2"             Fixed(2);
    Ext4            0x84 "EXT4"             Fixed(4);
    Tuple1          0x85 "TUPLE1"           Bare;
    Tuple2          0x86 "TUPLE2"           Bare;
    Tuple3          0x87 "TUPLE3"           Bare;
    NewTrue         0x88 "NEWTRUE"          Bare;
    NewFalse        0x89 "NEWFALSE"         Bare;
    Long1           0x8a "LONG1"            Counted(1);
    Long4           0x8b "LONG4"            CountedSigned;

    // Protocol 3: bytes that are no text.
    BinBytes        b'B' "BINBYTES"         Counted(4);
    ShortBinBytes   b'C' "SHORT_BINBYTES"   Counted(1);

    // Protocol 4: lengths of eight bytes, sets, frames.
    ShortBinUnicode 0x8c "SHORT_BINUNICODE" Counted(1);
    BinUnicode8     0x8d "BINUNICODE8"      Counted(8);
    BinBytes8       0x8e "BINBYTES8"        Counted(8);
    EmptySet        0x8f "EMPTY_SET"        Bare;
    AddItems        0x90 "ADDITEMS"         Bare;
    FrozenSet       0x91 "FROZENSET"        Bare;
    NewObjEx        0x92 "NEWOBJ_EX"        Bare;
    StackGlobal     0x93 "STACK_GLOBAL"     Bare;
    Memoize         0x94 "MEMOIZE"          Bare;
    Frame           0x95 "FRAME"            Fixed(8);

    // Protocol 5: bytes that may be changed, or that lie elsewhere.
    ByteArray8      0x96 "BYTEARRAY8"       Counted(8);
    NextBuffer      0x97 "NEXT_BUFFER"      Bare;
    ReadonlyBuffer  0x98 "READONLY_BUFFER"  Bare;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opcode_is_found_by_its_byte_and_no_other_byte_is_one() {
        // 68, as `len(pickletools.opcodes)` says for Python 3.8 to 3.13.
        assert_eq!(Opcode::ALL.len(), 68);
        for byte in 0..=u8::MAX {
            let listed = Opcode::ALL.iter().find(|(b, _)| *b == byte).map(|(_, opcode)| *opcode);
            assert_eq!(Opcode::of(byte), listed, "{byte:#04x}");
        }
        assert_eq!(Opcode::of(0x93).unwrap().name(), "STACK_GLOBAL");
        assert_eq!(Opcode::of(b'X').unwrap().form(), Form::Counted(4));
    }
}
