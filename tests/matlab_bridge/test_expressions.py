"""MATLAB's anonymous functions as trees: what is read as MATLAB reads it, and what is refused."""

from __future__ import annotations

import pytest

from matlab_bridge.convert._expressions import ExpressionError, Matrix, Name, Number, Operation, parse_function


def shown(node) -> str:
    """A tree with all its parentheses."""
    match node:
        case Number(value):
            return f"{value:g}"
        case Name(name):
            return name
        case Matrix(rows):
            return f"[{'; '.join(', '.join(map(shown, row)) for row in rows)}]"
        case Operation(name, operands, is_call):
            inside = [shown(each) for each in operands]
            if is_call:
                return f"{name}({', '.join(inside)})"
            return f"({f' {name} '.join(inside)})" if len(inside) > 1 else f"({name}{inside[0]})"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("@(x).001*x", "(0.001 * x)"),
        ("@(x)2.*x+1./x", "((2 .* x) + (1 ./ x))"),
        ("@(x)1.5e-3*x-2E2", "((0.0015 * x) - 200)"),
        ("@(x)-x.^2", "(-(x .^ 2))"),
        ("@(x)x.^-2", "(x .^ (-2))"),
        ("@(x)2.^x.^3", "((2 .^ x) .^ 3)"),
        ("@(x) x - 1 - 2 ", "((x - 1) - 2)"),
        ("@(X) tanh(X)./2 + 1", "((tanh(X) ./ 2) + 1)"),
        ("@(x)max(x,0)", "max(x, 0)"),
        ("@(x)max(x,[],1)", "max(x, [], 1)"),
        ("@(x)x.*(x>=0)", "(x .* (x >= 0))"),
        ("@(x)(x>1)==0", "((x > 1) == 0)"),
        ("@(a,b) a' * b", "((.a) * b)".replace(".a", "'a")),
        ("@(W)[XFlat*W;YFlat*W]", "[(XFlat * W); (YFlat * W)]"),
        ("@(a, b)[a, b; b, a - 1]", "[a, b; b, (a - 1)]"),
        ("@(W)W.^2./(sum(W.^2,1)+.01)", "((W .^ 2) ./ (sum((W .^ 2), 1) + 0.01))"),
        ("@ tanh", "tanh(in1)"),
        ("@(x)x>0&x<1|x==2", "(((x > 0) & (x < 1)) | (x == 2))"),
        ("@(x)x|x&x", "(x | (x & x))"),
        ("@(x)~x==0", "((~x) == 0)"),
        ("@(x)~x.^2", "(~(x .^ 2))"),
        ("@(x)-~x+1", "((-(~x)) + 1)"),
        ("@(x)x~=0", "(x ~= 0)"),
        ("@(x)sum(x,[1 2])", "sum(x, [1, 2])"),
        ("@(x)[x 1; 2  3 ]", "[x, 1; 2, 3]"),
        ("@(x)[ x -1]", "[x, (-1)]"),
        ("@(x)[x - 1]", "[(x - 1)]"),
        ("@(x)[x- 1]", "[(x - 1)]"),
        ("@(x)[x -1 - x -x]", "[x, ((-1) - x), (-x)]"),
        ("@(x)[x (1)]", "[x, 1]"),
        ("@(x)[x(1) tanh(x -1)]", "[x(1), tanh((x - 1))]"),
        ("@(x)[(x -1) [x -1] x -1]", "[(x - 1), [x, (-1)], x, (-1)]"),
        ("@(x)[x .* 2 x .*2]", "[(x .* 2), (x .* 2)]"),
        ("@(x)[x' -x']", "[('x), (-('x))]"),
        ("@(x)[x ~x]", "[x, (~x)]"),
        ("@(x)[x ~= 1 x & 1]", "[(x ~= 1), (x & 1)]"),
        ("@(x)[x * -1]", "[(x * (-1))]"),
    ],
)
def test_precedence_is_matlabs(text, tree):
    assert shown(parse_function(text).body) == tree


def test_parameters():
    assert parse_function("@( x , y1 )x+y1").parameters == ("x", "y1")
    assert parse_function("@plus", 2).parameters == ("in1", "in2")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x+1", "does not begin with its parameters"),
        ("@()1", "does not begin with its parameters"),
        ("@(x)x+", "ends too early"),
        ("@(x)x(1:2)", r"':2\)' is not understood"),
        ("@(x)reshape(x,[],1))", r"'\)' is not understood"),
        ("@(x)x{1}", r"'\{1\}' is not understood"),
        ("@(x)net.Layers", "'.Layers' is not understood"),
        ("@(x)feval(@exp,x)", "'@exp,x"),
        ("@(x)system('rm')", '"\'" is not understood'),
        ('@(x)system("rm")', "is not understood"),
        ("@(x)x;exit", "';' is not understood"),
        ("@(x)x=1", "'=1' is not understood"),
        ("@(x)[x 1)", r"'\)' is not understood"),
        ("@(x)[2x]", "'x' is not understood"),
        ("@(x)[(x)(1)]", r"'\(' is not understood"),
        ("@(x)x 1", "'1' is not understood"),
        ("@(x)x&&1", "'&' is not understood"),
        ("@(x)x||1", r"'\|' is not understood"),
        ("@(x)[x 'a']", "holds text"),
        ("@(x)2i", "'i' is not understood"),
        ("@(x)" + "(" * 50 + "x" + ")" * 50, "nests more than 40 deep"),
        ("@(x)" + "x+" * 2000 + "x", "4005 characters"),
    ],
)
def test_anything_else_is_refused(text, reason):
    with pytest.raises(ExpressionError, match=reason):
        parse_function(text)
