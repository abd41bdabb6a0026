"""Kinds of spellings in other scripts than Latin."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from random import Random

from tests.trust.kinds import Kind
from tests.trust.spelled import Pair, both_ways, changed, listed, spelled

_ARABIC = """
    كتاب مكتب مدرسة سيارة حديقة نافذة طاولة مفتاح قلم هاتف شارع مدينة سوق خبز حليب تفاح برتقال
    طبيب مهندس معلم مطار قطار سفينة جبل بحر نهر غابة سماء قمر شمس مطر ثلج عصفور حصان جمل أسد
    أرنب إبريق آلة أستاذ إجازة آسفي علي مصطفى مستشفى ليلى قهوة كرسي كأس
"""
_ARABIC_TEXTS = (
    "تحدثنا أمس طويلا عن {} في المساء. كان الجو باردا. ثم عدنا. تأخر الجميع.",
    "سألت مرتين عن {} هذا الأسبوع.",
    "وصلت رسالة حول {} قبل الظهر. لم يقرأها أحد بعد.",
)
_VOWELS = "\u064e\u064f\u0650\u0652"  # fatha, damma, kasra, sukun
_TATWEEL = "\u0640"


def _vowelled(random: Random, word: str) -> Pair:
    """With vowel signs behind some letters, and sometimes stretched."""
    letters = [
        letter + (random.choice(_VOWELS) if random.random() < 0.7 else "") for letter in word[:-1]
    ]
    letters[0] = word[0] + random.choice(_VOWELS)
    if random.random() < 0.2 and word[1] not in "اأإآدذرزوؤ":
        letters[1] += _TATWEEL
    return "".join(letters) + word[-1], word


_ARABIC_FORMS = str.maketrans("أإآىيكةه", "ااايیکهة")


def _other_letters(random: Random, word: str) -> Pair:
    """With letters that keyboards, carelessness and neighbours put for others."""
    return word, "".join(
        letter.translate(_ARABIC_FORMS)
        if letter in "أإآىيك" or (letter == "ة" and place == len(word) - 1)
        else letter
        for place, letter in enumerate(word)
    )


_ARABIC_LETTERS = """
    أحمد أمل أسد أرنب أستاذ أيمن أكرم إجازة إبريق إبراهيم إسلام إيمان آلة آسفي آدم آية مصطفى
    مستشفى ليلى منى هدى يحيى مدرسة سيارة حديقة نافذة طاولة قهوة غرفة ساعة شجرة وردة كتاب كرسي
    كأس علي محامي قاضي كلية بركة مكة سكين شبكة كعكة
"""

_PERSIAN = """
    می‌روم:میروم کتاب‌ها:کتابها خانه‌ام:خانهام نمی‌دانم:نمیدانم
    دانش‌آموز:دانشآموز سیب‌زمینی:سیبزمینی پیاده‌روی:پیادهروی
    دست‌نوشته:دستنوشته آب‌میوه:آبمیوه پیش‌بینی:پیشبینی
    گوش‌واره:گوشواره شب‌تاب:شبتاب گل‌فروش:گلفروش راه‌آهن:راهآهن
    خط‌کش:خطکش چای‌خانه:چایخانه ماهی‌گیر:ماهیگیر
    کار‌آموز:کارآموز نیم‌کره:نیمکره هم‌سفر:همسفر
    یخ‌چال:یخچال جا‌کلیدی:جاکلیدی پشت‌بام:پشتبام
    رود‌خانه:رودخانه بی‌صدا:بیصدا روان‌نویس:رواننویس
    کلاه‌دوز:کلاهدوز تخم‌مرغ:تخممرغ گاو‌صندوق:گاوصندوق
    خود‌نویس:خودنویس لاک‌پشت:لاکپشت شتر‌مرغ:شترمرغ
"""
_PERSIAN_TEXTS = (
    "دیروز درباره {} حرف زدیم. هوا سرد بود. بعد برگشتیم. همه دیر رسیدند.",
    "آنها این هفته دو بار از {} پرسیدند.",
)

_HEBREW = """
    שלום ספר ילד בית מים לחם שולחן חלון דלת רחוב עיר כלב חתול סוס פרח עץ ים הר שמש ירח גשם שלג
    רופא מורה תלמיד אוטו רכבת אוניה מטוס תפוח חלב ביצה מלך נסיך שיר ריקוד חבר משפחה עבודה חופש
"""
_HEBREW_TEXTS = (
    "אתמול דיברנו הרבה על {} בערב. היה קר בחוץ. אחר כך חזרנו. כולם איחרו.",
    "נועה שאלה פעמיים על {} השבוע.",
)
_POINTS = "\u05b0\u05b4\u05b5\u05b6\u05b7\u05b8\u05b9\u05bb\u05bc"


def _pointed(random: Random, word: str) -> Pair:
    """With points below and in some letters."""
    letters = [
        letter + (random.choice(_POINTS) if random.random() < 0.7 else "") for letter in word[1:]
    ]
    return word[0] + random.choice(_POINTS) + "".join(letters), word


KOREAN = """
    서울 부산 대구 학교 병원 시장 공원 도서관 우체국 은행 지하철 자전거 비행기 사과 포도 수박 김치
    냉장고 컴퓨터 전화기 안경 우산 신발 모자 가방 지갑 열쇠 창문 의자 책상 침대 거울 시계 달력 사진
    그림 피아노 바이올린 축구 농구 수영장 호수 바다 산책로 고양이 강아지 토끼 코끼리 호랑이 독수리
    간호사 변호사 소방관 요리사 할머니 삼촌
