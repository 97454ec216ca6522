/** The address after the `#`: `#/` is a new chat, `#/s/ID` a conversation, `#login=CODE` a way in. */

import { signal } from "@preact/signals";

export class Route {
  /** The conversation's id; null is a new chat. */
  readonly session = signal<string | null>(null);
  onLoginCode: (code: string) => void = () => undefined;

  constructor() {
    addEventListener("hashchange", () => this.read());
  }

  read(): void {
    const code = /^#login=(.+)$/.exec(location.hash)?.[1];
    if (code !== undefined) {
      // Out of the address bar and the history before anything else happens.
      history.replaceState(null, "", "#/");
      this.onLoginCode(decode(code));
    }
    const id = /^#\/s\/([^/]+)$/.exec(location.hash)?.[1];
    this.session.value = id === undefined ? null : decode(id);
  }

  go(session: string | null, how: "push" | "replace" = "push"): void {
    const hash = session === null ? "#/" : `#/s/${encodeURIComponent(session)}`;
    if (hash !== location.hash) {
      if (how === "push") history.pushState(null, "", hash);
      else history.replaceState(null, "", hash);
    }
    this.session.value = session;
  }
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
