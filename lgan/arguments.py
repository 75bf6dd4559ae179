"""What values arguments take: annotated types, and the check of a config against them by pydantic.

Whatever a config builds says in its annotations which values make sense; errors name the key.
"""

import inspect
import json
import re
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import DocInfo, Ge, Gt, Le, Lt, MinLen
from hydra.utils import get_object
from omegaconf import DictConfig, Node, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.types import AllowInfNan

from lgan.errors import ConfigError, did_you_mean

Finite = AllowInfNan(False)
Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]  # a number of things, or a seed
Number = Annotated[float, Finite]
Weight = Annotated[float, Finite, Ge(0)]  # in a sum of losses, or another number not negative
Positive = Annotated[float, Finite, Gt(0)]  # a rate, a scale, a size
Share = Annotated[float, Ge(0), Le(1)]
PartShare = Annotated[float, Ge(0), Lt(1)]  # leaves something
InnerShare = Annotated[float, Gt(0), Lt(1)]  # takes something and leaves something
Fraction = Annotated[float, Gt(0), Le(1)]  # takes something
Text = Annotated[str, MinLen(1)]
Texts = Annotated[list[Text], MinLen(1)]

_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than",
           "multiple_of": "a multiple of"}  # fmt: skip
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text",
          type(None): "null", list: "a list", dict: "a dictionary"}  # fmt: skip
TRUSTED: Mapping[str, tuple[str, ...]] = types.MappingProxyType({
    "network": ("lgan.networks",),
    "objective": ("lgan.objectives",),
    "method": ("lgan.methods", "lgan.layers", "lgan.networks"),
    "optimizer": ("torch.optim",),
    "training": ("lgan.objectives",),
    "data": ("lgan.data",),
    "evaluation": ("lgan.metrics", "lgan.networks"),
    "callbacks": ("lgan.callbacks", "lgan.metrics", "lgan.networks",
                  "lightning.pytorch.callbacks"),
    "logger": ("lgan.run.csv_logger", "lgan.run.wandb_logger", "lightning.pytorch.loggers",
               "wandb.Settings", "wandb.sdk.wandb_settings"),
    "trainer": ("lgan.training.trainer", "lightning.pytorch.strategies"),
})  # fmt: skip
"""Where what a section builds has to be defined; a user's own packages are named in `trust`."""
FUNCTIONS = ("data", "trainer")
"""Sections that call functions too; lgan's other functions, some of which write files, are none."""
INSTEAD = {
    **dict.fromkeys(
        [f"trainer.{k}" for k in ("max_epochs", "max_steps", "max_time", "limit_train_batches")],
        "training.steps says how long a task is trained",
    ),
    "trainer.fast_dev_run": "budget=smoke shows that everything runs",
    "trainer.overfit_batches": "data.splits.train_limit_per_class takes a few pictures only",
    "trainer.accumulate_grad_batches": "training.batch_size is the batch of all processes",
    "trainer.gradient_clip_val": "a method that clips says so, such as method.clip",
    "trainer.logger": "loggers are the group logger",
    "trainer.callbacks": "callbacks are the group callbacks",
}
"""What to set instead of settings that people look for and that cannot work."""
NOTHING: Mapping[str, Any] = types.MappingProxyType({})
_VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def parameters_of(target: Callable[..., Any]) -> tuple[dict[str, Any], bool]:
    """Return annotations of a function's or class's parameters, and whether it takes others too.

    Parameters that a constructor hands on as `**kwargs` are those of the classes above it; what
    Lightning does with them (DDPStrategy: wraps a network) cannot be told.
    """
    found: dict[str, Any] = {}
    elsewhere = False
    kinds = map(vars, target.__mro__[:-1]) if inspect.isclass(target) else [{"__init__": target}]
    for function in (kind["__init__"] for kind in kinds if "__init__" in kind):
        own = inspect.signature(function).parameters
        further = any(each.kind == each.VAR_KEYWORD for each in own.values())
        for name, each in own.items():
            if name not in {*found, "self"} and each.kind not in _VARIADIC:
                found[name] = _resolved(function, each.annotation)
        elsewhere |= further and function.__module__.startswith("lightning.")
        if not further:
            return found, elsewhere
    return found, True


