"""`boathouse pipeline`: loads a pipeline's files, sends its definitions to the server, runs it and shows how it goes.

`project` finds the files, `loading` executes them, `registration` speaks to the server, `progress` and `report` draw.
Run as `python -m boathouse_runtime.pipeline run|dry-run|validate PATH [--full-refresh a,b ...]`.
"""
