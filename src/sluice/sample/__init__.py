"""What travels: samples, their items, views of media, and batches of them on Arrow."""

from sluice.sample.batch import ITEM_TYPE, Batch
from sluice.sample.media import Media
from sluice.sample.model import MEDIA_MODALITIES, Item, Modality, Note, Sample, sample_id

__all__ = [
    "ITEM_TYPE",
    "MEDIA_MODALITIES",
    "Batch",
    "Item",
    "Media",
    "Modality",
    "Note",
    "Sample",
    "sample_id",
]
