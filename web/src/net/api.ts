/** The gateway's HTTP API. Paths are relative, so that the page works below any prefix. */

import type { Session, Transcript } from "../protocol/messages";
import { text } from "../text";
import { type Problem, ProblemError } from "./problem";

const TIMEOUT_MS = 30_000;

export class Api {
  /** Called when the gateway no longer knows this browser. */
  onSignedOut: () => void = () => undefined;

  async login(credentials: { token: string } | { code: string }): Promise<void> {
    await this.#send("POST", "login", credentials);
  }

  async logout(): Promise<void> {
    await this.#send("POST", "logout");
  }

  async sessions(): Promise<readonly Session[]> {
    const found = (await this.#read("GET", "v1/sessions")) as { sessions: readonly Session[] };
    return found.sessions;
  }

  async transcript(id: string): Promise<Transcript> {
    return (await this.#read("GET", `v1/sessions/${encodeURIComponent(id)}`)) as Transcript;
  }

  async deleteSession(id: string): Promise<void> {
    await this.#read("DELETE", `v1/sessions/${encodeURIComponent(id)}`);
  }

  async #read(method: string, path: string): Promise<unknown> {
    try {
      return await (await this.#send(method, path)).json();
    } catch (error) {
      if (error instanceof ProblemError && error.problem.code === "unauthorized") this.onSignedOut();
      throw error;
    }
  }

  async #send(method: string, path: string, body?: unknown): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(path, {
        method,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
      });
    } catch {
      throw new ProblemError({ code: "unavailable", message: text.link.unreachable, hint: text.link.unreachableHint });
    }
    if (!response.ok) throw new ProblemError(await readProblem(response));
    return response;
  }
}

async function readProblem(response: Response): Promise<Problem> {
  const fallback = response.status === 401 ? "unauthorized" : "internal";
  try {
    const { error } = (await response.json()) as { error: Partial<Problem> };
    return { code: error.code ?? fallback, message: error.message ?? response.statusText, hint: error.hint ?? "" };
  } catch {
    return { code: fallback, message: `HTTP ${response.status}`, hint: "" };
  }
}
