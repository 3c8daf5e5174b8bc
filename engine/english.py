"""English: the words for numbers and months, and a number with its noun."""

# ruff: noqa: SIM905 - a word list is easier to read as one text

# In order: the place of a word is its number.
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # from 20 on
MONTHS = (
    "january february march april may june july august september october november december"
).split()
# Words of questions, which are often in no document
QUESTION_WORDS = frozenset(
    """who whom whose which what when where why how many much long often old are was were does did
    have has had could would should there their about between before after until since during with
    without list show name give tell find count compare summarise summarize summary overview
    average altogether together total difference different cheapest cheaper expensive highest lowest
    largest smallest biggest longest shortest oldest newest latest earliest first last most least
    fewer fewest more less than please document documents file files table according calculate
    number price cost please maximum minimum kilo kilos gram grams litre litres liter liters metre
    metres meter meters kilometre kilometres kilometer kilometers recommend recommends suggest
    suggests mention mentions explain explains describe describes happen happens happened""".split()
)
# Forms that the stemmer does not know, and what they are forms of
IRREGULAR = dict(
    pair.split(":")
    for pair in """
    ate:eat began:begin begun:begin bought:buy broke:break broken:break brought:bring
    built:build came:come caught:catch children:child chose:choose chosen:choose dealt:deal
    done:do drawn:draw drew:draw driven:drive drove:drive eaten:eat fallen:fall fed:feed
    fell:fall flew:fly flown:fly found:find gave:give given:give gone:go grew:grow grown:grow
    held:hold hung:hang kept:keep knew:know known:know laid:lay led:lead left:leave
    lent:lend lost:lose made:make meant:mean men:man met:meet paid:pay people:person ran:run
    repaid:repay ridden:ride risen:rise rode:ride rose:rise said:say sang:sing saw:see seen:see
    sent:send shut:shut slept:sleep sold:sell spent:spend spoke:speak spoken:speak stole:steal
    stolen:steal stood:stand swam:swim taken:take taught:teach threw:throw thrown:throw
    told:tell took:take weighed:weigh went:go women:woman won:win wore:wear worn:wear
    written:write wrote:write kilo:kg kilos:kg
    """.split()
)
# Words of questions that are too general to be missed in a document, beside QUESTION_WORDS
GENERAL_WORDS = frozenset(
    """high wide deep tall heavy big large fast far hot cold name call called kind type sort thing
    use used mean say said tell done got get make made take taken given going come people person
    year day time week month way part one two next still also only just really exactly need want
    know possible allowed""".split()
)


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 pair, 6 pairs."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
