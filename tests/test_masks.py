"""Secrets are known by their names, and masked."""

from __future__ import annotations

import pytest

from pytest_lmms.masks import MASK, is_secret, mask


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "HF_TOKEN", "my_secret", "Password"])
def test_secrets_are_known_by_name(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["MAX_TOKENS", "model", "HF_HOME"])
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
