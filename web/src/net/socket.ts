/** The WebSocket to the gateway: opened again with back-off for as long as somebody is signed in. */

import { signal } from "@preact/signals";
import { type ClientMessage, parseMessage, type ServerMessage } from "../protocol/events";

export type Link = "closed" | "connecting" | "open" | "lost" | "offline";

const FIRST_DELAY_MS = 200;
const MAX_DELAY_MS = 8_000;
/** So many failures in a row, and it is an outage and no longer a hiccup. */
const OFFLINE_AFTER = 4;

export class Socket {
  readonly link = signal<Link>("closed");
  onMessage: (message: ServerMessage) => void = () => undefined;
  onOpen: () => void = () => undefined;
  /** Called when an attempt fails: the browser does not tell a refused token from a gateway that is away. */
  onRefused: () => void = () => undefined;

  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor() {
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
  }

  open(): void {
    if (this.#socket !== null) return;
    clearTimeout(this.#timer);
    if (this.link.value === "closed") this.link.value = "connecting";
    const socket = new WebSocket(new URL("ws/chat", document.baseURI));
    this.#socket = socket;
    socket.onopen = () => {
      this.#failures = 0;
      this.link.value = "open";
      this.onOpen();
    };
    socket.onmessage = ({ data }) => {
      const message = parseMessage(data);
      if (message !== null) this.onMessage(message);
    };
    socket.onclose = () => this.#lost(socket);
  }

  close(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    this.#failures = 0;
    this.link.value = "closed";
    socket?.close();
  }

  /** Whether it was sent; what was not is for the caller to send again in `onOpen`. */
  send(message: ClientMessage): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  retryNow(): void {
    if (this.link.value === "lost" || this.link.value === "offline") this.open();
  }

  #lost(socket: WebSocket): void {
    if (this.#socket !== socket) return; // closed on purpose
    this.#socket = null;
    if (this.link.value !== "open") this.onRefused();
    if (this.link.value === "closed") return; // signed out just now
    this.#failures += 1;
    this.link.value = this.#failures > OFFLINE_AFTER ? "offline" : "lost";
    const delay = Math.min(FIRST_DELAY_MS * 2 ** (this.#failures - 1), MAX_DELAY_MS);
    this.#timer = setTimeout(() => this.open(), delay * (0.75 + Math.random() / 2));
  }
}
