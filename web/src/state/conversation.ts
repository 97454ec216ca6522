/** One conversation: exchanges of a question and its answer. */

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Problem } from "../net/problem";
import type { Message, Transcript } from "../protocol/messages";
import { type Answer, isOver, type Part, WAITING, withResult } from "./answer";
import type { Turn } from "./turn";

export interface Exchange {
  readonly id: string;
  /** Null where something was said unasked. */
  readonly question: string | null;
  readonly answer: ReadonlySignal<Answer>;
  readonly turn: Turn | null;
}

export type Stage = "loading" | "ready" | "missing" | "failed";

export class Conversation {
  readonly id: Signal<string | null>;
  readonly stage: Signal<Stage>;
  readonly problem = signal<Problem | null>(null);
  readonly exchanges = signal<readonly Exchange[]>([]);
  readonly draft = signal("");
  readonly live: ReadonlySignal<Turn | null> = computed(() => {
    const last = this.exchanges.value.at(-1);
    return last?.turn && !isOver(last.answer.value) ? last.turn : null;
  });

  constructor(id: string | null) {
    this.id = signal(id);
    this.stage = signal<Stage>(id === null ? "ready" : "loading");
  }

  add(turn: Turn): void {
    this.exchanges.value = [...this.exchanges.value, exchangeOf(turn)];
  }

  /** Put a turn where an exchange was: it is tried again, or goes on after the page was loaded anew. */
  replace(old: Exchange, turn: Turn): void {
    this.exchanges.value = this.exchanges.value.map((one) => (one === old ? exchangeOf(turn) : one));
  }
}

function exchangeOf(turn: Turn): Exchange {
  return { id: turn.asked.messageId, question: turn.asked.message, answer: turn.answer, turn };
}

/** Group a transcript's messages into exchanges. */
export function exchangesOf(transcript: Transcript): readonly Exchange[] {
  const groups: Message[][] = [];
  for (const message of transcript.messages) {
    const last = groups.at(-1);
    if (message.role === "user" || last === undefined) groups.push([message]);
    else last.push(message);
  }
  return groups.filter((group, index) => !wasRepeated(group, groups[index + 1])).map(exchangeOfGroup);
}

/** A question that got no answer and was asked again at once is shown once. */
function wasRepeated(group: readonly Message[], next: readonly Message[] | undefined): boolean {
  return group.length === 1 && group[0]?.role === "user" && next?.[0]?.content === group[0].content;
}

function exchangeOfGroup(group: readonly Message[]): Exchange {
  const [first, ...rest] = group as [Message, ...Message[]];
  const asked = first.role === "user";
  return {
    id: first.id,
    question: asked ? first.content : null,
    answer: signal(answerOf(asked ? rest : group)),
    turn: null,
  };
}

function answerOf(messages: readonly Message[]): Answer {
  let parts: readonly Part[] = [];
  for (const message of messages) {
    if (message.role === "tool") {
      parts = withResult(parts, message.tool_call_id ?? "", { content: message.content, isError: false });
      continue;
    }
    if (message.content !== "") parts = [...parts, { kind: "text", text: message.content }];
    const calls = message.tool_calls.map(
      (call): Part => ({ kind: "tool", callId: call.id, name: call.name, arguments: call.arguments, result: null }),
    );
    parts = [...parts, ...calls];
  }
  const last = messages.at(-1);
  const whole = last?.role === "assistant" && last.tool_calls.length === 0;
  return { ...WAITING, phase: whole ? "done" : "unanswered", parts };
}
