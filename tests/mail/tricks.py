"""From fields that some reader could show as boss@bank.example, though me@mine.example sent it.

LISTS are understood, and each address in them is asked about; TRICKS are not, and refused.
"""

LISTS = rb"""
boss@bank.example, me@mine.example
me@mine.example,boss@bank.example
Me <me@mine.example>, Boss <boss@bank.example>
Boss <boss@bank.example>, Me <me@mine.example>
boss@bank.example,me@mine.example,me@mine.example
boss@bank.example (x), me@mine.example
<boss@bank.example>,me@mine.example
"Boss\\" <boss@bank.example>, "x" <me@mine.example>
""".strip().split(b"\n")

SEVERAL = """
,me@mine.example
me@mine.example,
,boss@bank.example,me@mine.example
boss@bank.example,,me@mine.example
me@mine.example, ,
Me <me@mine.example>,
boss@bank.example me@mine.example
me@mine.example boss@bank.example
me@mine.example;boss@bank.example
boss@bank.example; me@mine.example
me@mine.example, Boss
Boss, Me <me@mine.example>
Boss, <me@mine.example>
"""

GROUPS = """
Undisclosed:;
Undisclosed: ;
Boss: me@mine.example;
Boss: boss@bank.example;, me@mine.example
Friends: boss@bank.example, me@mine.example;
Friends: Me <me@mine.example>;
"Friends": me@mine.example;
(x)Friends(y):(z)me@mine.example;
a:b:me@mine.example;;
: me@mine.example;
Friends: me@mine.example
Friends: me@mine.example; Boss <boss@bank.example>
Boss: <me@mine.example>
mailto:me@mine.example
From: me@mine.example
boss@bank.example:me@mine.example
"""

ROUTES = """
<@bank.example:me@mine.example>
<@bank.example,@other.example:me@mine.example>
Boss <@bank.example:me@mine.example>
@bank.example:me@mine.example
<@boss@bank.example:me@mine.example>
<@bank.example:@other.example:me@mine.example>
<boss@bank.example:me@mine.example>
<:me@mine.example>
<,@bank.example:me@mine.example>
"""

ANGLES = """
Boss <boss@bank.example> <me@mine.example>
<boss@bank.example> <me@mine.example>
<boss@bank.example><me@mine.example>
<me@mine.example><boss@bank.example>
<me@mine.example> <boss@bank.example>
<<me@mine.example>>
<boss@bank.example <me@mine.example>>
<boss@bank.example <me@mine.example>
<me@mine.example>>
Boss <<boss@bank.example> me@mine.example>
Boss > <me@mine.example>
Boss < <me@mine.example>
<Boss> <me@mine.example>
<Boss> me@mine.example
Boss <boss> <me@mine.example>
me@mine.example <boss@bank.example>
boss@bank.example <me@mine.example>
boss@bank.example<me@mine.example>
me@mine.example> <boss@bank.example
<boss@bank.example> me@mine.example
<boss@bank.example>me@mine.example
<me@mine.example
me@mine.example>
Me <me@mine.example
Me me@mine.example>
<me@mine.example> Me
<me@mine.example> boss@bank.example
Me <me@mine.example> Boss
Me <me@mine.example> "Boss"
Me <me@mine.example>.
Me <me@mine.example>boss@bank.example
<me@mine.example boss@bank.example>
<boss@bank.example me@mine.example>
<boss@bank.example,me@mine.example>
<boss@bank.example;me@mine.example>
<Boss me@mine.example>
<"Boss" me@mine.example>
<me@mine.example Boss>
<>
< >
<()>
Me <>
Me < >
<> <me@mine.example>
<@>
<@mine.example>
<me@>
<me>
Me <me>
Me
"Me"
me
(me@mine.example)
(x)
@
@@
me@
@mine.example
.
<
>
,
;
:
"""

