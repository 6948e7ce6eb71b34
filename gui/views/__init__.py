"""Views that only show: set_* methods take plain data, signals report what the user does.

They hold no state of the app and know neither torch nor lightning_resnets.
"""
