"""What names or finds a person in a text, as patterns over folded text.

In: nothing. Out: patterns, each with the mark that takes the place of what it finds. They are
written for text as `scrub` folds it: half width, no invisible characters; those of `DIGITS` for
text in which every digit of any script, Chinese numerals too, is an ASCII one. They lean to taking
too much: a price of seven digits goes as a telephone number would.
"""

from __future__ import annotations

import re
from typing import Final

MENTION: Final = "[mention]"
NUMBER: Final = "[number]"
EMAIL: Final = "[e-mail]"
LINK: Final = "[link]"
ADDRESS: Final = "[address]"
CONTACT: Final = "[contact]"
IDENTIFIER: Final = "[id]"
NAME: Final = "[name]"
MARKS: Final = (MENTION, NUMBER, EMAIL, LINK, ADDRESS, CONTACT, IDENTIFIER, NAME)

Pattern = tuple[str, re.Pattern[str]]


def _found(mark: str, *parts: str, case: bool = False) -> Pattern:
    """A pattern put together from `parts`, whose letters are alike in both cases unless `case`."""
    return mark, re.compile("".join(parts), re.NOFLAG if case else re.IGNORECASE)


_HAN = r"\u3400-\u9fff"
_COUNT = r"[0-9十百千廿]"  # eighty-eight may be two numerals or three
_FREE = r"(?<![A-Za-z0-9])"  # \b knows no border between a Chinese and a Latin letter
_END = r"(?![A-Za-z0-9])"
_GAP = r"[\s\-‐‑‒–—―−.·•・_,，、/\\|()（）+*~'\"]"
_IS = r"\s{0,2}(?:[:=>]|是|为|為|-{1,2}>?)?\s{0,3}"
_NUMBERED = r"(?:账号|帐号|帳號|号码|號碼|号|號|id|群)?"
_HANDLE = r"[A-Za-z0-9][A-Za-z0-9_\-.]{3,31}"
_SERVICES = (
    r"微\s*信|薇\s*信|威\s*信|维\s*信|微\s*博|v\s*信|v\s*x|w\s*x|weixin|wechat|q\s*q|扣扣|企鹅"
    r"|电报|電報"
    r"|telegram|whats\s*app|skype|抖音|快手|小红书|小紅書|支付宝|支付寶|豆瓣|知乎|instagram"
    r"|facebook"
    r"|twitter|推特|脸书|臉書|tiktok|snapchat|discord|kakao(?:talk)?|公众号|公眾號|手机|手機"
    r"|电话|電話"
)
_LATIN_SERVICES = (
    r"tg|ig|fb|line|signal|threads|jabber|xmpp|matrix|session|uid|user\s?id|tel|phone|id"
)
_DEGREES = (
    r"[0-9]{1,3}\s?[°º]\s?(?:[0-9]{1,2}(?:\.[0-9]+)?\s?['′]?\s?)?(?:[0-9.]+\s?(?:[\"″]"
    r"|['′]{2})\s?)?[nsew]?"
)
_DECIMAL = r"[-+]?[0-9]{1,3}\.[0-9]{3,}\s?°?\s?[nsew]?"
_UNIT = r"(?:号|號|弄|栋|棟|幢|座|楼|樓|单元|單元|室|层|層|户|戶)"
_AREA = (
    r"(?:大道|马路|公路|胡同|小区|小區|社区|社區|新村|花园|花園|家园|公寓"
    r"|[路街巷弄里村屯组組镇鎮乡鄉苑坊])"
)
_STREET = r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|square|terrace)"

LONG_NUMBER: Final = re.compile(rf"(?:[A-Za-z]{{1,3}})?[0-9](?:{_GAP}{{0,3}}[0-9]){{6,}}[xX]?")
"""Seven digits or more with little between them, with the letters that belong to it."""
DATE: Final = re.compile(
    r"(?<![0-9])(?<![0-9][-./])(?:19|20)[0-9]{2}([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12][0-9]"
    r"|3[01])"
    r"(?:[ T,]{1,2}(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?)?(?![-./]?[0-9])"
)
"""A number that is exactly this stays."""

