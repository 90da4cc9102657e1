"""Names of tags and words of class names as the kernels know them: tables of hashes, made once."""

from __future__ import annotations

import numpy as np

# -- tags -------------------------------------------------------------------------------------------------------------

TEXT = 0
UNKNOWN = 1
_INLINE = [
    "a",
    "abbr",
    "acronym",
    "audio",
    "b",
    "bdi",
    "bdo",
    "big",
    "button",
    "cite",
    "code",
    "data",
    "del",
    "dfn",
    "em",
    "font",
    "i",
    "img",
    "input",
    "ins",
    "kbd",
    "label",
    "mark",
    "meter",
    "nobr",
    "object",
    "output",
    "picture",
    "progress",
    "q",
    "rb",
    "rp",
    "rt",
    "rtc",
    "ruby",
    "s",
    "samp",
    "select",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "svg",
    "time",
    "tt",
    "u",
    "var",
    "video",
    "wbr",
    "math",
    "option",
    "canvas",
    "map",
    "area",
    "embed",
    "textarea",
]
_BLOCK = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "li",
    "listing",
    "main",
    "menu",
    "nav",
    "noscript",
    "ol",
    "optgroup",
    "p",
    "pre",
    "search",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
    "xmp",
    "br",
    "frameset",
    "iframe",
    "noframes",
    "template",
    "slot",
    "col",
    "colgroup",
]
_HEAD = [
    "head",
    "title",
    "meta",
    "link",
    "script",
    "style",
    "base",
    "noembed",
    "param",
    "source",
    "track",
    "frame",
    "plaintext",
]
TAGS = ("#text", "#unknown", *_INLINE, *_BLOCK, *_HEAD)
TAG = {name: number for number, name in enumerate(TAGS)}

VOID, RAW, BLOCK, INVISIBLE = 1, 2, 4, 8
_VOID = [
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "param",
    "source",
    "track",
    "wbr",
    "frame",
]
# Elements whose content the parser keeps as it stands, up to their closing tag.
_RAW = ["script", "style", "xmp", "iframe", "noembed", "noframes", "plaintext"]
# Elements no reader sees the text of. Forms' choices are no text either; <template> is seen where it is a shadow root.
_INVISIBLE = [
    "script",
    "style",
    "iframe",
    "noembed",
    "noframes",
    "svg",
    "canvas",
    "object",
    "audio",
    "video",
    "map",
    "select",
    "option",
    "optgroup",
    "textarea",
    "input",
    "head",
    "title",
    "meta",
    "link",
    "base",
    "template",
    "col",
    "colgroup",
    "rp",
    "rt",
    "rtc",
    "picture",
    "progress",
    "meter",
    "dialog",
]
_VISIBLE_AFTER_ALL = frozenset({"object", "audio", "video", "picture", "dialog"})


def _tag_properties() -> np.ndarray:
    properties = np.zeros(len(TAGS), np.uint8)
    for names, bit in ((_VOID, VOID), (_RAW, RAW), (_BLOCK, BLOCK), (_INVISIBLE, INVISIBLE)):
        for name in names:
            if bit != INVISIBLE or name not in _VISIBLE_AFTER_ALL:
                properties[TAG[name]] |= bit
    return properties


# uint8[tags]: VOID, RAW, BLOCK and INVISIBLE of each.
TAG_PROPERTIES = _tag_properties()

# -- words of class, id, role and itemprop ----------------------------------------------------------------------------