def _resolved(function: Callable[..., Any], annotation: Any) -> Any:  # noqa: ANN401
    """Return an annotation that was written as text; what cannot be read is `Any`."""
    if not isinstance(annotation, str):
        return Any if annotation is inspect.Parameter.empty else annotation
    module = sys.modules.get(function.__module__)  # of a dataclass's constructor: globals differ
    try:
        return eval(annotation, {**vars(module), **function.__globals__} if module else {})
    except NameError:
        return Any


def refusal(annotation: Any, value: Any) -> str | None:  # noqa: ANN401
    """Return what would be right, or None if a value is: plain, such as JSON can hold."""
    if annotation is Any:
        return None
    if inspect.isclass(annotation) and annotation not in _NAMES:
        return described(annotation)
    try:
        # As JSON: a list passes for a tuple, and nothing else is converted.
        _adapter(annotation).validate_json(json.dumps(value))
    except (ValidationError, TypeError):  # JSON holds no bytes, arrays or objects
        return described(annotation)
    return None


@cache
def _adapter(annotation: Any) -> TypeAdapter:  # noqa: ANN401
    return TypeAdapter(annotation, config=_STRICT)


def described(annotation: Any) -> str:  # noqa: ANN401
    """Return a type and its range in words, such as "a whole number of at least 1"."""
    if annotation is Any:
        return "anything"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = " and ".join(filter(None, map(_bound, arguments[1:])))
        return f"{described(arguments[0])}{' of ' if bounds else ''}{bounds}"
    if origin is Literal:
        return f"{'one of ' if len(arguments) > 1 else ''}{', '.join(map(str, arguments))}"
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(described, arguments)))
    if origin is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)}: {', '.join(map(described, arguments))}"
    if origin is not None and issubclass(origin, Collection):
        kind = "a dictionary" if issubclass(origin, Mapping) else "a list"
        return f"{kind}, each entry {described(arguments[-1])}"
    section = f"a section that builds a {getattr(annotation, '__name__', annotation)}"
    return _NAMES.get(annotation, section)


def _bound(bound: Any) -> str:  # noqa: ANN401
    if isinstance(bound, DocInfo):  # a pattern's meaning, beside it
        return bound.documentation
    held = {word: getattr(bound, name) for name, word in _BOUNDS.items() if hasattr(bound, name)}
    return " and ".join(f"{word} {limit:g}" for word, limit in held.items())


def check_section(config: DictConfig, path: str, besides: Mapping[str, Any] = NOTHING) -> None:
    """Check everything that a section of the whole config builds, before any of it is built.

    `besides` has the annotations of further keys that the section at the dotted `path` may have.
    """
    trust = OmegaConf.select(config, "trust") or ()
    built = list(_built(plain(OmegaConf.select(config, path)), path))
    targets = [find(str(section["_target_"]), key, trust) for key, section in built]
    for (key, section), target in zip(built, targets, strict=True):
        check_arguments(config, key, section, target, besides if key == path else {})


def _built(value: Any, path: str) -> Iterator[tuple[str, dict]]:  # noqa: ANN401
    """Yield what is built of plain data, outermost first, and its key."""
    if isinstance(value, dict) and "_target_" in value:
        yield path, value
    for name, each in value.items() if isinstance(value, dict) else ():
        yield from _built(each, f"{path}.{name}")
    for index, each in enumerate(value if isinstance(value, list) else ()):
        yield from _built(each, f"{path}[{index}]")


def locate(config: DictConfig, path: str) -> Callable[..., Any]:
    """Return the function or class that a section's `_target_` names; see `find`."""
    target = str(OmegaConf.select(config, f"{path}._target_"))
    return find(target, path, OmegaConf.select(config, "trust") or ())