DIGITS: Final = (
    # A road or a village, and a number; the stair and the room behind it.
    _found(
        ADDRESS,
        rf"[{_HAN}0-9]{{0,16}}{_AREA}[{_HAN}]{{0,6}}?\s?{_COUNT}[0-9十百千廿\s\-]{{0,8}}{_UNIT}{{1,2}}",
        rf"(?:院?\s?[0-9A-Za-z十百千廿\-]{{1,8}}\s?{_UNIT}{{0,2}}){{0,5}}",
    ),
    _found(
        ADDRESS,
        r"[0-9A-Za-z]{1,4}\s?(?:栋|棟|幢|座|号楼|號樓)\s?[0-9A-Za-z]{0,4}\s?(?:单元"
        r"|單元)?\s?",
        rf"{_COUNT}{{1,5}}\s?{_UNIT}?",
    ),
    _found(
        ADDRESS,
        rf"{_FREE}[0-9]{{1,6}}[a-z]?,?\s+"
        rf"(?:[a-z][\w'-]*\.?\s+){{1,4}}{_STREET}{_END}\.?",
    ),
    _found(
        ADDRESS,
        r"(?:北纬|南纬|东经|西经|北緯|南緯|東經|西經)\s*[0-9]+"
        r"(?:[.°度分秒'′\"″\s]*[0-9]+)*[°度分秒'′\"″]?",
    ),
    _found(ADDRESS, _DEGREES),
    _found(ADDRESS, rf"{_DECIMAL}\s?[,、;/ ]\s?{_DECIMAL}"),
    _found(ADDRESS, r"(?:邮编|郵編|邮政编码|zip)\s*:?\s*[0-9]{4,6}"),
    # Papers: Hong Kong, Macao, Taiwan, passports, number plates.
    _found(IDENTIFIER, rf"{_FREE}[a-z]{{1,2}}\s?[0-9]{{6}}\s?\(?[0-9a]\)?"),
    _found(IDENTIFIER, rf"{_FREE}[a-z]{{1,2}}\s?[0-9]{{7,10}}"),
    _found(
        IDENTIFIER,
        r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]",
        rf"\s?[A-Z]\s?[·.\- ]?\s?[A-Z0-9]{{5,6}}{_END}",
        case=True,
    ),
    _found(IDENTIFIER, rf"{_FREE}[0-9a-f]{{2}}(?:[:-][0-9a-f]{{2}}){{5}}{_END}"),
    _found(IDENTIFIER, r"(?<![0-9])(?:[0-9]{1,3}\s?[.。·]\s?){3}[0-9]{1,3}(?![0-9])"),
    # "QQ 12345": a service, and whom one finds there.
    _found(CONTACT, rf"(?:{_SERVICES})\s?{_NUMBERED}{_IS}{_HANDLE}"),
    _found(
        CONTACT,
        rf"{_FREE}(?:{_LATIN_SERVICES})\s?{_NUMBERED}\s{{0,2}}(?:[:=#]|号|是)\s{{0,3}}",
        r"[a-z0-9][a-z0-9_\-.]{2,31}",
    ),
    _found(CONTACT, rf"[加+]\s?[我他她]?\s?[vq薇微威]\s{{0,2}}[:]?\s{{0,2}}{_HANDLE}"),
)
"""For text whose digits are all ASCII ones."""

_PATH = r"[^\s<>\"'，。；！？《》（）【】“”「」\[\]]"
_LABEL = r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?"
_DOT = r"\s?(?:\[\s?dot\s?\]|\(\s?dot\s?\)|\{\s?dot\s?\}|#dot#|点|點|。)\s?"
_AT = r"\s?(?:@|\[\s?at\s?\]|\(\s?at\s?\)|\{\s?at\s?\}|#at#|艾特)\s?"
_HAN_TLD = r"(?:中国|中國|公司|网络|網絡|网址|商城|我爱你|在线|中文网|集团|新闻|香港|台湾|台灣)"
_COMMON_TLD = r"(?:com|cn|net|org|me|io|app|xyz|top|cc|info|tw|hk|social|site|club|vip)"

