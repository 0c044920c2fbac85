"""The parts of Bokeh that the page uses; no other module of this folder imports it by name."""

from __future__ import annotations

from dgmmis.errors import MissingLibrary

try:
    from bokeh.application import Application
    from bokeh.application.handlers import FunctionHandler
    from bokeh.document import Document
    from bokeh.layouts import column, row
    from bokeh.models import (
        ColumnDataSource,
        Div,
        HoverTool,
        InlineStyleSheet,
        LinearAxis,
        LinearColorMapper,
        Range1d,
        Select,
        Span,
        UIElement,
    )
    from bokeh.palettes import Plasma256
    from bokeh.plotting import figure
    from bokeh.server.server import BaseServer
    from bokeh.server.tornado import BokehTornado
    from bokeh.server.util import bind_sockets
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop
    from tornado.web import RequestHandler
except ImportError as error:
    raise MissingLibrary(
        f"watching runs needs bokeh, which cannot be imported ({error}). Install it: "
        'pip install "dgmmis[dashboard]".'
    ) from error

__all__ = [
    "Application",
    "BaseServer",
    "BokehTornado",
    "ColumnDataSource",
    "Div",
    "Document",
    "FunctionHandler",
    "HTTPServer",
    "HoverTool",
    "IOLoop",
    "InlineStyleSheet",
    "LinearAxis",
    "LinearColorMapper",
    "Plasma256",
    "Range1d",
    "RequestHandler",
    "Select",
    "Span",
    "UIElement",
    "bind_sockets",
    "column",
    "figure",
    "row",
]
