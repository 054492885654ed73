"""Networks in files, and in other tools' formats."""

from neurosleep.exchange._check_file import check_file, input_shape_of
from neurosleep.exchange._convert_file import TARGETS, ReadOptions, convert_file, read_calibration, read_spiking
from neurosleep.exchange._labels import read_labels
from neurosleep.exchange.files import load, save
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.exchange.nir.data import from_nir_data, read_nir_data, to_nir_data, write_nir_data
from neurosleep.exchange.nir.files import read_nir, write_nir
from neurosleep.exchange.nir.read import from_nir
from neurosleep.exchange.nir.write import to_nir
from neurosleep.exchange.norse.folder import write_norse
from neurosleep.exchange.norse.read import from_norse
from neurosleep.exchange.norse.write import to_norse
from neurosleep.exchange.snntorch.read import from_snntorch
from neurosleep.exchange.snntorch.write import to_snntorch, write_snntorch
from neurosleep.exchange.sonata.write import write_sonata
from neurosleep.exchange.spikingjelly.read import from_spikingjelly

__all__ = [
    "TARGETS",
    "ExchangeWarning",
    "ReadOptions",
    "check_file",
    "convert_file",
    "from_nir",
    "from_nir_data",
    "from_norse",
    "from_snntorch",
    "from_spikingjelly",
    "input_shape_of",
    "load",
    "read_calibration",
    "read_labels",
    "read_nir",
    "read_nir_data",
    "read_spiking",
    "save",
    "to_nir",
    "to_nir_data",
    "to_norse",
    "to_snntorch",
    "write_nir",
    "write_nir_data",
    "write_norse",
    "write_snntorch",
    "write_sonata",
]
