"""Secrets are known by their names, and masked."""

from __future__ import annotations

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from pytest_lmms.masks import MASK, Secrets, is_secret, mask, secrets_in


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "HF_TOKEN", "my_secret", "Password", "apiKey", "AWS_ACCESS_KEY_ID", "accessKeyId", "x-api-key"],
)
def test_secrets_are_known_by_name(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["MAX_TOKENS", "model", "HF_HOME", "tokenizer", "tokenizer_mode", "keyword", "KEYBOARD"]
)
def test_other_names_are_no_secrets(name):
    assert not is_secret(name)


def test_a_secret_is_masked_and_a_bare_variable_is_not():
    given = {"api_key": "sk-1", "HF_TOKEN": "${HF_TOKEN}", "X_KEY": "${X:-literal}", "in": [{"password": "p"}], "n": 1}
    assert mask(given) == {
        "api_key": MASK, "HF_TOKEN": "${HF_TOKEN}", "X_KEY": MASK, "in": [{"password": MASK}], "n": 1
    }  # fmt: skip


def test_passwords_in_addresses_are_masked():
    assert mask({"base_url": "https://me:pw@host:80/v1", "b": "http://host:80/@x"}) == {
        "base_url": f"https://{MASK}@host:80/v1", "b": "http://host:80/@x"
    }  # fmt: skip


def test_keys_in_queries_headers_and_lists_of_arguments_are_masked():
    given = {
        "base_url": "https://host/v1?api_key=abc&region=eu",
        "extra_headers": {"X-Gateway": "Bearer abc", "X-From": "${NAME}"},
        "said": "model=m,api_key=abc",
    }
    assert mask(given) == {
        "base_url": f"https://host/v1?api_key={MASK}&region=eu",
        "extra_headers": {"X-Gateway": MASK, "X-From": "${NAME}"},
        "said": f"model=m,api_key={MASK}",
    }


def test_keys_in_json_in_nested_pairs_and_alone_before_a_host_are_masked():
    assert mask('{"api_key": "abc", \'token\' : \'def\', "n": "m"') == (
        f'{{"api_key": "{MASK}", \'token\' : \'{MASK}\', "n": "m"'
    )
    assert mask("-o lmms_model_args=api_key=abc,model=m") == f"-o lmms_model_args=api_key={MASK},model=m"
    assert mask("https://ghp_0123456789abcdef@host/x") == f"https://{MASK}@host/x"
    assert mask("ssh://git@host/x?mail=a@b") == "ssh://git@host/x?mail=a@b"
    assert mask("https://me:p@ss@host/x") == f"https://{MASK}@host/x"


def test_what_is_masked_is_known_as_a_secret():
    given = [
        {"api_key": "sk-123456"}, {"headers": {"X": "Bearer tok-1234"}}, "https://u:p%40ssword@h/v1?sig=abcdefg",
        "a=b,HF_TOKEN=hf_abcdef", '{"my_key": "json-key"}', "-o x_args=a_key=inner-key", "https://ghp_0123456789abcdef@h",
    ]  # fmt: skip
    found = set(secrets_in(given))
    assert {"sk-123456", "tok-1234", "p%40ssword", "p@ssword", "abcdefg", "hf_abcdef", "json-key", "inner-key",
            "ghp_0123456789abcdef"} <= found  # fmt: skip
    assert not {"h", "b", "u"} & found


def test_secrets_are_hidden_in_any_text_and_short_ones_are_not_looked_for():
    secrets = Secrets(["sk-123456", "sk-123456-longer", "none", MASK, "${OPENAI_API_KEY}", "a b+c/d"])
    assert secrets.hide("sk-123456-longer sk-123456 none") == f"{MASK} {MASK} none"
    assert secrets.hide("?q=a%20b%2Bc%2Fd") == f"?q={MASK}"
    assert Secrets([]).hide("as it is") == "as it is"


def test_numbers_under_a_secrets_name_are_settings():
    assert mask("model=m,first_token_timeout_s=12.5,token=abc") == f"model=m,first_token_timeout_s=12.5,token={MASK}"


SECRET = "sk-0123456789"


