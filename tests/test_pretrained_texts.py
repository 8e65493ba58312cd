"""Transformers of Hugging Face's library: a tiny BERT with random weights, made here, in every way that it is used."""

import json
import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch

import deepwright as dw
from deepwright import words
from deepwright.blocks.rates import layers_of
from deepwright.errors import DataError, DeepwrightError, RecipeError
from deepwright.facts import Facts, TokensFacts
from deepwright.families import Encoder
from deepwright.features.text import Text

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "max_position_embeddings": 40,
}
GOOD, BAD, REST = ["good", "fine", "great"], ["bad", "poor", "dull"], ["the", "film", "was", "play"]


def table(count=160):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count)
    rows = [" ".join([*rng.choice(REST, rng.integers(1, 6)), rng.choice(GOOD if label else BAD)]) for label in labels]
    return {"text": rows, "label": ["yes" if label else "no" for label in labels]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Save a masked language model and its tokenizer as the library does."""
    place = tmp_path_factory.mktemp("models") / "tiny"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *REST, *"abcdefghijklmnopqrstuvwxyz", "##s", "##ly"]
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    network = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=len(vocabulary), **SIZES))
    network.save_pretrained(place)
    made.save(str(place / "tokenizer.json"))
    return place


def recipe(folder, encoder=None, training=None):
    part = {"type": "pretrained_text", "model": str(folder), **(encoder or {})}
    usual = {"epochs": 5, "batch": 16, "optimizer": {"type": "adamw", "lr": 5e-3}, **(training or {})}
    return {"inputs": {"text": {"type": "text", "encoder": part}}, "outputs": {"label": "category"}, "training": usual}


def test_texts_are_split_as_the_library_does_and_states_are_those_of_its_network(folder):
    part = Text(tokenizer=str(folder / "tokenizer.json"))
    import polars as pl

    rows = pl.Series("text", ["The film was good", "goods", "", None, "Bad play " * 40])
    state = part.fit(rows)
    found = part.encode(rows, state)["tokens"]
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    for text, row in zip(rows, found, strict=True):
        wanted = fast(text, truncation=True, max_length=state.length)["input_ids"] if text else []
        assert row[row > 0].tolist() == [number + 2 for number in wanted]
    assert type(state).model_validate_json(state.model_dump_json()) == state
    encoder = Encoder.parse({"type": "pretrained_text", "model": str(folder), "pool": "first"}).settled("here")
    facts = Facts("text", tokens=part.facts("text", state).tokens)
    facts = Facts("text", tokens=TokensFacts(facts.tokens.vocabulary, 40))
    module = encoder.build(facts).eval()
    encoder.start(module, "here")
    network = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = torch.tensor([fast("the film was good")["input_ids"]])
    with torch.inference_mode():
        torch.testing.assert_close(module({"tokens": (ids + 2).int()}), network(ids).last_hidden_state[:, 0])


def test_a_bundle_needs_neither_the_folder_nor_torch(folder, tmp_path):
    model = dw.train(table(), recipe=recipe(folder), out=tmp_path / "m")
    assert model.recipe.inputs["text"].encoder.config["hidden_size"] == 16
    assert model.metrics["label"]["accuracy"]["value"] > 0.9
    code = (
        "import sys, deepwright as dw\n"
        f"found = dw.load({str(tmp_path / 'm')!r}).predict({{'text': ['a great film', 'so dull', '', None, 'good ' * 90]}})\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'predicting imported torch'\n"
        "print(found['label'].to_list()[:2])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['yes', 'no']"


def test_weights_stay_where_they_are_frozen_and_learn_by_low_rank(folder, tmp_path):
    from safetensors.numpy import load_file

    start = load_file(folder / "model.safetensors")["bert.encoder.layer.0.attention.self.query.weight"]
    name = "encoders.0.network.encoder.layer.0.attention.self.query.weight"
    for number, (encoder, training, learns) in enumerate(
        [({}, {"rates": {"text": {"frozen": "always"}}}, False), ({"lora": {"rank": 2, "only": "query"}}, {}, True)]
    ):
        out = tmp_path / str(number)
        dw.train(table(60), recipe=recipe(folder, encoder, {"epochs": 1, **training}), out=out)
        assert (np.abs(load_file(out / "weights.safetensors")[name] - start).max() > 0) == learns


def test_its_layers_thaw_one_after_the_other(folder):
    encoder = Encoder.parse({"type": "pretrained_text", "model": str(folder)}).settled("here")
    module = encoder.build(Facts("text", tokens=TokensFacts(("<pad>", "<unk>", "a"), 9)))
    assert len(layers_of(module)) == 4, "the embeddings, and three layers"


def damaged(folder, tmp_path, change):
    """Copy the folder, and change it."""
    import shutil

    place = tmp_path / "copy"
    shutil.copytree(folder, place)
    change(place)
    return place


def rename(place):
    (place / "model.safetensors").rename(place / "pytorch_model.bin")


def other_config(place):
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "hidden_size": 32}))


def deaf(place):
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "vocab_size": 5}))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (rename, "E204"),
        (lambda place: (place / "model.safetensors").unlink(), "E200"),
        (lambda place: (place / "config.json").unlink(), "E200"),
        (lambda place: (place / "config.json").write_text("{"), "E202"),
        (lambda place: (place / "config.json").write_text('{"model_type": "no such network"}'), "E104"),
        (lambda place: (place / "model.safetensors").write_bytes(b"\x80\x02" * 20), "E202"),
        (lambda place: (place / "tokenizer.json").write_text("{}"), "E202"),
        (lambda place: (place / "tokenizer.json").unlink(), "E200"),
        (other_config, "E276"),
        (deaf, "E108"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(folder, tmp_path, change, code):
    place = damaged(folder, tmp_path, change)
    with pytest.raises(DeepwrightError) as caught:
        dw.train(table(40), recipe=recipe(place), out=tmp_path / "m")
    assert caught.value.code == code
    assert not (tmp_path / "m").exists()


def test_an_ensemble_reads_what_its_tokenizer_gives(folder, tmp_path):
    both = {"type": "ensemble", "encoders": ["bag", {"type": "pretrained_text", "model": str(folder)}]}
    settled = recipe(folder)
    settled["inputs"]["text"]["encoder"] = both
    model = dw.train(table(40), recipe=settled, out=tmp_path / "m", settings=["training.epochs=1"])
    assert model.recipe.inputs["text"].tokenizer == str(folder / "tokenizer.json")
    other = damaged(folder, tmp_path, lambda place: None)
    several = [{"type": "pretrained_text", "model": str(each)} for each in (folder, other)]
    with pytest.raises(RecipeError, match=r"E106.*different tokenizers"):
        Encoder.parse({"type": "ensemble", "encoders": several}).settled("x")


def test_other_weights_than_those_of_the_recipe_are_refused(folder):
    with pytest.raises(DataError) as caught:
        Encoder.parse({"type": "pretrained_text", "model": str(folder), "sha256": "0" * 64}).settled("here")
    assert caught.value.code == "E276"
    with pytest.raises(DataError, match="no such folder"):
        Encoder.parse({"type": "pretrained_text", "model": str(folder) + "x"}).settled("here")
    with pytest.raises(RecipeError, match="E110"):
        Encoder.parse({"type": "pretrained_text", "model": "x"}).build(Facts("t", tokens=TokensFacts(("<pad>", "<unk>"), 4)))
    with pytest.raises(ValueError, match="leave tokens"):
        Text(tokenizer="x", tokens="char")


@pytest.mark.parametrize("fusion", ["compare", "cross"])
def test_two_texts_share_one_network(folder, tmp_path, fusion):
    rows = table(60)
    declared = recipe(folder) | {"fusion": fusion, "training": {"epochs": 1}}
    declared["inputs"]["other"] = {"type": "text", "same_as": "text"}
    model = dw.train({**rows, "other": rows["text"][::-1]}, recipe=declared, out=tmp_path / "m")
    assert list(model.recipe.training.rates) == ["text"]
    assert model.bundle.manifest["export"]["graph"]
    assert len(model.predict({"text": ["good"], "other": ["a bad film"]})) == 1


def test_its_states_are_what_a_text_is_written_from(folder, tmp_path):
    rows = table(60)
    head = {"type": "lstm_decoder", "width": 8}
    out = {"out": {"type": "text", "tokens": "char", "head": head}}
    declared = recipe(folder, training={"epochs": 1}) | {"outputs": out}
    model = dw.train({**rows, "out": rows["text"]}, recipe=declared, out=tmp_path / "m", settings=["data.drop=[label]"])
    assert isinstance(model.predict({"text": ["good film"]})["out"][0], str)


# A label for each word -------------------------------------------------------------------------------------------------------


def test_the_first_token_of_each_word_is_found(folder):
    tokenizer = (folder / "tokenizer.json").read_text()
    rows = [["Good", "films", "xyz", "!"], [], ["was", "", "play"], ["good"] * 50]
    firsts, counts = words.first_subwords(tokenizer, rows, 40)
    flat, sizes = words.split_ready(tokenizer, [" ".join(row) for row in rows], 40)
    names = words.read_tokenizer(str(folder / "tokenizer.json"), "here")[1]
    tokens = [names[i - 2] for i in flat[: sizes[0]]]
    assert counts.tolist() == [4, 0, 3, 38], "two places of 40 are those around a text"
    assert [tokens[place - 1] for place in firsts[:4]] == ["good", "film", "[UNK]", "[UNK]"]
    assert tokens[1:-1] == ["good", "film", "##s", "[UNK]", "[UNK]"]
    assert firsts[4:7].tolist() == [2, 3, 3]


def test_labels_of_words_are_learnt_by_what_stands_at_their_first_token(folder, tmp_path):
    draw = np.random.default_rng(0)
    rows, labels = [], []
    for _ in range(120):
        row = draw.choice([*GOOD, *BAD, *REST, "films"], draw.integers(1, 9)).tolist()
        rows.append(row)
        labels.append(["B-GOOD" if word in GOOD else "B-BAD" if word in BAD else "O" for word in row])
    frame = pl.DataFrame({"text": rows, "tags": labels})
    declared = recipe(folder, training={"epochs": 8}) | {"outputs": {"tags": "labels"}}
    model = dw.train(frame, recipe=declared, out=tmp_path / "m")
    assert model.metrics["tags"]["f1"]["value"] > 0.9
    assert model.bundle.manifest["export"]["graph"]
    fresh = {"text": [["films", "good", "films"], [], ["bad"] * 60, ["the", "poor", "play"]]}
    found = model.predict(fresh)["tags"].to_list()
    assert found[0] == ["O", "B-GOOD", "O"]
    assert found[1] == []
    assert found[3] == ["O", "B-BAD", "O"]
    assert found == model.predict(fresh, engine="torch")["tags"].to_list()
    assert found == [model.predict({"text": [row]})["tags"][0].to_list() for row in fresh["text"]], "alone as among others"
    with pytest.raises(RecipeError, match=r"E106.*label for each token needs the tokens"):
        dw.train(frame.with_columns(pl.col("text").list.join(" ")), recipe=declared, out=tmp_path / "n")


# Spans of characters and answers ---------------------------------------------------------------------------------------------


def test_places_of_tokens_are_those_of_their_characters(folder):
    tokenizer = (folder / "tokenizer.json").read_text()
    texts = ["Good  films", "", "  a\tplay ", None or "", "é the"]
    places = words.subword_places(tokenizer, texts)
    assert places.counts.tolist() == [5, 0, 4, 0, 4]
    shown = [
        (int(a), int(b), texts[row][a:b])
        for row, first, count in zip(range(5), places.firsts, places.counts, strict=True)
        for a, b in zip(places.starts[first : first + count], places.stops[first : first + count], strict=True)
    ]
    assert shown[:5] == [(0, 0, ""), (0, 4, "Good"), (6, 10, "film"), (10, 11, "s"), (11, 11, "")]
    assert shown[5:9] == [(0, 0, ""), (2, 3, "a"), (4, 8, "play"), (8, 8, "")]
    assert shown[9:] == [(0, 0, ""), (0, 1, "é"), (2, 5, "the"), (5, 5, "")]


def test_blanks_that_a_tokenizer_counts_to_words_are_in_no_span():
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(["in Paris now"] * 9, tokenizers.trainers.BpeTrainer(initial_alphabet=alphabet, min_frequency=2))
    places = words.subword_places(made.to_str(), ["in Paris now", "in 巴黎"])
    assert list(zip(places.starts[:3].tolist(), places.stops[:3].tolist(), strict=True)) == [(0, 2), (3, 8), (9, 12)]
    rest = list(zip(places.starts[3:].tolist(), places.stops[3:].tolist(), strict=True))
    assert {(3, 4), (4, 5)} <= set(rest), "tokens of parts of a character stand where it does"
    assert rest == sorted(rest)


def spans(count=150):
    """Texts in which good and bad words are marked by their characters."""
    draw = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        text, found = "", []
        for word in draw.choice([*GOOD, *BAD, *REST, "films"], draw.integers(1, 9)).tolist():
            text += " " if text else ""
            if word in GOOD or word in BAD:
                found.append([len(text), len(text) + len(word), "GOOD" if word in GOOD else "BAD"])
            text += word.capitalize() if draw.random() < 0.3 else word
        rows.append({"text": text, "label": found})
    return rows


def test_spans_of_characters_are_found_by_a_network_learnt_before(folder, tmp_path):
    rows = spans()
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    declared = recipe(folder, training={"epochs": 8}) | {"outputs": {"label": "labels"}, "data": str(tmp_path / "rows.jsonl")}
    model = dw.train(recipe=declared, out=tmp_path / "m")
    assert model.metrics["label"]["f1"]["value"] > 0.9
    shutil.move(folder, folder.with_name("away"))
    try:
        fresh = ["The films was good , fine", "", "a  bad play", "good " * 60]
        found = model.predict({"text": fresh})["label"].to_list()
        assert [(each["start"], each["end"], each["type"], each["text"]) for each in found[0]] == [
            (14, 18, "GOOD", "good"),
            (21, 25, "GOOD", "fine"),
        ]
        assert found[1] == []
        assert [each["text"] for each in found[2]] == ["bad"]
        assert all(each["text"].strip() for each in found[3])
        assert model.evaluate(str(tmp_path / "rows.jsonl")).outputs["label"].metrics["f1"].value > 0.9
    finally:
        shutil.move(folder.with_name("away"), folder)


@pytest.mark.slow
def test_answers_are_found_by_a_network_learnt_before(folder, tmp_path):
    draw = np.random.default_rng(0)
    rows = []
    for _ in range(200):
        good = bool(draw.integers(0, 2))
        two = [str(draw.choice(GOOD)), str(draw.choice(BAD))]
        filler = draw.choice(REST, draw.integers(2, 6)).tolist()
        where = draw.permutation(len(filler) + 2)
        text = " ".join(np.array([*filler, *two])[where].tolist())
        rows.append({"passage": text, "question": "great" if good else "dull", "answer": two[0] if good else two[1]})
    rows = [row for row in rows if row["question"] not in row["passage"]]
    inputs = {
        "passage": {"type": "text", "encoder": {"type": "pretrained_text", "model": str(folder)}},
        "question": {"type": "text", "same_as": "passage"},
    }
    outputs = {"answer": {"type": "answer", "of": "passage", "asks": "question"}}
    training = {"epochs": 10, "batch": 16, "optimizer": {"type": "adamw", "lr": 5e-3}, "seed": 0}
    model = dw.train(rows, recipe={"inputs": inputs, "outputs": outputs, "training": training}, out=tmp_path / "m")
    assert model.bundle.manifest["export"]["graph"]
    found = model.predict({"passage": ["the fine film was poor"], "question": ["dull"]})
    assert found.columns[0] == "answer"
    assert found["answer"][0] in "the fine film was poor"
    assert model.metrics["answer"]["f1"]["value"] > 0.8
