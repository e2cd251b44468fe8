# SPDX-License-Identifier: MIT
"""The mutation operators: every change that is tried on a statement."""

import dataclasses
import re

SWAPS = {
    "relational": {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    "logical": {"&&": "||", "||": "&&"},
    "arithmetic": {"+": "-", "-": "+", "+=": "-=", "-=": "+="},
    "bitwise": {"&": "|", "|": "&", "&=": "|=", "|=": "&="},
    "shift": {"<<": ">>", ">>": "<<", "<<=": ">>=", ">>=": "<<="},
    "constant": {"true": "false", "false": "true"},
}
JUMPS = {"break", "continue", "goto"}
TYPE_WORDS = {"const", "static", "volatile", "register", "extern", "struct", "union", "enum", "typedef", "void", "bool",
              "char", "short", "int", "long", "unsigned", "signed", "size_t", "va_list"}
# The contents of these are not computed at run time.
OPAQUE = {"sizeof", "offsetof", "_Alignof", "__attribute__"}
# Statements that no test can check.
UNTOUCHED = {"__builtin_ia32_pause", "asm", "__asm__", "_Static_assert", "static_assert", "__builtin_unreachable"}
# Messages to the user.
LOG_CALL = re.compile(r"(?:\w+_)?(?:log|vm|vcpu)_(?:error|warn|info|debug)$|panic$|die$")
# Calls that only store to their first argument.
STORE = re.compile(r"mem(?:cpy|move|set)$|vmcs_write\w*$")
NO_CALL = re.compile(r"sizeof$|[A-Z][A-Z0-9_]*$")
ERROR_NAME = re.compile(r"E[A-Z0-9]+$")
NUMBER = re.compile(r"(0[xX])?([0-9a-fA-F]+?)([uUlL]*)$")


@dataclasses.dataclass(frozen=True)
class Mutant:
    path: str
    operator: str
    line: int            # the first that it changes
    edits: tuple         # of (start, end, text), from the front to the back
    before: tuple        # the lines that it changes, without their margins
    after: tuple

    @property
    def lines(self):
        return range(self.line, self.line + len(self.before))

    def apply(self, text):
        for start, end, new in reversed(self.edits):
            text = text[:start] + new + text[end:]
        return text


def mutants_of(source):
    """Every mutant of the file, in the order of its lines."""
    found = {}
    for statement in source.statements():
        for operator, edits in _edits(source, statement):
            mutant = _mutant(source, operator, tuple(edits))
            found.setdefault((mutant.line, mutant.after), mutant)
    return sorted(found.values(), key=lambda mutant: (mutant.line, mutant.edits))


def _mutant(source, operator, edits):
    first, last = source.line_of(edits[0][0]), source.line_of(edits[-1][0])
    start, end = source.starts[first - 1], source.starts[last] - 1
    inside = tuple((a - start, b - start, new) for a, b, new in edits)
    mutant = Mutant(source.path, operator, first, edits, _lines(source.text[start:end]), ())
    changed = dataclasses.replace(mutant, edits=inside).apply(source.text[start:end])
    return dataclasses.replace(mutant, after=_lines(changed))


def _lines(text):
    return tuple(" ".join(line.split()) for line in text.split("\n"))


def _edits(source, statement):
    if _is_untouched(statement):
        return
    for index, token in _mutable(statement):
        yield from _token_edits(source, statement, index, token)
    yield from _condition(statement)
    yield from _return_value(statement)
    yield from _deletion(statement)
    yield from _order(source, statement)


def _is_untouched(statement):
    return bool(LOG_CALL.match(statement.tokens[0].text) or UNTOUCHED & {token.text for token in statement.tokens})


def _mutable(statement):
    """The tokens that may change: of a declaration its initial value, and nothing within sizeof."""
    tokens, at = statement.tokens, 0
    if is_declaration(statement):
        at = _initial_value(tokens)
    found = []
    while at < len(tokens):
        if tokens[at].text in OPAQUE and at + 1 < len(tokens) and tokens[at + 1].text == "(":
            at = _match(tokens, at + 1)
        else:
            found.append((at, tokens[at]))
        at += 1
    return found


def _initial_value(tokens):
    if tokens[0].text in ("static", "extern", "typedef"):
        return len(tokens)
    return next((index + 1 for index, token in enumerate(tokens) if token.text == "="), len(tokens))


def _match(tokens, at):
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index].text == "(") - (tokens[index].text == ")")
        if not depth:
            return index
    return len(tokens) - 1


def is_declaration(statement):
    tokens = statement.tokens
    if statement.kind != "simple":
        return False
    if tokens[0].text in TYPE_WORDS:
        return True
    if tokens[0].kind != "word" or tokens[0].text in JUMPS | {"return"}:
        return False
    rest = [token for token in tokens[1:] if token.text != "*"]
    return bool(rest) and rest[0].kind == "word"


# --- operators that change one token ---

