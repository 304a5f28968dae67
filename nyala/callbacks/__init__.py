"""Callbacks: what training calls at its turning points."""

from __future__ import annotations

from nyala.callbacks.averaging import SwapEMAWeights
from nyala.callbacks.backup import BackupAndRestore
from nyala.callbacks.checkpoint import ModelCheckpoint
from nyala.callbacks.monitor import EarlyStopping, MonitorCallback, ReduceLROnPlateau
from nyala.callbacks.orbax import OrbaxCheckpoint
from nyala.callbacks.remote import RemoteMonitor
from nyala.callbacks.simple import CSVLogger, LambdaCallback, LearningRateScheduler, TerminateOnNaN
from nyala.callbacks.tensorboard import TensorBoard
from nyala.training.callback import Callback, CallbackList, History
from nyala.training.progress import ProgbarLogger

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "OrbaxCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
