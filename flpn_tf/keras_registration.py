"""Makes `import flpn_tf` enough for `keras.models.load_model`, without importing Keras for it.

Keras looks a saved class up in its registry and never imports a package for it; importing our
classes fills the registry, but imports Keras and its backend, which whoever only runs a `.tflite`
does not have. So the registration waits for Keras: a finder on `sys.meta_path` lets the others find
Keras, and imports our classes once Keras has run.
"""

import sys
import warnings
from importlib import import_module
from importlib.abc import MetaPathFinder

PACKAGE = "flpn_tf"
"""Under which Keras registers our classes; saved networks hold it."""

# The networks with their layers, and what a network saved in training was compiled with.
_CLASSES = ("flpn_tf.models", "flpn_tf.training.loss")


class _KerasFinder(MetaPathFinder):
    """Finds "keras" through the other finders, to act once that module has run."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = self._then_register(spec.loader.exec_module)
                return spec
        return None

    def _then_register(self, exec_module):
        def run(module):
            exec_module(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            if "flpn_tf.layers" not in sys.modules:  # else it is they who import Keras, and register later
                register()

        return run


def register():
    """Imports all classes that a saved network may hold; a failure is only a warning."""
    for module in _CLASSES:
        try:
            import_module(module)
        except Exception as error:  # whoever imports Keras must get it, whatever is wrong here
            warnings.warn(f"flpn_tf could not register the Keras classes of {module}: {error}", stacklevel=2)


def install():
    """Registers the classes now if Keras is loaded, else when it is."""
    if sys.modules.get("keras") is not None:
        register()
    else:
        sys.meta_path.insert(0, _KerasFinder())
