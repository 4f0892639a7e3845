"""The gallery: one static page on which people browse, compare and pick what was generated.

    python -m comics_genai gallery              every run under 6_generated/, into 6_generated/everything.html
    python -m comics_genai gallery --curate     what git keeps of them, into 6_generated/index.html, which git keeps too
    python -m comics_genai gallery FOLDER ...   other folders of pictures too
    sampling.picked                             reads the list of pictures a person gave a heart
"""

from comics_genai.publishing.gallery.build import Built, GallerySettings, build

__all__ = ["Built", "GallerySettings", "build"]
