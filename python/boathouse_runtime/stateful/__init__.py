"""Functions of the user's that remember something of each group: `applyInPandasWithState`, `transformWithState`.

The server sends the rows of some groups with what is remembered of them, and gets the functions' rows and what has
changed. `task.py` is the conversation, `group_state.py` and `processor.py` are the two kinds of functions, `variables.py`
is what the handle of a processor gives out, `values.py` says what values are as Arrow, `frames.py` what rows are as pandas.
"""
