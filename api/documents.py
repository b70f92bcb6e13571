"""The OpenAPI document, and a page to read it that needs no script of anybody's."""

import base64
import hashlib
import inspect
import re
from typing import Any

from quart import Blueprint, Quart, Response, current_app, jsonify, render_template_string
from quart_schema import HttpSecurityScheme, Info, OpenAPIProvider, QuartSchema, hide
from quart_schema.conversion import model_schema
from werkzeug.routing import Rule

from api.answers import Problem
from api.identity import is_public, public
from api.page import HEADERS

blueprint = Blueprint("documents", __name__)

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ info.title }} API</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
  summary { cursor: pointer; padding: .4rem 0 } summary code { font-weight: 600 } pre { overflow-x: auto; font-size: 14px }
  .method { display: inline-block; width: 4.5rem } .open { font-size: 13px; opacity: .7 }
</style>
<h1>{{ info.title }} API</h1>
<p>{{ info.description }} As a document: <a href="/v1/openapi.json">/v1/openapi.json</a>.</p>
{% for path, operations in paths.items() %}{% for method, operation in operations.items() %}
<details>
  <summary><span class="method">{{ method | upper }}</span> <code>{{ path }}</code> {{ operation.summary }}
    {% if operation.security == [] %}<span class="open">no token needed</span>{% endif %}</summary>
  <p>{{ operation.description }}</p>
  {% for parameter in operation.parameters %}
  <p><code>{{ parameter.name }}</code> in the {{ parameter.in }}: {{ parameter.schema.type }}. {{ parameter.description }}</p>
  {% endfor %}
  {% if operation.requestBody %}<h4>Body</h4>
  <pre>{{ operation.requestBody.content["application/json"].schema | tojson(2) }}</pre>{% endif %}
  {% for status, response in operation.responses.items() %}<h4>{{ status }}: {{ response.description }}</h4>
  {% if response.content %}<pre>{{ response.content["application/json"].schema | tojson(2) }}</pre>{% endif %}
  {% endfor %}
</details>
{% endfor %}{% endfor %}
</html>
"""


def _policy(page: str) -> str:
    """The styles that stand in the page, by their hashes, and nothing else at all."""
    styles = (hashlib.sha256(style.encode()).digest() for style in re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in styles)
    return f"default-src 'none'; style-src {hashes}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


_HEADERS = {**HEADERS, "Content-Security-Policy": _policy(_PAGE)}


class Provider(OpenAPIProvider):
    """Adds what holds for every route: how it fails, whether it needs a token, and that 204 has no body."""

    def build_paths(self, rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
        """The operations of one route."""
        paths, components = super().build_paths(rule)
        view = self._app.view_functions[rule.endpoint]
        for operation in (operation for methods in paths.values() for operation in methods.values()):
            operation["responses"] = {str(status): answer for status, answer in operation["responses"].items()}
            operation["responses"].get("204", {}).pop("content", None)
            operation["responses"]["default"] = {
                "description": inspect.getdoc(Problem),
                "content": {"application/json": {"schema": model_schema(Problem, preference=None)}},
            }
            if is_public(view):
                operation["security"] = []
        return paths, components


def add_documents(app: Quart) -> None:
    """Describes the routes of the app at /v1/openapi.json and on /v1/docs."""
    QuartSchema(
        app,
        openapi_path=None,
        swagger_ui_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
        info=Info(title="stickyfeed", version="1", description="What people do, live to everybody who follows them."),
        security_schemes={"bearer": HttpSecurityScheme(scheme="bearer", bearer_format="JWT")},
        security=[{"bearer": []}],
        openapi_provider_class=Provider,
    )
    app.register_blueprint(blueprint)


@blueprint.get("/v1/openapi.json")
@public
@hide
async def openapi() -> Response:
    """The document."""
    response: Response = jsonify(_document())
    return response


@blueprint.get("/v1/docs")
@public
@hide
async def docs() -> tuple[str, dict[str, str]]:
    """The document as a page."""
    document = _document()
    return await render_template_string(_PAGE, info=document["info"], paths=document["paths"]), _HEADERS


def _document() -> dict[str, Any]:
    document: dict[str, Any] = current_app.extensions["QUART_SCHEMA"].openapi_provider.schema()
    return document
