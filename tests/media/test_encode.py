"""Base64 for providers: bytes pass through when they can, and are drawn anew when they must."""

from __future__ import annotations

import base64
import io

import PIL.Image
import pytest

from pytest_lmms.errors import MediaError, UsageError
from pytest_lmms.media.encode import data_uri, encode_image_to_base64
from pytest_lmms.media.image import LazyImage
from pytest_lmms.records import MediaRef


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    monkeypatch.delenv("LMMS_IMAGE_ENCODE_FORMAT", raising=False)
    monkeypatch.delenv("LMMS_IMAGE_JPEG_QUALITY", raising=False)


def encoded(image_format, mode="RGB", **options):
    buffer = io.BytesIO()
    PIL.Image.linear_gradient("L").resize((40, 30)).convert(mode).save(buffer, image_format, **options)
    return buffer.getvalue()


def decoded(result):
    mime, text = result
    image = PIL.Image.open(io.BytesIO(base64.b64decode(text)))
    assert mime == f"image/{image.format.lower()}"
    return image


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_encoded_bytes_pass_through_untouched(image_format, tmp_path):
    data = encoded(image_format)
    (tmp_path / "image").write_bytes(data)
    for image in (
        MediaRef(kind="image", data=data, mode="RGB"),
        LazyImage.from_bytes(data).convert("RGB"),
        MediaRef(kind="image", content=LazyImage.from_bytes(data)),
        tmp_path / "image",
        str(tmp_path / "image"),
    ):
        mime, text = encode_image_to_base64(image)
        assert mime == f"image/{image_format.lower()}"
        assert base64.b64decode(text) == data


def test_a_format_that_is_asked_for_is_given():
    ref = MediaRef(kind="image", data=encoded("PNG"))
    assert decoded(encode_image_to_base64(ref, image_format="jpg")).format == "JPEG"


def test_environment_variables_are_read_at_each_call(monkeypatch):
    image = PIL.Image.linear_gradient("L").convert("RGB")
    assert decoded(encode_image_to_base64(image)).format == "PNG"
    monkeypatch.setenv("LMMS_IMAGE_ENCODE_FORMAT", "jpeg")
    good = encode_image_to_base64(image)
    assert decoded(good).format == "JPEG"
    monkeypatch.setenv("LMMS_IMAGE_JPEG_QUALITY", "5")
    assert len(encode_image_to_base64(image)[1]) < len(good[1])


@pytest.mark.parametrize("mode", ["CMYK", "RGB"])
def test_turned_and_cmyk_files_are_drawn_anew(mode):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    data = encoded("JPEG", mode, **({"exif": exif} if mode == "RGB" else {}))
    image = decoded(encode_image_to_base64(MediaRef(kind="image", data=data)))
    assert image.format == "PNG"
    assert image.mode == "RGB"
    assert image.size == ((30, 40) if mode == "RGB" else (40, 30))


def test_a_data_uri_is_made_of_mime_and_text():
    assert data_uri(MediaRef(kind="image", data=encoded("PNG"))).startswith("data:image/png;base64,iVBOR")


def test_wrong_settings_and_broken_files_are_named(monkeypatch):
    image = PIL.Image.new("RGB", (2, 2))
    with pytest.raises(UsageError, match="unknown image format 'gif'"):
        encode_image_to_base64(image, image_format="gif")
    with pytest.raises(UsageError, match="quality of 0"):
        encode_image_to_base64(image, image_format="JPEG", quality=0)
    monkeypatch.setenv("LMMS_IMAGE_JPEG_QUALITY", "much")
    with pytest.raises(UsageError, match="LMMS_IMAGE_JPEG_QUALITY"):
        encode_image_to_base64(image, image_format="JPEG")
    with pytest.raises(MediaError, match="cannot open the image"):
        encode_image_to_base64(MediaRef(kind="image", data=encoded("PNG")[:40]))
