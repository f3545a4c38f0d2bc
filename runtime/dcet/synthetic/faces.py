"""Drawn faces: a relief of skin in the light, with eyes, brows, mouth and hair on it.

What a face does is said in action units (AU) of FACS, the Facial Action Coding System (Ekman &
Friesen, 1978); which of them an emotion takes is after EMFACS. It is a drawing and proves nothing
about real faces.

Coordinates: x to the right and y down, both from -1 to 1 across the picture; pairs of things are
drawn once, over the distance |x| from the middle of the face.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

SIDE = 96  # pixels
PIXEL = 2 / SIDE
LIGHT = np.array([-0.42, -0.5, 0.76])  # where it comes from: above, on the left
READ_NOISE = 2.5  # of 255: what a sensor adds, which in the dark is all there is
SHOT_NOISE = 0.02  # variance for each step of brightness: light comes in grains

Plane = NDArray[np.float64]  # (96, 96)
Rgb = NDArray[np.float64]  # (96, 96, 3), 0 to 255
Colour = tuple[float, float, float]  # RGB, 0 to 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The features of a face that stay the same."""

    skin: Colour
    hair: Colour
    iris: Colour
    shirt: Colour
    lips: float  # thickness of the lips
    brows: float  # thickness of the brows
    jaw: float  # width of the chin relative to the temples
    hair_length: float  # down to which y it hangs
    crown: float  # how far the hair reaches to the sides
    curl: float  # from 0, straight, to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """Activation of facial muscles, from 0, at rest, to about 1."""

    inner_brow: float = 0.0  # raised: AU 1
    outer_brow: float = 0.0  # raised: AU 2; below 0 lowered
    frown: float = 0.0  # brows lowered and drawn together: AU 4
    lids: float = 0.0  # wide open: AU 5; below 0 narrow: AU 7
    cheeks: float = 0.0  # raised: AU 6
    nose: float = 0.0  # wrinkled, the upper lip raised: AU 9, 10
    corners: float = 0.0  # of the mouth pulled up: AU 12; below 0 down: AU 15
    stretch: float = 0.0  # lips drawn wide: AU 20; below 0 rounded: AU 18
    parted: float = 0.0  # lips apart over the teeth: AU 25
    jaw: float = 0.0  # dropped: AU 26, 27
    gaze: float = 0.0  # downwards

    def scaled(self, share: float) -> "Expression":
        """Return the same expression, weaker or stronger."""
        return replace(self, **{name: share * getattr(self, name) for name in self.__slots__})


EXPRESSIONS = {
    "anger": Expression(
        outer_brow=0.6,
        frown=1.2,
        cheeks=0.3,
        nose=0.6,
        corners=-0.4,
        stretch=0.2,
        parted=1.2,
        jaw=0.6,
    ),
    "disgust": Expression(
        frown=1.0, lids=-0.8, cheeks=1.0, nose=1.5, corners=-0.6, stretch=0.1, parted=0.3, jaw=0.4
    ),
    "fear": Expression(
        inner_brow=1.4,
        outer_brow=-0.1,
        frown=0.4,
        lids=0.9,
        corners=-0.5,
        stretch=0.5,
        parted=0.5,
        jaw=0.4,
    ),
    "joy": Expression(cheeks=1.0, lids=-0.3, corners=1.1, stretch=0.3, parted=0.9),
    "neutral": Expression(),
    "sadness": Expression(
        inner_brow=1.4, outer_brow=-0.5, frown=0.3, lids=-0.6, corners=-1.1, stretch=0.1, gaze=0.4
    ),
    "surprise": Expression(inner_brow=1.1, outer_brow=1.1, lids=0.9, stretch=-0.7, jaw=1.1),
}


def draw_face(
    expression: Expression, look: Look, rng: np.random.Generator, *, brightness: float = 1.0
) -> NDArray[np.uint8]:
    """Draw a face whose head is held almost still, (96, 96, 3) RGB.

    brightness: share of the light that a good picture needs
    """
    drawing = _Drawing(expression.scaled(rng.uniform(0.85, 1.05)), look, rng)
    drawing.background()
    drawing.behind()
    drawing.skin()
    drawing.eyes()
    drawing.brows()
    drawing.mouth()
    drawing.fringe()
    lit = _blurred(drawing.rgb) * brightness
    noise = rng.standard_normal(lit.shape) * np.sqrt(READ_NOISE**2 + SHOT_NOISE * lit)
    return np.clip(lit + noise, 0, 255).round().astype(np.uint8)


