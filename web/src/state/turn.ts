/** A turn that runs: what was asked, and the answer as far as it has come. */

import { signal } from "@preact/signals";
import type { Problem } from "../net/problem";
import type { ClientMessage, TurnEvent } from "../protocol/events";
import { type Answer, apply, failed, isOver, WAITING } from "./answer";

/** Repeats in a row without any event in between; past it the turn is given up. */
const MAX_REPEATS = 8;

export interface Asked {
  readonly message: string;
  readonly messageId: string;
  readonly sessionId: string | null;
}

export class Turn {
  readonly answer = signal<Answer>(WAITING);
  sessionId: string | null;
  turnId: string | null = null;
  cancelWanted = false;
  /** Whether the agent said how it ended; its message id is used up then. */
  isSettled = false;
  #events: TurnEvent[] = [];
  #repeats = 0;

  constructor(readonly asked: Asked) {
    this.sessionId = asked.sessionId;
  }

  get isOver(): boolean {
    return isOver(this.answer.value);
  }

  /** What to send; the same message id makes a repeat harmless. Null when it was repeated too often. */
  request(): ClientMessage | null {
    if (this.#repeats > MAX_REPEATS) return null;
    this.#repeats += 1;
    const { message, messageId } = this.asked;
    const after = this.#events.at(-1)?.seq ?? 0;
    const base = { type: "turn", message, message_id: messageId, after } as const;
    return this.sessionId === null ? base : { ...base, session_id: this.sessionId };
  }

  get repeats(): number {
    return this.#repeats;
  }

  /** Take an event in. Where the agent was cut off, what it had said since the last whole step is taken back. */
  take(event: TurnEvent): void {
    this.#repeats = 0;
    this.turnId = event.turn_id;
    this.sessionId = event.session_id;
    if (event.type === "turn.resumed") {
      this.#events = this.#events.filter((one) => one.seq <= event.kept);
      this.answer.value = this.#events.reduce(apply, WAITING);
    }
    this.#events.push(event);
    this.answer.value = apply(this.answer.value, event);
    this.isSettled = isOver(this.answer.value);
  }

  fail(problem: Problem): void {
    this.answer.value = failed(this.answer.value, problem);
  }
}
