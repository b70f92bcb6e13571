# One image for api, store and stream; the command says which. The page is built on the way and served by api.

FROM node:22-slim AS page
WORKDIR /page
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci
COPY frontend/ ./
RUN npm run build

FROM python:3.12-slim AS packages
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev

FROM python:3.12-slim
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home stickyfeed
WORKDIR /app
COPY --from=packages /app/.venv .venv
COPY api api
COPY store store
COPY stream stream
# The one-shot that makes the secrets at the first start.
COPY local/__init__.py local/certificate.py local/keys.py local/setting.py local/
COPY compose/__init__.py compose/deal_secrets.py compose/
COPY compose/proxysql compose/proxysql
COPY --from=page /page/dist frontend/dist
USER stickyfeed
# A stream node ends its streams first; the stopper must leave it the time.
STOPSIGNAL SIGTERM
CMD ["python", "-m", "api"]
