"""A question → its kind, and the parts that the kind needs. Pure: rules for English, in order.

The rules look only at the words of the question. Whether the library has what a kind needs, such as
a table, is decided where the kind is treated; if not, the question is treated as one for a fact.

    several      "What does a bicycle cost, and who built the mill?"     (engine/kinds/several.py)
    library      "Which documents do I have?"  "What was added last?"
    summary      "Summarise the ice log."  "What is this collection about?"
    overview     "What does the handbook say about fog?"
    between      "How long between the storm and the closing of the mill?"
    comparison   "Compare the barley loaf and the rye."  "Which is older, the mill or the light?"
    table        "List all fares."  "How many …?"  "Which is the cheapest?"
    yes or no    "Is the bakery open on Mondays?"
    fact         everything else
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    FACT = "fact"
    SEVERAL = "several questions"
    LIBRARY = "library"
    SUMMARY = "summary"
    OVERVIEW = "overview"
    BETWEEN = "time between"
    COMPARISON = "comparison"
    TABLE = "table"
    YES_NO = "yes or no"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was recognised, and the parts that the rule of its kind has found.

    about: the topic; what is to be summarised; the first event or side of a comparison
    document: words that may name a document        other: the second event or side
    focus: what a comparison is about               unit: "days"; "cheaper"
    order: "latest", "largest"
    """

    kind: Kind
    question: str
    parts: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, part: str) -> str:
        """Empty where the question has no such part."""
        return self.parts.get(part, "")


_END = r"\s*[?.!]*\s*$"
_START = (
    r"^\s*(?:(?:please|now|so|ok|okay|well|hi|hello)[,]?\s+)*"
    r"(?:(?:can|could|would|will) you\s+(?:please\s+)?(?:just\s+)?|i(?:'d| would) like (?:you )?to (?:know\s+)?|"
    r"i (?:want|need) (?:you )?to (?:know\s+)?|let me know\s+)?(?:please\s+)?"
)
_FILES = r"(?:documents?|files?|pdfs?|texts?|sources?|spreadsheets?|papers)"
_ALL_FILES = rf"(?:(?:all\s+)?(?:of\s+)?(?:my|the|these|those|our|your|all)\s+(?:\w+\s+)?{_FILES}|(?:this|the|my|our|your)\s+(?:whole\s+)?(?:collection|library|folder|archive)|everything|all of (?:it|this|them))"
EVERYTHING = re.compile(
    rf"(?:all\s+(?:of\s+)?)?{_ALL_FILES}(?:\s+(?:here|together|in (?:here|(?:this|the|my) (?:collection|library))|that i (?:have|added|uploaded)))?",
    re.I,
)

_LENGTH = r"(?:(?:very\s+)?(?:short|brief|quick|concise|long|detailed|one[- ]\w+|general|rough|complete|full)\s+)*"
_SUMMARY_NOUN = (
    r"(?:summary|overview|outline|synopsis|abstract|digest|recap|gist|précis|tl;?dr|rundown)"
)

# Characters of a question. A longer one has a story in it, which no rule understands.
LONGEST = 400

_Rules = tuple[tuple[Kind, str], ...]

