"""The names every part of DCET agrees on, in the order of every array that is indexed by them."""

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
MODALITIES = ("text", "audio", "face")
SENTIMENT_VALUES = {"negative": -1, "neutral": 0, "positive": 1}
