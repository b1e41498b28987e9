"""Where the shards of an asset are computed: in this process, or as tasks of a Ray cluster.

`interface` says what an engine is, `settings` reads `data/compute.yaml`, and `engine` chooses by it. Assets do not know
which engine computes their shards. Only `cluster`, `tasks`, `shards` and `training` import Ray, and only where the
settings ask for it.
"""
