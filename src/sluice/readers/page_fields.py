"""What a page says of itself: title, author, date, language and address, each only where it is stated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urljoin, urlsplit

from sluice.readers.markup import Element

LONGEST_FIELD = 1000
"""Characters of one field; the rest is cut off."""

# Names of `meta` elements (name, property, itemprop), best first: Open Graph, Dublin Core, usage.
_TITLES = ("og:title", "dc.title", "dcterms.title", "twitter:title")
_AUTHORS = (
    "author",
    "dc.creator",
    "dcterms.creator",
    "article:author",
    "parsely-author",
    "byl",
    "sailthru.author",
)
_DATES = (
    "article:published_time", "datepublished", "dc.date.issued", "dcterms.issued", "dc.date", "dcterms.date",
    "dcterms.created", "parsely-pub-date", "sailthru.date", "date", "pubdate", "publish_date",
)  # fmt: skip
_LANGUAGE = re.compile(r"(?!utf-)[a-z]{2,3}(-[a-z0-9]{1,8})*", re.I)  # the form of BCP 47
_LANGUAGES = ("content-language", "dc.language", "dcterms.language", "og:locale")


def stated(root: Element) -> dict[str, str]:
    """`title`, `author`, `date` (of publication, as written), `language` and `url` (canonical) of a page."""
    meta = _meta(root)
    languages = (root.get("lang"), root.get("xml:lang"), *_of(meta, _LANGUAGES))
    found = {
        "title": _first((*_of(meta, _TITLES), *_texts(root, "title"))),
        "author": _first(author for author in _of(meta, _AUTHORS) if "://" not in author),
        "date": _first((*_of(meta, _DATES), *_published(root))),
        "language": next(
            filter(_LANGUAGE.fullmatch, (_plain(tag).replace("_", "-") for tag in languages)), ""
        ),
        "url": _canonical(root, meta),
    }
    return {name: value for name, value in found.items() if value}


def base_of(root: Element, url: str) -> str:
    """The absolute address to which a page's relative ones refer, "" where none is known.

    `url` is the page's own address: as it was fetched, or else as it states it.
    """
    base = next((e.get("href") for e in root.iter("base") if e.get("href")), "")
    joined = joined_to(url, base.strip()) if base else url
    return joined if is_web(joined) else url


def is_web(url: str) -> bool:
    """Whether it is an absolute http or https address."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def joined_to(base: str, address: str) -> str:
    """The address seen from `base`; as it is where that cannot be done."""
    try:
        return urljoin(base, address) if base else address
    except ValueError:
        return address


def _canonical(root: Element, meta: dict[str, str]) -> str:
    links = (e.get("href") for e in root.iter("link") if "canonical" in (e.get("rel") or "").lower().split())
    return next((url for url in (_plain(u) for u in (*links, meta.get("og:url"))) if is_web(url)), "")


def _meta(root: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in root.iter("meta"):
        name = (
            element.get("property")
            or element.get("name")
            or element.get("itemprop")
            or element.get("http-equiv")
        )
        value = _plain(element.get("content"))
        if name and value:
            found.setdefault(name.strip().lower(), value)
    return found


def _of(meta: dict[str, str], names: Iterable[str]) -> Iterator[str]:
    return (meta[name] for name in names if name in meta)


def _published(root: Element) -> Iterator[str]:
    for element in root.iter("time"):
        if element.get("itemprop") == "datePublished" or element.get("pubdate") is not None:
            yield element.get("datetime") or "".join(element.itertext())


def _texts(root: Element, tag: str) -> Iterator[str]:
    # A drawing has titles too.
    return ("".join(e.itertext()) for e in root.iter(tag) if next(e.iterancestors("svg"), None) is None)


def _first(values: Iterable[str | None]) -> str:
    return next((plain for plain in map(_plain, values) if plain), "")


def _plain(value: str | None) -> str:
    return " ".join((value or "").split())[:LONGEST_FIELD]
