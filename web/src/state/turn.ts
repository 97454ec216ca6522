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
  #next: Answer = WAITING;
  #shownSeq = 0;
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
    const base = { type: "turn", message, message_id: messageId } as const;
    return this.sessionId === null ? base : { ...base, session_id: this.sessionId };
  }

  get repeats(): number {
    return this.#repeats;
  }

  /** Take an event in; after a repeat they come from the first again, and nothing shown shrinks meanwhile. */
  take(event: TurnEvent): void {
    this.#repeats = 0;
    this.turnId = event.turn_id;
    this.sessionId = event.session_id;
    this.#next = apply(this.#next, event);
    this.isSettled = isOver(this.#next);
    if (event.seq < this.#shownSeq && !this.isSettled) return;
    this.#shownSeq = event.seq;
    this.answer.value = this.#next;
  }

  fail(problem: Problem): void {
    this.#next = failed(this.answer.value, problem);
    this.answer.value = this.#next;
  }
}
