/** Everything the page is made of, put together once. */

import { effect, signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Api } from "../net/api";
import { problemOf } from "../net/problem";
import { Socket } from "../net/socket";
import { text } from "../text";
import { Chat } from "./chat";
import { Route } from "./route";
import { Sessions } from "./sessions";
import { applyTheme, opposite, storedTheme, storeTheme, type Theme } from "./theme";

export type Access = "unknown" | "out" | "in";

export class App {
  readonly api = new Api();
  readonly socket = new Socket();
  readonly route = new Route();
  readonly sessions = new Sessions(this.api);
  readonly chat = new Chat(this.api, this.socket, this.sessions, this.route);
  readonly access = signal<Access>("unknown");
  /** Why the visitor has to sign in, where there is more to say than that. */
  readonly loginNote = signal("");
  readonly theme = signal<Theme>(storedTheme());
  readonly drawerOpen = signal(false);

  async start(): Promise<void> {
    this.api.onSignedOut = () => this.#leave();
    this.socket.onRefused = () => void this.sessions.refresh(); // tells "signed out" from "away"
    let code: string | null = null;
    this.route.onLoginCode = (found) => {
      code = found;
    };
    this.route.read();
    this.route.onLoginCode = (found) => void this.#enterByCode(found);
    effect(() => {
      const id = this.route.session.value;
      // Outside of the effect, which would otherwise follow whatever a conversation reads.
      if (this.access.value === "in") queueMicrotask(() => this.chat.show(id));
    });
    if (code === null) await this.#enter();
    else await this.#enterByCode(code);
  }

  async login(token: string): Promise<void> {
    await this.api.login({ token });
    await this.#enter();
  }

  async logout(): Promise<void> {
    try {
      await this.api.logout();
    } catch (error) {
      this.chat.notice.value = problemOf(error);
      return;
    }
    this.#leave();
  }

  newChat(): void {
    this.route.go(null);
    this.chat.show(null);
    this.drawerOpen.value = false;
  }

  toggleTheme(): void {
    this.theme.value = opposite(this.theme.value);
    applyTheme(this.theme.value);
    storeTheme(this.theme.value);
  }

  async #enterByCode(code: string): Promise<void> {
    try {
      await this.api.login({ code });
    } catch (error) {
      const { code: kind } = problemOf(error);
      this.loginNote.value = kind === "unauthorized" ? text.login.badCode : problemOf(error).message;
    }
    await this.#enter();
  }

  /** Go in when the gateway knows this browser; it stays "unknown", and is tried again, while the gateway is away. */
  async #enter(): Promise<void> {
    await this.sessions.refresh();
    const problem = this.sessions.problem.value;
    if (problem?.code === "unauthorized") {
      this.#leave();
      return;
    }
    if (this.access.value === "in") return;
    this.loginNote.value = "";
    this.access.value = "in";
    this.socket.open();
    this.chat.resumeNew();
  }

  #leave(): void {
    this.socket.close();
    this.sessions.clear();
    this.chat.clear();
    this.access.value = "out";
  }
}

const Context = createContext<App | null>(null);

export const AppProvider = Context.Provider;

export function useApp(): App {
  const app = useContext(Context);
  if (app === null) throw new Error("outside of the application");
  return app;
}
