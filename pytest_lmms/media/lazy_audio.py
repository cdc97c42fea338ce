"""What task code gets in place of a column's decoded sound: nothing is read until somebody needs its samples."""

from __future__ import annotations

from typing import Any

from pytest_lmms.records import MediaRef


class LazyAudio(dict[str, Any]):
    """``{"array", "sampling_rate", "path"}`` of a sound, as `datasets` gives it; decoded when first asked for."""

    def __init__(self, data: bytes | None, path: str | None, rate: int | None = None) -> None:
        """Note where the encoded sound is; nothing is read.

        Args:
            data: The encoded file.
            path: Where it lies, or its name when `data` is given.
            rate: In Hz, to resample to; None leaves the sound's own.
        """
        super().__init__(path=path)
        self._data = data
        self.rate = rate

    def __missing__(self, key: str) -> Any:
        if key not in ("array", "sampling_rate"):
            raise KeyError(key)
        from pytest_lmms.media.audio import read_audio

        samples, rate = read_audio(self._data if self._data is not None else str(self["path"]), rate=self.rate)
        self.update(array=samples, sampling_rate=rate)
        return self[key]

    def __contains__(self, key: object) -> bool:
        return key in ("array", "sampling_rate") or super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, decoding if need be."""
        return self[key] if key in self else default  # noqa: SIM401  (this is `get`)

    def encoded_reference(self) -> MediaRef | None:
        """Where the encoded sound lies; None once decoded, as the samples may have been changed."""
        if super().__contains__("array"):
            return None
        mode = None if self.rate is None else f"{self.rate} Hz"
        if self._data is not None:
            return MediaRef(kind="audio", data=self._data, mode=mode)
        return MediaRef(kind="audio", path=str(self["path"]), mode=mode)
