"""Function words of languages, and which language a text in Latin letters is in.

A function word says nothing about what a sentence is about. English ones are no terms at
all (`words.STOP_WORDS`); those of other languages are left out of queries in their
language, and tell which language a text is in. All words are folded (`folding.fold`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from service.search.folding import fold

ENGLISH = "english"

_ENGLISH = """
    a about after all also am an and any are as at be because been before being but by ca can
    could did do does doing for from had has have having he her here hers him his how i if in
    into is it its just like may me might more most my no not of off on once only or other our
    ours out over own s same shall she should so some such t than that the their theirs them
    then there these they this those through to too under until up us very was we were what when
    where which while who whom whose why will with wo would you your yours
"""
STOP_WORDS = frozenset(_ENGLISH.split())
"""English words that say nothing about what a sentence is about."""

LATIN = {
    "german": """
        aber als am an auch auf aus bei bin bis das dass dem den der des die dies diese dir dich du
        ein eine einem einen einer eines er es euch fur haben habe hat hatte hier ich ihm ihn ihr
        ihre ihren im in ist ja kann kein keine man mein meine meinem meinen meiner mich mir mit
        muss nach nicht noch nur ob oder ohne schon sehr sein seine seinen seit sich sie sind so
        uber um und uns unser unsere vom von vor wann war waren warum was welche welcher welches
        wem wen wenn wer werden wie wieder wir wird wo wohin woher zu zum zur zwischen
    """,
    "french": """
        a au aux avec ce cela ces cet cette chez comme comment dans de des du elle elles en entre
        est et etait etre eu eux fait ici il ils je la le les leur leurs lui ma mais me meme mes moi
        mon ne nos notre nous on ont ou par pas plus pour pourquoi qu quand que quel quelle quelles
        quels qui quoi sa sans se ses si son sont sur ta te tes toi ton tres tu un une va vers vos
        votre vous y combien depuis aussi
    """,
    "spanish": """
        a al algo como con cual cuales cuando cuanto cuanta cuantos de del desde donde dos e el ella
        ellas ellos en entre era es esa ese eso esta estaba estan este esto fue ha hace hasta hay he
        la las le les lo los mas me mi mis muy nada ni no nos nuestra nuestro o para pero por porque
        que quien se sera si sin sobre son su sus tambien te tiene todo tu tus un una unas unos y ya
        yo
    """,
    "italian": """
        a ad ai al alla alle allo anche c che chi ci come con cosa cui da dai dal dalla de dei del
        della delle dello di dov dove e ed era gli ha hai ho i il in io la le lei li lo loro lui ma
        mi mia mie mio miei ne nei nel nella noi non o ogni per perche piu qual quale quali quando
        quanto quanti quello questa questo se sei si sono sta su sua sue sul sulla suo suoi tra tu
        tua tuo un una uno vi voi
    """,
    "portuguese": """
        a ao aos as ate com como da das de dela dele depois do dos e ela elas ele eles em entre era
        essa esse esta este eu foi ha isso ja la lhe mais mas me meu meus minha minhas muito na nao
        nas nem no nos nossa nosso num numa o onde os ou para pela pelas pelo pelos por porque qual
        quais quando quanto quantos que quem se sem ser seu seus so sua suas tem ter um uma voce
    """,
    "dutch": """
        aan al als bij dan dat de den deze die dit door een en er had heb hebben heeft het hij hoe
        hun ik in is je jij jouw kan maar me met mij mijn moet na naar niet nog of om ons onze ook
        op over te toen tot u uit uw van veel voor waar waarom wanneer want waren was wat we welk
        welke wie wij wordt zal ze zich zij zijn zo
    """,
    "swedish": """
        att av blev bli da de dem den denna deras dess det detta dig din dina ditt du efter eller en
        ett for fran ha hade han hans har hon hur hos i ifran in inte jag kan man med mellan men mig
        min mina mitt mot mycket nar ni nu och om pa sa sig sin sina som till under upp ut utan vad
        var vara varfor vart vem vi vid vilka vilken vilket
    """,
    "danish": """
        af at blev da de dem den der deres det dig din dit du efter eller en er et for fra ham han
        hans har havde hun hvad hvem hvilken hvor hvorfor hvornar hvordan i ikke ind jeg kan man med
        meget mellem men mig min mit mod ned noget nu og om op os over pa sa sig sin sit skal som
        til ud under var ved vi vil
    """,
    "norwegian": """
        av at ble da de dem den der deres det deg din ditt du etter eller en er et for fra ham han
        hans har hadde hun hva hvem hvilken hvor hvorfor nar hvordan i ikke inn jeg kan man med
        mye mellom men meg min mitt mot ned noe na og om opp oss over pa sa seg sin sitt skal som
        til ut under var ved vi vil
    """,
    "finnish": """
        ei eika etta han han hanen hanella hanelle he ja jo joka jos kanssa koska kuin kuinka kuka
        kun kylla lahella me mika mikä mina minka minun missa mista mita miten mitka mihin milloin
        monta mutta myos ne niin nyt oli olen olemme on ovat paljonko se sen siella sina sinun
        tama taman te tai vai vain
    """,
    "polish": """
        a aby ale bez bo by byc byl byla bylo co czy czemu dla do gdy gdzie go i ich ile im
        jak jaka jaki jakie jako jego jej jest jestem juz kiedy kogo komu kto ktora ktory
        ktore ma mam mi mnie moj moja moje mojego mojej na nad nam nas nie o od on ona oni
        po pod przed przez przy sa sie swoja swoj ta tak tam te tego ten to tu ty u w we z
        za ze
    """,
    "czech": """
        a aby ale ani az bez bude by byl byla bylo co do ho i ja jak jaka jake jaky je jeho jej jeji
        jen jenz jeste ji jich jsem jsme jsou k kam kde kdo kdy kolik ktera ktere ktery ma mam me mi
        mit mne muj moje na nad nam nas ne nebo nez o od on ona oni po pod podle pro proc proto pred
        pri s se si sve svuj ta tak take tam te to tu ty u uz v ve z za ze
    """,
    "hungarian": """
        a az azt be csak de e egy el es ez ezt fel hany hanyas hogy hol honnan hova is itt ki kik le
        lesz ma mar meg mely mert mi miert mikor milyen mit mint mindig mivel nagyon ne nem nincs o
        ott s szamara van vagy vannak volt
    """,
    "romanian": """
        a acest aceasta ai al ale am ar are as asta au ca care cat cate ce cel cele cine cu cum cand
        da dar de din dupa e ea ei el este eu fi fost i iar il in la le lui mai mea mei meu mi ne nu
        o pe pentru prin sa sau se si sunt sub ta tu un una unde unei unui va
    """,
    "turkish": """
        ama bana ben beni benim bir biz bizim bu bunu cok da daha de degil diye en gibi hangi hem
        her hic icin ile ise kac kadar ki kim kimin mi mu nasil ne neden nerede nereden nereye o
        olan olarak oldu onu onun sen senin siz su var ve veya ya yok zaman
    """,
    "vietnamese": """
        anh ai bao ban bi cac cai cho chua co con cua cung da dang dau de den duoc em gi hay khi
        khong la lam luc ma minh moi mot nao nay nguoi nhu nhung o ra rat roi sao se ta tai thi toi
        tren trong tu va vao ve voi vi
    """,
    "indonesian": """
        ada adalah aku akan anda apa apakah atau bagaimana bahwa banyak berapa bisa dalam dan dari
        dengan di dia dia hanya harus ini itu juga kami kamu kapan karena ke kita lagi mana mengapa
        mereka oleh pada sangat saya sebuah seperti siapa sudah tahun tetapi tidak untuk yang
    """,
}
"""Languages in Latin letters by the names of their stemmers, English apart."""

_OTHERS = """
    а без был была были было быть в вам вас во вот все всех вы где да для до его ее если есть
    еще же
    за и из или им их к как какая какие какой какую ко когда кого кому которая который которые
    кто
    куда ли меня мне мой моя мое мои мы на над нам нас наш не него нет ни но ну о об он она
    они от
    откуда по под почему при про с сколько со так там то тоже только ты у уже чего чем что
    чтобы
    эта эти это этот я свой своя свои своей своего был
    або але б би бо був була були було вже від він вона вони воно де для до є ж з зі й його її
    коли
    куди мене мені ми мій моя мої на нас наш не ні по при про скільки та так там те ти то тому
    у
    хто це цей ця чи чому що щоб який яка яке які як
    ако бе бил била било бих във го да до е едно един една за заради защо и или им има как
    каква
    какви какво какъв като ки кога когато кой коя кое кои колко къде ли ме ми моя моят моите
    на не
    него ние но от по под при с са се си си съм със така тази там те ти това този тя у че ще
    а ако али би био била било да где да ли за и из или их ја је јесам како када кад ко код
    која који
    које који колико ми мој моја моје на не него о од он она они по под са се су та тај то у
    шта што
    και να το τα ο η οι τον την του της των στο στη στην στον στα στις σε με για απο που πως
    ποτε
    ποιος ποια ποιο ποιον τι ειναι ηταν εχει εχω εγω μου σου μας σας δεν θα αν αλλα ενα μια
    ενας ως
    κατα πριν μετα πολυ ποσο ποσα ποσες οτι αυτο αυτη αυτος τους τις πρεπει ειμαι
    من في على الي عن مع هذا هذه ذلك تلك التي الذي ما ماذا متي اين كيف لماذا كم هل هو هي هم نحن
    انا
    انت كان كانت يكون لم لن لا قد كل بعد قبل عند او ثم ان اي يا به له لها فيه فيها منه و ف لي
    عندي
    از به با در را كه اين ان است بود شد مي ها هاي براي تا بر هم يك من تو او ما شما كجا كي چه
    چرا
    چگونه چند كدام ايا اند هست نيست بودن دارد دارم داشت كرد كردن كنم كند شده پس نه
    كا كي كو كے مين سي سے ني نے پر هي ہے هے تها تهي تهے هين اور يه وه كيا كهان كب كون كيون كس
    میرا ميرا ميري ميرے اپنا اپني اپنے هو گيا گئي كر ايك بهي سا
    של את על עם אל כי לא כן גם או אם מה מי איפה היכן מתי למה מדוע איך כמה אני אתה את הוא היא
    אנחנו
    הם הן זה זאת זו שלי שלך שלו שלה שלנו היה היתה הייתה היו יש אין רק עד מן כל אחרי לפני לי לו
    לה
    के का की को में से ने पर है हैं था थी थे और या यह वह ये वे क्या कहां कहाँ कब कौन क्यों
    कैसे कितना
    कितने कितनी किस किसने मेरा मेरी मेरे मैं हम तुम आप उस उसका उसकी उसके अपना अपनी अपने भी ही
    तो एक हो
    रहा रही रहे लिए साथ तक कर किया गया गई नहीं मुझे हूं हमारा हमारी हमारे
    आहे आहेत आणि मी तू तो ती ते आम्ही काय कधी कुठे कोण का कसे किती माझा माझी माझे माझ्या होता
    होती होते ला
    ने चा ची चे च्या या हा ही हे एक आमचा आमची आमचे साठी
    এ এই ও ওর তার আমার আমি আমরা তুমি আপনি সে তারা কি কী কে কোথায় কখন কেন কেমন কত কোন এবং থেকে
    জন্য সাথে
    একটি একটা হয় ছিল আছে করে করেছে না তো আমাদের তাদের যে যা
    ਦਾ ਦੇ ਦੀ ਨੂੰ ਵਿੱਚ ਤੋਂ ਨੇ ਤੇ ਅਤੇ ਹੈ ਹਨ ਸੀ ਸਨ ਕੀ ਕਿੱਥੇ ਕਦੋਂ ਕੌਣ ਕਿਉਂ ਕਿਵੇਂ ਮੇਰਾ ਮੇਰੀ ਮੇਰੇ
    ਮੈਂ ਅਸੀਂ ਉਹ ਇਹ ਇੱਕ ਨਾਲ
    ਲਈ ਵੀ ਹੀ ਸਾਡਾ ਸਾਡੀ ਸਾਡੇ
    என் நான் நாம் நாங்கள் நீ அவன் அவள் அவர் அது இது என்ன எங்கே எப்போது யார் ஏன் எப்படி எத்தனை
    எந்த ஒரு
    மற்றும் உள்ளது இருந்தது ஆகும் எங்கள் எனது என்று
    ఏమి ఏం ఏది ఏ ఎవరు ఎక్కడ ఎప్పుడు ఎందుకు ఎలా ఎంత ఎన్ని నా నేను నాకు మా మేము మాకు నీ నువ్వు మీ మీరు అతను ఆమె
    అది ఇది ఆ ఈ వారు మరియు కానీ ఉంది ఉన్నాయి ఉన్నారు కాదు లేదు చేస్తారు చేసింది ఒక తో లో కి కు
    ಏನು ಯಾರು ಎಲ್ಲಿ ಯಾವಾಗ ಏಕೆ ಹೇಗೆ ಎಷ್ಟು ನನ್ನ ನಾನು ನಮ್ಮ ನಾವು ನಿಮ್ಮ ನೀವು ಅವನು ಅವಳು
    ಅದು ಇದು ಆ ಈ ಮತ್ತು ಆದರೆ ಇದೆ ಇಲ್ಲ ಒಂದು
    എന്ത് ആര് എവിടെ എപ്പോൾ എന്തിന് എങ്ങനെ എത്ര എന്റെ ഞാൻ ഞങ്ങളുടെ ഞങ്ങൾ നിങ്ങളുടെ
    അവൻ അവൾ അത് ഇത് ആ ഈ ഒരു ആണ് ഇല്ല
    શું કોણ ક્યાં ક્યારે કેમ કેવી રીતે કેટલા મારો મારી મારું હું
    અમે અમારા તે આ અને પણ છે હતું હતો નથી એક ના ની નું નો માં થી
    და არის იყო რომ თუ არ ეს ის მე შენ ჩვენ თქვენ ჩემი ჩემს შენი მისი ჩვენი რა ვინ სად როდის
    რატომ როგორ
    რამდენი რომელი რომელ ერთი მაგრამ ან ძალიან
    և ու եւ է են էր էին եմ ես մենք դու նա նրա իմ մեր քո ինչ ով որտեղ երբ ինչու ինչպես քանի որ
    որը մեկ մի
    համար հետ ից մեջ ոչ բայց
    ነው ነበር እና ምን የት መቼ ማን ለምን እንዴት ስንት እኔ እኛ አንተ እሱ እሷ የእኔ የእኛ ወደ ላይ ውስጥ ናቸው አለ