AT_SIGNS = """
me@@mine.example
me@mine.example@bank.example
boss@bank.example@mine.example
boss@bank.example@me@mine.example
boss@bank.example <boss@bank.example@mine.example>
Boss @ Bank <me@mine.example>
boss @ bank.example <me@mine.example>
Boss@Bank <me@mine.example>
@Boss <me@mine.example>
Boss@ <me@mine.example>
via boss@bank.example <me@mine.example>
boss at bank.example me@mine.example
Boss me@mine.example
"Boss" me@mine.example
"boss@bank.example" me@mine.example
"boss@bank.example"me@mine.example
"boss"."x y"@bank.example me@mine.example
me"x"@mine.example
"me"x@mine.example
"me"."x"@mine.example
"me"."x" <me@mine.example
"""

QUOTES = r'''
"Boss <me@mine.example>
Boss" <me@mine.example>
"Boss <boss@bank.example> <me@mine.example>
"Boss"" <me@mine.example>
"""Boss" <me@mine.example>"
"Boss\" <me@mine.example>
"Boss\\\" <me@mine.example>
"Boss" <boss@bank.example>" <me@mine.example>
" <me@mine.example>
"
""
"" <>
"<boss@bank.example>" <me@mine.example>
"Boss <boss@bank.example>" <me@mine.example>
"Boss <boss@bank.example>," <me@mine.example>
"Boss \<boss@bank.example\>" <me@mine.example>
"Boss <boss\@bank.example>" <me@mine.example>
"x" <"me@mine.example>
'Boss <boss@bank.example>' <me@mine.example>
'boss@bank.example' <me@mine.example>
`boss@bank.example` <me@mine.example>
Boss \<boss@bank.example\> <me@mine.example>
Boss\ <me@mine.example>
\"Boss\" <me@mine.example>
me\@bank.example@mine.example
boss\@bank.example <me@mine.example>
<"boss@bank.example>"me@mine.example>
me@"mine.example"
me@mine."example"
'''

COMMENTS = r"""
(Boss me@mine.example
Boss) <me@mine.example>
me@mine.example (
me@mine.example )
me@mine.example (x))
me@mine.example ((x)
me@mine.example (x\)
(<boss@bank.example>) me@mine.example
(<boss@bank.example>) <me@mine.example>
me@mine.example (<boss@bank.example>)
me@mine.example (Boss <boss@bank.example>)
Boss (<boss@bank.example>) <me@mine.example>
Me (x\)<boss@bank.example>) <me@mine.example>
me@(boss@bank.example)mine.example
me@mine(boss@bank.example).example
me(boss@bank.example)@mine.example
<me(boss@bank.example)@mine.example>
<(boss@bank.example)me@mine.example>
<me@mine.example(boss@bank.example)>
<me@mine.example (> <boss@bank.example)>
<(<boss@bank.example>)me@mine.example>
me@(<)mine.example
me@(>)mine.example
boss@bank.example) <me@mine.example>
a)<boss@bank.example> (b <me@mine.example>
boss@bank.example(x)me@mine.example
(x)boss@bank.example(y) (z)me@mine.example
me@mine.example(x).bank.example
me@mine(x).example
me.(x)me@mine.example
me(x).me@mine.example
"""

OBSOLETE = """
me . me@mine.example
me. me@mine.example
me .me@mine.example
me@mine . example
me@mine. example
me@mine .example
<me . me@mine.example>
<me@mine . example>
. Boss <me@mine.example>
.Boss <me@mine.example>
"""

ADDRESSES = """
""@mine.example
.me@mine.example
me.@mine.example
me..me@mine.example
me@.mine.example
me@mine.example.
me@mine..example
me@-mine.example
me@mine-.example
me@mine_x.example
me@mine.example/bank.example
me@mine.example?bank.example
me@mine.example#bank.example
me@mine.example%bank.example
me@[
me@[]
me@[mine.example]
me@[192.0.2]
me@[192.0.2.256]
me@[192.0.2.1
me@192.0.2.1]
me@[192.0.2.1]bank.example
me@[192.0.2.1].bank.example
me@[IPv6:]
me@[IPv6:boss@bank.example]
me@[192.0.2.1 ]
me@[\\boss]
me[boss@bank.example]@mine.example
me,boss@mine.example
me;boss@mine.example
me:boss@mine.example
me<boss@mine.example
me>boss@mine.example
me boss@mine.example
me\tboss@mine.example
me\\@mine.example
"""

