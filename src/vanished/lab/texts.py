"""Posts that nobody wrote: titles and texts by topic, from a small grammar.

In: a random generator, a topic, a script. Out: a title and a text, in simplified or traditional
Chinese or in English. Places, organisations and events are invented; no person is named. Nothing
here knows the censor: its words are woven in by `weave`, which is told what to weave.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Script(StrEnum):
    SIMPLIFIED = "zh-Hans"
    TRADITIONAL = "zh-Hant"
    ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Topic:
    """What can be said about one thing. `share` is its part of all posts, before accounts lean."""

    name: str
    share: float
    subjects: tuple[str, ...]
    events: tuple[str, ...]
    remarks: tuple[str, ...]
    subjects_en: tuple[str, ...]
    events_en: tuple[str, ...]


def _words(joined: str) -> tuple[str, ...]:
    return tuple(joined.split("|"))


def _topic(name: str, share: float, *lists: str) -> Topic:
    subjects, events, remarks, subjects_en, events_en = map(_words, lists)
    return Topic(name, share, subjects, events, remarks, subjects_en, events_en)


TOPICS: tuple[Topic, ...] = (
    _topic(
        "food",
        0.16,
        "豆花铺|河边的面馆|早市的包子|那家烧饼店|凉茶摊|糯米团子|腌菜坊|夜宵街",
        "又排起了长队|涨了五毛钱|换了新招牌|只卖到中午|请街坊试吃|关门歇业三天|加了辣油|重新开张",
        "味道还是小时候的样子|老板娘记得每个熟客|面汤要趁热喝|下次带家里人来|配一碟酸萝卜正好",
        "the tofu stall|the noodle shop|the bakery by the gate|the tea cart",
        "has a queue again|closed for three days|raised its prices|changed its sign",
    ),
    _topic(
        "weather",
        0.13,
        "连绵的小雨|北风|大雾|头一场雪|闷热天|山里的雷雨|河面的薄冰|沙尘",
        "比预报早到了半天|让早班车晚点|停在城西不走|打湿了晒谷场|吹断了几根树枝|到傍晚才散",
        "出门记得带伞|菜价怕是要动一动|老人家的膝盖最先知道|屋檐下全是麻雀|被子又晒不成了",
        "the drizzle|the north wind|the fog|the first snow",
        "came half a day early|kept the buses late|would not leave the west side|lifted at dusk",
    ),
    _topic(
        "football",
        0.12,
        "青岚蓝鹭队|客队的门将|少年队|新来的边锋|主场的草皮|替补席|双河杯决赛",
        "补时丢了一球|换了三次阵型|点球全部罚进|下半场才醒过来|输得不冤|终于赢了一场",
        "看台上有人唱到散场|教练只说再练练|门票比去年便宜|裁判的哨子响得太早|下周还有一场硬仗",
        "the Herons|the visiting keeper|the youth side|the new winger",
        "lost it in stoppage time|changed shape three times|woke up after the break|won at last",
    ),
    _topic(
        "gadgets",
        0.11,
        "新款折叠手机|旧相机|会议室的投影仪|二手平板|耳机|智能门锁|充电宝|机械键盘",
        "更新之后耗电变快|维修只要半小时|屏幕边缘发绿|涨价之前卖光了|说明书印错一页|终于能离线用了",
        "参数好看不如手感好|先等等首批用户的反馈|包装盒比机器还重|旧的其实还能用|发票要留好",
        "the folding phone|an old camera|the second-hand tablet|the door lock",
        "drains fast after the update|was fixed in half an hour|sold out|works offline now",
    ),
    _topic(
        "travel",
        0.11,
        "白鹭河的渡船|双峰山的步道|老城墙|末班列车|海边民宿|青石巷|灯塔|茶园",
        "这个月恢复开放|周末要预约|清晨几乎没有人|修了新栏杆|改走东线|下午三点最好看",
        "走慢一点才看得见|照片拍不出那种安静|本地人会指一条近路|带够水|门口的猫不怕生",
        "the ferry|the ridge path|the old wall|the last train",
        "is open again this month|needs a booking at weekends|is empty at dawn|has new railings",
    ),
    _topic(
        "school",
        0.10,
        "三中的食堂|期中考试|社团招新|图书馆的晚班|宿舍的热水|毕业展|操场的灯",
        "推迟到下个星期|排队排到楼梯口|换了新的规矩|比往年更难|开放给附近居民|只剩最后两天",
        "学生们自己拟了一份建议|家长群里问了一夜|老师说会再商量|大家都盼着放假|名额其实不多",
        "the canteen|the mid-term exam|the library at night|the graduation show",
        "was put off a week|has new rules|is harder than before|is open to neighbours",
    ),
    _topic(
        "housing",
        0.08,
        "临江苑二期|老楼的电梯|物业的新合同|交房日期|地下车位|外墙的瓷砖|业主群",
        "又往后推了一季|还没有说法|停用了十二天|每平米多收两块|掉下来一片|开会到半夜",
        "合同里写得清清楚楚|住户只想要一个日期|保安换了三拨|有人把账目贴在门口|先别急着签字",
        "the second phase|the old lift|the new contract|the parking cellar",
        "is a season late|has been out for twelve days|costs more|was argued until midnight",
    ),
    _topic(
        "river",
        0.06,
        "白鹭河下游|三号排水口|取水站|河滩的鱼|化工园的围墙|水样|泡沫",
        "泛起一层白沫|夜里有刺鼻的味道|翻了一片肚皮|颜色一天三变|检测结果迟迟不公布|被栅栏围了起来",
        "井水先别喝|有人留了一瓶样品|环评报告找不到原件|孩子们不许再下河|电话打了七次没人接",
        "the lower river|outlet three|the water station|the foam",
        "smelled at night|turned white|was fenced off|has no published result",
    ),
    _topic(
        "wages",
        0.06,
        "砖厂的夜班工人|外卖站点|纺织三厂|工地的班组|保洁队|临时工的合同|年底的奖金",
        "三个月没有见到钱|在门口坐了一夜|收到一张白条|被要求签自愿书|换了老板不认旧账|只拿到一半",
        "账本上有每个人的手印|大家约好一起去问|仲裁要等四十天|家里等着交学费|说好的日期过了又过",
        "the brick works|the courier station|mill number three|the night crew",
        "saw no pay for three months|sat at the gate all night|got half|were told to sign",
    ),
    _topic(
        "clinic",
        0.045,
        "城北卫生院|挂号窗口|急诊走廊|一批退烧药|体检报告|护士站|救护车",
        "排到了马路对面|临时改成预约制|缺货超过一周|来得比平时慢|印错了日期|只留一个值班的",
        "老人不会用手机挂号|留给孩子的先别动|医生连着上了三个班|数字和看到的对不上|口罩又紧俏了",
        "the north clinic|the emergency corridor|the fever medicine|the night desk",
        "queued across the road|ran out for a week|came late|had one person on duty",
    ),
    _topic(
        "bridge",
        0.025,
        "青岚二桥|桥面的裂缝|垮塌的引桥|打捞队|停工的桥墩|事故通报|伤者家属",
        "半夜塌了一段|到天亮还没有名单|拉起了警戒线|和去年的检查说法不同|只准走单边|迟了两天才发出来",
        "水泥的标号有人拍过照|数字改了三次|家属在等一个说法|附近的探头都坏了|合格证是补的",
        "the second bridge|the crack in the deck|the fallen ramp|the accident notice",
        "fell at night|has no list of names|was cordoned off|came two days late",
    ),
)

PLACES = _words(
    "青岚|白鹭镇|双河口|石榴巷|北塘|临江|南屏|柳湾|东垭|砚台山|十里铺|梅溪|河西|新港|云头"
)
PLACES_EN = ("Qinglan", "Egret Town", "Two Rivers", "North Pond", "Willow Bay", "Ten Mile")
WHEN = _words("今天一早|昨晚|上周末|刚才|中午|这几天|天亮前|下班路上|前天傍晚|月初")
WHEN_EN = ("This morning", "Last night", "At noon", "Over the weekend", "Just now")
WHO = _words("邻居|卖菜的大姐|出租车司机|值班的人|隔壁桌|同事|房东|保安|一位读者|路过的学生")
REACTIONS = _words("在看|在拍照|在议论|等了很久|没有说话|先回去了|留下了电话|围着打听")
MEASURES = _words("第{n}天|第{n}次|{n}个人|{n}站外|{n}块钱|{n}分钟")

FRAMES = _words("有人提到{w}。|评论里都在说{w}。|{w}那边没有动静。|又听见{w}这个词。")
FRAMES_EN = ("Somebody mentioned {w}.", "The comments are about {w}.", "No news of {w}.")

NAME_HEADS = _words("青岚|白鹭|双河|北塘|临江|石榴|柳湾|南屏|梅溪|砚台|云头|新港")
NAME_TAILS = _words("早读|街角|夜话|手记|观察|茶座|周报|小站|电台|拾遗|见闻|邮差|笔录|灯火")

# Simplified to traditional, for the characters of this file and of the censor's words only.
_SIMPLIFIED = (
    "业东丢两个临书仪们会伞伤关写决凉刚别动医单卖卫参双发变叠号响团园围图场块垭墙够头奖学宝实对将尘层属岚师带开张录户护报拟拨捞换摊数断旧时条来栅"
    "标栏树样桥检楼毕汤没测涨湾湿滩灯点烧热猫环电盖盘着砖砚笔签紧约纺线练组织终结给维绵绿缘缝罚药萝蓝补装见观规认让议记许论证评诊试话说请读账货贴"
    "费赛赢车输边过还这进连迟遗邮邻钟钱铁铺锁锋错键镇长门问闷闻队阵难雾静页预颜额风饼馆馈马鱼鹭现转价里几后云体晒闸鹤谈广离码总浆听词盐册"
)
_TRADITIONAL = (
    "業東丟兩個臨書儀們會傘傷關寫決涼剛別動醫單賣衛參雙發變疊號響團園圍圖場塊埡牆夠頭獎學寶實對將塵層屬嵐師帶開張錄戶護報擬撥撈換攤數斷舊時條來柵"
    "標欄樹樣橋檢樓畢湯沒測漲灣濕灘燈點燒熱貓環電蓋盤著磚硯筆簽緊約紡線練組織終結給維綿綠緣縫罰藥蘿藍補裝見觀規認讓議記許論證評診試話說請讀賬貨貼"
    "費賽贏車輸邊過還這進連遲遺郵鄰鐘錢鐵鋪鎖鋒錯鍵鎮長門問悶聞隊陣難霧靜頁預顏額風餅館饋馬魚鷺現轉價裡幾後雲體曬閘鶴談廣離碼總漿聽詞鹽冊"
)
_TO_TRADITIONAL = str.maketrans(_SIMPLIFIED, _TRADITIONAL)


def to_traditional(text: str) -> str:
    """`text` in traditional characters, as far as this file's vocabulary goes."""
    return text.translate(_TO_TRADITIONAL)


def pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    """One of `choices`, all alike."""
    return choices[int(rng.integers(len(choices)))]


def compose(rng: np.random.Generator, topic: Topic, script: Script) -> tuple[str, str]:
    """A title and a text of one to three paragraphs, joined by newlines."""
    if script is Script.ENGLISH:
        return _english(rng, topic)
    place, subject = pick(rng, PLACES), pick(rng, topic.subjects)
    title = f"{place}：{subject}{pick(rng, topic.events)}"
    sentences = [
        f"{pick(rng, WHEN)}，{place}的{subject}{pick(rng, topic.events)}。",
        f"{pick(rng, WHO)}说，{pick(rng, topic.remarks)}。",
        f"{_measure(rng)}，{pick(rng, topic.subjects)}{pick(rng, topic.events)}。",
        f"现场有{rng.integers(2, 400)}个人{pick(rng, REACTIONS)}，{pick(rng, topic.remarks)}。",
        f"{pick(rng, PLACES)}那边也有消息：{pick(rng, topic.subjects)}{pick(rng, topic.events)}。",
        f"{pick(rng, WHEN)}再去看，{_measure(rng)}，{pick(rng, topic.remarks)}。",
    ]
    chosen = [sentences[0], *_some(rng, sentences[1:], 1, 4)]
    return _written(title, script), _written(_paragraphs(rng, chosen, ""), script)


