"""People one of whose photos is broken."""

import dataclasses

BROKEN = {
    "cut": lambda whole: whole[:300],
    "empty": lambda whole: b"",
    "text": lambda whole: b"no photo at all",
    # A header that claims 100 megapixels must not be believed by allocating them.
    "100 megapixels": lambda whole: whole[:16] + (10_000).to_bytes(4) * 2 + whole[24:],
}


def broken(people, photo, content):
    """The people with the fourth one's photo replaced by a file of this content."""
    photo.write_bytes(content)
    bad = dataclasses.replace(people.records[3], image=photo)
    return dataclasses.replace(people, records=[*people.records[:3], bad, *people.records[4:]])