ENCODED = """
=?utf-8?q?boss=40bank.example?=
=?utf-8?b?Ym9zc0BiYW5rLmV4YW1wbGU=?=
=?utf-8?q?boss=40bank.example?=@mine.example
=?utf-8?q?boss?=@mine.example
=?utf-8?b?Ym9zc0BiYW5rLmV4YW1wbGU=?==?utf-8?q?=00?=@mine.example
=?utf-8?b?Ym9zc0BiYW5rLmV4YW1wbGUK?=@mine.example
<=?utf-8?q?boss=40bank.example?=>
<=?utf-8?q?boss=40bank.example?=@mine.example>
<=?utf-8?q?me?=@mine.example>
me@=?utf-8?q?mine.example?=
<me@=?utf-8?q?mine.example?=>
=?utf-8?q?me=40mine.example?= <boss>
=?utf-8?q?boss=40bank.example?= <me@mine.example>
=?utf-8?b?Ym9zc0BiYW5rLmV4YW1wbGU=?= <me@mine.example>
=?utf-8?q?boss?= =?utf-8?q?=40bank.example?= <me@mine.example>
=?utf-8?q?boss=40?= =?utf-8?q?bank.example?= <me@mine.example>
=?utf-8?q?boss=40bank?= =?us-ascii?q?=2Eexample?= <me@mine.example>
=?utf-8?q?=3Cboss=40bank.example=3E?= <me@mine.example>
=?utf-8?q?Boss_=3Cboss=40bank.example=3E?= <me@mine.example>
=?utf-8?q?Boss_=3Cboss=40bank.example=3E=2C?= <me@mine.example>
=?utf-8?q?=3Cboss?= =?utf-8?q?=40bank.example=3E?= <me@mine.example>
=?utf-16be?b?AGIAbwBzAHMAQABiAGEAbgBrAC4AZQB4AGEAbQBwAGwAZQ==?= <me@mine.example>
=?utf-7?q?boss+AEA-bank.example?= <me@mine.example>
=?no-such-charset?q?boss=40bank.example?= <me@mine.example>
=?utf-8*en?q?boss=40bank.example?= <me@mine.example>
=?UTF-8?Q?boss=40bank.example?= <me@mine.example>
"=?utf-8?q?boss=40bank.example?=" <me@mine.example>
"=?utf-8?q?Boss_=3Cboss=40bank.example=3E?=" <me@mine.example>
Boss (=?utf-8?q?=3Cboss=40bank.example=3E?=) <me@mine.example>
me@mine.example (=?utf-8?q?boss=40bank.example?=)
=?utf-8?q?boss@bank.example?= <me@mine.example>
=?utf-8?q?<boss@bank.example>?= <me@mine.example>
=?utf-8?q?Boss,?= <me@mine.example>
=?utf-8?q?Boss?= =?utf-8?q? <me@mine.example>
=?utf-8?q?Boss=00?= <me@mine.example>
=?utf-8?q?Boss=0D=0AFrom:_x?= <me@mine.example>
=?utf-8?q?Boss=0A?= <me@mine.example>
=?utf-8?b?Qm9zcwA=?= <me@mine.example>
=?utf-8?q?Boss=E2=80=AE?= <me@mine.example>
=?utf-8?q?Boss=E2=80=A8?= <me@mine.example>
=?utf-8?q?Boss <me@mine.example>
=?utf-8?q <me@mine.example>
=?utf-8?b?A?= <me@mine.example>
=?utf-8?q?Bo?ss?= <me@mine.example>
=?utf-8?q?"=22?=" <me@mine.example>
=?utf-8?q?"boss=40bank.example?=" <me@mine.example>
"=?utf-8?q?boss"=40bank.example?= <me@mine.example>
"""

