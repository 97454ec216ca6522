/** Turns that this tab waits for, kept over a reload so that the answer goes on where it was. */

import type { Asked } from "./turn";

const KEY = "ocg.pending";

export function loadPending(): readonly Asked[] {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(value) ? (value as Asked[]).filter((one) => typeof one?.messageId === "string") : [];
  } catch {
    return [];
  }
}

export function storePending(turns: Iterable<Asked>): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...turns]));
  } catch {
    // full or forbidden: then a reload shows what the transcript has
  }
}
