"""render placeholder"""


def render_page(*a):
    return "x"