_RULES: _Rules = (
    # ---- The library itself
    (
        Kind.LIBRARY,
        rf"(?:which|what) (?:\w+ )?(?P<files>{_FILES}) (?:do i have|have i (?:got|added|uploaded)|did i (?:add|upload)|are (?:there|here|available|stored|loaded|indexed)|(?:is|are) in (?:here|(?:this|the|my) (?:collection|library|folder))|does (?:this|the|my) (?:collection|library) (?:have|contain|hold)|can i ask(?: about)?)",
    ),
    (
        Kind.LIBRARY,
        rf"(?:list|show|name|give)(?: me)?(?: all)?(?: of)?(?: (?:my|the|these|your|our))?(?: names of(?: all)?(?: the| my)?)? (?P<files>{_FILES})(?: (?:i have|there are|(?:here|in (?:this|the|my) (?:collection|library))))?",
    ),
    (
        Kind.LIBRARY,
        rf"what (?:is|do i have|have i got|is there) in (?:this|the|my|our) (?:collection|library|folder)",
    ),
    (
        Kind.LIBRARY,
        rf"how many (?P<number>{_FILES}|passages|pages)(?: (?:do i have|are there|have i (?:added|uploaded)|did i (?:add|upload)|are (?:here|stored|indexed)|does (?:this|the|my) (?:collection|library) (?:have|contain)))?(?: (?:here|altogether|in total|in all|in (?:here|(?:this|the|my) (?:collection|library|folder))))*",
    ),
    (
        Kind.LIBRARY,
        rf"(?:which|what)(?: (?:document|file|pdf))? (?:was|did i|have i|is|were|came) (?:the )?(?:(?P<order>last|latest|newest|most recent)|(?:add(?:ed)?|upload(?:ed)?|put in|new)(?: the)? (?P<order2>last|latest|most recently|recently|first|newest))(?: (?:one|document|file))?(?: (?:i )?(?:added|uploaded|to be added|to be uploaded))?",
    ),
    (
        Kind.LIBRARY,
        rf"(?:which|what) (?:is|was|were|are) (?:the|my) (?P<order>last|latest|newest|most recent|oldest|first|largest|biggest|longest|smallest|shortest) (?:added |uploaded )?{_FILES}(?: (?:(?:that )?i (?:have|added|uploaded)|(?:that was )?added|(?:that was )?uploaded|here|in (?:here|(?:this|the|my) (?:collection|library))))*",
    ),
    (
        Kind.LIBRARY,
        rf"(?:which|what) (?:of (?:my|the|these) )?{_FILES} (?:is|are|was) the (?P<order>latest|newest|most recent|oldest|largest|biggest|longest|smallest|shortest)",
    ),
    (
        Kind.LIBRARY,
        rf"when (?:was|were|did i) (?P<document>.+?) (?P<added>added|uploaded|add|upload)(?: (?:here|to (?:this|the|my) (?:collection|library)))?",
    ),
    (
        Kind.LIBRARY,
        rf"how (?:many (?P<number>pages|passages|sections|sheets) (?:does|do|has|have|are in|are there in)|(?P<size>long|big|large) is) (?P<document>.+?)(?: have)?",
    ),
    (
        Kind.LIBRARY,
        rf"(?:which|what|in which|in what) (?:of (?:my|the|these) )?{_FILES} (?:is|are|do|does|was)?\s*(?:mentions?|mentioned|talks?|talk about|speaks?|deals?|discuss(?:es)?|contains?|covers?|says? (?:anything|something)|have (?:anything|something)|has (?:anything|something)|refers?|about)(?: (?:about|on|of|to|with))? (?P<about>.+)",
    ),
    (
        Kind.LIBRARY,
        rf"(?:which|what) (?:of (?:my|the|these) )?{_FILES} (?:are|is) (?:about|on) (?P<about>.+)",
    ),
    (
        Kind.LIBRARY,
        rf"(?:is there|are there|do i have|have i(?: got)?) (?:a|an|any|some) (?:\w+ )?{_FILES} (?:about|on|that (?:mentions?|deals? with|contains?|covers?)|mentioning|with) (?P<about>.+)",
    ),
    (
        Kind.LIBRARY,
        rf"(?:in )?(?:which|what) {_FILES} (?:can i|do i|would i|should i|could i) (?:find|read|look up|see)(?: (?:something|anything|more))?(?: (?:about|on))? (?P<about>.+)",
    ),
    (
        Kind.LIBRARY,
        r"where (?:is|are) (?P<about>.+?) (?:mentioned|discussed|described|covered|dealt with)",
    ),
    # ---- Summaries
    (
        Kind.SUMMARY,
        r"(?:summari[sz]e|sum up|recap|condense|abridge|outline)(?: (?:for me|briefly|shortly))?(?: (?:the (?:main|key) points (?:of|in|from)|what is in|the contents? of))? (?P<about>.+?)(?: (?:for me|briefly|please|in (?:a few|\w+) (?:words|sentences|lines|points|bullet points)))*",
    ),
    (
        Kind.SUMMARY,
        rf"(?:(?:give|write|show|make|create|provide|prepare|tell)(?: me)? )?(?:an?|the)? ?{_LENGTH}{_SUMMARY_NOUN} (?:of|on|about|for|over) (?P<about>.+?)(?: (?:for me|please))*",
    ),
    (
        Kind.SUMMARY,
        r"(?:what (?:are|is)|(?:give|tell|show|list)(?: me)?) (?:the )?(?:main|key|central|major|principal|most important|essential|core) (?:points?|ideas?|topics?|themes?|contents?|findings?|messages?|takeaways?|subjects?|conclusions?|facts|statements?|aspects?|items?|things?)(?: (?:of|in|from|made in|covered (?:by|in)|discussed in))? (?P<about>.+)",
    ),
    (
        Kind.SUMMARY,
        r"(?:in (?:a few|\w+) (?:words|sentences)[,:]? )?what(?:'s| is| are| was| were) (?P<about>(?!there\b).+?) (?:all |mainly |basically |mostly |generally )?about",
    ),
    (
        Kind.SUMMARY,
        r"(?:in (?:a few|\w+) (?:words|sentences)[,:]? )?what (?:do|does|did) (?P<about>.+?) (?:cover|deal with|contain|discuss|describe|talk about|treat|say)(?: (?:in (?:general|short|brief|a nutshell)|overall|on the whole))?",
    ),
    (
        Kind.SUMMARY,
        r"what (?:topics|subjects|themes) (?:do|does|are) (?:covered (?:by|in) )?(?P<about>.+?)(?: (?:cover|deal with|discuss|treat|talk about))?",
    ),
    # ---- Overviews
    (
        Kind.OVERVIEW,
        r"what (?:else )?(?:do|does|did|can|could) (?P<document>.+?) (?:say|tell(?: (?:me|us))?|state|mention|write|report|explain|reveal|have to say|record|note|specify|regulate|lay down|stipulate|provide) (?:about|on|regarding|concerning|with regard to|of|as to) (?P<about>.+)",
    ),
    (
        Kind.OVERVIEW,
        r"what (?:do|does|did) (?P<document>(?:my|the|these|this|our) .+?) (?:say|tell(?: (?:me|us))?|state|mention|report|explain) (?:when|if|for) (?P<about>.+)",
    ),
    (
        Kind.OVERVIEW,
        r"what (?:is|was|has been|are|were|gets) (?:said|written|stated|mentioned|known|reported|noted|recorded|agreed|laid down|told|stipulated|found|decided) (?:about|on|regarding|concerning|of) (?P<about>.+?)(?: in (?P<document>(?:the|my|this|these|our) [^?]+?))?",
    ),
    (
        Kind.OVERVIEW,
        r"what (?:do|can|did|could) (?:we|i|you|one) (?:know|learn|find(?: out)?|read|say|tell(?: me| us)?) (?:about|on|of) (?P<about>.+?)(?: (?:from|in|out of) (?P<document>(?:the|my|this|these|our) [^?]+?))?",
    ),
    (
        Kind.OVERVIEW,
        r"(?:tell|inform|brief|teach)(?: (?:me|us))(?: (?:more|everything|all|something|a bit|a little|briefly|what you know))?(?: you know)? (?:about|on) (?P<about>.+)",
    ),
    (
        Kind.OVERVIEW,
        r"(?:give|show|find|get|list|collect)(?: (?:me|us))? (?:(?:some|all|any|more|every|the) )?(?:information|details?|facts?|everything|passages?|statements?|all (?:there is|you (?:have|know))|what(?:ever)? (?:there is|you (?:have|know|find)))(?: (?:there is|you have))? (?:about|on|regarding|concerning) (?P<about>.+)",
    ),
    (
        Kind.OVERVIEW,
        r"(?:what|which) (?:information|details|facts|passages|statements)(?: (?:is|are) (?:there|available|given))?(?: (?:do|does) (?P<document>.+?) (?:have|give|contain|offer))? (?:about|on|regarding|concerning) (?P<about>.+)",
    ),
    (Kind.OVERVIEW, r"what (?:is|was) there (?:to (?:know|say) )?(?:about|on) (?P<about>.+)"),
    (
        Kind.OVERVIEW,
        r"(?:is|are|was) (?:there )?(?:anything|something)(?: \w+)? (?:said |written |mentioned |known )?(?:about|on|regarding) (?P<about>.+?)(?: in (?P<document>(?:the|my|this|these|our) [^?]+?))?",
    ),
    (
        Kind.OVERVIEW,
        r"(?:do|does|did) (?P<document>(?:my|the|these|this|our|any) .+?) (?:say|mention|contain|have|tell|state) (?:anything|something) (?:about|on|regarding|concerning) (?P<about>.+)",
    ),
    (Kind.OVERVIEW, r"(?:describe|portray|characteri[sz]e) (?P<about>.+)"),
    (Kind.OVERVIEW, r"what (?:is|was|are|were) (?P<about>.+?) like"),
    (
        Kind.OVERVIEW,
        r"how (?:is|was|are|were) (?P<about>.+?) (?:described|portrayed|characteri[sz]ed)(?: in (?P<document>(?:the|my|this|these|our) [^?]+?))?",
    ),
    (
        Kind.OVERVIEW,
        r"what (?:rules?|regulations?|provisions?|terms?|conditions?|instructions?|information|advice|guidelines?|obligations?) (?:are there |is there |exists? |apply |applies |hold |is given |are given |do we have )?(?:about|on|for|to|regarding|concerning|with|when)(?: it comes to)? (?P<about>.+)",
    ),
    # ---- Times between
    (
        Kind.BETWEEN,
        r"how (?:much time|long|many (?P<unit>days|weeks|months|years|hours|minutes)) (?:(?:(?:was|were|is|are|lies?|lay)(?: there)?|passed|elapsed|went by|passes|did it take|does it take|do we have|are there|did they have|will pass)(?: there)? )?(?:passed |elapsed |in )?(?:between|from) (?P<about>.+?) (?:and|to|until|till) (?P<other>.+)",
    ),
    (
        Kind.BETWEEN,
        r"what (?:is|was) the (?:time|period|interval|gap|number of (?P<unit>days|weeks|months|years)) between (?P<about>.+?) and (?P<other>.+)",
    ),
    (
        Kind.BETWEEN,
        r"how (?:much time|long|many (?P<unit>days|weeks|months|years|hours|minutes)) (?P<after>after|before) (?P<about>.+?),? (?P<aux>did|was|were|is|does|do|has|had|will|would) (?P<other>.+)",
    ),
    (
        Kind.BETWEEN,
        r"how (?:much time|long|many (?P<unit>days|weeks|months|years|hours|minutes)) (?P<after>after|before) (?P<about>.+?),? (?P<other>(?:\w+ed|came|began|took|went|left|opened|made|fell) .+)",
    ),
    (
        Kind.BETWEEN,
        r"how (?:much|long|many (?P<unit>days|weeks|months|years|hours|minutes))(?: (?:later|earlier|longer|time))? (?P<aux>did|was|were|is|does|do|has|had|will) (?P<other>.+?) (?P<after>after|before) (?P<about>.+)",
    ),
    (
        Kind.BETWEEN,
        r"how (?:long|many (?P<unit>days|weeks|months|years|hours|minutes)) passed (?P<after>before|until) (?P<other>.+?) (?:after) (?P<about>.+)",
    ),
    (
        Kind.BETWEEN,
        r"how old (?P<aux>is|was|were|are|will) (?P<about>.+?)(?: be)?(?: (?:when|at the time of|in|on|by) (?P<other>.+))?",
    ),
    (
        Kind.BETWEEN,
        r"how (?:long|many (?P<unit>days|weeks|months|years)) ago (?P<aux>was|were|did|is) (?P<about>.+)",
    ),
    # ---- Comparisons
    (
        Kind.COMPARISON,
        r"(?:compare|contrast) (?P<about>.+?),? (?:and|with|to|against|versus|vs\.?) (?P<other>.+)",
    ),
    (
        Kind.COMPARISON,
        r"(?P<about>[^?:]{3,60}?) (?:vs\.?|versus|compared (?:to|with)) (?P<other>[^?:,]+?)(?:[:,-] ?(?P<focus>.+))?",
    ),
    (
        Kind.COMPARISON,
        r"(?:make |give me |draw )?a comparison (?:of|between) (?P<about>.+?) (?:and|with|to) (?P<other>.+)",
    ),
    (
        Kind.COMPARISON,
        r"(?:what (?:is|are|was|were)|what's|explain|tell me|show me|describe|name) (?:the )?(?:main |key |exact |biggest )?differences?(?: (?P<unit>in [\w ]+?))? between (?P<about>.+?) and (?P<other>.+)",
    ),
    (
        Kind.COMPARISON,
        r"(?:in what|in which|how)(?: (?:respects?|ways?|points?))? (?:do|does|did|is|are) (?P<about>.+?) (?:and (?P<both>.+?) (?:differ|compare)|(?:differ(?:ent)?|compare) (?:from|to|with) (?P<other>.+))",
    ),
    (Kind.COMPARISON, r"what (?:do|does|did) (?P<about>.+?) and (?P<other>.+?) have in common"),
    (
        Kind.COMPARISON,
        r"(?:which|who|what)(?: (?:one|of (?:the two|them)))?(?: [\w' -]+?)?? [\w' -]*?(?P<unit>(?:more|less|fewer|\w+er|better|worse)[\w -]*?)(?: than)?[,:] ?(?P<about>[^,?]+?),? or (?P<other>[^?]+)",
    ),
    (
        Kind.COMPARISON,
        r"(?:is|was|are|were|does|do|did|has|have) (?P<about>.+?) (?:(?:cost|weigh|last|have|hold|carry|take|run|go|get|pay|need) )?(?:a |an )?(?P<unit>(?:much )?(?:more|less|fewer|better|worse|cheaper|dearer|\w+er|\w+ier)(?: [\w-]+)?) than (?P<other>.+)",
    ),
    (
        Kind.COMPARISON,
        r"how (?:much|many)(?: \w+)? (?P<unit>more|less|fewer|cheaper|dearer|heavier|lighter|longer|shorter|older|higher|\w+er)(?: [\w-]+)?(?: (?:expensive|money))? (?:is|was|are|does|did|do|were|has|have) (?P<about>.+?)(?: (?:cost|weigh|last|have|hold|carry|take|get|pay))? (?:than|compared (?:to|with)) (?P<other>.+)",
    ),
)
# fmt: on