WORDS: Final = (
    _found(LINK, rf"{_FREE}[a-z][a-z0-9+.\-]{{1,20}}\s?:\s?/\s?/\s?{_PATH}+"),
    _found(
        LINK,
        rf"{_FREE}(?:did|acct|mailto|tel|sip|xmpp|magnet|ipfs|tg|weixin|geo)"
        rf":{_PATH}{{3,}}",
    ),
    _found(
        EMAIL,
        rf"(?:[a-z0-9_.+\-]{{1,64}}|[{_HAN}]{{1,8}}){_AT}",
        rf"(?:[a-z0-9\-{_HAN}]{{1,63}}(?:\.|{_DOT})){{1,5}}(?:[a-z]{{2,24}}|{_HAN_TLD})",
    ),
    # Ids of Matrix and the fediverse, then any mention; also a name of several words in brackets.
    _found(
        MENTION,
        r"[@!#][\w.=\-/+]{1,64}[:@](?:[a-z0-9\-]{1,63}\.){1,8}[a-z0-9\-]{1,63}"
        r"(?::[0-9]+)?",
    ),
    _found(
        MENTION,
        r"(?:@|艾特)\s?(?:\[[^\]\n]{1,40}\]|[“\"'《【][^”\"'》】\n]{1,40}[”\"'》】]",
        r"|[\w·•.\-]{1,40})",
    ),
    _found(MENTION, r"(?<![A-Za-z0-9/])/?[ur]/[a-z0-9_\-]{3,24}"),
    _found(
        LINK,
        rf"(?<![A-Za-z0-9@])(?<![A-Za-z0-9]-)(?:{_LABEL}\.){{1,8}}(?:[a-z]{{2,24}}"
        rf"|xn--[a-z0-9\-]{{2,59}}){_END}",
        rf"(?::[0-9]{{1,5}})?(?:[/?#]{_PATH}*)?",
    ),
    _found(
        LINK,
        rf"[a-z0-9\-{_HAN}]{{1,20}}(?:\.[a-z0-9\-{_HAN}]{{1,20}}){{0,3}}\.{_HAN_TLD}"
        rf"(?:/{_PATH}*)?",
    ),
    _found(LINK, rf"{_FREE}(?:{_LABEL}{_DOT}){{1,5}}{_COMMON_TLD}{_END}(?:/{_PATH}*)?"),
    # Money without a bank (Bitcoin, Ethereum), keys of people (Nostr), accounts of banks (IBAN).
    _found(
        IDENTIFIER,
        rf"{_FREE}(?:bc1[ac-hj-np-z02-9]{{8,87}}|0x[0-9a-f]{{40}}"
        rf"|npub1[a-z0-9]{{50,}}){_END}",
    ),
    _found(
        IDENTIFIER,
        rf"{_FREE}[A-Z]{{2}}[0-9]{{2}}(?:\s?[A-Z0-9]{{4}}){{3,7}}"
        rf"(?:\s?[A-Z0-9]{{1,3}})?{_END}",
        case=True,
    ),
    # Opaque names that machines give: letters and three digits mixed, or long.
    _found(
        IDENTIFIER,
        rf"{_FREE}(?=(?:[a-z_\-]{{0,64}}[0-9]){{3}})(?=[0-9_\-]{{0,64}}[a-z])"
        rf"[a-z0-9_\-]{{7,}}",
    ),
    _found(IDENTIFIER, rf"{_FREE}[a-z0-9_]{{26,}}"),
    # Where somebody says to be.
    _found(
        ADDRESS,
        r"(?:📍|🏠|我在这里|我在這裡|显示地图|顯示地圖|定位|坐标|座標|地址|住址|家住"
        r"|住在)",
        r"\s?:?\s?[^\s,，。;；!！?？\[\]]{2,40}",
    ),
)
"""For folded text."""

IPV6: Final = re.compile(
    r"(?<![A-Za-z0-9:])(?:[0-9a-f]{0,4}:){2,7}(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-f]{0,4})"
    r"(?![A-Za-z0-9:])",
    re.IGNORECASE,
)
"""What may be an address: a time of day has colons, too, so its syntax is checked."""