@pytest.mark.parametrize(
    "given",
    [
        {"api_key": [SECRET]}, {"api_keys": SECRET}, {"OPENAI_API_KEY2": SECRET}, {"credentials": {"value": SECRET}},
        {"auth": ["user", SECRET]}, {"DB_PASS": SECRET}, {"GITHUB_PAT": SECRET}, {"KEY_PASSPHRASE": SECRET},
        {"extra_headers": f"X-Gateway: {SECRET}"}, {"extra_headers": [["X-Gateway", SECRET]]},
        {"default_headers": {"X": [SECRET]}}, {"cookies": {"session": SECRET}}, {"Cookie": f"session={SECRET}; a=b"},
        json.dumps({"extra_headers": {"X-Gateway": SECRET}}), json.dumps({"api_key": [SECRET]}),
        {"X_CREDENTIALS": json.dumps({"private_key": SECRET, "a": 1})}, {"HTTPS_PROXY": f"user:{SECRET}@proxy:3128"},
    ],
    ids=str,
)  # fmt: skip
def test_a_secret_is_found_however_it_is_written_under_its_name(given):
    assert SECRET not in repr(mask(given))
    assert SECRET not in Secrets(secrets_in(given)).hide(f"no {SECRET}!")


def test_what_only_looks_like_a_secret_is_shown():
    given = {
        "tokens": ["</s>"], "author": "A. Uthor", "compass": "north", "PATH": "/usr/bin", "pad_token_id": 151643,
        "first": '{"a": "b"}', "text": "{no json", "http_proxy": "proxy:3128", "keyword": {"a": "b"},
        "api_key": "${KEY}",
    }  # fmt: skip
    assert mask(given) == given
    assert not list(secrets_in(given))


def test_a_key_that_is_a_number_and_a_password_with_commas_are_secrets():
    given = {"api_key": 7394018265019, "base_url": "https://name:pass,word@host/v1"}
    assert mask(given) == {"api_key": MASK, "base_url": f"https://{MASK}@host/v1"}
    assert Secrets(secrets_in(given)).hide("7394018265019 and pass,word") == f"{MASK} and {MASK}"


def test_each_line_of_a_secret_is_hidden_where_lines_are_marked():
    secrets = Secrets(["-----BEGIN KEY-----\nMIIEvgIBADAN\nBgkqhkiG9w0B\n-----END KEY-----"])
    told = secrets.hide("E   -----BEGIN KEY-----\nE   MIIEvgIBADAN\nE   BgkqhkiG9w0B\n")
    assert told == f"E   {MASK}\n" * 3


@pytest.mark.parametrize("write", [json.dumps, html.escape, repr, quote, quote_plus], ids=lambda f: f.__name__)
def test_a_secret_is_hidden_in_every_way_to_write_it(write):
    secret = "pä\"ss/w\\örd <1> & '2'"
    assert secret not in Secrets([secret]).hide(secret)
    hidden = Secrets([secret]).hide(f"({write(secret)})")
    assert MASK in hidden
    assert "ss" not in hidden


@pytest.mark.parametrize("length", [12, 13, 30, 59])
def test_what_is_left_of_a_secret_that_was_cut_is_hidden(length):
    secret = "eyJhbGciOiJSUzI1NiJ9." + "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1u"
    secrets = Secrets([secret])
    assert secrets.hide(f"'{secret[:length]}...' and '...{secret[-length:]}'") == f"'{MASK}...' and '...{MASK}'"


@pytest.mark.parametrize("value", ["/home/me/keys/cred1.json", "https://host/of/secrets/1", "a phrase of 5 words here"])
def test_paths_and_words_are_not_hidden_by_their_beginnings(value):
    assert Secrets([value]).hide(f"{value[:14]}x") == f"{value[:14]}x"
    assert Secrets([value]).hide(value) == MASK


@pytest.mark.parametrize("name", ["k", "pwd", "token", "apikey", "subscription-key", "sig"])
def test_short_names_of_a_query_hold_keys_too(name):
    address = f"http://host/v1?region=europe&{name}=abcdef12"
    assert mask({"base_url": address}) == {"base_url": f"http://host/v1?region=europe&{name}={MASK}"}
    assert Secrets(secrets_in({"base_url": address})).hide("no abcdef12 here") == f"no {MASK} here"
    assert mask({"base_url": f"http://host/v1?{name}=5"}) == {"base_url": f"http://host/v1?{name}=5"}
