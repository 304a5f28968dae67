"""Quantization and LoRA, against the oracle: variables, values, gradients, configs and files."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from nyala.models import calibration
from tests.oracle import assert_close, keras, to_numpy

GENERATOR = np.random.default_rng(7)


def floats(*shape):
    return GENERATOR.normal(size=shape).astype("float32")


INDICES = np.array([[0, 3, 6], [2, 2, 5]])
LAYERS = {
    "dense": ("Dense", {"units": 6, "activation": "tanh"}, floats(3, 5)),
    "dense of three axes": ("Dense", {"units": 5, "use_bias": False}, floats(3, 2, 6)),
    "heads": (
        "EinsumDense",
        {"equation": "abc,cde->abde", "output_shape": (None, 3, 4), "bias_axes": "e"},
        floats(2, 5, 8),
    ),
    "heads away": ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": (None, 6)}, floats(2, 5, 3, 4)),
    "turned": ("EinsumDense", {"equation": "abc,dec->aebd", "output_shape": (4, None, 3)}, floats(2, 5, 8)),
    "shared letter": ("EinsumDense", {"equation": "abc,bcd->abd", "output_shape": (5, 6)}, floats(2, 5, 4)),
    "embedding": ("Embedding", {"input_dim": 7, "output_dim": 5}, INDICES),
    "reversible": ("ReversibleEmbedding", {"input_dim": 7, "output_dim": 5}, INDICES),
    "two tables": ("ReversibleEmbedding", {"input_dim": 7, "output_dim": 5, "tie_weights": False}, INDICES),
}
MODES = {
    "int8": ("Int8QuantizationConfig", {}),
    "int8 of weights": ("Int8QuantizationConfig", {"activation_quantizer": None}),
    "int4": ("Int4QuantizationConfig", {}),
    "int4 in blocks": ("Int4QuantizationConfig", {"block_size": 2}),
    "int4 per channel": ("Int4QuantizationConfig", {"block_size": -1}),
    "float8": ("Float8QuantizationConfig", {}),
}
ROUNDED = [("reversible", "int8"), ("two tables", "int8")]
FLOAT8 = ("dense", "heads", "heads away", "turned")
ALL = [(layer, mode) for layer in LAYERS for mode in MODES if mode != "float8" or layer in FLOAT8]
QUICK = [
    *(("dense", mode) for mode in MODES),
    *(("heads", mode) for mode in ("int8", "int4 in blocks", "int4 per channel")),
    ("heads away", "int8"),
    ("turned", "int4 in blocks"),
    ("embedding", "int8"),
    ("embedding", "int4 in blocks"),
    ("reversible", "int8"),
    ("two tables", "int4 in blocks"),
]
CASES = [case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in ALL]


def pair(which, **more):
    """Our layer and the oracle's, built on the same shape, with the same weights; and inputs."""
    name, arguments, inputs = LAYERS[which]
    ours, theirs = (getattr(library.layers, name)(**arguments, **more) for library in (nyala, keras))
    ours.build(inputs.shape)
    theirs.build(inputs.shape)
    give_weights(ours, theirs)
    return ours, theirs, tf.constant(inputs)


def give_weights(ours, theirs):
    generator = np.random.default_rng(3)
    weights = [w + generator.normal(size=w.shape).astype(w.dtype) for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)


def traits(layer):
    return [(w.path.split("/")[-1], tuple(w.shape), w.dtype, w.trainable) for w in layer.weights]


def calls(layer, inputs):
    """The calls that a layer takes: forwards, and for a reversible embedding backwards."""
    vectors = tf.constant(np.random.default_rng(4).normal(size=(2, 3, 5)).astype("float32"))
    return (
        [({}, inputs), ({"reverse": True}, vectors)]
        if type(layer).__name__ == "ReversibleEmbedding"
        else [({}, inputs)]
    )


def outputs_and_gradients(layer, inputs):
    found = []
    for options, x in calls(layer, inputs):
        sources = [*([x] if x.dtype.is_floating else []), *layer.trainable_weights]
        if "training" in type(layer).call.__code__.co_varnames:
            options = {**options, "training": True}
        with tf.GradientTape() as tape:
            tape.watch([s for s in sources if s is x])
            y = layer(x, **options)
            loss = tf.reduce_sum(y * y)
        gradients = tape.gradient(loss, sources)
        found.append((y, [None if g is None else tf.convert_to_tensor(g) for g in gradients]))
    return found


