"""Networks in files, and in other tools' formats."""

from neurosleep.exchange._convert_file import TARGETS, convert_file, read_calibration, read_spiking
from neurosleep.exchange._files import load, save
from neurosleep.exchange._from_nir import from_nir
from neurosleep.exchange._from_norse import from_norse
from neurosleep.exchange._from_snntorch import from_snntorch
from neurosleep.exchange._nir_data import from_nir_data, read_nir_data, to_nir_data, write_nir_data
from neurosleep.exchange._nir_files import read_nir, write_nir
from neurosleep.exchange._norse_folder import write_norse
from neurosleep.exchange._to_nir import to_nir
from neurosleep.exchange._to_norse import to_norse
from neurosleep.exchange._to_snntorch import to_snntorch, write_snntorch
from neurosleep.exchange._warnings import ExchangeWarning

__all__ = [
    "TARGETS",
    "ExchangeWarning",
    "convert_file",
    "from_nir",
    "from_nir_data",
    "from_norse",
    "from_snntorch",
    "load",
    "read_calibration",
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
]
