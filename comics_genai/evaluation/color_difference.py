"""How different two colours look: CIELAB of sRGB arrays, and CIEDE2000."""

import numpy as np

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
    """CIEDE2000 between CIELAB colours (..., 3), broadcast; about 1 is just visible. Sharma, Wu and Dalal 2005."""
    L1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    L2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    C_mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    G = 0.5 * (1 - np.sqrt(C_mean**7 / (C_mean**7 + 25.0**7)))
    a1, a2 = (1 + G) * a1, (1 + G) * a2
    C1, C2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360

    grey = C1 * C2 == 0  # a grey has no hue
    dh = np.where(grey, 0, (h2 - h1 + 180) % 360 - 180)
    dL, dC, dH = L2 - L1, C2 - C1, 2 * np.sqrt(C1 * C2) * np.sin(np.radians(dh) / 2)
    around = np.where(np.abs(h1 - h2) <= 180, h1 + h2, np.where(h1 + h2 < 360, h1 + h2 + 360, h1 + h2 - 360))
    L, C, h = (L1 + L2) / 2, (C1 + C2) / 2, np.where(grey, h1 + h2, around / 2)

    def cos(degrees: np.ndarray) -> np.ndarray:
        return np.cos(np.radians(degrees))

    T = 1 - 0.17 * cos(h - 30) + 0.24 * cos(2 * h) + 0.32 * cos(3 * h + 6) - 0.20 * cos(4 * h - 63)
    S_L = 1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2)
    S_C, S_H = 1 + 0.045 * C, 1 + 0.015 * C * T
    rotation = np.radians(60 * np.exp(-(((h - 275) / 25) ** 2)))
    R_T = -2 * np.sqrt(C**7 / (C**7 + 25.0**7)) * np.sin(rotation)
    L, C, H = dL / S_L, dC / S_C, dH / S_H
    return np.sqrt(np.maximum(L**2 + C**2 + H**2 + R_T * C * H, 0))