def _token_edits(source, statement, index, token):
    tokens = statement.tokens
    before = tokens[index - 1] if index else None
    for operator, swaps in SWAPS.items():
        if token.text in swaps and (token.kind == "word" or _is_binary(source, token)):
            yield operator, [(token.start, token.end, swaps[token.text])]
    if token.kind == "number" and [each.text for each in tokens] != ["return", "0", ";"]:
        for text in _other_numbers(token.text):
            yield "constant", [(token.start, token.end, text)]
    if token.text == "-" and ERROR_NAME.match(tokens[index + 1].text) and not _is_binary(source, token):
        yield "return", [(token.start, tokens[index + 1].end, "0")]
    if token.text == "!" and before and not (before.text == "(" and index == 2 and statement.kind in ("if", "while")):
        yield "condition", [(token.start, token.end, "")]


def _is_binary(source, token):
    """In this coding style there is a blank on either side."""
    return source.text[token.start - 1].isspace() and source.text[token.end].isspace()


def _other_numbers(text):
    """The numbers beside this one; of a single bit, the bits beside it."""
    prefix, digits, suffix = NUMBER.match(text).groups(default="")
    base = 16 if prefix else 8 if len(digits) > 1 and digits[0] == "0" else 10
    value = int(digits, base)
    if prefix and value > 2 and not value & (value - 1):
        others = (value << 1, value >> 1)
    else:
        others = (value + 1, value - 1)
    for other in others:
        new = f"{other:x}" if prefix else f"{other:o}" if base == 8 else f"{other}"
        if other >= 0 and not (prefix and len(new) > len(digits) and len(digits) in (2, 4, 8, 16)):
            yield prefix + ("0" if base == 8 else "") + new.rjust(len(digits) if prefix else 0, "0") + suffix


# --- operators that change a statement ---

def _on_one_line(statement):
    return statement.first_line == statement.last_line


def _condition(statement):
    tokens = statement.tokens
    if statement.kind in ("if", "while") and _on_one_line(statement):
        yield "condition", [(tokens[1].end, tokens[1].end, "!("), (tokens[-1].start, tokens[-1].start, ")")]


def _return_value(statement):
    tokens = statement.tokens
    if tokens[0].text != "return" or not _on_one_line(statement):
        return
    value = [token.text for token in tokens[1:-1]]
    if value == ["0"] and not statement.function.returns_bool:
        yield "return", [(tokens[1].start, tokens[1].end, "-1")]
    elif statement.function.returns_bool and value and value not in (["true"], ["false"]):
        yield "return", [(tokens[1].start, tokens[1].start, "!("), (tokens[-1].start, tokens[-1].start, ")")]


def _deletion(statement):
    tokens = statement.tokens
    if not _on_one_line(statement) or statement.kind != "simple":
        return
    whole = (tokens[0].start, tokens[-1].end, ";")
    if tokens[0].text in JUMPS or [token.text for token in tokens] == ["return", ";"]:
        yield "jump", [whole]
    elif _has_effect(statement):
        yield "deletion", [whole]


def _has_effect(statement):
    """A call or an assignment that can be left out without a compiler error elsewhere."""
    tokens = statement.tokens
    if statement.kind != "simple" or len(tokens) < 2 or is_declaration(statement):
        return False
    return tokens[0].text not in JUMPS | {"return"} and [token.text for token in tokens[:3]] != ["(", "void", ")"]


def _order(source, statement):
    first = statement.sibling
    if not first or not _has_effect(first) or not _has_effect(statement) or not _order_matters(first, statement):
        return
    if not _on_one_line(first) or not _on_one_line(statement) or statement.first_line != first.first_line + 1:
        return
    spans = [(each.tokens[0].start, each.tokens[-1].end) for each in (first, statement)]
    texts = [source.text[start:end] for start, end in spans]
    if texts[0] != texts[1] and not _is_untouched(first):
        yield "order", [(*spans[0], texts[1]), (*spans[1], texts[0])]


def _order_matters(first, second):
    """Two assignments only if one names what the other assigns to; calls in any case."""
    if all(_target(statement) for statement in (first, second)):
        return _target(first) in _text(second) or _target(second) in _text(first)
    return any(_calls(statement) for statement in (first, second))


def _text(statement):
    return " ".join(token.text for token in statement.tokens)


def _target(statement):
    """What the statement assigns to, as text, or ""."""
    tokens = statement.tokens
    start = 2 if STORE.match(tokens[0].text) and tokens[1].text == "(" else 0
    for index, token in enumerate(tokens):
        if token.kind == "mark" and re.fullmatch(r"," if start else r"(<<|>>|[-+*/%&|^])?=", token.text):
            return " ".join(token.text for token in tokens[start:index])
    return ""


def _calls(statement):
    tokens = statement.tokens
    return any(token.kind == "word" and not NO_CALL.match(token.text) and tokens[index + 1].text == "("
               for index, token in enumerate(tokens[:-1]))
