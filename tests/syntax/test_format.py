"""The house layout keeps meaning and comments, and is its own layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from syntax_support import meaning

from odec.source import Source
from odec.syntax.format import format_text
from odec.syntax.parser import parse

UNTIDY = r"""

## A   model
##second line


#c
state x1=100#first
state   longer = 150     #   second
at  (2*3) , 4:x=1,y'  *=2#hi
every 24 from -1 to step -1: x += 1
when not( x>3 )and y<-2 : x = 0
x=step -1; y=a*-b**-2 ; z=[1,2 , 3]@W[1 : N-1,0:-1]  # zz
q = (a+ # inner
  b) # outer
r = a + \
  b  # last
solve from -1 to 1 ,step .1 every 1
w = if(not a and b or -c<d,not b,-1)
param abc=0.1 in[0,1]log  #  x
param k = 3    in [0,inf] per   experiment#y
d/dt( x )=3;dy / dt = 3
net  g( a,b[ 2 ] )=dense( 16,tanh ),dense(1)#n
net h(a)->N+1
ω₁ = µ  # ü"""

TIDY = r"""## A   model
## second line

# c
state x1     = 100           # first
state longer = 150           # second
at (2*3), 4: x = 1, y' *= 2  # hi
every 24 from -1 to step -1: x += 1
when not (x > 3) and y < -2: x = 0
x = step - 1
y = a*-b^-2
z = [1, 2, 3] @ W[1:N-1, 0:-1]  # zz
q = (a +  # inner
    b)  # outer
r = a + \
    b  # last
solve from -1 to 1, step .1 every 1
w = if(not a and b or -c < d, not b, -1)
param abc = 0.1 in [0, 1] log               # x
param k   = 3   in [0, inf] per experiment  # y
d/dt(x) = 3
dy/dt = 3
net g(a, b[2]) = dense(16, tanh), dense(1)  # n
net h(a) -> N + 1
ω₁ = µ  # ü
"""


def test_layout() -> None:
    assert format_text(Source.from_text(UNTIDY)) == TIDY
    assert format_text(Source.from_text(TIDY)) == TIDY


def test_every_file_keeps_its_meaning(shared: Path, examples: Path) -> None:
    files = [*shared.glob("reference/**/*.ode"), *shared.glob("cases/*/model.ode"), *examples.glob("*/*.ode")]
    for path in files:
        if "xpp" not in path.parts:
            source = Source.from_file(path)
            text = format_text(source)
            assert meaning(parse(Source.from_text(text))) == meaning(parse(source)), path
            assert format_text(Source.from_text(text)) == text, path


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "x' = -x"])
def test_small_files(text: str) -> None:
    assert format_text(Source.from_text(text)) == (text.strip() + "\n" if text.strip() else "")
