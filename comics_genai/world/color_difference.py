"""How different two colours look: CIELAB of sRGB arrays, and CIEDE2000."""

import numpy as np
from skimage.color import deltaE_ciede2000

_XYZ_OF_LINEAR = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE_D65 = np.array([0.95047, 1.0, 1.08883])


def lab_of_srgb(srgb: np.ndarray) -> np.ndarray:
    """sRGB (..., 3), uint8 or floats in [0, 1], to CIELAB (D65): L in [0, 100]. IEC 61966-2-1; CIE 15:2004."""
    srgb = srgb / 255 if srgb.dtype == np.uint8 else np.asarray(srgb, np.float64)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _XYZ_OF_LINEAR.T / _WHITE_D65
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    fx, fy, fz = np.moveaxis(f, -1, 0)
    return np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], -1)


def ciede2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """CIEDE2000 between CIELAB colours (..., 3), which broadcast. A difference of about 1 is just visible.

    Sharma, Wu and Dalal 2005.
    """
    return deltaE_ciede2000(*np.broadcast_arrays(np.asarray(first, np.float64), np.asarray(second, np.float64)))
