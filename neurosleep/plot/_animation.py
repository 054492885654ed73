"""A sleep phase as an animation: spikes, rates and the change of the weights, as they come."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FFMpegWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from neurosleep._checks import check_number
from neurosleep._files import write_whole
from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.plot._raster import raster
from neurosleep.plot._spikes import Spikes, change_rows
from neurosleep.plot._spikes import populations as of_populations
from neurosleep.plot._style import PALETTE, Row, figure, plain, to_png_bytes
from neurosleep.plot._tables import distinct, numbers, text
from neurosleep.plot._weight_change import weight_change
from neurosleep.spiking import Recording

__all__ = ["animate_sleep", "sleep_rows"]


def animate_sleep(
    spikes: Spikes,
    path: str | os.PathLike[str],
    *,
    dt: float | None = None,
    weights: Sequence[Row] | None = None,
    tasks: Mapping[str, ArrayLike] | None = None,
    frames: int = 48,
    seconds: float = 5.0,
    max_dots: int = 20_000,
    title: str = "",
) -> Path:
    """Write an animation of a sleep phase: the raster and the rates pass, and weight changes where they are known.

    Parameters
    ----------
    spikes:
        The events of the populations by name, or a recording.
    path:
        A name that ends in ``.gif``, or in ``.mp4``, which the program ffmpeg must be there for; missing folders are
        made.
    dt:
        Length of a step in seconds; if not given, that of the recording, or 0.001.
    weights:
        Rows with ``projection``, ``time_s`` and ``change``, as :func:`weight_change` takes them; if not given, what
        the recording holds of them. Without any this part is left out.
    tasks:
        By population, the task of each neuron, as :func:`raster` takes it.
    frames, seconds:
        Number of pictures, and for how long they are shown in all. It is played once and ends with the whole sleep.
    max_dots:
        Spikes shown in all, as in :func:`raster`.
    title:
        Above the picture.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SettingsError
        If the name ends in neither, there is no step to show, or a number is not positive.
    UnsupportedError
        If the name ends in ``.mp4`` and ffmpeg is missing, or cannot write it.
    RunFolderError
        If the file cannot be written.

    See Also
    --------
    raster : its last picture
    sleep_rows : the rates that it draws

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from neurosleep import SpikeEvents
    >>> from neurosleep.plot import animate_sleep
    >>> spikes = {"hidden1": SpikeEvents.from_dense(torch.eye(20, dtype=torch.bool))}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = animate_sleep(spikes, f"{folder}/sleep.gif", dt=0.001, frames=2)
    >>> path.name
    'sleep.gif'
    """
    target = Path(path)
    if target.suffix.lower() not in (".gif", ".mp4"):
        raise SettingsError(
            f"The animation cannot be written as {target.name!r}.", expected="a name that ends in .gif or .mp4"
        )
    if target.suffix.lower() == ".mp4" and not FFMpegWriter.isAvailable():
        raise UnsupportedError(
            f"The animation {target.name!r} needs the program ffmpeg, which is not on the PATH.",
            hint="install it (Debian: apt-get install ffmpeg), or give the name the ending .gif",
        )
    populations, dt = of_populations(spikes, dt)
    weights = change_rows(spikes if isinstance(spikes, Recording) else ()) if weights is None else weights
    check_number("The length of the animation", seconds, above=0)
    steps = max((events.steps for events in populations.values()), default=0)
    if not steps:
        raise SettingsError("The recording holds no step.", expected="at least one, of a sleep whose spikes were kept")
    frames = min(int(check_number("The number of frames", frames, above=0)), steps)

    fig = figure(6.0, 6.4 if weights else 5.0, title=title)
    parts = fig.subplots(3 if weights else 2, 1, sharex=True, height_ratios=[3, 1.4, 1.4] if weights else [3, 1.4])
    raster(populations, dt=dt, tasks=tasks, max_dots=max_dots, ax=parts[0])
    _draw_rates(parts[1], sleep_rows(populations, dt=dt, windows=frames), list(populations))
    if weights:
        weight_change(weights, ax=parts[2])
        # Weights move away from where they started: the lines end above.
        parts[2].legend(frameon=False, fontsize=8, loc="lower right", ncols=2, borderaxespad=0)
    for ax in parts[:-1]:
        ax.set_xlabel("")
    note = parts[0].get_xlabel().removeprefix("time (s), ")
    parts[-1].set_xlabel("time (s)" + (f", {note}" if note else ""))
    parts[0].set_xlim(0, steps * dt)
    if weights:
        parts[2].set_ylabel("weight change\n(rms)")
    write = _write_mp4 if target.suffix.lower() == ".mp4" else _write_gif
    return write(_frames(fig, parts, frames), seconds, target)


def _frames(fig: Figure, parts: Sequence[Axes], count: int) -> list[Image.Image]:
    """The figure with time passing: left of a line what was, right of it what the axes are without their data.

    Only those two are drawn, and the frames put together from them, since drawing many dots takes long.
    """
    whole = _pixels(fig)
    # Nothing but the data is to go, and nothing to move.
    fig.set_layout_engine("none")
    for ax in parts:
        for artist in (*ax.lines, *ax.patches, *ax.collections):
            artist.set_visible(False)
    empty = _pixels(fig)
    boxes = [ax.get_window_extent() for ax in parts]
    scale, height = _DPI / fig.dpi, len(whole)
    left, right = (round(scale * edge) for edge in (boxes[0].x0, boxes[0].x1))
    pictures = []
    for k in range(1, count):
        now = round(left + (right - left) * k / count)
        frame = np.concatenate([whole[:, :now], empty[:, now:]], axis=1)
        for box in boxes:
            frame[height - round(scale * box.y1) : height - round(scale * box.y0), now : now + 2] = 40
        pictures.append(Image.fromarray(frame))
    return [*pictures, Image.fromarray(whole)]


_DPI = 90


def _pixels(fig: Figure) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(to_png_bytes(fig, dpi=_DPI))).convert("RGB"))


def _write_gif(frames: Sequence[Image.Image], seconds: float, target: Path) -> Path:
    # Few colours, shared by all pictures, make it small.
    palette = frames[-1].quantize(64)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    # It plays once, and so does not move for ever beside a text that someone reads.
    duration = max(20, round(1000 * seconds / len(frames)))

    def write(temporary: Path) -> None:
        first.save(temporary, "GIF", save_all=True, append_images=others, duration=duration, optimize=False)

    return write_whole(target, write, what=f"The animation {str(target)!r}")


def _write_mp4(frames: Sequence[Image.Image], seconds: float, target: Path) -> Path:
    size = frames[0].size
    screen = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI)
    # ffmpeg takes fractions of a picture per second, though matplotlib's types do not.
    rate: Any = len(frames) / seconds
    # The container is named, since a temporary file has an ending of its own; its index comes first, so that a
    # browser plays it while it loads.
    film = FFMpegWriter(rate, codec="h264", extra_args=["-f", "mp4", "-movflags", "+faststart"])

    def write(temporary: Path) -> None:
        try:
            with film.saving(screen, temporary, _DPI):
                for frame in frames:
                    screen.images.clear()
                    screen.figimage(np.asarray(frame))
                    film.grab_frame()
        except subprocess.CalledProcessError as error:
            said = str(error.stderr or error.stdout or error).strip().splitlines()[-1]
            raise UnsupportedError(f"ffmpeg could not write the animation {target.name!r}: {said}") from error

    return write_whole(target, write, what=f"The animation {str(target)!r}")


def sleep_rows(spikes: Spikes, *, dt: float | None = None, windows: int = 48) -> list[dict[str, Any]]:
    """The rates that :func:`animate_sleep` draws: the mean rate of a neuron in equal windows of the sleep.

    Returns
    -------
    A row per population and window: ``population``, ``start_s``, ``stop_s`` (seconds) and ``rate_hz``.

    See Also
    --------
    animate_sleep : draws them
    rates : a picture of them

    Examples
    --------
    >>> import torch
    >>> from neurosleep import SpikeEvents
    >>> from neurosleep.plot import sleep_rows
    >>> spikes = SpikeEvents.from_dense(torch.ones(10, 1, dtype=torch.bool))
    >>> [row["rate_hz"] for row in sleep_rows({"output": spikes}, dt=0.001, windows=2)]
    [1000.0, 1000.0]
    """
    populations, dt = of_populations(spikes, dt)
    check_number("The number of windows", windows, above=0)
    rows: list[dict[str, Any]] = []
    for name, events in populations.items():
        edges = np.linspace(0, events.steps, min(int(windows), events.steps) + 1).round().astype(np.int64)
        counts = np.diff(events.offsets[edges])
        for start, stop, count in zip(edges[:-1] * dt, edges[1:] * dt, counts, strict=True):
            rate = float(count / (events.n * (stop - start))) if events.n else 0.0
            rows.append({"population": name, "start_s": float(start), "stop_s": float(stop), "rate_hz": rate})
    return rows


def _draw_rates(ax: Axes, rows: Sequence[Row], names: Sequence[str]) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    for name in distinct(rows, "population"):
        of_population = [row for row in rows if text(row, "population") == name]
        edges = [*numbers(of_population, "start_s"), numbers(of_population[-1:], "stop_s")[0]]
        colour = PALETTE[names.index(name) % len(PALETTE)]
        ax.stairs(
            numbers(of_population, "rate_hz"), edges, color=colour, linewidth=1.4, baseline=None, label=plain(name)
        )
    # Room for the names above the lines.
    ax.set_ylim(0, 1.35 * max([*numbers(rows, "rate_hz"), 1e-9]))
    ax.set_ylabel("rate (Hz)")
    ax.legend(frameon=False, fontsize=8, loc="upper right", ncols=4, borderaxespad=0)
