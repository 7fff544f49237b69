"""A tree that lies in memory: what reads a dataset may need nothing but the protocol."""

from oncovec.data.tree import Folder


class Memory:
    """Files by path; reading one of `broken` raises what is there."""

    def __init__(self, files, broken=None):
        self.files, self.broken = files, broken or {}

    @classmethod
    def of(cls, root):
        """The content of a folder."""
        return cls({path: (root / path).read_bytes() for path in Folder(root).paths()})

    def __str__(self):
        return "memory"

    def paths(self):
        return sorted({*self.files, *self.broken})

    def folders(self):
        return sorted({path.partition("/")[0] for path in self.paths() if "/" in path})

    def read(self, path):
        if path in self.broken:
            raise self.broken[path]
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path]

    def where(self, path):
        return f"memory:{path}"

    def problem(self, path):
        return "" if path in self.paths() else "is not there; paths are relative to memory"