# What words in attributes say of an element, a bit each, in this order. German, French, Spanish, Italian, Portuguese,
# Dutch, Polish words stand beside English ones; sites in other languages write English or romanised names.
_WORDS = {
    "comment": "comment comments commentlist disqus respond kommentar kommentare commentaires comentarios commenti "
    "comentario comentarios reactie reacties komentarze discussion guestbook commentary livefyre",
    "navigation": "nav navi navigation navbar menu menus breadcrumb breadcrumbs topnav subnav mainnav sitenav submenu "
    "dropdown skip skiplink jump crumbs brotkrumen menubar topbar toolbar tabs tab navlinks sitemap hauptnavigation "
    "mega offcanvas drawer hamburger language languages switcher",
    "footer": "footer foot bottom colophon fusszeile pie footnav footernav sitefooter pagefooter footlinks",
    "header": "header masthead banner topper head sitehead branding logo kopf siteheader pageheader",
    "sidebar": "sidebar side aside rail sidebars seitenleiste widgets widget column rightcol leftcol rightcolumn right "
    "marginal secondary complementary lateral sb",
    "share": "share sharing social socials facebook twitter tweet whatsapp addthis sharedaddy pinterest teilen "
    "partager "
    "compartir sharebar sharethis addtoany shariff linkedin like likes follow followus socialmedia condividi",
    "related": "related recommend recommended recommendation recommendations similar more mehr readmore popular "
    "trending "
    "outbrain taboola verwandt verwandte relacionadas relacionados suggested youmaylike also latest recent mostread "
    "teaser teasers teaserlist linklist relatedposts jp yarpp promo crosslink further weitere",
    "byline": "author authors byline autor autoren auteur bio biography avatar profile vcard writer contributor "
    "authorbox reporter gravatar username userinfo poster postauthor postprofile signature contributors redakteur",
    "date": "date dateline published publish timestamp time meta datum updated pubdate postdate entrydate postmeta "
    "info "
    "metadata fecha publication posted created modified entrymeta articleinfo postinfo details",
    "newsletter": "newsletter subscribe subscription signup optin mailchimp abonnement abonnieren subscribers email "
    "mailinglist subscriber paywall piano register registration login signin donate donation membership abo offer",
    "cookie": "cookie cookies consent gdpr privacy ccpa cmp datenschutz onetrust legal disclaimer copyright impressum "
    "rights terms license imprint agb",
    "advertisement": "ad ads adv advert adsense advertisement advertising sponsor sponsored promo promotion werbung "
    "anzeige adbox adslot dfp publicidad publicite banner banners adcontainer affiliate cta shop buy product products",
    "tags": "tag tags category categories topics topic keywords kategorien schlagworte taxonomy tagcloud labels cat "
    "etiquetas taglist posttags entrytags catlinks filed",
    "popup": "popup modal overlay lightbox tooltip dialog toast notification alert interstitial popover notice",
    "pagination": "pagination pager paging pagenavi paginator next prev previous nextprev adjacent older newer pages "
    "postnav seiten blaettern",
    "caption": "caption captions credit credits copyright figcaption wp bildunterschrift legende source photographer "
    "imagecaption photo photocredit bildnachweis",
    "content": "content article entry post story body text main articlebody postbody entrycontent postcontent "
    "articletext maincontent prose inhalt beitrag artikel contenido contenu testo texto noticia articolo copy "
    "richtext hentry storybody mw markdown blog wiki page bodytext articlecontent readable paragraph abstract document",
    "title": "title headline heading titel titulo titre subtitle subheading kicker deck dek standfirst lead lede "
    "teaser "
    "intro summary excerpt description tagline",
    "post": "post posts message messages reply replies answer answers question postbody postcontent postmessage thread "
    "topic forum msg postrow bbp phpbb vbulletin",
    "hidden": "hidden hide invisible sr screen visuallyhidden screenreader print noprint collapsed",
    "gallery": "gallery slideshow slider carousel image images photo photos media thumbnail thumb thumbs video player "
    "swiper slick lightbox galerie bilder picture",
    "form": "form input search button btn field submit suche buscar recherche searchform controls action actions "
    "toolbar buttons edit rating ratings vote votes poll quiz print mailto report quote links postlinks permalink",
    "code": "highlight code syntax syntaxhighlighter prettyprint crayon codehilite source brush hljs listing "
    "sourcecode "
    "language",
    "contents": "toc contents tableofcontents inhaltsverzeichnis index sectionlinks",
    "footnote": "footnote footnotes reference references refs citation citations reflist endnotes fussnoten "
    "bibliography",
    "note": "note notes admonition warning tip tips hint important info callout box infobox sidenote aside alert",
    "mobile": "mobile phone xs handheld md sm lg desktop tablet",
    "expandable": "accordion collapse collapsible toggle panel faq expand expandable tabpanel spoiler tab togglable "
    "answer",
    "timeline": "list listing archive archives feed grid items item card cards results summaries index river stream",
    "outside": "gutter lineno linenos linenumbers linenumber lnum katex mathjax mjx mwe reflink editsection backref",
}
WORD_KINDS = tuple(_WORDS)
WORD = {name: 1 << number for number, name in enumerate(WORD_KINDS)}
# Bits of an element that no word says.
HIDDEN_BY_STYLE = 1 << 40
ARIA_HIDDEN = 1 << 41
ROLE_PANEL = 1 << 42
# Words that renderers of formulas, and pictures of formulas, have in their class names.
FORMULA = 1 << 43
_FORMULA_WORDS = ["katex", "mathjax", "mjx", "mjpage", "mwe", "latex", "tex", "math", "equation", "formula", "ltx"]


# FNV-1a, 64 bits (Fowler, Noll, Vo): names, words and texts of a page.
HASH_START = np.uint64(0xCBF29CE484222325)
HASH_PRIME = np.uint64(0x100000001B3)


def hash_name(name: str) -> int:
    """FNV-1a, 64 bits, of the lower-case UTF-8 bytes, as the kernel has it."""
    value = int(HASH_START)
    for byte in name.encode():
        value = ((value ^ byte) * int(HASH_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return value


def _table(entries: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Open addressing by the low bits: uint64[slots] hashes, 0 where empty, and int64[slots] values."""
    slots = 1 << (len(entries) * 4).bit_length()
    keys, values = np.zeros(slots, np.uint64), np.zeros(slots, np.int64)
    for name, value in entries.items():
        key = hash_name(name)
        at = key & (slots - 1)
        while keys[at]:
            at = (at + 1) & (slots - 1)
        keys[at], values[at] = key, value
    return keys, values


def _word_bits() -> dict[str, int]:
    bits: dict[str, int] = {}
    for kind, words in _WORDS.items():
        for word in words.split():
            bits[word] = bits.get(word, 0) | WORD[kind]
    for word in _FORMULA_WORDS:
        bits[word] = bits.get(word, 0) | FORMULA
    return bits


TAG_KEYS, TAG_VALUES = _table({name: number for name, number in TAG.items() if number > UNKNOWN})
WORD_KEYS, WORD_VALUES = _table(_word_bits())
ATTRIBUTES = {
    name: number
    for number, name in enumerate(
        ("class", "id", "role", "itemprop", "style", "hidden", "aria-hidden", "shadowrootmode", "data-testid"), 1
    )
}
ATTRIBUTE_KEYS, ATTRIBUTE_VALUES = _table(ATTRIBUTES)
