"""Callbacks against the oracle: the hooks with their arguments, the epoch of a stop, files and learning rates."""

from __future__ import annotations

import json
import os
import re
import sys

import numpy as np
import pytest

import nyala
from nyala.training.plans import Plan
from tests.oracle import assert_close, keras

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X[:, :1].copy()
HOOKS = [name for name in dir(keras.callbacks.Callback) if name.startswith("on_")]


def regressor(k, rate=0.5, **options):
    model = k.Sequential([k.Input((3,)), k.layers.Dense(1, kernel_initializer="ones")])
    model.compile(k.optimizers.SGD(rate), "mse", metrics=["mae"], **options)
    return model


def plain(value):
    """Logs, or parts of them, as numbers that can be compared."""
    return {name: np.asarray(part) for name, part in value.items()} if isinstance(value, dict) else value


def recorder(k, log):
    """A callback of that library that writes down every hook: name, number and logs."""

    def hook(name):
        def record(self, *arguments, logs=None):
            log.append((name, *map(plain, [*arguments, *([] if logs is None else [logs])])))

        return record

    return type("Recorder", (k.callbacks.Callback,), {name: hook(name) for name in HOOKS})()


class Numbered:
    """The rows in batches of four by number, as either library's `PyDataset`."""

    def __len__(self):
        return 5

    def __getitem__(self, place):
        return X[4 * place : 4 * place + 4], Y[4 * place : 4 * place + 4]


def numbered(k):
    return type("Numbered", (Numbered, k.utils.PyDataset), {})()


def stream():
    return ((X[i : i + 4], Y[i : i + 4]) for i in range(0, 20, 4))


FIT = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0}
WORK = {
    "fit": lambda k, m, c: m.fit(X, Y, **FIT, validation_data=(X, Y), callbacks=c),
    "fit without validation": lambda k, m, c: m.fit(X, Y, **FIT, callbacks=c),
    "fit, validation now and then": lambda k, m, c: m.fit(
        X, Y, **FIT, initial_epoch=1, validation_data=(X, Y), validation_freq=[2], callbacks=c
    ),
    "fit by number": lambda k, m, c: m.fit(
        numbered(k), epochs=2, shuffle=False, verbose=0, validation_data=numbered(k), callbacks=c
    ),
    "fit a stream": lambda k, m, c: m.fit(stream(), steps_per_epoch=5, shuffle=False, verbose=0, callbacks=c),
    "evaluate": lambda k, m, c: m.evaluate(X, Y, batch_size=4, verbose=0, callbacks=c),
    "predict": lambda k, m, c: m.predict(X, batch_size=4, verbose=0, callbacks=c),
}


def in_data(entries, batches=5):
    """The hooks with the numbers of batches as far as there are batches: the oracle counts on to the end of a chunk."""
    found = []
    for name, *rest in entries:
        if "batch" in name and rest:
            rest[0] = min(rest[0], batches - name.endswith("end"))
        found.append((name, *rest))
    return found


@pytest.mark.parametrize("together", [1, 3])
def test_hooks_come_in_the_order_of_the_oracle_with_its_arguments(together):
    """Numbers, keys and values of the logs are the oracle's, with one step at a time and with several."""
    models = {k: regressor(k, 0.05, steps_per_execution=together) for k in (nyala, keras)}
    start = models[nyala].get_weights()
    for name, work in WORK.items():
        logs = {nyala: [], keras: []}
        for k, model in models.items():
            model.set_weights(start)
            model.optimizer.learning_rate = 0.05
            work(k, model, [recorder(k, logs[k])])
        assert [entry[0] for entry in logs[nyala]] == [entry[0] for entry in logs[keras]], name
        assert_close(logs[nyala], logs[keras] if together == 1 else in_data(logs[keras]), 1e-4, 1e-5)


def test_without_a_listener_python_is_entered_fewer_times_than_there_are_steps(monkeypatch):
    """Chunks of steps grow; a callback that hears every batch brings them down to one."""
    lengths = []
    run = Plan.run

    def counted(self, feed, first, steps, total):
        result = run(self, feed, first, steps, total)
        lengths.append(result[0])
        return result

    monkeypatch.setattr(Plan, "run", counted)
    regressor(nyala, 0.05).fit(X, Y, batch_size=1, epochs=10, verbose=0)
    assert sum(lengths) == 200
    assert len(lengths) < 100
    lengths.clear()
    regressor(nyala, 0.05).fit(X, Y, batch_size=1, epochs=2, verbose=0, callbacks=[recorder(nyala, [])])
    assert lengths == [1] * 40
    lengths.clear()
    deaf = nyala.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: None)
    data = {"validation_data": (X, Y), "validation_batch_size": 1, "callbacks": [deaf]}
    regressor(nyala, 0.05).fit(X, Y, batch_size=1, verbose=0, **data)
    assert lengths[-20:] == [1] * 20
    assert sum(lengths) == 40
    assert len(lengths) < 35


