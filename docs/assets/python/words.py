"""What went wrong in a reader's line, in a sentence for somebody who is new to Python."""

import io
import sys

from arrays import Array, ShapeError

FILE = "<your code>"

LOOKALIKES = {
    "×": "*", "·": "*", "⋅": "*", "∙": "*", "⊙": "*", "∘": "*", "∗": "*", "−": "-", "–": "-",
    "—": "-", "÷": "/", "“": '"', "”": '"', "‘": "'", "’": "'", "²": "**2", "ᵀ": ".T", "⊤": ".T",
    "′": "a name such as slope(Z1)", "σ": "a name such as sigmoid", "\u00a0": "an ordinary space",
    "\u200b": "nothing", "，": ",", "（": "(", "）": ")", "；": "nothing", "＝": "=", "＠": "@",
    "≤": "<=", "≥": ">=", "≠": "!=", "∑": ".sum(axis=0)", "…": "the rest", "$": "nothing",
    "?": "nothing",
}  # fmt: skip
OPENING = {"(": ")", "[": "]", "{": "}"}
BLOCKS = ("def", "for", "if", "while", "else", "elif", "with", "try", "class", "except")


def unreadable(text, first):
    """Why Python cannot read a statement, as far as one can tell."""
    lines = text.split("\n")
    for number, line in enumerate(lines, first):
        for c in line.split("#")[0]:
            if c in LOOKALIKES:
                return strange(c, f" in line {number}")
    code = "\n".join([line.split("#")[0] for line in lines])
    for opening, closing in OPENING.items():
        if code.count(opening) != code.count(closing):
            more = opening if code.count(opening) > code.count(closing) else closing
            return f"There is one {more} too many, or its partner is missing."
    if code.count('"') % 2 or code.count("'") % 2:
        return "A text in quotes begins here and does not end: a quote is missing."
    return in_the_line(code.rstrip(), lines)


def strange(sign, where=""):
    """What to type in place of a sign that Python does not know."""
    instead = LOOKALIKES[sign]
    way_out = "Leave it out" if instead == "nothing" else f"Type {instead}"
    return f"Python does not know the sign {sign}{where}. {way_out}."


def sentence(text):
    """A text with a full stop at its end."""
    return text if text[-1:] in ".?" else f"{text}."


def in_the_line(code, lines):
    """The likely cause in a statement whose brackets and quotes are paired."""
    last = code.split("\n")[-1].rstrip()
    first_word = code.split("(")[0].split(" ")[0].strip(":")
    if code[:1].isspace():
        return (
            "This line begins with a space, but belongs to nothing above it. Begin at the margin."
        )
    if first_word == "return":
        return "return is for the end of a function. Here, write the gradients line by line."
    if first_word in BLOCKS and not code.split("\n")[0].rstrip().endswith(":"):
        return f"A line that begins with {first_word} ends with a colon."
    if first_word in BLOCKS and len([line for line in lines if line.strip()]) < 2:
        return f"After the colon, the lines that belong to {first_word} follow, moved to the right."
    if "return" in code:
        return "return may be the last line of the function only, and not inside another block."
    if last and last[-1] in "+-*/@=.,<>":
        return f"The line ends with {last[-1]}: something has to follow."
    left = code.split("=")[0].strip()
    if left and left[0].isdigit():
        return "A name begins with a letter, so this is none. A gradient's name is one like dW2."
    if " " in left.strip() and "," not in left and first_word not in BLOCKS:
        return "Python cannot read this. To the left of = there is one name, such as dW2."
    if first_word in BLOCKS:
        return "Lines that belong together are moved to the right equally far, with spaces."
    return (
        "Python cannot read this line. Is an operator missing between two names, or one too many?"
    )


def in_words(error, part, line, run):
    """What an error means, with the shapes of what the line names."""
    text = str(error)
    if isinstance(error, ShapeError):
        return f"The shapes do not fit: {sentence(text)}{shapes(part, line, run)}"
    if isinstance(error, NameError):
        return missing_name(text, run)
    if isinstance(error, MemoryError):
        return "This needs more memory than the page has. All arrays here are small."
    if isinstance(error, RecursionError if "RecursionError" in dir() else RuntimeError):
        return "A function calls itself again and again, without an end."
    if isinstance(error, ImportError):
        return "In this page there are numpy, as far as this network needs it, and math."
    if isinstance(error, AttributeError):
        return missing_attribute(text)
    if isinstance(error, ZeroDivisionError):
        return "A number is divided by 0 here."
    if isinstance(error, AssertionError):
        return f"Your assert does not hold: {text or 'it is False'}."
    if isinstance(error, (IndexError, KeyError)):
        return f"There is no such element: {text}."
    return unfitting(error, text)


