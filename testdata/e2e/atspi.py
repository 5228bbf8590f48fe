"""Reads and drives a window the way a screen reader does (AT-SPI).

  atspi.py tree            every element on the screen: role, name, states, text
  atspi.py wait ROLE NAME  until an element of this role has this in its name
  atspi.py press NAME      the push button with this name, by its own action
  atspi.py follow NAME     the link with this name, by its own action
  atspi.py type NAME       focus the field with this name and type standard input
"""
import sys
import time

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi  # noqa: E402

LIMIT = 60


def walk(node, depth=0):
    if node is None or depth > 40:
        return
    yield node, depth
    try:
        for i in range(min(node.get_child_count(), 500)):
            yield from walk(node.get_child_at_index(i), depth + 1)
    except Exception:  # an element that went away
        return


def window():
    desktop = Atspi.get_desktop(0)
    for i in range(desktop.get_child_count()):
        try:
            app = desktop.get_child_at_index(i)
            ours = app is not None and "citel-window" in (app.get_name() or "")
        except Exception:  # a window that went away while another one opens
            continue
        if ours:
            yield from walk(app)


def words(node):
    try:
        t = node.get_text_iface()
        return Atspi.Text.get_text(t, 0, min(Atspi.Text.get_character_count(t), 4000)) if t else ""
    except Exception:
        return ""


def describe(node):
    states = node.get_state_set()
    shown = [s for s, v in (("focused", Atspi.StateType.FOCUSED), ("checked", Atspi.StateType.CHECKED), ("showing", Atspi.StateType.SHOWING),
                            ("sensitive", Atspi.StateType.SENSITIVE), ("editable", Atspi.StateType.EDITABLE)) if states.contains(v)]
    return "%s | %s | %s | %s" % (node.get_role_name(), node.get_name() or "", ",".join(shown), words(node).replace("\n", " "))


def find(role, name):
    end = time.time() + LIMIT
    while time.time() < end:
        for node, _ in window():
            try:
                if (not role or node.get_role_name() == role) and (name in (node.get_name() or "") or name in words(node)):
                    return node
            except Exception:
                continue
        time.sleep(0.05)
    sys.exit("no %s named %r" % (role or "element", name))


def main():
    what = sys.argv[1]
    if what == "tree":
        for node, depth in window():
            try:
                print("  " * depth + describe(node))
            except Exception:
                continue
    elif what == "wait":
        print(describe(find(sys.argv[2], sys.argv[3])))
    elif what == "press":
        find("push button", sys.argv[2]).get_action_iface().do_action(0)
    elif what == "follow":
        find("link", sys.argv[2]).get_action_iface().do_action(0)
    elif what == "type":
        field = find("password text", sys.argv[2])
        field.get_component_iface().grab_focus()
        time.sleep(0.2)
        field.get_editable_text_iface().set_text_contents(sys.stdin.read())
    else:
        sys.exit(__doc__)


main()