FALLING = [1.0, 0.8, 0.79, 0.9, 0.7, 0.71, 0.72, 0.73, 0.74]
STOPPING = {
    "patience 0": ({}, FALLING),
    "patience 2": ({"patience": 2}, FALLING),
    "patience 3": ({"patience": 3, "restore_best_weights": True}, FALLING),
    "min_delta": ({"patience": 2, "min_delta": 0.05}, FALLING),
    "baseline": ({"patience": 2, "baseline": 0.5, "restore_best_weights": True}, FALLING),
    "baseline reached": ({"patience": 3, "baseline": 0.75}, FALLING),
    "late start": ({"patience": 1, "start_from_epoch": 4, "restore_best_weights": True}, FALLING),
    "max": ({"mode": "max", "patience": 1, "restore_best_weights": True}, FALLING),
    "best weights": ({"restore_best_weights": True, "patience": 1}, [1.0, 2.0, 3.0]),
    "not a number": ({"patience": 2, "restore_best_weights": True}, [float("nan")] * 5),
    "never": ({"patience": 9}, FALLING),
}


def drive(k, callback, values):
    """Epochs with scripted values, the weights of each its number; where training stops, rates and weights."""
    model = regressor(k)
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch)
        model.set_weights([np.full((3, 1), epoch), np.zeros(1)])
        callback.on_epoch_end(epoch, {"val_loss": value})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch, rates, model.get_weights()


@pytest.mark.parametrize("case", STOPPING)
def test_early_stopping_stops_where_the_oracle_stops(case):
    """Same epoch, same weights, same attributes."""
    options, values = STOPPING[case]
    found = {}
    for k in (nyala, keras):
        callback = k.callbacks.EarlyStopping(**{"mode": "min", **options})
        found[k] = (*drive(k, callback, values), callback.stopped_epoch, callback.best_epoch)
    assert_close(found[nyala], found[keras])


PLATEAUS = {
    "plain": {"patience": 1, "factor": 0.5},
    "cooldown": {"patience": 1, "factor": 0.5, "cooldown": 2},
    "min_lr": {"patience": 1, "factor": 0.1, "min_lr": 0.2},
    "min_delta": {"patience": 2, "min_delta": 0.2},
    "max": {"patience": 1, "mode": "max"},
    "patience 0": {"patience": 0, "factor": 0.9},
}


@pytest.mark.parametrize("case", PLATEAUS)
def test_plateaus_lower_the_learning_rate_as_in_the_oracle(case):
    options = {"mode": "min", **PLATEAUS[case]}
    found = [drive(k, k.callbacks.ReduceLROnPlateau(**options), FALLING) for k in (nyala, keras)]
    assert_close(*found)


@pytest.mark.parametrize("schedule", [lambda epoch, rate: rate * 0.9, lambda epoch: 1.0 / (epoch + 1)])
def test_scheduled_learning_rates(schedule):
    """Of epoch and rate, or of the epoch alone; the rate stands in the history."""
    found = []
    for k in (nyala, keras):
        callback = k.callbacks.LearningRateScheduler(schedule)
        history = regressor(k, 0.1).fit(X, Y, epochs=3, shuffle=False, verbose=0, callbacks=[callback])
        found.append((history.epoch, dict(history.history)))
    assert_close(*found, 1e-4, 1e-5)


@pytest.mark.parametrize("options", [{}, {"separator": ";"}, {"append": True}])
def test_csv_files_are_those_of_the_oracle(tmp_path, options):
    """Character by character, also where a second training is appended."""
    texts = []
    for k in (nyala, keras):
        path = str(tmp_path / f"{k.__name__}.csv")
        for value in (0.5, 0.25):
            callback = k.callbacks.CSVLogger(path, **options)
            callback.set_model(regressor(k))
            callback.on_train_begin()
            callback.on_epoch_end(0, {"loss": value, "accuracy": 1.0, "val_loss": 1 / 3})
            callback.on_epoch_end(1, {"loss": value / 2, "accuracy": 0.0, "val_loss": 2.0})
            callback.on_train_end()
        with open(path, newline="") as file:
            texts.append(file.read())
    assert texts[0] == texts[1]


