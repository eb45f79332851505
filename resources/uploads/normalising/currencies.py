"""Currencies beside amounts: signs and codes, before or behind."""

from __future__ import annotations

import re

_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD "
    "HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL "
    "LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR "
    "PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP "
    "TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL"
)
_KNOWN = frozenset(_CODES.split())
"""Codes of ISO 4217."""
_SIGNS = (
    *("US$", "CA$", "C$", "AU$", "A$", "NZ$", "HK$", "S$", "R$", "MX$", "NT$", "$", "€", "£", "¥", "₹", "₽", "₺", "₩"),
    *("₪", "₫", "₴", "₦", "₱", "₿", "฿", "₡", "₲", "₵", "₸", "₼", "₾", "zł", "Kč", "kr.", "kr", "Ft", "lei", "лв."),
    *("лв", "руб.", "руб", "р.", "Rs.", "Rs", "SFr.", "Fr.", "RM", "Rp", "元", "円", "원", "euro"),
)
_CURRENCY = "|".join(sorted(map(re.escape, (*_KNOWN, *_SIGNS)), key=len, reverse=True))
_BEFORE = re.compile(
    rf"(?P<minus>[-+]?)\s*(?P<currency>{_CURRENCY})\s*(?P<amount>[-+(]?\s*[.,]?[0-9].*)", re.IGNORECASE
)
_BEHIND = re.compile(rf"(?P<amount>.*[0-9)][.,]?[-–—]{{0,2}})\s*(?P<currency>{_CURRENCY})", re.IGNORECASE)


def is_currency(code: str) -> bool:
    """Whether a code, in capitals, is one of ISO 4217."""
    return code in _KNOWN


def split_currency(text: str) -> tuple[str, str | None]:
    """Return an amount without its currency, and the currency as it was written, a code in capitals; None for none.

    Of a sign and a code, as in `$19.99 USD`, the code says more.
    """
    written: list[str] = []
    if found := _BEHIND.fullmatch(text):
        text = found["amount"].rstrip()
        written.append(_written(found["currency"]))
    if found := _BEFORE.fullmatch(text):
        text = found["minus"] + found["amount"]
        written.append(_written(found["currency"]))
    return text, next((each for each in written if each in _KNOWN), written[-1] if written else None)


def _written(currency: str) -> str:
    return currency.upper() if currency.upper() in _KNOWN else currency
