"""Another page in the visitor's browser: a site of its own, and the requests it tries on the gateway."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Each returns whether it got what it is after: to read, to be obeyed, or to show our page as its own.
PAGE = """<!doctype html><meta charset="utf-8"><title>Win a prize</title><body><script>
const turn = name => JSON.stringify({message: "hello", session_id: name});
const loads = (kind, attributes) => new Promise(done => {
  const element = Object.assign(document.createElement(kind), attributes);
  element.onload = () => done(true);
  element.onerror = () => done(false);
  document.body.append(element);
});
const tries = {
  reads: t => fetch(t + "v1/sessions", {credentials: "include"}).then(r => r.ok),
  reads_as_text: t => fetch(t + "v1/sessions", {credentials: "include", mode: "no-cors"}).then(r => r.ok),
  posts: t => fetch(t + "v1/turns", {
    method: "POST", credentials: "include", headers: {"Content-Type": "application/json"}, body: turn("posts"),
  }).then(r => r.ok),
  posts_unseen: t => fetch(t + "v1/turns", {
    method: "POST", credentials: "include", mode: "no-cors", body: turn("posts_unseen"),
  }).then(r => r.ok),
  beacon: t => navigator.sendBeacon(t + "v1/turns", turn("beacon")) && false,
  deletes: t => fetch(t + "v1/sessions/s-1", {method: "DELETE", credentials: "include"}).then(r => r.ok),
  listens: t => new Promise(done => {
    const source = new EventSource(t + "v1/sessions", {withCredentials: true});
    source.onopen = () => done(true);
    source.onerror = () => { source.close(); done(false); };
  }),
  talks: t => new Promise(done => {
    const chat = new WebSocket(t.replace("http", "ws") + "ws/chat");
    chat.onopen = () => chat.send(JSON.stringify({type: "turn", message: "hello", session_id: "talks"}));
    chat.onmessage = () => done(true);
    chat.onclose = () => done(false);
  }),
  embeds_data: t => loads("script", {src: t + "v1/sessions"}),
  embeds_script: (t, script) => loads("script", {src: t + script, type: "module"}),
  embeds_style: t => loads("link", {rel: "stylesheet", href: t + "v1/sessions"}),
  embeds_image: t => loads("img", {src: t + "v1/sessions"}),
  signs_out: t => fetch(t + "logout", {method: "POST", credentials: "include", mode: "no-cors"}).then(() => false),
};
async function attack(target, script) {
  const won = {};
  for (const [name, one] of Object.entries(tries)) {
    const timeout = new Promise(done => setTimeout(done, 5000, false));
    won[name] = await Promise.race([Promise.resolve(one(target, script)).catch(() => false), timeout]);
  }
  return won;
}
function submits(target) {
  const form = document.createElement("form");
  const frame = Object.assign(document.createElement("iframe"), {name: "unseen"});
  Object.assign(form, {method: "POST", action: target + "v1/turns", enctype: "text/plain", target: "unseen"});
  const field = Object.assign(document.createElement("input"), {name: '{"message":"hello","session_id":"form","x":"', value: '"}'});
  form.append(field);
  document.body.append(frame, form);
  // A stream in a frame is a download, of which a page hears nothing.
  return new Promise(done => { frame.onload = () => done(); setTimeout(done, 2000); form.submit(); });
}
function frames(target) {
  const frame = Object.assign(document.createElement("iframe"), {src: target});
  return new Promise(done => { frame.onload = frame.onerror = () => done(); document.body.append(frame); });
}
</script>"""  # noqa: E501 - it is JavaScript


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def attacker() -> Iterator[int]:
    """Serve the page, by whatever name the browser finds it; return the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="attacker")
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
