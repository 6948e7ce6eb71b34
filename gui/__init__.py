"""The desktop app: open a checkpoint, drop in an image, look inside, cut a skip and see what
breaks.
"""
