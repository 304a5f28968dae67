"""Settings of the whole process: what each changes, and that it changes back."""

from __future__ import annotations

import logging
import traceback

import numpy as np
import pytest

import nyala
from nyala import config
from nyala.core import settings
from tests.oracle import keras

X, Y = np.ones((40, 2), "float32"), np.ones((40, 1), "float32")


def model(k=nyala):
    made = k.Sequential([k.Input((2,)), k.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


@pytest.fixture
def limits():
    yield
    for k in (nyala, keras):
        k.config.set_max_epochs(None)
        k.config.set_max_steps_per_epoch(None)


def test_limits_for_trial_runs_as_the_reference(limits):
    found = []
    for k in (nyala, keras):
        k.config.set_max_epochs(2)
        k.config.set_max_steps_per_epoch(3)
        assert (k.config.max_epochs(), k.config.max_steps_per_epoch()) == (2, 3)
        made = model(k)
        with pytest.warns(UserWarning, match="(?i)limit"):
            history = made.fit(X, Y, epochs=5, batch_size=5, verbose=0)
        with pytest.warns(UserWarning, match="(?i)limit"):
            rows = len(made.predict(X, batch_size=5, verbose=0))
        found.append((len(history.history["loss"]), int(made.optimizer.iterations), rows))
    assert found[0] == found[1] == (2, 6, 15)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_a_limit_is_a_positive_integer(limit):
    for setter in (config.set_max_epochs, config.set_max_steps_per_epoch):
        with pytest.raises(ValueError, match="positive integer"):
            setter(limit)


def test_progress_goes_to_the_log_where_it_is_not_printed(capsys, caplog):
    config.disable_interactive_logging()
    try:
        assert not config.is_interactive_logging_enabled()
        with caplog.at_level(logging.INFO, logger="nyala"):
            model().fit(X, Y, verbose=1)
    finally:
        config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert any("loss" in record.message for record in caplog.records)


@pytest.mark.parametrize("wrong", [lambda: model().fit(X[:, :1], Y), lambda: nyala.layers.Dense(2)(X[0])])
def test_tracebacks_show_the_users_lines_only(wrong):
    lengths = []
    for switch in (config.disable_traceback_filtering, config.enable_traceback_filtering):
        switch()
        try:
            with pytest.raises(ValueError, match="expected") as caught:
                wrong()
        finally:
            config.disable_traceback_filtering()  # as the other tests have it
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert lengths[1] <= 4 < lengths[0]


def test_there_is_one_engine():
    assert config.backend() == "tensorflow"
    config.set_backend("tensorflow")
    with pytest.raises(ValueError, match="TensorFlow only"):
        config.set_backend("jax")
    assert not config.is_nnx_enabled()


def test_no_switch_lets_a_file_run_code():
    with pytest.warns(UserWarning, match="runs no code"):
        config.enable_unsafe_deserialization()


def test_flash_attention_can_be_asked_for():
    assert config.is_flash_attention_enabled() is keras.config.is_flash_attention_enabled() is None
    config.enable_flash_attention()
    assert config.is_flash_attention_enabled() is True
    config.disable_flash_attention()
    assert config.is_flash_attention_enabled() is False
    settings._Settings.flash_attention = None