CHECKPOINTS = {
    "epoch": ("{epoch:02d}.weights.h5", {}),
    "values": ("{epoch}-{val_loss:.2f}.weights.h5", {}),
    "batches": ("{epoch}-{batch}.weights.h5", {"save_freq": 2}),
    "batches across epochs": ("{epoch}-{batch}.weights.h5", {"save_freq": 4}),
    "best": ("{epoch}.weights.h5", {"save_best_only": True, "mode": "min"}),
    "threshold": ("{epoch}.weights.h5", {"save_best_only": True, "mode": "min", "initial_value_threshold": 0.75}),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_checkpoints_appear_where_the_oracle_writes_them(tmp_path, case):
    """The names of the files, for every epoch, every few batches and the best only."""
    pattern, options = CHECKPOINTS[case]
    names = {}
    for k in (nyala, keras):
        folder = tmp_path / k.__name__
        folder.mkdir()
        callback = k.callbacks.ModelCheckpoint(str(folder / pattern), save_weights_only=True, **options)
        callback.set_model(regressor(k))
        callback.on_train_begin()
        for epoch, value in enumerate(FALLING[:5]):
            callback.on_epoch_begin(epoch)
            for batch in range(3):
                callback.on_train_batch_begin(batch)
                callback.on_train_batch_end(batch, {"loss": value})
            callback.on_epoch_end(epoch, {"loss": value, "val_loss": value})
        names[k] = sorted(os.listdir(folder))
    assert names[nyala] == names[keras] != []


def test_checkpoints_within_a_fit_hold_the_weights_after_the_batches_of_the_oracle(tmp_path):
    """Every few batches, counted from one epoch to the next, whatever the number of batches in an epoch."""
    files = {}
    for k in (nyala, keras):
        folder = tmp_path / f"{k.__name__}"
        path = str(folder / "{epoch}-{batch}-{loss:.3f}.weights.h5")
        callback = k.callbacks.ModelCheckpoint(path, save_weights_only=True, save_freq=4)
        regressor(k, 0.05).fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[callback])
        files[k] = {path.name: path for path in folder.iterdir()}
    assert set(files[nyala]) == set(files[keras]) != set()
    model = regressor(nyala)
    for name, path in files[nyala].items():
        found = []
        for file in (path, files[keras][name]):
            model.load_weights(file)
            found.append(model.get_weights())
        assert_close(*found)


def test_a_checkpoint_of_the_best_model_says_what_it_does(tmp_path, capsys):
    """The file is the whole model of the best epoch, and stays the best from one `fit` to the next."""
    path = tmp_path / "folder" / "best.keras"
    model = regressor(nyala, 0.05)
    callback = nyala.callbacks.ModelCheckpoint(path, "loss", verbose=1, save_best_only=True)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    best, weights = callback.best, model.get_weights()
    model.fit(X, Y + 5, verbose=0, callbacks=[callback])
    assert callback.best == best
    lines = capsys.readouterr().out.splitlines()
    for line, words in zip(
        lines, ("1: loss is .*; saving to", "2: loss is .*, better than", "1: loss is .*, no better than"), strict=True
    ):
        assert re.match(f"Epoch {words} ", line)
    loaded = nyala.saving.load_model(path)
    assert_close(loaded.get_weights(), weights)
    assert int(loaded.optimizer.iterations) == 2


