"""Wrong answers from a right one: an operator, number, text, condition or statement changed."""

import ast

OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.MatMult: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.USub: ast.UAdd,
}
COMPARISONS = {  # one that differs at the edge only, and the opposite
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}


def mutants(source):
    """Every version of a source text with one thing changed, each once."""
    tree = ast.parse(source)
    made = []
    for node in ast.walk(tree):
        for owner, field, value in changes(node):
            kept = getattr(owner, field)
            setattr(owner, field, value)
            made.append(ast.unparse(ast.fix_missing_locations(tree)))
            setattr(owner, field, kept)
    return list(dict.fromkeys(made))


def changes(node):
    """What may be changed at a node of the syntax tree: an attribute of it, and another value."""
    if type(getattr(node, "op", None)) in OPERATORS:
        yield node, "op", OPERATORS[type(node.op)]()
    if isinstance(node, ast.Compare):
        for other in COMPARISONS.get(type(node.ops[0]), ()):
            yield node, "ops", [other(), *node.ops[1:]]
    if isinstance(node, ast.If | ast.IfExp):
        yield node, "test", ast.UnaryOp(ast.Not(), node.test)
    if isinstance(node, ast.Constant) and node.value is not None:
        yield node, "value", changed(node.value)
    if isinstance(node, ast.Return):
        yield node, "value", ast.Constant(None)
    statements = getattr(node, "body", None)
    if isinstance(statements, list):
        for i in range(len(statements)):
            yield node, "body", [*statements[:i], ast.Pass(), *statements[i + 1 :]]


def changed(constant):
    """Another constant of the same kind."""
    if isinstance(constant, bool):
        return not constant
    return "" if isinstance(constant, str) else constant + 1


def difference(source, mutant):
    """The lines of a mutant that are not in the source: what to call it."""
    lines = ast.unparse(ast.parse(source)).splitlines()
    return " | ".join(line.strip() for line in mutant.splitlines() if line not in lines)
