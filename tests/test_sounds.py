"""Sounds: reading, spectrograms, augmentations, networks over them, sources."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch

import deepwright as dw
from deepwright import media, sounds
from deepwright.augmentations.gain import Gain
from deepwright.augmentations.hiss import Hiss
from deepwright.augmentations.shift import Shift
from deepwright.augmentations.speed import Speed
from deepwright.blocks.norms import MapBatchNorm
from deepwright.blocks.soundmaps import MaskedBatchNorm, SoundMaps
from deepwright.blocks.spectrogram import LogMel
from deepwright.datapath import rows_at_once
from deepwright.engine.feed import Feed
from deepwright.errors import DataError, RecipeError
from deepwright.families import Augmentation, Draw, Encoder, Source
from deepwright.features.sound import Sound
from deepwright.kinds import infer
from deepwright.sources.images import Images
from deepwright.sources.sounds import Sounds
from deepwright.testing.networks import arrays_of, expect_equal, facts_of, padded

FACTS = facts_of("sound")[0].sound


def tone(pitch, seconds=0.5, rate=8000, level=0.5, channels=1):
    """Return a sine in ±1, (T,) or (T, channels)."""
    wave = (level * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
    return wave if channels == 1 else np.stack([wave] * channels, 1)


def column(*files):
    return pl.Series("sound", files, dtype=pl.Binary)


def one(file, rate=8000, length=100_000):
    """Return the samples of a file, in ±1."""
    rows, lengths = sounds.decode(column(file), sounds.Form(rate, length))
    return rows[0, : lengths[0]] / 32768


def draw_of(rows, seed=0):
    return Draw(torch.Generator().manual_seed(seed), torch.arange(rows))


# Reading --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "subtype", "error"),
    [
        ("WAV", "PCM_16", 4e-5),
        ("WAV", "PCM_24", 4e-5),
        ("WAV", "PCM_U8", 1e-2),
        ("WAV", "FLOAT", 4e-5),
        ("WAV", "DOUBLE", 4e-5),
        ("WAV", "ULAW", 3e-2),
        ("WAVEX", "PCM_16", 4e-5),
        ("RF64", "PCM_16", 4e-5),
        ("FLAC", None, 4e-5),
        ("OGG", "VORBIS", 5e-2),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_formats(kind, subtype, error, channels):
    wave = tone(440, channels=channels)
    found = one(sounds.wav(wave, 8000, subtype=subtype, kind=kind))
    assert len(found) == len(wave)
    assert np.abs(found - tone(440)).max() < error


def test_mp3():
    found = one(sounds.wav(tone(440, 1.0, 16000), 16000, kind="MP3"), rate=16000)
    assert abs(len(found) - 16000) < 3000
    spectrum = np.abs(np.fft.rfft(found[4000:12000]))
    assert spectrum.argmax() == 220  # of 2 Hz each


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 44100, 48000, 44101])
def test_resampling_keeps_a_tone(rate):
    found = one(sounds.wav(tone(500, 1.0, rate), rate, subtype="FLOAT"), rate=8000)
    assert abs(len(found) - 8000) <= 1
    inner = slice(500, 7500)
    assert np.abs(found[inner] - tone(500, 1.0)[: len(found)][inner]).max() < 2e-3


def test_resampling_lets_nothing_through_above_half_the_rate():
    assert np.abs(one(sounds.wav(tone(6000, 1.0, 44100), 44100, subtype="FLOAT"))[500:-500]).max() < 1e-3


def test_channels_are_mixed():
    left, right = tone(300), tone(700)
    found = one(sounds.wav(np.stack([left, right], 1), 8000, subtype="FLOAT"))
    assert np.abs(found - (left + right) / 2).max() < 2e-5


def test_long_sounds_lose_their_end_and_missing_ones_have_none():
    file = sounds.wav(tone(440), 8000, subtype="PCM_16")
    rows, lengths = sounds.decode(column(file, None), sounds.Form(8000, 1000))
    assert rows.shape == (2, 1000)
    assert lengths.tolist() == [1000, 0]
    assert not rows[1].any()
    assert np.abs(rows[0] - tone(440)[:1000] * 32768).max() <= 1


def test_threads_change_nothing():
    files = [sounds.wav(tone(100 + 10 * i, 0.1 + 0.01 * i), 8000) for i in range(20)]
    with media.threads(1):
        alone = sounds.decode(column(*files), sounds.Form(8000, 9999))
    with media.threads(4):
        together = sounds.decode(column(*files), sounds.Form(8000, 9999))
    assert all(np.array_equal(first, second) for first, second in zip(alone, together, strict=True))


def test_all_bad_rows_are_told_at_once():
    good = sounds.wav(tone(440), 8000)
    with pytest.raises(DataError, match="E266") as caught:
        sounds.decode(column(good, b"x", None, good[:-9], *[b""] * 9), sounds.Form(8000, 100))
    text = str(caught.value)
    assert "11 of 13 sounds" in text
    assert "row 2: not a sound of a known format, or damaged at its start" in text
    assert "row 4: cut short" in text
    assert "and 1 more" in text


def test_what_a_column_teaches():
    files = [sounds.wav(tone(440, seconds, rate), rate) for seconds, rate in ((0.5, 8000), (0.2, 44100), (0.3, 8000))]
    state = Sound().fit(column(*files))
    assert (state.rate, state.length) == (8000, 4000)
    assert Sound(max_seconds=0.25).fit(column(*files)).length == 2000
    assert Sound().fit(column(files[1])).rate == 16_000
    assert Sound(rate=4000).fit(column(*files)).length == 2000
    facts = Sound(cepstra=13).facts("x", state).sound
    assert (facts.window, facts.hop, facts.cepstra) == (256, 80, 13)
    levels = [LogMel(8000, 256, 80, 40)(*sound_of(one(file)))[0].flatten() for file in files]
    whole = torch.cat(levels)
    assert state.mean == pytest.approx(float(whole.mean()), abs=1e-3)
    assert state.std == pytest.approx(float(whole.std(correction=0)), abs=1e-3)


def test_one_long_recording_does_not_lengthen_all_rows():
    short, long = sounds.wav(tone(440, 0.01), 8000), sounds.wav(tone(440, 2.0), 8000)
    assert Sound().fit(column(*[short] * 1200, long)).length == 80
    assert Sound().fit(column(*[short] * 200, long)).length == 16000


@pytest.mark.parametrize("fields", [{"hop": 40.0}, {"cepstra": 41}, {"rate": 10}, {"max_seconds": 0}])
def test_fields_that_do_not_fit_are_refused(fields):
    with pytest.raises((RecipeError, ValueError)):
        Sound.parse({"type": "sound", **fields})


def test_what_begins_or_ends_like_a_sound_is_one():
    for kind in ("WAV", "FLAC", "OGG"):
        assert infer(column(None, sounds.wav(tone(440), 8000, kind=kind)), "x").type == "sound"
    assert infer(column(b"\x89PNG"), "x").type == "image"
    assert infer(pl.Series([f"{i}.WAV" for i in range(9)]), "x").type == "sound"
    assert infer(pl.Series([f"{i}.png" for i in range(9)]), "x").type == "image"


# Spectrograms ---------------------------------------------------------------------------------------------------------------


def sound_of(*waves):
    """Return waves in ±1 as the arrays of the wire."""
    longest = max(map(len, waves))
    rows = np.zeros((len(waves), longest), np.int16)
    for row, wave in zip(rows, waves, strict=True):
        row[: len(wave)] = np.rint(np.clip(wave, -1, 32767 / 32768) * 32768)
    return torch.from_numpy(rows), torch.tensor([len(wave) for wave in waves], dtype=torch.int32)


@pytest.mark.parametrize(("window", "hop", "mels"), [(256, 80, 40), (201, 201, 20), (64, 1, 64)])
@pytest.mark.parametrize("length", [1, 79, 80, 81, 400])
def test_the_spectrogram_is_that_of_scipy(window, hop, mels, length):
    from scipy.signal import get_window

    wave = np.random.default_rng(length).uniform(-1, 1, length)
    sound, lengths = sound_of(wave)
    silent = np.concatenate([np.zeros(window // 2), sound[0].numpy() / 32768, np.zeros(window + hop)])
    starts = range(0, length, hop)
    frames = np.stack([silent[start : start + window] * get_window("hann", window) for start in starts])
    expected = np.log(np.abs(np.fft.rfft(frames)) ** 2 @ sounds.mel_filters(8000, window, mels) + 1e-5)
    beyond = torch.cat([sound, torch.full((1, 300), 9999, dtype=torch.int16)], 1)
    found, count = LogMel(8000, window, hop, mels)(beyond, lengths)
    assert count.tolist() == [len(frames)]
    np.testing.assert_allclose(found[0, : len(frames)].numpy(), expected, atol=2e-5)
    np.testing.assert_allclose(sounds.log_mel(sound[0].numpy(), 8000, window, hop, mels), expected, atol=1e-9)


def test_bands_are_evenly_spaced_on_the_mel_scale():
    filters = sounds.mel_filters(16000, 512, 40)
    assert filters.shape == (257, 40)
    assert (filters.max(0) > 0.3).all()
    peaks = 2595 * np.log10(1 + filters.argmax(0)[10:] * 16000 / 512 / 700)
    assert np.abs(np.diff(peaks) - np.diff(peaks).mean()).max() < 50


def test_cepstra_are_the_cosine_transform_of_scipy():
    from scipy.fft import dct

    sound, lengths = sound_of(np.random.default_rng(0).uniform(-1, 1, 500))
    bands, _ = LogMel(8000, 256, 80, 40, -5.0, 3.0)(sound, lengths)
    cepstra, _ = LogMel(8000, 256, 80, 40, -5.0, 3.0, 13)(sound, lengths)
    np.testing.assert_allclose(cepstra.numpy(), dct(bands.numpy(), norm="ortho")[..., :13], atol=1e-5)


def test_long_sounds_go_through_a_network_few_at_a_time():
    assert rows_at_once({"a.sound": np.zeros((1, 8000))}, 1024) == 262
    assert rows_at_once({"a.sound": np.zeros((1, 480_000))}, 1024) == 4


def test_a_report_draws_a_sound():
    low, high = (sounds.drawn(sounds.wav(tone(pitch, 1.0), 8000)) for pitch in (200, 3000))
    assert low.shape[0] == 48
    assert low.dtype == np.uint8
    assert low.mean(1).argmax() > 30 > 15 > high.mean(1).argmax()
    assert infer(column(sounds.wav(tone(440, 1.0, 16000), 16000, kind="MP3")), "x").type == "sound"


# Augmentations --------------------------------------------------------------------------------------------------------------


def changed(part, wave, rows=200):
    sound, lengths = sound_of(*[wave] * rows)
    found, counts = part.build(FACTS)(sound.float(), lengths, draw_of(rows))
    return [row[:count].numpy() / 32768 for row, count in zip(found, counts.tolist(), strict=True)]


def test_gain_changes_the_level_by_so_many_decibels():
    levels = [20 * np.log10(np.abs(row).max() / 0.25) for row in changed(Gain(decibels=6), tone(440, level=0.25))]
    assert -6.1 < min(levels) < -5
    assert 5 < max(levels) < 6.1
    assert np.abs(changed(Gain(decibels=30), tone(440))).max() <= 1


def test_hiss_is_so_far_below_the_sound():
    wave = tone(440)
    noise = [20 * np.log10((row - wave).std() / wave.std()) for row in changed(Hiss(quietest=-40, loudest=-20, p=1.0), wave)]
    assert -40.5 < min(noise) < -38
    assert -22 < max(noise) < -19.5
    assert sum(np.array_equal(row, changed(Gain(p=0), wave, 1)[0]) for row in changed(Hiss(p=0.5), wave)) in range(60, 140)


def test_speed_changes_length_and_pitch():
    rows = changed(Speed(amount=0.25), tone(400, 1.0))
    lengths = [len(row) / 8000 for row in rows]
    assert 0.79 < min(lengths) < 0.85
    assert 1.18 < max(lengths) < 1.26
    for row in rows[:20]:
        pitch = np.abs(np.fft.rfft(row, 80_000)).argmax() / 10
        assert pitch * len(row) / 8000 == pytest.approx(400, abs=4)


def test_shift_puts_silence_before_or_takes_the_start_away():
    wave = tone(440, 0.5) + 0.01
    rows = changed(Shift(seconds=0.05), wave)
    moved = [len(row) - len(wave) for row in rows]
    assert min(moved) < -300
    assert max(moved) > 300
    for row, by in zip(rows, moved, strict=True):
        assert not row[: max(by, 0)].any()
        np.testing.assert_allclose(row[max(by, 0) :], wave[max(-by, 0) :], atol=1e-4)
    assert min(map(len, changed(Shift(seconds=60), wave, 50))) >= len(wave) * 2 // 3


def test_an_augmentation_of_the_other_kind_is_refused(tmp_path):
    frame = pl.DataFrame({"sound": [sounds.wav(tone(300 + i), 8000) for i in range(40)], "y": ["a", "b"] * 20})
    recipe = {"inputs": {"sound": {"type": "sound", "augment": ["flip", "speed", "crop"]}}}
    with pytest.raises(RecipeError) as caught:
        dw.train(frame, target="y", recipe=recipe, out=tmp_path / "m")
    assert [problem.code for problem in caught.value.problems] == ["E106", "E106"]
    assert "gain, hiss, shift, speed" in str(caught.value)


# Networks -------------------------------------------------------------------------------------------------------------------


def test_statistics_of_a_normalisation_are_those_of_the_frames():
    maps = torch.randn(3, 4, 7, 5)
    mask = torch.arange(7) < torch.tensor([7, 2, 0])[:, None]
    masked, plain = MaskedBatchNorm(4).train(), MapBatchNorm(4).train()
    found = masked(maps, mask)
    rows = maps.transpose(1, 2)[mask]
    expected = plain(rows.unsqueeze(-1)).squeeze(-1)
    expect_equal(found.transpose(1, 2)[mask], expected, "normalised")
    expect_equal(masked.norm.running_var, plain.running_var, "running variance")
    assert not found.transpose(1, 2)[~mask].any()
    assert torch.isfinite(masked(maps, torch.zeros_like(mask))).all()


@pytest.mark.parametrize("name", ["sound_cnn", "crnn"])
def test_in_training_padding_does_not_count_either(name):
    facts = facts_of("sound")[0]
    part = Encoder.parse({"type": name, "channels": [4, 6], "mask_frames": 0, "mask_bands": 0, "dropout": 0})
    torch.manual_seed(0)
    module = part.build(facts).train()
    arrays = arrays_of(facts, 6)
    expect_equal(module(padded(arrays, 200)), module(arrays), "padded in training", 1e-4)


def test_training_covers_frames_and_bands():
    facts = facts_of("sound")[0]
    arrays = arrays_of(facts, 64)
    arrays["lengths"][:] = facts.sound.length
    maps = SoundMaps(facts.sound, (), mask_frames=0.5, mask_bands=0.5)
    frames, _ = maps.train()(arrays)
    covered = (frames.unflatten(2, (1, -1)).squeeze(2) == 0).float()
    assert 0.1 < float((covered.mean(2) == 1).float().mean()) < 0.4
    assert 0.1 < float((covered.mean(1) == 1).float().mean()) < 0.4
    whole, _ = maps.eval()(arrays)
    assert not (whole == 0).all(2).any()


def test_encoders_of_sounds_refuse_texts():
    for name in ("sound_cnn", "crnn"):
        with pytest.raises(RecipeError, match="needs a sound"):
            Encoder.parse(name).build(facts_of("tokens")[0])


# Sources --------------------------------------------------------------------------------------------------------------------


def put(folder, names):
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sounds.wav(tone(200 + 50 * index, 0.05), 8000))


def test_sounds_in_folders_of_classes(tmp_path):
    put(tmp_path / "d", ["train/yes/1.wav", "train/no/2.WAV", "test/yes/3.flac", "train/no/readme.txt"])
    source = Source.parse(str(tmp_path / "d"))
    assert isinstance(source, Sounds)
    table = source.read()
    assert table.frame["label"].to_list() == ["no", "yes"]
    assert table.frame["sound"].to_list()[0].endswith("train/no/2.WAV")
    assert [note.what for note in table.notes] == ["not_sounds", "held_out"]
    assert source.held_out().read().frame["label"].to_list() == ["yes"]


def test_names_tell_the_columns(tmp_path):
    put(tmp_path / "r", ["7_jackson_12.wav", "0_lucas_3.wav", "0_van_der_3.wav"])
    table = Sounds(path=str(tmp_path / "r"), names="{label}_{speaker}_{n}").read()
    assert table.frame.drop("sound").rows() == [("0", "lucas", "3"), ("0", "van", "der_3"), ("7", "jackson", "12")]
    with pytest.raises(DataError, match="3 of 3 sounds are not named"):
        Sounds(path=str(tmp_path / "r"), names="{label}-{n}").read()
    with pytest.raises(DataError, match="no pictures"):
        Images(path=str(tmp_path / "r"), names="{label}").read()


def test_names_may_hold_folders_and_leave_train_and_test_alone(tmp_path):
    put(tmp_path / "r", ["train/ann/yes_1.wav", "train/bob/no_2.wav", "test/ann/no_3.wav"])
    source = Sounds(path=str(tmp_path / "r"), names="{speaker}/{label}_{n}")
    assert source.read().frame.drop("sound").rows() == [("ann", "yes", "1"), ("bob", "no", "2")]
    assert source.held_out().read().frame.drop("sound").rows() == [("ann", "no", "3")]
    assert 'names: "{speaker}/{label}_{n}"' in source.read().notes[-1].text


@pytest.mark.parametrize("names", ["label", "{label}{n}", "{label}_{label}", "{sound}_{n}", "{label}_{", "{1}_{n}", "{a b}_{c}"])
def test_names_that_make_no_columns_are_refused(names):
    with pytest.raises(ValueError, match="names"):
        Sounds(path="x", names=names)


# From sound to prediction ---------------------------------------------------------------------------------------------------


def tones(folder, count=120, seed=0):
    """Write high and low tones in noise, of several lengths and rates, and return the table of their paths."""
    draw = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        high, rate = index % 2, (8000, 16000)[index // 2 % 2]
        wave = tone((400, 900)[high] * draw.uniform(0.9, 1.1), draw.uniform(0.1, 0.4), rate, 0.3)
        (folder / f"{index}.wav").write_bytes(sounds.wav(wave + draw.normal(0, 0.05, len(wave)).astype(np.float32), rate))
        rows.append((f"{index}.wav", "high" if high else "low"))
    return pl.DataFrame(rows, schema=["sound", "label"], orient="row")


@pytest.mark.parametrize(
    "encoder",
    [
        {"type": "sound_cnn", "channels": [8, 8, 16], "width": 16},
        {"type": "sound_cnn", "channels": [8, 16], "separable": True, "pool": "attention"},
        {"type": "crnn", "channels": [8, 8], "width": 16},
        {"type": "gru", "width": 16},
    ],
    ids=lambda encoder: encoder["type"],
)
def test_sounds_train_export_and_predict_without_torch(tmp_path, encoder):
    tones(tmp_path).with_row_index("n").write_csv(tmp_path / "rows.csv")
    recipe = {
        "data": {"source": str(tmp_path / "rows.csv"), "drop": ["n"]},
        "inputs": {"sound": {"type": "sound", "encoder": encoder, "augment": ["speed", "gain", "hiss", "shift"], "mels": 32}},
        "outputs": {"label": "category"},
        "training": {"epochs": 12, "batch": 16, "seed": 0, "precision": "fp32"},
    }
    model = dw.train(recipe=recipe, out=tmp_path / "model")
    assert model.metrics["label"]["accuracy"]["value"] > 0.9
    pl.DataFrame({"sound": ["0.wav", None, "1.wav"], "n": [1, 2, 3]}).write_csv(tmp_path / "fresh.csv")
    code = (
        "import sys, deepwright as dw; "
        f"frame = dw.load({str(tmp_path / 'model')!r}).predict({str(tmp_path / 'fresh.csv')!r}); "
        "assert 'torch' not in sys.modules; print(frame['label'].to_list())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    labels = eval(done.stdout)
    assert (labels[0], labels[2]) == ("low", "high")


def test_augmented_batches_are_those_of_the_step(tmp_path):
    from deepwright.batches import Rows, Sampler

    arrays = {"s.sound": np.random.default_rng(0).integers(-9999, 9999, (20, 300)).astype(np.int16)}
    arrays["s.lengths"] = np.arange(20, dtype=np.int32) * 10 + 50
    rows = Rows(arrays, {"y": np.zeros(20, np.float32)})
    change = Augmentation.parse("speed").build(FACTS)
    feed = Feed(rows, Sampler(20, 5, 0, lengths=rows.lengths), 0, {"s.sound": change})
    first, again = feed.take(3, 9), feed.take(3, 9)
    assert torch.equal(first.arrays["s.sound"], again.arrays["s.sound"])
    assert first.arrays["s.sound"].shape[1] == int(first.arrays["s.lengths"].max())