def same_behaviour(ours, theirs, inputs, gradients_too=True, rtol=1e-4, atol=1e-4):
    assert traits(ours) == traits(theirs)
    assert [w.name for w in ours.trainable_weights] == [w.name for w in theirs.trainable_weights]
    mine, reference = outputs_and_gradients(ours, inputs), outputs_and_gradients(theirs, inputs)
    for (y, gradients), (y_reference, their_gradients) in zip(mine, reference, strict=True):
        assert_close(y, y_reference, rtol, atol)
        if not gradients_too:
            continue
        assert [g is None for g in gradients] == [g is None for g in their_gradients]
        assert_close(to_numpy(gradients), to_numpy(their_gradients), rtol, atol)


def same_files(ours, theirs):
    mine, reference = {}, {}
    ours.save_own_variables(mine)
    theirs.save_own_variables(reference)
    assert_close(to_numpy(mine), to_numpy(reference), 1e-4, 1e-4)


def same_config(ours, theirs):
    mine, reference = (json.loads(json.dumps(layer.get_config())) for layer in (ours, theirs))
    assert mine.pop("name") != ""
    reference.pop("name")
    assert {k: mine.get(k) for k in reference} == reference
    again = type(ours).from_config(reference)
    again.build(ours._build_shapes.get("input_shape", (None,)))
    assert sorted(traits(again)) == sorted(traits(theirs))
    assert type(theirs).from_config(mine).dtype_policy.name == ours.dtype_policy.name


@pytest.mark.parametrize(("which", "mode"), CASES, ids=[" as ".join(case) for case in ALL])
def test_modes(which, mode):
    """The same variables with the same values, outputs, gradients, configs and files."""
    ours, theirs, inputs = pair(which)
    name, options = MODES[mode]
    ours.quantize(config=getattr(nyala.quantizers, name)(**options))
    theirs.quantize(config=getattr(keras.quantizers, name)(**options))
    assert ours.dtype_policy.name == theirs.dtype_policy.name
    assert_close(ours.get_weights(), theirs.get_weights(), 1e-5, 1e-6)
    if mode == "float8":  # its gradients are compared in training, for the oracle's tape cannot give them
        assert traits(ours) == traits(theirs)
        assert_close(ours(inputs), theirs(inputs), 1e-4, 1e-4)
    else:
        # The oracle's way back from an int8 table passes no gradient on; ours passes it straight through, as Dense does.
        same_behaviour(ours, theirs, inputs, gradients_too=(which, mode) not in ROUNDED)
    same_files(ours, theirs)
    same_config(ours, theirs)
    shown = "embeddings" if hasattr(type(ours), "embeddings") else "kernel"
    assert_close(np.asarray(getattr(ours, shown)), np.asarray(getattr(theirs, shown)))
    compiled = tf.function(ours, autograph=False)
    assert_close(compiled(inputs), ours(inputs), 1e-5, 1e-5)


@pytest.mark.parametrize("library", [nyala, keras])
def test_a_map_of_policies_quantizes_by_path(library):
    policies = library.dtype_policies
    by_path = policies.DTypePolicyMap(policy_map={"few": policies.get("int8_from_float32")})
    few, many = (library.layers.Dense(2, dtype=by_path, name=name) for name in ("few", "many"))
    for layer in (few, many):
        layer(np.ones((1, 3), "float32"))
    assert (few.quantization_mode, many.quantization_mode) == ("int8", None)
    assert few.kernel.dtype == "int8"
    if library is nyala:  # the reference cannot quantize a layer that has such a map
        many.quantize("int8")
        assert many.quantization_mode == by_path["many"].quantization_mode == "int8"


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_training_in_float8(policy):
    """After three steps the weights, scales and histories equal the oracle's."""
    x, y = floats(8, 5), floats(8, 2, 3)

    def trained(library):
        inputs = library.Input((5,))
        hidden = library.layers.Reshape((1, 6))(library.layers.Dense(6, activation="relu", dtype=policy)(inputs))
        outputs = library.layers.EinsumDense("abc,cde->ade", (2, 3), dtype=policy)(hidden)
        model = library.Model(inputs, outputs)
        model.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in model.get_weights()])
        for layer in model.layers[1], model.layers[3]:  # the oracle's model warns of all others
            layer.quantize("float8")
        model.compile(library.optimizers.SGD(0.01), "mse")
        losses = [model.train_on_batch(x, y) for _ in range(3)]
        return losses, model.get_weights(), [w.name for w in model.weights], model.predict(x, verbose=0)

    tolerance = 1e-5 if policy == "float32" else 2e-2
    mine, reference = trained(nyala), trained(keras)
    assert mine[2] == reference[2]
    assert_close([mine[0], mine[1], mine[3]], [reference[0], reference[1], reference[3]], tolerance, tolerance)
    assert any("history" in name for name in mine[2])