def _english(rng: np.random.Generator, topic: Topic) -> tuple[str, str]:
    place, subject = pick(rng, PLACES_EN), pick(rng, topic.subjects_en)
    title = f"{place}: {subject} {pick(rng, topic.events_en)}"
    n = int(rng.integers(2, 400))
    sentences = [
        f"{pick(rng, WHEN_EN)} {subject} in {place} {pick(rng, topic.events_en)}.",
        f"{n} people stood around and said little.",
        f"A neighbour says {pick(rng, topic.subjects_en)} {pick(rng, topic.events_en)}.",
        f"It is the same in {pick(rng, PLACES_EN)}, {n % 40 + 2} minutes away.",
        f"{pick(rng, WHEN_EN)} somebody took {n % 9 + 2} pictures.",
    ]
    return title, _paragraphs(rng, [sentences[0], *_some(rng, sentences[1:], 1, 3)], " ")


def weave(rng: np.random.Generator, text: str, words: tuple[str, ...], script: Script) -> str:
    """`text` with each of `words` in a sentence of its own at the end, as `script` writes it."""
    frames = FRAMES_EN if script is Script.ENGLISH else FRAMES
    added = [_written(pick(rng, frames).replace("{w}", word), script) for word in words]
    return text + "\n" + (" " if script is Script.ENGLISH else "").join(added)


