import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from keras.applications.imagenet_utils import preprocess_input

from tljax.data.preprocess import BY_NAME, CAFFE, TORCH, UNIT, Preprocess, words
from tljax.errors import InputError


@pytest.mark.parametrize(
    ("name", "tolerance"), [("caffe", 1e-4), ("torch", 1e-5)]
)  # caffe's values reach 151
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_equals_keras(name, tolerance, dtype):
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3)).astype(dtype)
    # preprocess_input writes into a float array it is given
    expected = preprocess_input(images.astype(np.float32), data_format="channels_last", mode=name)
    before = images.copy()
    got = jax.jit(BY_NAME[name])(images)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(images, before)


def test_known_pixels():
    pixel = jnp.array([[255.0, 0.0, 51.0]])  # red, green, blue
    np.testing.assert_allclose(UNIT(pixel), [[1.0, 0.0, 0.2]], rtol=1e-6)
    np.testing.assert_allclose(CAFFE(pixel), [[51 - 103.939, -116.779, 255 - 123.68]], rtol=1e-6)
    np.testing.assert_allclose(
        TORCH(pixel), [[0.515 / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]], rtol=1e-5
    )


def test_any_leading_shape_and_bfloat16_input():
    assert CAFFE(np.zeros((3,), np.uint8)).shape == (3,)
    assert UNIT(jnp.zeros((2, 1, 4, 4, 3), jnp.bfloat16)).dtype == jnp.float32


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_survives_json_exactly(name):
    restored = Preprocess.from_dict(json.loads(json.dumps(BY_NAME[name].to_dict())))
    assert restored == BY_NAME[name]
    assert hash(restored) == hash(BY_NAME[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": "rgb"}, "channels.*'RGB' or 'BGR'.*'rgb'"),
        ({"channels": ["RGB"]}, "channels"),
        ({"scale": float("inf")}, "scale.*finite.*inf"),
        ({"scale": "1"}, "scale.*'1'"),
        ({"scale": True}, "scale.*True"),
        ({"scale": 0}, "scale"),
        ({"mean": [0.0, 1.0]}, "mean.*three"),
        ({"mean": "abc"}, "mean.*three"),
        ({"mean": [0.0, float("nan"), 0.0]}, "mean.*nan"),
        ({"std": [1.0, 0.0, 1.0]}, "std"),
        ({"std": None}, "std.*None"),
        ({"sdt": [1.0, 1.0, 1.0]}, "sdt: unknown.*std"),
    ],
)
def test_bad_dictionary_names_the_key(change, words):
    with pytest.raises(InputError, match=rf"^preprocess\.{words}"):
        Preprocess.from_dict({**TORCH.to_dict(), **change})


@pytest.mark.parametrize("key", ["channels", "scale", "mean", "std"])
def test_missing_key_is_named(key):
    stored = TORCH.to_dict()
    del stored[key]
    with pytest.raises(InputError, match=rf"^preprocess\.{key}: missing"):
        Preprocess.from_dict(stored)


def test_not_a_dictionary():
    with pytest.raises(InputError, match="list"):
        Preprocess.from_dict([1.0])


@pytest.mark.parametrize(
    ("preprocess", "said"),
    [
        (
            CAFFE,
            "BGR, ImageNet mean (103.9, 116.8, 123.7) subtracted, not scaled (Caffe's and Keras's)",
        ),
        (
            TORCH,
            "RGB / 255, ImageNet mean (0.485, 0.456, 0.406) subtracted, "
            "divided by deviation (0.229, 0.224, 0.225) (torchvision's)",
        ),
        (UNIT, "RGB / 255 alone (the lecture's)"),
        (Preprocess(), "RGB, not scaled"),
        (
            Preprocess(mean=CAFFE.mean[::-1]),
            "RGB, ImageNet mean (123.7, 116.8, 103.9) subtracted, not scaled",
        ),
        (
            Preprocess("BGR", 1 / 127.5, mean=(1.0, 1.0, 1.0)),
            "BGR / 127.5, mean (1, 1, 1) subtracted",
        ),
        (Preprocess(scale=0.5), "RGB * 0.5 alone"),
    ],
)
def test_words_that_a_person_can_check(preprocess, said):
    assert words(preprocess) == said


def test_every_known_preprocessing_has_words_of_its_own():
    assert len({words(preprocess) for preprocess in BY_NAME.values()}) == len(BY_NAME)
