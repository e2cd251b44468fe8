# SPDX-License-Identifier: MIT
"""The statements of the functions in a C file: as much of C as the mutation operators need."""

import bisect
import dataclasses
import re

TOKEN = re.compile(r"""
    (?P<directive>^[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])*)
  | (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<string>"(?:\\.|[^"\\\n])*")
  | (?P<char>'(?:\\.|[^'\\\n])+')
  | (?P<number>0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[^\s])
""", re.VERBOSE | re.DOTALL | re.MULTILINE)
OPENING = {"(": ")", "[": "]", "{": "}"}
CONTROL = {"if", "while", "for", "switch"}


class SyntaxProblem(Exception):
    """The file has C that is not understood here."""


@dataclasses.dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int
    line: int

    @property
    def end(self):
        return self.start + len(self.text)


@dataclasses.dataclass
class Statement:
    kind: str            # "if", "while", "for", "switch", "case", "do" (its condition) or "simple"
    tokens: list         # of the head only, where it is a control statement
    function: "Function"
    sibling: object      # the simple statement before it in the same block, or None

    @property
    def first_line(self):
        return self.tokens[0].line

    @property
    def last_line(self):
        return self.tokens[-1].line


@dataclasses.dataclass
class Function:
    name: str
    returns_bool: bool
    statements: list = dataclasses.field(default_factory=list)


class Source:
    """One file: its text, its functions, and the statement that each line belongs to."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.lines = text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.tokens = [token for token in self._tokens() if token.kind not in ("comment", "directive")]
        self.functions = list(self._functions())

    def line_of(self, position):
        return bisect.bisect_right(self.starts, position)

    def statements(self):
        for function in self.functions:
            yield from function.statements

    def _tokens(self):
        for match in TOKEN.finditer(self.text):
            yield Token(match.lastgroup, match[0], match.start(), self.line_of(match.start()))

    def match(self, at):
        """The index of the bracket that closes the one at this index."""
        close = []
        for index in range(at, len(self.tokens)):
            text = self.tokens[index].text
            if self.tokens[index].kind != "mark":
                continue
            if text in OPENING:
                close.append(OPENING[text])
            elif text in OPENING.values():
                if text != close.pop():
                    break
                if not close:
                    return index
        raise SyntaxProblem(f"{self.path}:{self.tokens[at].line}: no end of this {self.tokens[at].text}")

    def _functions(self):
        start = at = 0
        while at < len(self.tokens):
            text = self.tokens[at].text
            if text == "{" and at and self.tokens[at - 1].text == ")":
                yield self._function(start, at)
            if text in OPENING:
                at = self.match(at)
            if text in (";", "{"):
                start = at + 1
            at += 1

    def _function(self, start, brace):
        head = self.tokens[start:brace]
        paren = next(index for index, token in enumerate(head) if token.text == "(")
        words = [token.text for token in head[:paren]]
        function = Function(words[-1] if words else "", "bool" in words and "*" not in words)
        _Body(self, function).block(brace)
        return function


class _Body:
    """Splits the body of a function into its statements."""

    def __init__(self, source, function):
        self.source, self.tokens, self.function = source, source.tokens, function

    def add(self, kind, start, end, sibling=None):
        statement = Statement(kind, self.tokens[start:end], self.function, sibling)
        self.function.statements.append(statement)
        return statement

    def block(self, at):
        """All between the brace at this index and its end; returns the index after that."""
        end, sibling = self.source.match(at), None
        at += 1
        while at < end:
            count = len(self.function.statements)
            at = self.statement(at, sibling)
            added = self.function.statements[count:]
            sibling = added[0] if len(added) == 1 and added[0].kind == "simple" else None
        return end + 1

    def statement(self, at, sibling=None):
        text = self.tokens[at].text
        if text == "{":
            return self.block(at)
        if text == ";":
            return at + 1
        if text in CONTROL or self.is_loop_macro(at):
            return self.control(at)
        if text == "do":
            at = self.statement(at + 1)
            return self.simple(at, "do")
        if text in ("case", "default"):
            return self.case(at)
        if self.tokens[at].kind == "word" and self.tokens[at + 1].text == ":":
            return at + 2
        return self.simple(at, "simple", sibling)

    def is_loop_macro(self, at):
        """A macro such as for_each_range(...) with a block after it."""
        if self.tokens[at].kind != "word" or self.tokens[at].text == "return" or self.tokens[at + 1].text != "(":
            return False
        return self.tokens[self.source.match(at + 1) + 1].text == "{"

    def control(self, at):
        end = self.source.match(at + 1) + 1
        kind = self.tokens[at].text if self.tokens[at].text in CONTROL else "for"
        self.add(kind, at, end)
        end = self.statement(end)
        if kind == "if" and self.tokens[end].text == "else":
            end = self.statement(end + 1)
        return end

    def case(self, at):
        end = at
        while self.tokens[end].text != ":":
            end += 1
        self.add("case", at, end + 1)
        return end + 1

    def simple(self, at, kind, sibling=None):
        end = at
        while self.tokens[end].text != ";":
            if self.tokens[end].text == "}":
                raise SyntaxProblem(f"{self.source.path}:{self.tokens[at].line}: this statement has no end")
            end = self.source.match(end) if self.tokens[end].text in OPENING else end
            end += 1
        self.add(kind, at, end + 1, sibling)
        return end + 1
