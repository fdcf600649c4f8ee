"""TFLITE models, where LiteRT is installed."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable

import pytest

from rededge_nb.edge.switchboard.calls import OK

pytest.importorskip("ai_edge_litert", reason="pip install 'rededge_nb[tflite]'")
pytestmark = pytest.mark.backends

# y = relu(x) * 2 for x of shape [1, 4]: a flatbuffer of 1004 bytes, made with TensorFlow's converter
MODEL = zlib.decompress(
    base64.b85decode(
        "c-n1KEl&eM5FL6)A*Cq=3PDs<U@+y|plAvN624LzBuA4T<jD1!lq&&;Kp+r=U=R=l5`jb@2|=I`D1zk=pgG>`&0UU$O<#8R-MrbE"
        "x7#ccmFJfxGL)k%4N`{ElmypFI@Sb^=ot6_?%IeRffJ1gKf)5xJQ7O9ngn)9(M<x~z@FLIx11fLYHnAWwyShHaO-)VCTr#nW#;|o"
        "kLLya0T7dX%zZ!?mvtXdTwU3iE3GfCt{BU6<-%;CTtF>;J)QX89*M14j?rj3u2nOQeY3G=)g9^p{|Y<-_rMKs0l1>u_5514!hYGG"
        "RG6Q+A;rcO7t}_|i@;M|`Eoh@wfS&${;Ww)x>6C1=f}tLqeSm=7UvwxPcapatnwr-x&NLe=grI@W)@)ImzNexxnkWxpRQTWD=#xD"
        "EEQJ8Ia0#&ot*+_(m&^{RV;_3*7864u81C^KP_uM>lJnI9P}C!p5IIG#u94w-%Q(|7=P9xd#>jNI06=AzX`uMBrTpXm*el?doZt6"
        "8m{Hymd$FhV%yWBkux~<x<#)^{U>q{CDU$Fi{`CG6BErNcz$cOraf{P-r9ijio|Vybb$3+%tZVeQu+1pt+xDcj0033ts^GA^7<QR"
        "_xd?|lj>f4$C8qZr(c+Lfxi"
    )
)


def test_a_model_runs_on_any_number_of_samples(call: Callable[..., object]) -> None:
    assert call("AI.MODELSTORE", "m", "TFLITE", "CPU", "BLOB", MODEL) is OK
    for samples in (1, 3, 2):
        call("AI.TENSORSET", "x", "FLOAT", samples, 4, "VALUES", *([1, -2, 3, 4] * samples))
        assert call("AI.MODELEXECUTE", "m", "INPUTS", 1, "x", "OUTPUTS", 1, "y") is OK
        assert call("AI.TENSORGET", "y", "VALUES") == [b"2", b"0", b"6", b"8"] * samples


@pytest.mark.parametrize(
    ("device", "blob", "error"),
    [
        ("CPU", b"garbage", "Failed to load model from buffer"),
        ("CPU", MODEL[:300], "Failed to load model from buffer"),
        ("GPU", MODEL, "ERR GPU requested but TFLITE couldn't find CUDA"),
    ],
)
def test_errors(error_of: Callable[..., str], device: str, blob: bytes, error: str) -> None:
    assert error_of("AI.MODELSTORE", "m", "TFLITE", device, "BLOB", blob) == error


def test_the_model_still_works_after_an_input_of_another_dtype(
    call: Callable[..., object], error_of: Callable[..., str]
) -> None:
    call("AI.MODELSTORE", "m", "TFLITE", "CPU", "BLOB", MODEL)
    call("AI.TENSORSET", "x", "DOUBLE", 1, 4)
    execute = ("AI.MODELEXECUTE", "m", "INPUTS", 1, "x", "OUTPUTS", 1, "y")
    assert "FLOAT64" in error_of(*execute)
    call("AI.TENSORSET", "x", "FLOAT", 1, 4)
    assert call(*execute) is OK
