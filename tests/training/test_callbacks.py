"""Callbacks against the oracle: the hooks with their arguments, the epoch of a stop, files and learning rates."""

from __future__ import annotations

import os

import numpy as np
import pytest

import nyala
from nyala.training.plans import Plan
from tests.oracle import assert_close, keras

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X[:, :1].copy()
HOOKS = [name for name in dir(keras.callbacks.Callback) if name.startswith("on_")]


def regressor(k, rate=0.5):
    model = k.Sequential([k.Input((3,)), k.layers.Dense(1, kernel_initializer="ones")])
    model.compile(k.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


def recorder(k, log):
    """A callback of that library that writes down every hook: name, number and the keys of the logs."""

    def hook(name):
        def record(self, *arguments, logs=None):
            parts = [*arguments, *([] if logs is None else [logs])]
            log.append((name, *(sorted(part) if isinstance(part, dict) else part for part in parts)))

        return record

    return type("Recorder", (k.callbacks.Callback,), {name: hook(name) for name in HOOKS})()


WORK = {
    "fit": lambda m, c: m.fit(X, Y, batch_size=8, epochs=2, validation_data=(X, Y), verbose=0, callbacks=c),
    "fit without validation": lambda m, c: m.fit(X, Y, batch_size=8, verbose=0, callbacks=c),
    "evaluate": lambda m, c: m.evaluate(X, Y, batch_size=8, verbose=0, callbacks=c),
    "predict": lambda m, c: m.predict(X, batch_size=8, verbose=0, callbacks=c),
}


@pytest.mark.parametrize("work", WORK)
def test_hooks_come_in_the_order_of_the_oracle_with_its_arguments(work):
    """A callback with batch hooks hears every batch; numbers and keys of logs are the oracle's."""
    logs = {}
    for k in (nyala, keras):
        logs[k] = []
        WORK[work](regressor(k), [recorder(k, logs[k])])
    assert logs[nyala] == logs[keras]


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
    assert log[0] == ("on_train_begin", [])