def test_orbax_that_is_not_installed_is_an_error_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax", None)
    for name in [name for name in sys.modules if name.startswith("orbax.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match="pip install orbax-checkpoint"):
        nyala.callbacks.OrbaxCheckpoint("folder")


ORBAX = {
    "every epoch": ({"max_to_keep": 2}, ["1", "2"]),
    "all, at once": ({"max_to_keep": None, "save_on_background": False}, ["0", "1", "2"]),
    "batches": ({"save_freq": 4, "max_to_keep": None}, ["12", "4", "8"]),
    "weights": ({"save_weights_only": True}, ["2"]),
    "best": ({"save_best_only": True, "mode": "max", "monitor": "loss"}, ["0"]),
}


@pytest.mark.parametrize("case", ORBAX)
def test_orbax_checkpoints(tmp_path, case):
    """Folders, names and shapes as the oracle's; a model takes the state and goes on from there."""
    pytest.importorskip("orbax.checkpoint")
    from nyala.callbacks.orbax import orbax

    options, names = ORBAX[case]
    trees = {}
    for k in (nyala, keras):
        model = k.Sequential([k.Input((3,)), k.layers.Dense(2), k.layers.BatchNormalization(), k.layers.Dense(1)])
        model.compile(k.optimizers.Adam(), "mse", metrics=[k.metrics.MeanAbsoluteError(name="mae")])
        folder = tmp_path / k.__name__
        callback = k.callbacks.OrbaxCheckpoint(folder, **options)
        model.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[callback])
        callback.wait_until_finished()
        assert sorted(path.name for path in folder.iterdir()) == names
        assert (callback.is_multihost_enabled(), callback.is_primary_host()) == (False, True)
        trees[k] = orbax().load_checkpointables(folder / names[-1])
        if k is nyala and "save_best_only" not in options and names[-1] == "2":
            other = k.models.clone_model(model)
            weights = {kind: values for kind, values in trees[k]["pytree"].items() if "trainable" in kind}
            other.set_state_tree(weights)
            assert_close(other.get_weights(), model.get_weights(), 0, 0)
    assert set(trees[nyala]) == set(trees[keras])
    kinds = [sorted(tree["pytree"]) for tree in trees.values()]
    assert kinds[0] == kinds[1]
    if "model_config" in trees[nyala]:
        assert json.loads(trees[nyala]["model_config"]["config"])["class_name"] == "Sequential"


def test_orbax_folders_go_on_where_a_training_stopped(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    model, callback = regressor(nyala, 0.05), nyala.callbacks.OrbaxCheckpoint(tmp_path, max_to_keep=None)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    model.fit(X, Y, epochs=3, initial_epoch=1, verbose=0, callbacks=[callback])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]
    with pytest.raises(ValueError, match="holds the checkpoint of epoch 2"):
        model.fit(X, Y, verbose=0, callbacks=[callback])


def test_functions_as_a_callback_hear_what_the_oracle_tells_them():
    heard = {nyala: [], keras: []}
    for k, log in heard.items():
        hooks = {
            "on_train_begin": lambda logs, log=log: log.append("begin"),
            "on_epoch_end": lambda epoch, logs, log=log: log.append((epoch, sorted(logs))),
            "on_train_batch_end": lambda batch, logs, log=log: log.append((batch, sorted(logs))),
        }
        regressor(k).fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[k.callbacks.LambdaCallback(**hooks)])
    assert heard[nyala] == heard[keras]


@pytest.mark.filterwarnings("ignore:The loss of")
def test_nan_ends_training_quietly_or_with_an_error():
    """After the first epoch that went wrong; `raise_error` makes it a RuntimeError, as in the oracle."""
    bad = X.copy()
    bad[0] = np.nan
    for k in (nyala, keras):
        history = regressor(k).fit(bad, Y, epochs=3, verbose=0, callbacks=[k.callbacks.TerminateOnNaN()])
        assert history.epoch == [0]
        with pytest.raises(RuntimeError, match=r"(?i)nan"):
            regressor(k).fit(bad, Y, verbose=0, callbacks=[k.callbacks.TerminateOnNaN(raise_error=True)])


def every_metric(k):
    """Each built-in metric class that takes no required arguments, and those that do with some, under a name of its own."""
    arguments = {"MeanIoU": {"num_classes": 2}, "IoU": {"num_classes": 2, "target_class_ids": [0]}}
    arguments |= {
        f"{a}At{b}": {b.lower(): 0.5} for a in ("Sensitivity", "Precision") for b in ("Specificity", "Recall")
    }
    arguments |= {"SpecificityAtSensitivity": {"sensitivity": 0.5}, "RecallAtPrecision": {"precision": 0.5}}
    arguments |= {"BinaryIoU": {}, "OneHotIoU": arguments["IoU"], "OneHotMeanIoU": arguments["MeanIoU"]}
    found = {}
    for name in nyala.metrics.__all__:
        cls = getattr(k.metrics, name)
        if isinstance(cls, type) and name not in ("Metric", "Mean", "Sum", "MeanMetricWrapper"):
            found[name] = cls(name=f"own_{len(found)}", **arguments.get(name, {}))
    return found


