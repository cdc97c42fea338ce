"""MMSearch: what is asked to search, to choose a page, and to answer from it; with or without an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Doc = Mapping[str, Any]
PLACE = "<image>"
"""Where an image stands in the text."""
WITH_IMAGE = " including an image"
SEARCHED = "You are provided with the search result of the image in the question. "
EXAMPLES = """\
Here are 3 examples:
Question: Did Zheng Xiuwen wear a knee pad in the women's singles tennis final in 2024 Paris Olympics?
Query to the search engine: Images of Zheng Xiuwen in the women's singles tennis final in 2024 Paris Olympics

Question: When will Apple release iPhone16?
Query to the search engine: iPhone 16 release date 

Question: Who will sing a French song at the Olympic Games closing ceremony?
Query to the search engine: Singers at the Olympic Games closing ceremony, French song
"""  # noqa: W291
SEARCH_TEXT = (
    "Assume you have access to a text-only search engine (e.g., google). Please raise a query to the search engine to "
    "search for what is useful for you to answer the question correctly. Your query needs to consider the attribute of "
    "the query to search engine. \n"
)
SEARCH_IMAGE = (
    "Assume you have access to a search engine (e.g., google). Please raise a query to the search engine to search for "
    "what is useful for you to answer the question correctly. You need to consider the characteristics of asking "
    "questions to search engines when formulating your questions. \n"
    "You are also provided with the search result of the image in the question. You should leverage the image search "
    "result to raise the text query.\n"
)
RULES = """\
Please follow these guidelines when formulating your answer:
1. If the question contains a false premise or assumption, answer "invalid question".
2. When answering questions about dates, use the yyyy-mm-dd format.
3. Answer the question with as few words as you can.

You should now read the information of the website and answer the question.
"""


def has_image(doc: Doc) -> bool:
    """Tell whether a question comes with an image."""
    return doc["query_image"] is not None


def _question(doc: Doc) -> str:
    return f"{PLACE}{doc['query']}" if has_image(doc) else str(doc["query"])


def _found(doc: Doc) -> str:
    return f"The image search result is: {PLACE}\n" if has_image(doc) else ""


def ask_for_query(doc: Doc) -> str:
    """Return the prompt for a query to a search engine."""
    including, engine = (WITH_IMAGE, SEARCH_IMAGE) if has_image(doc) else ("", SEARCH_TEXT)
    opening = f"You are a helpful assistant. I am giving you a question{including}, which cannot be solved without"
    ending = f"Question: {_question(doc)} \n{_found(doc)}Query to the search engine (do not involve any explanation): "
    return f"{opening} external knowledge.\n{engine}{EXAMPLES}\n{ending}"


def ask_for_site(doc: Doc, sites: Sequence[Doc]) -> str:
    """Return the prompt to choose one of some sites by title, snippet and screenshot."""
    information = "\n\n".join(
        f"Website {i} Title: {site['title']};\nWebsite {i} snippet: {site['snippet']};\nWebsite {i} Screenshot: {PLACE}"
        for i, site in enumerate(sites, start=1)
    )
    count = f"{len(sites)} website information related to the question (including the screenshot, snippet and title)"
    if has_image(doc):
        opening = f"question{WITH_IMAGE}. {SEARCHED}And you are provided with {count}"
        read = "screenshots, snippets and titles of these websites"
    else:
        opening, read = f"question and {count}", "screenshots, snippets and titles"
    return (
        f"You are a helpful assistant. I am giving you a {opening}. \nYou should now read the {read}. Select 1 website "
        "that are the most helpful for you to answer the question. Once you select it, the detailed content of them "
        f"will be provided to help you correctly answer the question.\nThe question is: {_question(doc)}\n{_found(doc)}"
        f"The website informations is: \n{information}\n\nYou should directly output 1 website's index that can help "
        "you most, separated with ',', and enclose each website in angle brackets. The output format should be: "
        "<Website Index>. \nAn example of the output is: <Website 0>\nYour answer: "
    )


def ask_for_answer(doc: Doc, site: Doc, num_slices: int) -> str:
    """Return the prompt to answer from one site."""
    related = "1 website information related to the question"
    start = f"question{WITH_IMAGE}. {SEARCHED}And you are provided with" if has_image(doc) else "question and"
    information = (
        f"Website Title: {site['title']};\n Website Snippet: {site['snippet']};\nWebsite Content: {site['content']};\n"
        f"Website Screenshot: {PLACE * num_slices};\n"
    )
    return (
        f"You are a helpful assistant. I am giving you a {start} {related}. \n{RULES}"
        f"The website informations is {information}\n{_found(doc)}The question is: {_question(doc)}.\n"
        "Please directly output the answer without any explanation: "
    )