LORA = [
    *[(*LAYERS[which], which) for which in LAYERS if which not in ("turned", "shared letter")],
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal"}, floats(2, 6, 3), ""),
    ("Conv2D", {"filters": 4, "kernel_size": 2, "groups": 2, "activation": "relu"}, floats(2, 5, 5, 4), ""),
    ("Conv3D", {"filters": 2, "kernel_size": 2}, floats(1, 3, 3, 3, 2), ""),
]


@pytest.mark.parametrize("row", LORA, ids=[f"{row[0]} {row[3]}" for row in LORA])
def test_lora(row):
    """Frozen kernel, the same factors, gradients, merged files and configs; also over int8 and int4."""
    name, arguments, inputs, which = row
    for mode in [None, "int8", "int4"] if which in ("dense", "heads", "embedding", "two tables") else [None]:
        ours, theirs = (getattr(library.layers, name)(**arguments) for library in (nyala, keras))
        for layer in (ours, theirs):
            layer.build(inputs.shape)
        give_weights(ours, theirs)
        for layer in (ours, theirs):
            if mode:
                layer.quantize(mode)
            layer.enable_lora(2, lora_alpha=3.0)
            assert layer.lora_enabled
        assert traits(ours) == traits(theirs)
        adapted = [w for w in ours.weights if w.trainable], [w for w in theirs.weights if w.trainable]
        generator = np.random.default_rng(8)
        for mine, reference in zip(*adapted, strict=True):
            value = generator.normal(size=mine.shape)
            mine.assign(value)
            reference.assign(value)
        same_behaviour(ours, theirs, tf.constant(inputs), gradients_too=(which, mode) not in ROUNDED)
        same_files(ours, theirs)
        same_config(ours, theirs)
        before = ours(inputs)
        store = {}
        ours.save_own_variables(store)
        ours.load_own_variables(store)
        assert_close(ours(inputs), before, *((1e-4, 1e-4) if mode is None else (0.3, 2.0)))
        assert not np.any(ours.lora_factors[0])


def test_lora_from_the_constructor():
    """A rank given to the constructor adapts the layer when it is built, with the alpha that was given."""
    layer = nyala.layers.Dense(3, lora_rank=2, lora_alpha=4)
    layer.build((None, 5))
    assert [w.name for w in layer.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]
    assert layer.lora_scale() == 2
    config = nyala.layers.Dense.from_config(layer.get_config())
    assert (config.lora_rank, config.lora_alpha) == (2, 4)


