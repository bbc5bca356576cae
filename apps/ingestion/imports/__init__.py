"""Imports of studies: files → package → what is new, corrected or gone → Kafka → bronze, with the account of every row.

| module | changes when … |
|---|---|
| places, archive, incoming | files may come from elsewhere, or another kind of file is dangerous |
| reading | another form of files is understood |
| manifest | what counts as new, corrected, retracted changes |
| sending | broker or bronze change |
| profiles | the profile a finished study begins with changes |
| services | who may do what, and what is written down of it |
| report | the report's file changes |
"""