def update(rng: np.random.Generator, text: str, script: Script) -> str:
    """`text` as its author left it after an edit."""
    if script is Script.ENGLISH:
        return f"{text}\nUpdate: {pick(rng, WHEN_EN).lower()} nothing had changed."
    return text + "\n" + _written(f"更新：{pick(rng, WHEN)}，{_measure(rng)}，还没有变化。", script)


def quoting(rng: np.random.Generator, notice: str) -> tuple[str, str]:
    """A title and a text that quote a removal notice, as people do whose link has died."""
    asked = f"昨晚收藏的文章，{pick(rng, WHEN)}打开只看到“{notice}”。\n{pick(rng, WHO)}说也是这样。"
    titles = (notice, f"打开就是“{notice}”", "又一篇看不到了")
    marked = f'<div class="error-block"><p>{notice}</p></div>\n网页里写的就是上面这一行。'
    return pick(rng, titles), asked if rng.random() < 0.6 else marked


def comment(rng: np.random.Generator, script: Script) -> tuple[str, str]:
    """Title and text of one who repeats another's post."""
    if script is Script.ENGLISH:
        return f"Shared from {pick(rng, PLACES_EN)}", f"{pick(rng, WHEN_EN)}: worth reading."
    text = f"{pick(rng, WHO)}转来的，{pick(rng, WHEN)}看了{_measure(rng)}，{pick(rng, REACTIONS)}。"
    return _written(f"转自{pick(rng, PLACES)}", script), _written(text, script)


def account_name(rng: np.random.Generator) -> str:
    """A name of an account; two draws may be the same."""
    return pick(rng, NAME_HEADS) + pick(rng, NAME_TAILS)


def _written(text: str, script: Script) -> str:
    return to_traditional(text) if script is Script.TRADITIONAL else text


def _measure(rng: np.random.Generator) -> str:
    return pick(rng, MEASURES).format(n=int(rng.integers(2, 90)))


def _some(rng: np.random.Generator, items: list[str], least: int, most: int) -> list[str]:
    count = int(rng.integers(least, most + 1))
    return [items[i] for i in sorted(rng.permutation(len(items))[:count].tolist())]


def _paragraphs(rng: np.random.Generator, sentences: list[str], between: str) -> str:
    """The sentences in order, cut into paragraphs at random."""
    text = sentences[0]
    for sentence in sentences[1:]:
        text += ("\n" if rng.random() < 0.3 else between) + sentence
    return text