def find(target: str, path: str, trust: Sequence[str] = ()) -> Callable[..., Any]:
    """Return the function or class that a `_target_` at a dotted path of a config names.

    By its own name and by that of the module that defines it, it belongs to what the path's section
    builds (`TRUSTED`) or to a package in `trust`: a module's imports, `lgan.files.os`, do not.
    """
    section = path.partition(".")[0]
    trusted = [*TRUSTED.get(section, ()), *trust]
    try:
        found = get_object(target) if _within(target, trusted) else None
    except Exception as error:
        cause = error.__cause__ or error
        raise ConfigError(f"{path}._target_={target} cannot be had: {cause}") from error
    home = str(getattr(found, "__module__", ""))
    wanted = inspect.isclass(found) or section in FUNCTIONS or _within(home, trust)
    if found is None or not _within(home, trusted) or not wanted:
        raise ConfigError(
            f"{path}._target_={target} is not among what lgan builds there; a package of your own "
            f"is named by trust=[{(home or target).partition('.')[0]}]."
        )
    return found


def _within(name: str, packages: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def check_arguments(
    config: DictConfig, path: str, section: dict, target: Callable[..., Any], besides: Mapping
) -> None:
    """Check the plain values of a section against the annotations of what is built with them."""
    known, others = parameters_of(target)
    known |= besides
    for name, value in section.items():
        if name in ("_target_", "_partial_", "_recursive_", "_convert_", "_args_"):
            continue
        key = f"{path}.{name}"
        if name in known:
            built = "_target_" in json.dumps(value, default=str)  # by its own section
            if not built and refusal(known[name], value):
                check_value(key_of(config, key), known[name], value)
        elif not others:
            there = f"there are {', '.join(known)}{did_you_mean(name, known)}"
            raise ConfigError(f"{key} is no setting here; {INSTEAD.get(key, there)}.")


def check_value(key: str, annotation: Any, value: Any) -> None:  # noqa: ANN401
    """Raise unless a plain value is what an annotation says."""
    if right := refusal(annotation, value):
        near = did_you_mean(value, _choices(annotation)) if isinstance(value, str) else ""
        raise ConfigError(f"{key}={'null' if value is None else value} must be {right}{near}.")


def _choices(annotation: Any) -> list[str]:  # noqa: ANN401
    if get_origin(annotation) is Literal:
        return [each for each in get_args(annotation) if isinstance(each, str)]
    return [name for part in get_args(annotation) for name in _choices(part)]


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value of a config as plain data, all references resolved."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def key_of(config: DictConfig, path: str) -> str:
    """Return the key that a user sets: where a value is a reference, what it refers to."""
    parent, _, name = path.rpartition(".")
    parent = key_of(config, parent) if parent else ""
    section = OmegaConf.select(config, parent) if parent else config
    node = section._get_node(name) if OmegaConf.is_dict(section) else None
    raw = node._value() if isinstance(node, Node) else None
    reference = re.fullmatch(r"\$\{([\w.]+)\}", raw) if isinstance(raw, str) else None
    return key_of(config, reference[1]) if reference else f"{parent}.{name}".lstrip(".")


def settings_of(function: Callable[..., Any], config: DictConfig) -> dict[str, Any]:
    """Return what a config has at the names of a function's arguments, checked; a list if asked."""
    given: dict[str, Any] = {}
    for key, annotation in get_type_hints(function, include_extras=True).items():
        if key == "return":
            continue
        value = config[key]
        given[key] = plain(value)
        if value is None and (right := refusal(annotation, None)):
            raise ConfigError(f"{key}=... is missing; it takes {right}, see --help.")
        if value is not None and _takes_list(annotation) and not OmegaConf.is_config(value):
            given[key] = [value]
        check_value(key, annotation, given[key])
    return given


def _takes_list(annotation: Any) -> bool:  # noqa: ANN401
    return get_origin(annotation) is list or any(map(_takes_list, get_args(annotation)))
