"""Base64 for providers: bytes pass through when they can, and are drawn anew when they must."""

from __future__ import annotations

import base64
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import pytest

from pytest_lmms.errors import MediaError, UsageError
from pytest_lmms.media import encode
from pytest_lmms.media.encode import data_uri, encode_image, encode_image_to_base64
from pytest_lmms.media.image import LazyImage
from pytest_lmms.records import MediaRef


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    monkeypatch.delenv("LMMS_IMAGE_ENCODE_FORMAT", raising=False)
    monkeypatch.delenv("LMMS_IMAGE_JPEG_QUALITY", raising=False)
    monkeypatch.delenv("LMMS_IMAGE_PATH_CACHE_MAX_ITEMS", raising=False)
    encode.forget()


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
    with pytest.raises(UsageError, match="quality: 0 cannot be used"):
        encode_image_to_base64(image, image_format="JPEG", quality=0)
    monkeypatch.setenv("LMMS_IMAGE_JPEG_QUALITY", "much")
    with pytest.raises(UsageError, match="LMMS_IMAGE_JPEG_QUALITY"):
        encode_image_to_base64(image, image_format="JPEG")
    monkeypatch.delenv("LMMS_IMAGE_JPEG_QUALITY")
    monkeypatch.setenv("LMMS_IMAGE_PATH_CACHE_MAX_ITEMS", "-1")
    with pytest.raises(UsageError, match="LMMS_IMAGE_PATH_CACHE_MAX_ITEMS: '-1' cannot be used"):
        encode_image_to_base64(image)
    monkeypatch.delenv("LMMS_IMAGE_PATH_CACHE_MAX_ITEMS")
    with pytest.raises(MediaError, match="cannot open the image"):
        encode_image_to_base64(MediaRef(kind="image", data=encoded("PNG")[:40]))


# --- whole files only


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_file_is_not_sent(image_format):
    data = encoded(image_format)
    for share in (0.4, 0.6):
        with pytest.raises(MediaError, match="cannot open the image"):
            encode_image(MediaRef(kind="image", data=data[: int(len(data) * share)]))


def test_a_png_with_damaged_pixels_is_not_sent():
    data = bytearray(encoded("PNG"))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    with pytest.raises(MediaError, match="cannot open the image"):
        encode_image(MediaRef(kind="image", data=bytes(data)))


def test_a_png_whose_end_alone_is_missing_is_drawn_anew():
    data = encoded("PNG")
    found = encode_image(MediaRef(kind="image", data=data[:-8]))
    assert base64.b64decode(found.text)[-8:] == data[-8:]


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_something_behind_the_end_of_a_file_does_not_matter(image_format):
    data = encoded(image_format) + b"something else"
    assert base64.b64decode(encode_image(MediaRef(kind="image", data=data)).text) == data


# --- once


@pytest.fixture
def saved(monkeypatch):
    """Sizes of what is encoded anew."""
    sizes = []
    save = PIL.Image.Image.save
    monkeypatch.setattr(PIL.Image.Image, "save", lambda self, *a, **k: (sizes.append(self.size), save(self, *a, **k)))
    return sizes


def test_equal_images_are_encoded_once_wherever_they_come_from(saved, tmp_path, monkeypatch):
    data = encoded("BMP")
    (tmp_path / "a.bmp").write_bytes(data)
    (tmp_path / "b.bmp").write_bytes(data)
    saved.clear()
    for ref in (MediaRef(kind="image", data=data), tmp_path / "a.bmp", tmp_path / "b.bmp"):
        encode_image(ref)
    assert len(saved) == 1
    encode_image(tmp_path / "a.bmp", image_format="JPEG")
    encode_image(tmp_path / "a.bmp", image_format="JPEG", quality=30)
    assert len(saved) == 3
    monkeypatch.setenv("LMMS_IMAGE_PATH_CACHE_MAX_ITEMS", "0")
    encode_image(tmp_path / "a.bmp", image_format="WEBP")
    encode_image(tmp_path / "a.bmp", image_format="WEBP")
    assert len(saved) == 5


def test_a_file_that_changes_is_encoded_again(tmp_path):
    path = tmp_path / "a.bmp"
    path.write_bytes(encoded("BMP"))
    first = encode_image(path).text
    PIL.Image.new("RGB", (3, 3)).save(path)
    assert encode_image(path).text != first


def test_an_image_that_changes_is_encoded_again():
    image = PIL.Image.new("RGB", (2, 2))
    first = encode_image(image).text
    image.putpixel((0, 0), (1, 2, 3))
    assert encode_image(image).text != first


def test_many_who_ask_at_once_wait_for_one(saved):
    image = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8))
    start = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        texts = set(pool.map(lambda _: (start.wait(), encode_image(image).text)[1], range(4)))
    assert (len(texts), len(saved)) == (1, 1)


# --- a limit on size


def noise(side):
    pixels = np.random.default_rng(0).integers(0, 256, (side, 2 * side, 3), np.uint8)
    return PIL.Image.fromarray(pixels)


def test_what_fits_is_left_alone():
    data = encoded("PNG")
    assert encode_image(MediaRef(kind="image", data=data), max_bytes=10_000).flags == ()


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", None])
def test_what_does_not_fit_becomes_smaller_until_it_does_and_says_so(image_format):
    found = encode_image(noise(300), image_format=image_format, max_bytes=50_000)
    width, height = decoded((found.mime, found.text)).size
    assert len(base64.b64decode(found.text)) <= 50_000
    assert found.mime == f"image/{(image_format or 'jpeg').lower()}"
    assert found.flags == (f"image_reduced:600x300->{width}x{height}",)
    assert width == pytest.approx(2 * height, abs=1)
    assert height > 64


def test_a_file_that_is_too_large_is_made_a_jpeg_before_it_loses_pixels():
    buffer = io.BytesIO()
    noise(100).save(buffer, "PNG")
    found = encode_image(MediaRef(kind="image", data=buffer.getvalue()), max_bytes=45_000)
    assert (found.mime, found.flags) == ("image/jpeg", ("image_reencoded",))
    assert decoded((found.mime, found.text)).size == (200, 100)


def test_a_limit_that_nothing_fits_into_is_an_error():
    with pytest.raises(MediaError, match="600x300 pixels does not fit into 500 bytes"):
        encode_image(noise(300), max_bytes=500)


def test_an_image_too_long_for_its_format_is_an_error():
    with pytest.raises(MediaError, match="cannot be encoded as WEBP"):
        encode_image(PIL.Image.new("L", (17000, 1)), image_format="WEBP")
