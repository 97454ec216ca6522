"""What memories are made of by the dozen: people and services, what is known of each, and the questions for it."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of fact on a subject `s`: how it is stated, asked by its words, and asked by name and meaning."""

    states: tuple[str, ...]
    words: str
    both: str


PEOPLE = (
    "Anna Becker",
    "Tomás Rivera",
    "Priya Nair",
    "Liam Walsh",
    "Ingrid Solberg",
    "Kenji Mori",
    "Fatima Haddad",
    "Oleg Petrov",
    "Chloé Martin",
    "Samuel Osei",
    "Hannah Weiss",
    "Marco Bellini",
    "Yara Costa",
    "Piotr Zielinski",
    "Nadia Rahman",
    "Erik Lund",
    "Grace Kim",
    "Daniel Novak",
    "Amara Eze",
    "Julia Horvath",
    "Ben Carter",
    "Sofia Rossi",
    "Mateusz Krol",
    "Aisha Khan",
    "Victor Ionescu",
    "Emma Larsen",
    "Rafael Mendes",
    "Katya Orlova",
)
ABOUT = {
    "job": Kind(
        ("{s} works as a {v}.", "{s} is employed as a {v}."), "Who works as a {v}?", "What does {s} do for a living?"
    ),
    "city": Kind(
        ("{s} moved to {v} last spring.", "{s} has moved to {v}."),
        "Who moved to {v}?",
        "Which town is {s} living in these days?",
    ),
    "birthday": Kind(("{s}'s birthday is on {v}.",), "Whose birthday is on {v}?", "When was {s} born?"),
    "allergy": Kind(
        ("{s} is allergic to {v}.", "{s} has an allergy to {v}."),
        "Who is allergic to {v}?",
        "What must I not put into a meal for {s}?",
    ),
    "pet": Kind(("{s} has a {v}.", "{s} owns a {v}."), "Who has a {v}?", "Which animal lives with {s}?"),
    "phone": Kind(("{s}'s extension is {v}.",), "Whose extension is {v}?", "How do I ring {s} at the office?"),
    "hobby": Kind(("{s} spends weekends {v}.",), "Who spends weekends {v}?", "What does {s} do in leisure time?"),
    "spouse": Kind(("{s} is married to {v}.",), "Who is married to {v}?", "What is the name of {s}'s better half?"),
    "owes": Kind(("{s} lent the user {v}.",), "Who lent me {v}?", "What do I have to give back to {s}?"),
}
VALUES = {
    "job": "surgeon|tax inspector|stage designer|marine biologist|locksmith|data engineer|midwife|train driver|goldsmith|"
    "translator|beekeeper|paramedic|sound engineer|notary|judge|carpenter|optician|plumber|geologist|florist|pilot|"
    "cartographer|welder|librarian|sommelier|actuary|tailor|firefighter",
    "city": "Lisbon|Oslo|Ghent|Turin|Bristol|Gdynia|Porto|Malmö|Nantes|Zagreb|Bilbao|Leipzig|Cork|Tartu|Graz|Bergen|"
    "Split|Aarhus|Lyon|Seville|Basel|Tampere|Brno|Varna|Girona|Utrecht|Kaunas|Dundee",
    "birthday": "3 March|17 May|29 October|8 January|22 August|11 November|5 July|30 April|14 February|26 September|"
    "2 December|19 June|7 October|24 March|13 August|1 May|28 January|16 July|9 April|21 November|6 June|25 February|"
    "12 September|18 December|4 October|27 May|15 January|31 August",
    "allergy": "walnuts|shellfish|lupins|sesame|celery|strawberries|mustard|soy|kiwi|peaches|hazelnuts|eggs|mango|cashews|"
    "wheat|almonds|tomatoes|bananas|lentils|pistachios|garlic|avocado|oats|squid|peanuts|chickpeas|cinnamon|rye",
    "pet": "parrot called Rio|greyhound called Bolt|tortoise called Nero|cat called Miso|ferret called Zip|rabbit called Juniper|"
    "poodle called Brie|gecko called Pixel|hamster called Taco|beagle called Otis|canary called Lark|pony called Hazel|"
    "axolotl called Boba|terrier called Scout|goldfish called Neon|hedgehog called Thistle|corgi called Waffle|"
    "cockatoo called Opal|dachshund called Fritz|chinchilla called Ash|spaniel called Duke|snake called Vesper|"
    "goat called Clove|mastiff called Tank|budgie called Kiwi|whippet called Dash|iguana called Rex|donkey called Figaro",
    "hobby": "restoring old radios|rowing|baking rye bread|birdwatching|climbing|repairing clocks|painting miniatures|"
    "singing in a choir|sailing|foraging mushrooms|playing bridge|woodturning|salsa dancing|stargazing|fencing|kayaking|"
    "weaving|collecting stamps|breeding orchids|flying kites|brewing cider|skating|pottery|caving|knitting|juggling|"
    "surfing|archery",
    "spouse": "Ruth|Pablo|Meera|Aoife|Lars|Yumi|Karim|Vera|Luc|Abena|Jonas|Giulia|Caio|Ola|Imran|Sigrid|Min|Petra|Obi|"
    "Laszlo|Tess|Luca|Zofia|Bilal|Elena|Mads|Beatriz|Yuri",
    "owes": "a cordless drill|a tent|the blue suitcase|a waffle iron|200 euros|a sewing machine|a cookbook|a ladder|a snowboard|"
    "a camping stove|a violin bow|a pasta press|a projector|the chess clock|a raincoat|a bicycle pump|a soldering iron|"
    "a hand truck|a sleeping bag|a steam cleaner|a card table|a tripod|a pressure washer|a fondue set|a cello case|"
    "a car jack|a kayak paddle|a telescope",
}
SERVICES = (
    "billing",
    "ledger",
    "search",
    "checkout",
    "inventory",
    "notifier",
    "gatekeeper",
    "catalog",
    "payments",
    "shipping",
    "reports",
    "scheduler",
    "thumbnailer",
    "mailer",
    "audit",
    "profiles",
    "loyalty",
    "pricing",
    "returns",
    "translator",
    "geocoder",
    "recommender",
    "archiver",
    "importer",
)
RUNNING = {
    "port": Kind(
        ("The {s} service listens on port {v}.",), "What listens on port {v}?", "At which TCP number is {s} reachable?"
    ),
    "function": Kind(
        ("`{v}` in the {s} service validates what the client sends.",),
        "Which service has {other}?",
        "What checks the input of {s}?",
    ),
    "variable": Kind(
        ("Setting {v}=1 makes the {s} service log each request.",),
        "What does {v} do?",
        "How do I make {s} more verbose?",
    ),
    "error": Kind(
        ("Error {v} from {s} means that its disk quota is used up.",),
        "What does error {v} mean?",
        "What does {s} say when it runs out of space?",
    ),
    "database": Kind(
        ("The {s} service keeps its data in {v}.",),
        "Which service keeps its data in {v}?",
        "Where are the records of {s} stored?",
    ),
    "release": Kind(
        ("The {s} service is deployed by {v}.",),
        "What is deployed by {v}?",
        "How does a new version of {s} get to production?",
    ),
    "owner": Kind(
        ("Ask {v} when the {s} service pages at night.",),
        "Which service is {v} asked about?",
        "Who is on call for {s}?",
    ),
}
PEOPLE_ZH = (
    "张敏",
    "李强",
    "王芳",
    "刘洋",
    "陈静",
    "杨帆",
    "赵磊",
    "黄丽",
    "周杰",
    "吴昊",
    "徐薇",
    "孙涛",
    "马琳",
    "朱军",
    "胡蝶",
    "郭亮",
    "何雨",
    "高远",
    "林溪",
    "罗兰",
)
ABOUT_ZH = {
    "job": Kind(("{s}是一名{v}。", "{s}的职业是{v}。"), "谁是{v}？", "{s}靠什么谋生？"),
    "city": Kind(("{s}去年搬到了{v}。",), "谁搬到了{v}？", "{s}现在住在哪个城市？"),
    "birthday": Kind(("{s}的生日是{v}。",), "谁的生日是{v}？", "{s}是哪天出生的？"),
    "allergy": Kind(("{s}对{v}过敏。",), "谁对{v}过敏？", "请{s}吃饭要避开什么食物？"),
    "pet": Kind(("{s}养了一只{v}。",), "谁养了{v}？", "{s}家里有什么动物？"),
    "phone": Kind(("{s}的分机号是{v}。",), "分机号{v}是谁的？", "办公室里怎么给{s}打电话？"),
    "hobby": Kind(("{s}周末喜欢{v}。",), "谁周末喜欢{v}？", "{s}闲暇时做什么？"),
    "owes": Kind(("{s}借给用户{v}。",), "谁借给我{v}？", "我要还{s}什么东西？"),
}
VALUES_ZH = {
    "job": "外科医生|会计师|舞台设计师|律师|锁匠|数据工程师|助产士|火车司机|金匠|翻译|记者|急救员|录音师|公证员|法官|木匠|"
    "验光师|水管工|地质学家|花艺师",
    "city": "杭州|成都|青岛|昆明|西安|厦门|大连|苏州|长沙|武汉|桂林|哈尔滨|珠海|南宁|兰州|贵阳|沈阳|无锡|洛阳|海口",
    "birthday": "三月三日|五月十七日|十月二十九日|一月八日|八月二十二日|十一月十一日|七月五日|四月三十日|二月十四日|"
    "九月二十六日|十二月二日|六月十九日|十月七日|三月二十四日|八月十三日|五月一日|一月二十八日|七月十六日|四月九日|十一月二十一日",
    "allergy": "核桃|虾蟹|芝麻|芹菜|草莓|芥末|大豆|猕猴桃|桃子|榛子|鸡蛋|芒果|腰果|小麦|杏仁|番茄|香蕉|扁豆|开心果|大蒜",
    "pet": "鹦鹉|灵缇犬|乌龟|橘猫|雪貂|兔子|贵宾犬|壁虎|仓鼠|比格犬|金丝雀|小马|蝾螈|梗犬|金鱼|刺猬|柯基|八哥|腊肠犬|龙猫",
    "hobby": "修老收音机|划船|烤面包|观鸟|攀岩|修钟表|画油画|唱合唱|钓鱼|采蘑菇|打桥牌|做木工|跳探戈|看星星|击剑|划皮艇|"
    "织布|集邮|种兰花|放风筝",
    "owes": "一把电钻|一顶帐篷|蓝色行李箱|一台打印机|两百块钱|一台缝纫机|一本菜谱|一架梯子|一块滑雪板|一个炉子|一把二胡|"
    "一台投影仪|一副围棋|一件雨衣|一个打气筒|一把烙铁|一辆手推车|一个睡袋|一张折叠桌|一个三脚架",
}
SERVICES_ZH = (
    "计费系统",
    "搜索服务",
    "库存系统",
    "通知服务",
    "支付网关",
    "物流平台",
    "报表系统",
    "审计服务",
    "会员中心",
    "定价引擎",
)
RUNNING_ZH = {
    "port": Kind(("{s}监听端口{v}。",), "端口{v}是哪个系统？", "通过哪个TCP号码能访问{s}？"),
    "function": Kind(("{s}用{v}校验客户端的请求。",), "{other}属于哪个系统？", "{s}怎样检查输入？"),
    "error": Kind(("{s}的错误{v}表示磁盘配额用完。",), "错误{v}是什么意思？", "{s}空间不足时报什么？"),
    "database": Kind(("{s}的数据存放在{v}。",), "哪个系统的数据在{v}？", "{s}的记录保存在哪里？"),
    "owner": Kind(("{s}夜间报警时找{v}。",), "夜间报警找{v}的是哪个系统？", "{s}由谁值班？"),
}
VERBS = ("check", "parse", "verify", "load", "scan", "match", "decode", "guard")
NOUNS = ("Session", "Invoice", "Cart", "Token", "Quote", "Label", "Address", "Batch", "Voucher", "Header")
TAILS = ("Body", "Fields", "Signature", "Range", "Schema", "Limits", "Origin", "Digest")
STORES = ("PostgreSQL", "SQLite", "MariaDB", "Redis", "ClickHouse", "DuckDB")
TOOLS = ("Ansible", "Nomad", "a Makefile", "Helm", "Terraform", "a shell script", "Argo", "Jenkins")
LOGS = (
    "{day}: {a} and the user talked about {t} over lunch.",
    "{day}: the user read an article on {t}.",
    "{day}: {a} sent slides about {t}.",
    "{day}: the meeting about {t} was moved.",
    "{day}: the user asked about {t}.",
)
LOGS_ZH = (
    "{day}用户和{a}谈了{t}。",
    "{day}{a}发来了关于{t}的资料。",
    "{day}关于{t}的会议改期了。",
    "{day}用户读了一篇{t}的文章。",
)
TOPICS = (
    "heat pumps",
    "the school play",
    "tide tables",
    "solar panels",
    "the new printer",
    "pension plans",
    "rye prices",
    "city parking",
    "font licences",
    "the choir trip",
    "roof insulation",
    "battery recycling",
    "bus timetables",
    "museum passes",
    "water filters",
    "the spring fair",
)
TOPICS_ZH = (
    "热泵",
    "校庆演出",
    "潮汐表",
    "太阳能板",
    "新打印机",
    "养老金",
    "停车收费",
    "字体授权",
    "屋顶保温",
    "电池回收",
    "公交时刻",
    "春季集市",
)
MONTHS = ("January", "March", "April", "June", "July", "October", "December")