"""
KOREAN_TEXTS = (
    "어제 친구를 {} 만났다. 날씨가 추웠다. 우리는 오래 이야기했다. 집에는 늦게 들어왔다.",
    "민수가 {} 이야기를 꺼냈다. 모두 조용해졌다. 잠시 뒤 비가 그쳤다. 저녁은 밖에서 먹었다.",
    "오늘은 {} 특별했다. 아침부터 바빴다. 점심은 국수였다. 내일은 쉬기로 했다.",
)


def particle(random: Random, word: str) -> Pair:
    """A noun with a particle, as it stands in a sentence, and alone."""
    closed = (ord(word[-1]) - 0xAC00) % 28 != 0
    pairs = (("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("이랑", "랑"))
    alike = ("에서", "에", "의", "도", "까지", "부터", "에게", "만", "보다", "처럼", "에서는")
    behind = random.choice((*(pair[not closed] for pair in pairs), *alike))
    return word + behind, word


_DEVANAGARI = """
    हिन्दी:हिंदी अण्डा:अंडा गन्दा:गंदा पञ्जाब:पंजाब पम्प:पंप लम्बा:लंबा घण्टा:घंटा ठण्डा:ठंडा
    सुन्दर:सुंदर बन्दर:बंदर अन्दर:अंदर चन्दन:चंदन मन्दिर:मंदिर सङ्गीत:संगीत गङ्गा:गंगा रङ्ग:रंग
    पङ्खा:पंखा शङ्ख:शंख चञ्चल:चंचल कञ्चन:कंचन मञ्च:मंच डण्डा:डंडा झण्डा:झंडा मुम्बई:मुंबई
    सम्बन्ध:संबंध खम्भा:खंभा आनन्द:आनंद बसन्त:बसंत हेमन्त:हेमंत दाँत:दांत चाँद:चांद आँख:आंख
    साँप:सांप गाँव:गांव ज़रूरत:जरूरत ज़मीन:जमीन बाज़ार:बाजार फ़ोन:फोन कॉफ़ी:कॉफी क़लम:कलम
    ख़बर:खबर ग़ज़ल:गजल पहाड़:पहाड\u093c सड़क:सड\u093cक काग़ज़:कागज ताज़ा:ताजा
"""
_HINDI_TEXTS = (
    "कल हमने {} के बारे में बहुत बात की। मौसम ठीक था। फिर हम लौट आए। सब देर से पहुँचे।",
    "आशा ने इस हफ़्ते दो बार {} का नाम लिया।",
)

_GREEK = """
    Αθήνα Θεσσαλονίκη Πάτρα Ηράκλειο Λάρισα Βόλος Ιωάννινα Χανιά Ρόδος Κέρκυρα Μύκονος Σαντορίνη
    Νάξος Πάρος Σύρος Τήνος Άνδρος Λέσβος Χίος Σάμος Κως Κάλυμνος Πόρος Ύδρα Σπέτσες Αίγινα Ναύπλιο
    Σπάρτη Καλαμάτα Πύργος Κόρινθος Θήβα Λαμία Καβάλα Ξάνθη Δράμα Σέρρες Κιλκίς Έδεσσα Βέροια
"""
_GREEK_TEXTS = (
    "Χτες μιλήσαμε πολύ για {} το βράδυ. Έκανε κρύο. Μετά γυρίσαμε. Όλοι άργησαν.",
    "Η Άννα ρώτησε δύο φορές για {} αυτή την εβδομάδα.",
)


def _greek_cases(random: Random, word: str) -> Pair:
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if c != "\u0301")
    plain = unicodedata.normalize("NFC", plain)
    return word, random.choice((plain.upper(), plain.lower(), word.lower()))


_CYRILLIC = """
    ёлка:елка мёд:мед самолёт:самолет зелёный:зеленый актёр:актер Пётр:Петр звёзды:звезды
    вертолёт:вертолет счётчик:счетчик щётка:щетка котёнок:котенок телёнок:теленок осётр:осетр
    берёза:береза ковёр:ковер костёр:костер шофёр:шофер клёш:клеш тёща:теща пчёлы:пчелы
    орёл:орел козёл:козел лёд:лед чёрт:черт шёлк:шелк жёлудь:желудь пёс:пес крёстный:крестный
    дирижёр:дирижер монтёр:монтер гримёр:гример партнёр:партнер бельё:белье копьё:копье
    П'ятигорськ:П’ятигорськ сім'я:сім’я м'яч:м’яч дев'ять:дев’ять
"""
_CYRILLIC_TEXTS = (
    "Вчера мы долго говорили про слово «{}». Было холодно. Потом все ушли. Чай остыл.",
    "Анна два раза спросила: {}?",
)


def _korean(random: Random) -> Sequence[Pair]:
    return [particle(random, word) for word in KOREAN.split()]


SCRIPTS: tuple[Kind, ...] = (
    spelled("Arabic vowel signs", both_ways(changed(_ARABIC, _vowelled)), _ARABIC_TEXTS),
    spelled(
        "Arabic letters in other forms",
        both_ways(changed(_ARABIC_LETTERS, _other_letters)),
        _ARABIC_TEXTS,
    ),
    spelled("Persian joined words", listed(_PERSIAN), _PERSIAN_TEXTS),
    spelled("Hebrew points", both_ways(changed(_HEBREW, _pointed)), _HEBREW_TEXTS),
    spelled("Korean particles", _korean, KOREAN_TEXTS),
    spelled("Devanagari nukta and nasals", both_ways(listed(_DEVANAGARI)), _HINDI_TEXTS),
    spelled("Greek accents and capitals", both_ways(changed(_GREEK, _greek_cases)), _GREEK_TEXTS),
    spelled("Cyrillic ё and apostrophes", both_ways(listed(_CYRILLIC)), _CYRILLIC_TEXTS),
)