class _Drawing:
    """A picture that is painted over, layer by layer."""

    def __init__(self, expression: Expression, look: Look, rng: np.random.Generator) -> None:
        self.e = expression
        self.look = look
        self.x, self.y = _posed(rng)
        self.side = np.abs(self.x)
        self.grain = rng.standard_normal((SIDE, SIDE))
        self.flesh = np.array(look.skin)
        self.outline = self._outline()
        self.strands = self._strands()
        self.rgb: Rgb = np.zeros((SIDE, SIDE, 3))

    def paint(self, cover: Plane, colour: Rgb | Colour | NDArray[np.float64]) -> None:
        """Paint over the picture; `cover` is from 0, nothing, to 1."""
        self.rgb += cover[..., None] * (np.asarray(colour) - self.rgb)

    def spot(self, at: tuple[float, float], size: tuple[float, float]) -> Plane:
        """Return a Gaussian hill of height 1."""
        return _hill(self.x - at[0], size[0]) * _hill(self.y - at[1], size[1])

    def spots(self, at: tuple[float, float], size: tuple[float, float]) -> Plane:
        """Return a hill on either side."""
        return _hill(self.side - at[0], size[0]) * _hill(self.y - at[1], size[1])

    def background(self) -> None:
        """Paint a wall, with a window somewhere on the left."""
        light = 120 - 35 * self.y + 45 * self.spot((-0.9, -0.6), (0.7, 0.8))
        self.paint(np.ones((SIDE, SIDE)), light[..., None] * np.array([0.95, 1.0, 1.04]))

    def behind(self) -> None:
        """Paint hair at the back, neck, shoulders and ears."""
        look, side, y = self.look, self.side, self.y
        bumps = 0.025 * look.curl * np.sin(14 * np.arctan2(self.x, y))
        hanging = np.maximum(side - look.crown + bumps, y - look.hair_length)
        self.paint(_inside(np.where(y < 0, self._crown() + bumps, hanging)), self.strands * 0.75)
        self.paint(_inside(np.maximum(side - 0.4, 0.5 - y)), self.flesh * 0.5)
        self.paint(_inside(1.0 - y - 0.12 * side), look.shirt)
        ear = np.hypot((side - 0.75) / 0.09, (y - 0.04 + 0.3 * (side - 0.75)) / 0.2)
        if look.hair_length < 0:
            rim = 0.65 + 0.25 * np.clip(ear, 0, 1)
            self.paint(_inside((ear - 1) * 0.1), rim[..., None] * self.flesh)

    def skin(self) -> None:
        """Paint the relief of the skin under a lamp (Lambert), with some shine."""
        slope_y, slope_x = np.gradient(self._relief() + 0.0012 * self.grain, PIXEL)
        facing = np.stack([-slope_x, -slope_y, np.ones_like(slope_x)], axis=-1)
        facing /= np.linalg.norm(facing, axis=-1, keepdims=True)
        lit = np.clip(facing @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
        blood = 0.5 * self.spots((0.4, 0.2), (0.2, 0.16)) + 0.5 * self.spot((0, 0.25), (0.12, 0.1))
        shadow = 0.25 * self.spots((0.3, -0.2), (0.2, 0.1))  # below the brows
        shadow += 0.6 * self.spots((0.08, 0.305), (0.04, 0.022))  # nostrils
        colour = self.flesh * (1 - blood[..., None] * np.array([0, 0.12, 0.1]))
        colour = colour * ((0.3 + 0.85 * lit) * (1 - shadow))[..., None]
        self.paint(_inside(self.outline), colour + 45 * (lit**24)[..., None])

    def eyes(self) -> None:
        """Paint white, iris, pupil and lids."""
        e, y = self.e, self.y
        t = (self.side - 0.32) / 0.175  # from corner, -1, to corner, 1
        bow = 1 - t * t
        middle = -0.125 - 0.012 * t
        droop = 0.03 * max(e.inner_brow - e.outer_brow, 0) * t  # the lid follows the brow
        upper = middle - 0.075 * (1 + 0.55 * e.lids) * bow + droop
        opening = 0.05 * (1 + 0.25 * max(e.lids, 0)) - 0.03 * e.cheeks - 0.015 * e.nose
        lower = middle + opening * bow
        hole = _inside(np.maximum(upper - y, y - lower))
        white = 210 - 60 * _inside(y - upper - 0.03)
        self.paint(hole, white[..., None] * np.array([1, 0.98, 0.96]))
        from_pupil = np.hypot(self.side - 0.32, y + 0.135 - 0.03 * e.gaze)
        self.paint(hole * _inside(from_pupil - 0.075), self.look.iris)
        self.paint(hole * _inside(from_pupil - 0.035), (12, 10, 10))
        gleam = np.hypot(np.abs(self.x + 0.02) - 0.32, y + 0.16)
        self.paint(hole * _inside(gleam - 0.016), (245, 245, 245))
        lashes = _inside(np.abs(y - upper + 0.008) - 0.016) * (bow > -0.12)
        self.paint(0.85 * lashes, (30, 22, 20))
        crease = _hill(y - upper + 0.055 + 0.02 * e.lids, 0.014) * (bow > -0.1)
        self.paint(0.35 * crease, self.flesh * 0.35)
        bag = _hill(y - lower - 0.015, 0.014) * np.clip(bow, 0, 1)
        self.paint((0.25 + 0.25 * e.cheeks) * bag, self.flesh * 0.4)

    def brows(self) -> None:
        """Paint the brows, arches that taper outwards."""
        e = self.e
        t = (self.side - 0.13 + 0.05 * e.frown) / 0.43  # from the inner end, 0, to the outer, 1
        within = np.clip(t, 0, 1)
        inner = -0.27 - 0.11 * e.inner_brow + 0.1 * e.frown + 0.03 * e.nose
        outer = -0.28 - 0.14 * e.outer_brow + 0.03 * e.inner_brow + 0.01 * e.frown
        line = inner + (outer - inner) * t - 0.05 * np.sin(np.pi * within**1.3)
        thickness = self.look.brows * (1 - 0.55 * within)
        stroke = _inside((np.abs(self.y - line) - thickness) * 0.8)
        ends = np.clip(t * 8 + 0.5, 0, 1) * np.clip((1 - t) * 8, 0, 1)
        hairs = np.clip(0.85 + 0.15 * self.grain, 0, 1)
        self.paint(0.95 * stroke * ends * hairs, np.array(self.look.hair) * 0.5)

    def mouth(self) -> None:
        """Paint lips, and between them teeth, tongue and the dark."""
        e, x, y = self.e, self.x, self.y
        width = 0.26 * (1 + 0.35 * e.stretch + 0.25 * max(e.corners, 0))
        t = np.clip(self.side / width, 0, 1.3)  # from the middle, 0, to the corner, 1
        bow = 1 - t * t
        oval = np.sign(bow) * np.sqrt(np.abs(bow))
        middle = 0.54 - 0.03 * e.nose + 0.13 * e.corners * (0.55 - t * t)
        upper = middle - (0.05 * e.parted + 0.02 * e.jaw) * bow
        lower = middle + 0.1 * e.parted * (1 + 0.3 * e.corners) * bow + 0.28 * e.jaw * oval
        cupid = 1 - 0.3 * _hill(x, 0.05) - 0.25 * max(e.corners, 0)
        top = upper - self.look.lips * cupid * bow * (1 + 0.2 * e.nose)
        bottom = lower + 1.25 * self.look.lips * np.clip(bow, -1, 1)
        red = self.flesh * np.array([0.86, 0.62, 0.62])
        shade = np.where(y < middle, 0.82, 1.05 - 2.2 * np.abs(y - (lower + bottom) / 2))
        lips = _inside(np.maximum(top - y, y - bottom))
        self.paint(0.85 * lips, red * shade[..., None])
        self.paint(0.8 * _inside(np.abs(y - middle) - 0.013) * (bow > 0), red * 0.35)
        hole = _inside(np.maximum(upper - y, y - lower)) * (bow > 0)
        self.paint(hole, (48, 16, 18))
        tongue = self.spot((0, 0.54 + 0.27 * e.jaw), (0.13, 0.07)) * (e.jaw > 0.3)
        self.paint(0.7 * hole * tongue, (150, 70, 70))
        gaps = 1 - 0.25 * _hill(np.sin(x * 45), 0.25)
        teeth = (gaps * (1 - 0.3 * t))[..., None] * np.array([228, 222, 208])
        self.paint(hole * _inside(y - upper - 0.085), teeth)
        if e.parted > 0.5 and e.corners < 0.2:  # bared
            self.paint(hole * _inside(lower - y - 0.045), teeth * 0.9)

    def fringe(self) -> None:
        """Paint hair over the forehead and down the temples, and its shadow."""
        look, side, y = self.look, self.side, self.y
        line = -0.66 + 0.5 * np.abs(self.x + 0.12) ** 2.2
        line += 0.02 * np.sin(25 * self.x) + 0.03 * look.curl * np.sin(31 * self.x + 2)
        front = np.maximum(y - line, self._crown())
        temples = np.maximum(0.69 - side + 0.06 * np.clip(y, 0, 1), y - look.hair_length + 0.1)
        temples = np.maximum(temples, np.where(y < 0, self._crown(), side - look.crown))
        shadow = _hill(np.clip(y - line, 0, 1), 0.06) * _inside(self.outline)
        self.paint(0.35 * shadow, self.flesh * 0.4)
        self.paint(_inside(np.minimum(front, temples)), self.strands)

    def _outline(self) -> Plane:
        """Return the distance from the outline of the head, about."""
        width = 0.74 * (1 - (1 - self.look.jaw) * np.clip(self.y / 0.95, 0, 1) ** 2)
        height = np.where(self.y > 0, 0.93 + 0.08 * self.e.jaw, 0.98)
        return (np.hypot(self.x / width, self.y / height) - 1) * 0.7

    def _crown(self) -> Plane:
        """Return the distance from the outline of the hair above the ears, about."""
        return np.hypot(self.x / self.look.crown, (self.y + 0.05) / 1.06) - 1

    def _strands(self) -> Rgb:
        """Return the colour of hair everywhere; strands fall from the crown."""
        x, y, curl = self.x, self.y, self.look.curl
        waves = np.sin(
            60 * np.arctan2(x, 1.2 - y) + curl * (6 * np.sin(22 * y) + 3 * np.sin(31 * x))
        )
        shine = (0.5 - 0.25 * curl) * _hill(np.hypot(x + 0.25, y) - 0.85, 0.15)
        shade = 0.85 + 0.07 * waves + 0.06 * self.grain + shine
        colour: Rgb = shade[..., None] * np.array(self.look.hair)
        return colour

    def _relief(self) -> Plane:
        """Return the height of the skin."""
        e, y, side = self.e, self.y, self.side
        height = 0.75 * np.sqrt(np.clip(1 - (self.outline / 0.7 + 1) ** 2, 0.02, 1))
        # Brow ridge, sockets, balls of the eyes.
        ridge = (0.3, -0.3 - 0.06 * e.inner_brow + 0.05 * e.frown)
        height += 0.05 * self.spots(ridge, (0.25, 0.08))
        height -= 0.1 * self.spots((0.31, -0.13), (0.17, 0.1))
        height += 0.05 * self.spots((0.32, -0.12), (0.11, 0.07))
        # Bridge, tip and wings of the nose.
        ramp = np.clip((y + 0.3) / 0.5, 0, 1) * np.clip((0.34 - y) / 0.14, 0, 1)
        height += 0.12 * _hill(side, 0.09) * ramp
        height += 0.07 * self.spot((0, 0.22), (0.11, 0.1))
        height += 0.06 * self.spots((0.13, 0.27), (0.05, 0.05))
        # Cheeks, and the folds from the wings of the nose to the corners of the mouth.
        cheek = (0.41, 0.24 - 0.06 * e.cheeks)
        height += (0.05 + 0.07 * e.cheeks) * self.spots(cheek, (0.18, 0.14))
        along = np.clip((y - 0.22) / 0.34, 0, 1)
        fold = _hill(side - 0.19 - 0.22 * along - 0.05 * e.stretch, 0.035) * np.sin(np.pi * along)
        height -= (0.007 + 0.016 * max(e.cheeks, e.nose)) * fold
        # Wrinkles: on the nose, across the forehead, between the brows.
        height += 0.012 * e.nose * self.spot((0, -0.08), (0.14, 0.09)) * np.sin(55 * y)
        raised = max(e.inner_brow + e.outer_brow, 0)
        height += 0.0045 * raised * self.spot((0, -0.52), (0.42, 0.11)) * np.sin(48 * y)
        height -= 0.035 * e.frown * self.spots((0.06, -0.28), (0.025, 0.1))
        # Around the mouth, and the chin.
        height += 0.06 * self.spot((0, 0.54), (0.3, 0.2))
        height -= 0.05 * self.spot((0, 0.68 + 0.18 * e.jaw), (0.16, 0.05))
        height += 0.07 * self.spot((0, 0.8 + 0.1 * e.jaw), (0.17, 0.09))
        height -= 0.015 * self.spot((0, 0.4), (0.03, 0.07))
        return height


def _posed(rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Return where in an upright face each pixel is, for a head slightly turned and moved."""
    line = (np.arange(SIDE) + 0.5) * PIXEL - 1
    tilt, scale = rng.normal(0, 0.05), rng.normal(0.93, 0.02)
    right, down = rng.normal(0, 0.025, 2)
    x, y = (line - right)[None] * scale, (line - down)[:, None] * scale
    return x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)


def _hill(distance: Plane, size: float) -> Plane:
    height: Plane = np.exp(-np.square(distance / size))
    return height


def _inside(distance: Plane) -> Plane:
    """Return the cover of a shape from the distance outwards of its edge; soft over a pixel."""
    return np.clip(0.5 - distance / (1.5 * PIXEL), 0, 1)


def _blurred(rgb: Rgb) -> Rgb:
    """Blur slightly, as a lens does."""
    for axis in (0, 1):
        rgb = 0.8 * rgb + 0.1 * (np.roll(rgb, 1, axis) + np.roll(rgb, -1, axis))
    return rgb
