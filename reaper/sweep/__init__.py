"""Looks at the whole fleet and acts on it.

observe -> Facts -> decide -> act -> Report: `sweeper` observes (with `cron`), `policy.facts` and `policy.rules` decide
(`probe` puts both together for one family), `start` and `stop` act, `report` holds what came of it.
"""