def test_directions_of_every_metric():
    """With mode "auto" more is better of the metrics of which it is in the oracle, whatever name they are given."""
    metrics = every_metric(nyala)
    better = {}
    for name, metric in metrics.items():
        callback = nyala.callbacks.EarlyStopping(f"val_{metric.name}")
        callback.set_model(type("Model", (), {"metrics": [metric]})())
        better[name] = callback.more_is_better
    for name, metric in every_metric(keras).items():
        direction = getattr(metric, "_direction", None)
        if direction is not None:
            assert better[name] == (direction == "up"), name
    less = {name for name, more in better.items() if not more}
    words = ("Error", "Loss", "entropy", "Hinge", "Divergence", "Poisson", "FalseNeg", "FalsePos")
    assert {name for name in better if any(word in name for word in words)} == less


DIRECTIONS = {
    "val_accuracy": True, "acc": True, "val_noisy_auc": True, "f1_score": True, "val_head_precision": True, "r2": True,
    "loss": False, "val_loss": False, "accurate_loss": False, "val_mae": False, "perplexity": False, "custom": False,
}  # fmt: skip


def test_directions_of_names_that_no_metric_has():
    found = {name: nyala.callbacks.EarlyStopping(name).more_is_better for name in DIRECTIONS}
    assert found == DIRECTIONS


def test_a_monitor_is_checked_against_the_first_logs_of_a_stream():
    with pytest.raises(ValueError, match=r"watches 'losss'.*Did you mean 'loss'\?"):
        regressor(nyala).fit(iter([(X, Y)] * 3), verbose=0, callbacks=[nyala.callbacks.ReduceLROnPlateau("losss")])


def test_chunks_end_where_each_callback_must_hear():
    """Several intervals go together: every multiple of each, and nothing shorter."""
    heard = []

    class Every(nyala.callbacks.Callback):
        def __init__(self, interval):
            super().__init__()
            self.batch_interval = interval

        batch_interval = 0

        def on_train_batch_end(self, batch, logs=None):
            heard.append(batch + 1)

    regressor(nyala, 0.05).fit(X, Y, batch_size=1, verbose=0, callbacks=[Every(4), Every(6)])
    assert {4, 6, 8, 12, 16, 18, 20} <= set(heard)


def test_a_missing_value_warns_once_and_names_what_there_is():
    callback = nyala.callbacks.EarlyStopping(monitor="val_los")
    with pytest.warns(UserWarning, match="'val_los'.*Did you mean 'val_loss'"):
        assert callback.get_monitor_value({"val_loss": 1.0}) is None
    assert callback.get_monitor_value({"val_loss": 1.0}) is None
    assert callback.get_monitor_value({"val_los": 2}) == 2.0


def test_history_is_new_with_each_fit_and_lists_of_callbacks_may_nest():
    model, log = regressor(nyala), []
    model.fit(X, Y, epochs=3, verbose=0)
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[[recorder(nyala, log)]])
    assert history is model.history
    assert history.epoch == [0, 1]
    assert {len(values) for values in history.history.values()} == {2}
    assert history.params["epochs"] == 2
    assert log[0] == ("on_train_begin", {})


def test_mistyped_options_name_the_closest():
    with pytest.raises(TypeError, match=r"'on_epoch_ends'\. Did you mean 'on_epoch_end'"):
        nyala.callbacks.LambdaCallback(on_epoch_ends=print)
    with pytest.raises(TypeError, match=r"'patiense'\. Did you mean 'patience'"):
        nyala.callbacks.ReduceLROnPlateau(patiense=3)


def test_a_list_of_callbacks_serves_loops_of_ones_own():
    """The same hooks, params and history as the oracle's list gives."""
    found = {}
    for k in (nyala, keras):
        log, model = [], regressor(k)
        several = k.callbacks.CallbackList(
            [recorder(k, log)], add_history=True, model=model, epochs=1, steps=1, verbose=0
        )
        several.on_train_begin()
        several.on_epoch_begin(0)
        several.on_train_batch_begin(0)
        several.on_train_batch_end(0, {"loss": 0.5})
        for kind in ("test", "predict"):
            getattr(several, f"on_{kind}_begin")()
            getattr(several, f"on_{kind}_batch_begin")(0)
            getattr(several, f"on_{kind}_batch_end")(0, {"loss": 0.25})
            getattr(several, f"on_{kind}_end")()
        several.on_epoch_end(0, {"loss": 0.5})
        several.on_train_end({"loss": 0.5})
        found[k] = [log, several.callbacks[0].params, several.params, model.history.history]
    assert_close(found[nyala], found[keras])
