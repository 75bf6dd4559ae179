from lgan.api import Run as Run
from lgan.api import load as load
from lgan.api import results as results
from lgan.api import train as train

__version__: str
