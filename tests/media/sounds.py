"""Sounds to test with, made as they are needed."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import soundfile

RATE = 16000
CODECS = {"m4a": ("ipod", "aac"), "webm": ("webm", "libopus"), "mp4": ("mp4", "aac")}


def sine(seconds=1.0, rate=RATE, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def encoded(samples, form="wav", rate=RATE, subtype=None):
    """A file of (num_samples,) or (num_samples, num_channels) as wav, flac, ogg, mp3, m4a, webm or mp4."""
    file = io.BytesIO()
    if form not in CODECS:
        soundfile.write(file, samples, rate, format=form.upper(), subtype=subtype)
        return file.getvalue()
    muxer, codec = CODECS[form]
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for piece in (frame, None):
            for packet in stream.encode(piece):
                container.mux(packet)
    return file.getvalue()


def main_frequency(samples, rate):
    return np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
