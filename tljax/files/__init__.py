"""Files on disk, whole: written in one piece, locked, downloaded, checked."""
