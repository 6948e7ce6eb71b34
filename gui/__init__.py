"""The desktop app: open a checkpoint, drop in a picture, look inside, cut a skip and see what breaks."""