"""
OTHERS = frozenset(fold(_OTHERS).split())
"""Function words of languages in other alphabets. No two of these alphabets share a word."""

_SETS = {language: frozenset(words.split()) for language, words in LATIN.items()}
_ANY = STOP_WORDS.union(*_SETS.values())
_NONE: frozenset[str] = frozenset()

_LETTERS = {
    "german": "ßäöü",
    "french": "œçèêàâîûùëïé",
    "spanish": "ñ¿¡áóí",
    "italian": "òìùàèé",
    "portuguese": "ãõçâêáó",
    "dutch": "ëï",
    "swedish": "åäö",
    "danish": "æøå",
    "norwegian": "æøå",
    "finnish": "äö",
    "polish": "łąęśźżćńó",
    "czech": "řůěňšžčýáí",
    "hungarian": "őűáéóöü",
    "romanian": "țșăţşâî",
    "turkish": "ğşıçöü",
    "vietnamese": "ơưđăâêôạảấầẩậắằặẹẻẽếềểễệỉịọỏốồổộớờởợụủứừửữựỳỹáàéèíìóòúù",
}
_BY_LETTER: dict[str, list[str]] = {}
for _language, _letters in _LETTERS.items():
    for _letter in _letters:
        _BY_LETTER.setdefault(_letter, []).append(_language)

_MOST = 3


def languages_of(text: str, words: Iterable[str]) -> tuple[str, ...]:
    """The languages that a text in Latin letters may be in.

    Function words and letters that few languages have count alike.

    Args:
        text: As it was written.
        words: Its folded words in Latin letters.

    Returns:
        (ENGLISH,), keys of `LATIN` that fit equally well, or () if nothing tells.
    """
    found = _ANY.intersection(words)
    if text.isascii():
        if not found:
            return ()
        if 2 * len(found & STOP_WORDS) > len(found):
            return (ENGLISH,)
    counts = {ENGLISH: float(len(found & STOP_WORDS))}
    for language, known in _SETS.items():
        counts[language] = len(found & known)
    if not text.isascii():
        for letter in set(unicodedata.normalize("NFC", text).lower()):
            languages = _BY_LETTER.get(letter, ())
            for language in languages:
                counts[language] += 2 / len(languages)
    most = max(counts.values())
    if not most:
        return ()
    if counts[ENGLISH] == most:
        return (ENGLISH,)
    return tuple(language for language, count in counts.items() if count == most)[:_MOST]


def function_words(languages: Iterable[str]) -> frozenset[str]:
    """The function words of languages in Latin letters, other than English."""
    return frozenset().union(*(_SETS.get(language, _NONE) for language in languages))