def missing_name(text, run):
    """A name that is not there: mistyped, of a failed line, or not of this network."""
    name = text.split("'")[1] if "'" in text else text
    if name in run.failed:
        return f"This needs {name}, which line {run.failed[name]} has not made. Repair that first."
    signs = [c for c in name if c in LOOKALIKES]
    if signs:
        return strange(signs[0])
    plain = name.replace("_", "").lower()
    like = [known for known in run.names if known.replace("_", "").lower() == plain]
    if like:
        return f"There is no {name} here, but there is {like[0]}: capital letters count."
    kinds = [known for known in run.names if known[:1] in "AZWb" and known[1:].isdigit()]
    own = f" {name} is a gradient: write its line before this one." if name[:1] == "d" else ""
    return f"There is no {name} here.{own} Given are {', '.join(sorted(kinds))}, Y, B, C and lam."


def missing_attribute(text):
    """Something after a dot that is not there."""
    parts = text.split("'")
    owner, name = (
        (parts[1], parts[-2]) if len(parts) > 3 else (parts[1] if len(parts) > 1 else "", text)
    )
    if owner == "Array":
        return f"Arrays in this page have no .{name}. They have .T, .shape, .sum(axis=...), .mean."
    if owner in ("module", "functions"):
        return (
            f"The small numpy of this page has no {name}. Can you write it with @, *, .T and .sum?"
        )
    return f"A {KINDS.get(owner, owner)} has no .{name}."


KINDS = {"int": "number", "float": "number", "NoneType": "None, which is nothing,",
         "list": "list", "str": "text", "function": "function", "closure": "function"}  # fmt: skip


def unfitting(error, text):
    """Types that an operator or a function cannot use, and all that is left."""
    if "unsupported" in text and (
        "__lt__" in text or "__gt__" in text or "<" in text or ">" in text
    ):
        return "Write the array first in a comparison: Z1 > 0 instead of 0 < Z1."
    if "unsupported" in text and "NoneType" in text:
        return "One side is None, which is nothing. Does a function end without return?"
    if "made of numbers" in text and "NoneType" in text:
        return "There is None, which is nothing, instead of numbers. Is a return missing?"
    if "unsupported" in text and ("xor" in text or "^" in text):
        return "^ is no power in Python: write **, as in A1**2."
    if "unsupported" in text and "str" in text:
        return "A text in quotes takes no part in a calculation: write the name without quotes."
    if "unsupported" in text and ("function" in text or "closure" in text):
        return "A function is used without being called: give it an array, as in slope(Z1)."
    if "callable" in text:
        return "Something is called like a function and is none. Is a * missing before a bracket?"
    if "argument" in text:
        return f"A function got too many or too few values in its brackets ({text})."
    if "iterable" in text or "unpack" in text:
        return (
            f"There are not as many values as names, or a single value was gone through ({text})."
        )
    return f"Python stops here: {sentence(text or type(error).__name__)}"


def shapes(part, line, run):
    """The shapes of all arrays that a line names, as a sentence."""
    lines = part.text.split("\n")
    text = lines[line - part.line] if 0 <= line - part.line < len(lines) else part.text
    text = text.split("=", 1)[-1]
    words = "".join([c if c.isalpha() or c.isdigit() or c == "_" else " " for c in text]).split()
    known = []
    for word in words:
        if isinstance(run.names.get(word), Array) and word not in known:
            known.append(word)
    told = ", ".join([f"{word} is {run.names[word].shape}" for word in known])
    return f" In this line, {told}." if told else ""


def not_an_array(name, value):
    """What a gradient is instead of an array."""
    if value is None:
        return f"{name} is None, which is nothing. Does a function end without return?"
    if callable(value):
        return f"{name} is a function, not an array. Call it: give it an array in brackets."
    return f"{name} is a {KINDS.get(type(value).__name__, type(value).__name__)}, and not an array."


def line_of(error):
    """The reader's line in which an error was raised, or None."""
    if hasattr(sys, "print_exception"):  # MicroPython
        text = io.StringIO()
        sys.print_exception(error, text)
        lines = [line for line in text.getvalue().split("\n") if FILE in line]
        return int(lines[-1].split("line ")[1].split(",")[0]) if lines else None
    trace, found = error.__traceback__, None
    while trace:
        found = trace.tb_lineno if trace.tb_frame.f_code.co_filename == FILE else found
        trace = trace.tb_next
    return found