_COMPILED = [(kind, re.compile(_START + rule + _END, re.IGNORECASE)) for kind, rule in _RULES]

_LIST = re.compile(
    _START
    + r"(?:list|enumerate|name|show|give|tell|which|what(?: all)?|who(?: all)?|how many|how much|number of|"
    r"count|sort|rank|order|are there|find|where|when|in which|at which|on which|by whom|for (?:which|what|how)|whose|"
    r"on what|from which|to which|with which|at what|in what)\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(
    _START
    + r"(?:is|are|was|were|am|do|does|did|has|have|had|can|could|may|might|must|shall|should|will|would)"
    r"(?:n['’]t)?\s+\S",
    re.IGNORECASE,
)


def recognise(question: str) -> list[Asked]:
    """The kinds that a question may be of, the likeliest first. A fact is the last, always."""
    text = " ".join(question.split())
    found: list[Asked] = []
    for kind, rule in _COMPILED if len(text) <= LONGEST else ():
        match = rule.match(text)
        if match is None:
            continue
        parts = {name: value.strip(" ,") for name, value in match.groupdict().items() if value}
        if "both" in parts:
            parts["other"] = parts.pop("both")
        found.append(Asked(kind, text, parts))
    if _LIST.match(text):
        found.append(Asked(Kind.TABLE, text))
    if _YES_NO.match(text):
        found.append(Asked(Kind.YES_NO, text))
    return [*found, Asked(Kind.FACT, text)]