def models(library):
    inputs = library.Input((4,), dtype="int32")
    x = library.layers.Embedding(9, 6, name="table")(inputs)
    x = library.layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de", name="heads")(x)
    x = library.layers.Reshape((4, 8))(x)
    outputs = library.layers.Dense(3, name="out")(x)
    model = library.Model(inputs, outputs)
    model.set_weights([np.random.default_rng(5).normal(size=w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("mode", ["int8", "int4", "float8", "lora", "int8 with lora"])
def test_files_in_both_directions(mode, tmp_path):
    """A model that one of both quantized and saved, the other loads, with equal predictions."""
    x = np.random.default_rng(6).integers(0, 9, (5, 4)).astype("int32")
    for saver, loader in ((nyala, keras), (keras, nyala)):
        model = models(saver)
        for layer in (layer for layer in model.layers if layer.weights):
            if mode != "lora" and (mode, layer.name) != ("float8", "table"):
                layer.quantize(mode.split()[0])
            if "lora" in mode:
                layer.enable_lora(2)
                factors = [w for w in layer.trainable_weights if "lora" in w.name]
                for factor in factors:
                    factor.assign(np.random.default_rng(7).normal(size=factor.shape) / 10)
        path = str(tmp_path / f"{saver.__name__}.keras")
        model.save(path)
        loaded = loader.saving.load_model(path)
        exact = "int8" not in mode or mode == "int8"
        assert_close(loaded(x), model(x), *((1e-4, 1e-4) if exact else (0.2, 1.0)))
        assert [layer.dtype_policy.name for layer in loaded.layers] == [
            layer.dtype_policy.name for layer in model.layers
        ]


CHOICES = [
    (None, ["table", "heads", "out"]),
    ("^out$", ["out"]),
    (["tab", "hea"], ["table", "heads"]),
    (lambda layer: layer.name != "heads", ["table", "out"]),
]


@pytest.mark.parametrize(("filters", "chosen"), CHOICES, ids=["all", "pattern", "patterns", "function"])
def test_whole_models(filters, chosen):
    """`Model.quantize` takes the layers that can be quantized and that the filters choose; the model still trains."""
    model = models(nyala)
    model.compile("sgd", "mse")
    x = np.zeros((2, 4), "int32")
    before = model.predict(x, verbose=0)
    model.quantize("int8", filters=filters)
    assert [layer.name for layer in model.layers if layer.quantization_mode] == chosen
    after = model.predict(x, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.5
    model.fit(x, after, verbose=0)
    assert model.get_quantization_layer_structure("gptq") is None


def built(cls=nyala.layers.Dense, **options):
    layer = cls(3, name="d", **options)
    layer.build((None, 4))
    return layer


class Own(nyala.layers.Dense):
    """A class of the user's own."""


def quantized(layer, *modes):
    for mode in modes:
        layer.quantize(mode)
    return layer


Int4 = nyala.quantizers.Int4QuantizationConfig
MISTAKES = [
    (lambda: nyala.layers.Dense(3, name="d").quantize("int8"), ValueError, "`d` is not built yet"),
    (lambda: quantized(built(), "int8", "int8"), ValueError, "`d` is quantized already, as int8_from_float32"),
    (lambda: built().quantize("int9"), ValueError, "but got 'int9'"),
    (lambda: built().quantize(), ValueError, "it got neither"),
    (lambda: built().quantize("int8", config=Int4()), ValueError, "a config for 'int4'; leave the mode out"),
    (lambda: built().quantize(config=3), ValueError, "A quantization config is an object"),
    (lambda: built().quantize("gptq"), ValueError, "needs examples; pass config=GPTQConfig"),
    (lambda: built(dtype="mixed_float16").quantize("int8"), ValueError, "too small for int8"),
    (lambda: built(Own).quantize("int8"), NotImplementedError, "a Own, a class of your own"),
    (lambda: nyala.layers.Dropout(0.5, name="o").quantize("int8"), NotImplementedError, "`o` (Dropout) cannot be"),
    (lambda: nyala.layers.Dropout(0.5).quantized_build((2,), "int8"), NotImplementedError, "has no weights"),
    (lambda: nyala.layers.Embedding(3, 2).quantize("float8"), NotImplementedError, "as int8, int4, not as 'float8'"),
    (lambda: nyala.layers.Dense(3, name="d").enable_lora(2), ValueError, "`d` is not built yet"),
    (lambda: built(lora_rank=1).enable_lora(2), ValueError, "has LoRA of rank 1 already"),
    (lambda: built().enable_lora(0), ValueError, "is a positive integer, but got 0"),
    (lambda: nyala.layers.Dense(3, lora_rank=-1), ValueError, "is a positive integer, but got -1"),
    (lambda: nyala.layers.Dense(3).kernel, AttributeError, "has no `kernel` before it is built"),
    (lambda: nyala.layers.Dense(3, quantization_config="int8"), ValueError, "A quantization config is an object"),
    (lambda: models(nyala).quantize("int8", filters=3), ValueError, "`filters` is a regular expression"),
    (lambda: nyala.Sequential([nyala.layers.Dense(2)]).quantize("int8"), ValueError, "is not built yet"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES, ids=[row[2] for row in MISTAKES])
def test_mistakes(call, error, message):
    """What is wrong, where, and the cure."""
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


# ---- Calibration ----


def block_model(library):
    class Block(library.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = library.layers.Dense(12, activation="relu", name="first")
            self.heads = library.layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de", name="heads")
            self.last = library.layers.EinsumDense("abde,dec->abc", (None, 10), name="last")

        def build(self, input_shape):
            self.first.build(input_shape)
            self.heads.build((*input_shape[:-1], 12))
            self.last.build((*input_shape[:-1], 2, 4))
            self.built = True

        def call(self, inputs):
            return inputs + self.last(self.heads(self.first(inputs)))

    table, block = library.layers.Embedding(20, 10), Block(name="block")
    inputs = library.Input((48,), dtype="int32")
    model = library.Model(inputs, block(table(inputs)))
    model.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in model.get_weights()])
    return model, {"pre_block_layers": [table], "sequential_blocks": [block]}, block


TOKENS = np.random.default_rng(2).integers(0, 20, 48).astype("int32")
WINDOW = {"num_samples": 1, "sequence_length": 48}


@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_calibration_beats_rounding(mode):
    """What comes out of the first layer is nearer to the floats than with every weight rounded by itself."""
    name = f"{mode.upper()}Config"
    model, structure, block = block_model(nyala)
    inputs = model.layers[1](TOKENS[np.newaxis])
    exact, before = model(TOKENS[np.newaxis]), block.first(inputs)
    kernel = block.first.kernel.numpy()
    options = {**WINDOW, "group_size": 5, "quantization_layer_structure": structure}
    model.quantize(config=getattr(nyala.quantizers, name)([TOKENS], None, **options))
    assert [layer.quantization_mode for layer in (block.first, block.heads, block.last)] == [mode] * 3
    plain = nyala.layers.Dense(12, activation="relu")
    plain.build((None, 10))
    plain.set_weights([kernel, block.first.bias.numpy()])
    plain.quantize(config=nyala.quantizers.GPTQConfig(None, None, group_size=5))
    calibration.gptq(plain, np.eye(10, dtype="float32"), plain.quantization_config)  # rounds, as the next test shows
    assert np.abs(block.first(inputs) - before).mean() < np.abs(plain(inputs) - before).mean()
    assert np.abs(model(TOKENS[np.newaxis]) - exact).mean() < 0.2 * np.abs(exact).mean()


@pytest.mark.parametrize("bits", [8, 4, 3])
def test_gptq_of_independent_inputs_is_rounding(bits):
    """Where nothing can make up for a column's error, the numbers are those of the oracle's rounding."""
    (name, arguments, inputs), options = LAYERS["dense"], {"weight_bits": bits, "group_size": -1}
    ours, theirs = (getattr(library.layers, name)(**arguments) for library in (nyala, keras))
    for layer in (ours, theirs):
        layer.build(inputs.shape)
    give_weights(ours, theirs)
    kernel, bias = theirs.get_weights()
    for layer, library in ((ours, nyala), (theirs, keras)):
        layer.quantize(config=library.quantizers.GPTQConfig(None, None, **options))
    assert traits(ours) == traits(theirs)
    with pytest.raises(ValueError, match="not calibrated, so it cannot be saved"):
        ours.save_own_variables({})
    calibration.gptq(ours, np.eye(5, dtype="float32"), ours.quantization_config)
    low, high = np.minimum(kernel.min(0), 0), np.maximum(kernel.max(0), 0)
    scale = (high - low) / (2**bits - 1)
    expected = (
        np.clip(np.round(kernel / scale) + np.round(-low / scale), 0, 2**bits - 1) - np.round(-low / scale)
    ) * scale
    assert_close(ours(inputs), np.tanh(inputs @ expected + bias), 1e-4, 1e-4)


@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_calibrated_weights_of_the_oracle(mode, tmp_path):
    """With the oracle's calibrated weights the outputs are the oracle's; our file brings them back."""
    name, outputs, models = f"{mode.upper()}Config", [], []
    for library in (nyala, keras):
        model, structure, _ = block_model(library)
        if library is keras:
            structure["pre_block_layers"][0].quantize = lambda *args, **kwargs: None  # no warning that it cannot be
            model.layers[0].quantize = lambda *args, **kwargs: None
        options = {**WINDOW, "group_size": -1, "quantization_layer_structure": structure}
        tokenizer = type("", (), {"tokenize": staticmethod(lambda text: text)})
        model.quantize(config=getattr(library.quantizers, name)([TOKENS], tokenizer, **options))
        models.append(model)
    ours, theirs = models
    assert [traits(ours)] == [traits(theirs)]
    ours.set_weights(theirs.get_weights())
    outputs = [model(TOKENS[np.newaxis]) for model in models]
    assert_close(*outputs, 1e-3, 1e-2)
    path = str(tmp_path / "model.weights.h5")
    ours.save_weights(path)
    before = ours.get_weights()
    ours.set_weights([np.zeros_like(w) for w in before])
    ours.load_weights(path)
    assert_close(ours.get_weights(), before)


def test_calibration_needs_blocks_and_examples():
    """What is missing is said."""
    model, structure, _ = block_model(nyala)
    with pytest.raises(ValueError, match="needs to know the blocks"):
        model.quantize(config=nyala.quantizers.GPTQConfig([TOKENS], None))
    with pytest.raises(ValueError, match="has no dataset"):
        model.quantize(config=nyala.quantizers.AWQConfig(None, None, quantization_layer_structure=structure))
