"""Raises at the second frame: what it said has to be in the fault."""

from wit_world import exports
from wit_world.imports.types import PluginInfo
from wit_world.exports import session_handler


class SessionHandler(exports.SessionHandler):
    def describe(self):
        return PluginInfo("throw-python", "0.1.0", "raises", None, [""])

    def start(self, params):
        pass

    def on_frame(self, input, timing):
        if timing.sequence == 1:
            raise ValueError("frame 1 is not to its taste")
        return session_handler.Output_Pass()

    def on_params(self, params):
        pass

    def on_message(self, text):
        pass

    def stop(self, reason):
        pass