BEYOND_ASCII = """
boss\uff20bank.example@mine.example
boss\uff20bank.example <boss\uff20bank.example@mine.example>
\uff1cboss\uff20bank.example\uff1e@mine.example
boss\ufe6bbank.example@mine.example
me\uff0cboss@mine.example
me@mine.example\uff0cboss
me\u00a0@mine.example
me\u3000@mine.example
\u3000me@mine.example
me@mine.example\u3000
me@mine.example\u00a0<boss
me\u200b@mine.example
me@mine\u200b.example
me@mine.example\uff0fbank.example
me@mine.example\u2044bank.example
me@mine\u2024\u2024example
me\u00ad@mine.example
Boss \u202e<me@mine.example>
Boss \u2066<me@mine.example>
Boss\u2028<me@mine.example>
Boss\u2029<me@mine.example>
Boss\u0085<me@mine.example>
Boss\u009b<me@mine.example>
me@ü_.example
me@xn--ü.example
me@-ü.example
"""

OCTETS = [
    b"",
    b" ",
    b"\t \t",
    b"\0",
    b"me@mine.example\0",
    b"me@mine.example\0<boss@bank.example>",
    b"boss@bank.example\0@mine.example",
    b"Boss\0 <me@mine.example>",
    b"me@mine.example\r",
    b"me@mine.example\n",
    b"me@mine.example\r\nFrom: boss@bank.example",
    b"me@mine.example\r\n boss@bank.example",
    b"me@mine.example\rFrom: boss@bank.example",
    b"me@mine.example\nFrom: boss@bank.example",
    b"me@mine.example\x0bFrom: boss@bank.example",
    b"me@mine.example\x0cFrom: boss@bank.example",
    b"me@mine.example\x1cFrom: boss@bank.example",
    b"me@mine.example\x1dFrom: boss@bank.example",
    b"me@mine.example\x1eFrom: boss@bank.example",
    b"me@mine.example\x1fboss@bank.example",
    b"Boss\x0b<me@mine.example>",
    b"Boss\x08\x08 <me@mine.example>",
    b"Boss\x1b[2J <me@mine.example>",
    b"Boss\x7f <me@mine.example>",
    b'"Boss\0" <me@mine.example>',
    b'"Boss\x01" <me@mine.example>',
    b"(Boss\0) <me@mine.example>",
    b"\x01me@mine.example",
    b"B\xf6ss <me@mine.example>",  # Latin-1
    b"\xff <me@mine.example>",
    b"\xc0\xbcboss@bank.example\xc0\xbe <me@mine.example>",  # < and > in overlong UTF-8
    b"boss\xc1\x80bank.example <me@mine.example>",  # @ in overlong UTF-8
    b"\xed\xa0\x80 <me@mine.example>",  # a surrogate
    b"\xef\xbb\xbf<me@mine.example>\xff",
    b"+AEA-\x1b$B <me@mine.example>",  # an escape sequence of ISO-2022-JP
    b"me@mine.example" + b" " * 4096,
    b"A" * 4096 + b" <me@mine.example>",
    b"(" * 17 + b")" * 17 + b"me@mine.example",
    b"(" * 2000 + b"me@mine.example",
    b"m" * 65 + b"@mine.example",
    b"me@" + b"m" * 64 + b".example",
    b"me@" + b"mine." * 60 + b"example",
]

_WRITTEN = (
    SEVERAL, GROUPS, ROUTES, ANGLES, AT_SIGNS, QUOTES, COMMENTS, OBSOLETE, ADDRESSES, ENCODED, BEYOND_ASCII,
)  # fmt: skip
TRICKS = [line.encode() for lines in _WRITTEN for line in lines.strip("\n").split("\n")] + OCTETS
