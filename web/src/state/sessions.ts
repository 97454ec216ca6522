/** The list of conversations. */

import { signal } from "@preact/signals";
import type { Api } from "../net/api";
import { type Problem, problemOf } from "../net/problem";
import type { Session } from "../protocol/messages";

export class Sessions {
  readonly list = signal<readonly Session[]>([]);
  readonly problem = signal<Problem | null>(null);
  readonly loaded = signal(false);
  #asked = 0;

  constructor(private readonly api: Api) {}

  async refresh(): Promise<void> {
    const asked = ++this.#asked;
    try {
      const list = await this.api.sessions();
      if (asked !== this.#asked) return; // a later answer counts
      this.list.value = list;
      this.problem.value = null;
      this.loaded.value = true;
    } catch (error) {
      this.problem.value = problemOf(error);
    }
  }

  async remove(id: string): Promise<void> {
    await this.api.deleteSession(id);
    this.list.value = this.list.value.filter((one) => one.id !== id);
    void this.refresh();
  }

  clear(): void {
    this.#asked += 1;
    this.list.value = [];
    this.loaded.value = false;
    this.problem.value = null;
  }
}

export type Age = "today" | "yesterday" | "week" | "older";

/** Group sessions, newest first, by how many midnights ago they were touched. */
export function byAge(sessions: readonly Session[], now: Date): ReadonlyMap<Age, readonly Session[]> {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime() / 1000;
  const day = 86_400;
  const groups = new Map<Age, Session[]>();
  for (const session of sessions) {
    const behind = midnight - session.updated_at;
    const age = behind <= 0 ? "today" : behind <= day ? "yesterday" : behind <= 6 * day ? "week" : "older";
    groups.set(age, [...(groups.get(age) ?? []), session]);
  }
  return groups;
}
