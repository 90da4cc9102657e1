"""Code points by name, for kernels, which compare numbers; and what they ask of ASCII bytes everywhere.

A code point below ASCII_LIMIT is its own byte in UTF-8. What a character is in general (a letter, white space, a mark)
says the table of `characters.py`.
"""

from __future__ import annotations

from autoclave.kernels.text.raw.memory import inlined

NUL, BACKSPACE, TAB, NEWLINE, RETURN, SPACE = (ord(character) for character in "\0\b\t\n\r ")
FILE_SEPARATOR, RECORD_SEPARATOR = 0x1C, 0x1E
EXCLAMATION_MARK, DOUBLE_QUOTE, HASH_SIGN, DOLLAR, PERCENT, SINGLE_QUOTE = (ord(mark) for mark in "!\"#$%'")
LEFT_PARENTHESIS, RIGHT_PARENTHESIS, ASTERISK, PLUS, COMMA = (ord(mark) for mark in "()*+,")
HYPHEN, FULL_STOP, SLASH, COLON, LESS_THAN, EQUALS, GREATER_THAN = (ord(mark) for mark in "-./:<=>")
QUESTION_MARK, AT_SIGN, LEFT_BRACKET, RIGHT_BRACKET = (ord(mark) for mark in "?@[]")
CIRCUMFLEX, UNDERSCORE, LEFT_BRACE, RIGHT_BRACE, TILDE = (ord(mark) for mark in "^_{}~")
DIGIT_0, DIGIT_9, CAPITAL_A, CAPITAL_Z, SMALL_A, SMALL_Z = (ord(character) for character in "09AZaz")

ASCII_LIMIT = 0x80
"""The first code point beyond ASCII; all bytes of longer characters are at least that."""

CASE_BIT = 0x20
"""What is set in small ASCII letters and not in capitals."""

NO_BREAK_SPACE, SUPERSCRIPT_2, RIGHT_GUILLEMET = (ord(mark) for mark in "\u00a0²»")
ZERO_WIDTH_SPACE, EN_DASH, EM_DASH, RIGHT_SINGLE_QUOTE = (ord(mark) for mark in "\u200b–—’")
BULLET, HORIZONTAL_ELLIPSIS, BLACK_CIRCLE = (ord(mark) for mark in "•…●")
LEFT_ANGLE_BRACKET, RIGHT_ANGLE_BRACKET, IDEOGRAPHIC_SPACE = (ord(mark) for mark in "⟨⟩\u3000")


@inlined
def is_digit(byte: int) -> bool:
    """Say whether the byte is one of 0 to 9."""
    return DIGIT_0 <= byte <= DIGIT_9


@inlined
def is_letter(byte: int) -> bool:
    """Say whether the byte is an ASCII letter."""
    return SMALL_A <= (byte | CASE_BIT) <= SMALL_Z


@inlined
def is_ascii_space(byte: int) -> bool:
    """Say whether the byte is white space as bytes.isspace() has it: a space, or TAB to RETURN."""
    return byte == SPACE or TAB <= byte <= RETURN


@inlined
def lower_byte(byte: int) -> int:
    """Return the byte, a capital ASCII letter as a small one."""
    return byte | CASE_BIT if CAPITAL_A <= byte <= CAPITAL_Z else byte
