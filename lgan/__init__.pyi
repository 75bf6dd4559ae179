from lgan import plot as plot
from lgan.api import Run as Run
from lgan.api import load as load
from lgan.api import train as train
from lgan.reports.frame import results as results

__version__: str
