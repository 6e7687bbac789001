"""A language model behind a real local endpoint: its answers, its cache, its silence."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from resurvey import settings
from resurvey.errors import ResurveyError
from resurvey.llm import KEPT, Cache, Chat, Endpoint, Prompt, endpoint_of

PROMPT = Prompt("1", "Rewrite.")


class Model:
    """An endpoint that answers in capitals, or as it is told to; remembers what it was sent."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []
        self.body: bytes | None = None
        self.status, self.delay = 200, 0.0
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked.append(sent | {"path": self.path, "key": self.headers["Authorization"]})
                time.sleep(model.delay)
                said = {"role": "assistant", "content": sent["messages"][1]["content"].upper()}
                choices = [{"index": 0, "finish_reason": "stop", "message": said}]
                whole = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
                data = json.dumps(whole).encode() if model.body is None else model.body
                try:
                    self.send_response(model.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # the client was not patient enough
                    pass

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"http://127.0.0.1:{self.server.server_address[1]}/v1", "tiny", "RESURVEY_TEST_KEY")


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_text_is_asked_at_temperature_zero_with_the_key_of_the_environment(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESURVEY_TEST_KEY", "abc")
    assert Chat(model.endpoint).ask(PROMPT, "mi treatment") == "MI TREATMENT"
    sent = model.asked[0]
    assert (sent["temperature"], sent["model"], sent["path"]) == (0, "tiny", "/v1/chat/completions")
    assert sent["key"] == "Bearer abc"
    assert sent["messages"] == [{"role": "system", "content": "Rewrite."}, {"role": "user", "content": "mi treatment"}]


def test_answers_are_kept_thirty_days_by_model_prompt_and_text(model: Model, tmp_path: Path) -> None:
    now = [1000.0]
    cache = Cache(tmp_path / "state.db", lambda: now[0])
    assert cache.hit_rate() is None
    assert Chat(model.endpoint, cache).ask_all(PROMPT, ["a", "b"], 5).texts == ("A", "B")
    again = Chat(model.endpoint, Cache(tmp_path / "state.db", lambda: now[0]))
    assert again.ask_all(PROMPT, ["a", "b"], 5).texts == ("A", "B")
    assert len(model.asked) == 2
    assert cache.hit_rate() == 0.5
    again.ask_all(Prompt("2", "Rewrite."), ["a"], 5)
    Chat(Endpoint(model.endpoint.url, "other"), cache).ask_all(PROMPT, ["a"], 5)
    assert len(model.asked) == 4
    now[0] += KEPT - 1
    again.ask_all(PROMPT, ["a"], 5)
    assert len(model.asked) == 4
    now[0] += 2
    again.ask_all(PROMPT, ["a"], 5)
    assert len(model.asked) == 5


def test_a_late_answer_is_missing_and_nothing_is_raised(model: Model, tmp_path: Path) -> None:
    model.delay = 3
    started = time.monotonic()
    found = Chat(model.endpoint, Cache(tmp_path / "state.db")).ask_all(PROMPT, ["a", "b"], 0.2)
    assert time.monotonic() - started < 2.5
    assert found.texts == (None, None)
    assert found.missing == 2
    assert "127.0.0.1" in found.trouble


def test_an_endpoint_that_is_down_is_not_asked_for_ever(model: Model) -> None:
    model.status, model.body = 500, b"{}"
    found = Chat(model.endpoint).ask_all(PROMPT, [str(place) for place in range(100)], 5)
    assert found.missing == 100
    assert len(model.asked) == 8
    assert "did not answer" in found.trouble


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"[]", "no chat completion"),
        (200, b"<html>", "answer"),
        (200, b'{"choices": []}', "no chat completion"),
        (200, b'{"choices": [{"message": {"content": " "}}]}', "gave an empty answer"),
        (401, b"{}", "refused the key of RESURVEY_TEST_KEY (401)"),
        (404, b"{}", "did not answer"),
    ],
)
def test_a_wrong_answer_is_a_problem_that_names_the_endpoint(status: int, body: bytes, said: str, model: Model) -> None:
    model.status, model.body = status, body
    with pytest.raises(ResurveyError) as caught:
        Chat(model.endpoint).ask(PROMPT, "a", 5)
    assert said in str(caught.value)
    assert f"{model.endpoint.url} (tiny)" in str(caught.value)
    assert "Next:" in str(caught.value)


def test_without_the_client_the_extra_is_named(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ResurveyError, match=r"pip install 'resurvey\[llm\]'"):
        Chat(model.endpoint).ask(PROMPT, "a")
    assert "not installed" in Chat(model.endpoint).ask_all(PROMPT, ["a"], 1).trouble


def test_a_damaged_cache_is_said_and_does_not_stop_the_answers(model: Model, tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database" * 100)
    cache = Cache(tmp_path / "state.db")
    with pytest.raises(ResurveyError, match="cannot be used to keep answers"):
        cache.get(["a"])
    found = Chat(model.endpoint, cache).ask_all(PROMPT, ["a"], 5)
    assert found.texts == ("A",)
    assert "cannot be used" in found.trouble


def test_an_endpoint_needs_url_and_model() -> None:
    plain = settings.defaults()
    assert endpoint_of(settings.Settings(plain)) is None
    whole = settings.Settings({**plain, "llm_url": "http://x/v1", "llm_model": "m"})
    assert endpoint_of(whole) == Endpoint("http://x/v1", "m", "OPENAI_API_KEY")
    for name, other in (("llm_url", "llm_model"), ("llm_model", "llm_url")):
        with pytest.raises(ResurveyError, match=f"`{name}` is set and `{other}` is not"):
            endpoint_of(settings.Settings({**plain, name: "x"}))
