/** An answer as it is shown, and how each event changes it. Pure: no network, no clock. */

import type { Problem } from "../net/problem";
import type { TurnEvent, Usage } from "../protocol/events";

export interface TextPart {
  readonly kind: "text";
  readonly text: string;
}

export interface ToolPart {
  readonly kind: "tool";
  readonly callId: string;
  readonly name: string;
  readonly arguments: string;
  /** Null until the tool is done. */
  readonly result: { readonly content: string; readonly isError: boolean } | null;
}

export type Part = TextPart | ToolPart;

export type Phase = "waiting" | "streaming" | "done" | "stopped" | "failed" | "unanswered";

export interface Answer {
  readonly phase: Phase;
  readonly parts: readonly Part[];
  readonly problem: Problem | null;
  readonly usage: Usage | null;
}

export const WAITING: Answer = { phase: "waiting", parts: [], problem: null, usage: null };

export function isOver(answer: Answer): boolean {
  return answer.phase !== "waiting" && answer.phase !== "streaming";
}

export function textOf(answer: Answer): string {
  const texts = answer.parts.flatMap((part) => (part.kind === "text" ? [part.text] : []));
  return texts.join("\n\n");
}

export function failed(answer: Answer, problem: Problem): Answer {
  return { ...answer, phase: problem.code === "cancelled" ? "stopped" : "failed", problem };
}

export function apply(answer: Answer, event: TurnEvent): Answer {
  switch (event.type) {
    case "turn.started":
      return WAITING;
    case "text.delta":
      return { ...answer, phase: "streaming", parts: withText(answer.parts, event.text) };
    case "reasoning.delta":
      return answer; // not shown yet
    case "tool.call": {
      const { call_id: callId, name } = event;
      const part: ToolPart = { kind: "tool", callId, name, arguments: event.arguments, result: null };
      return { ...answer, phase: "streaming", parts: [...answer.parts, part] };
    }
    case "tool.result": {
      const result = { content: event.content, isError: event.is_error };
      return { ...answer, parts: withResult(answer.parts, event.call_id, result) };
    }
    case "reasoning.delta":
    case "message.added":
    case "turn.resumed":
      return answer;
    case "turn.joined":
      return { ...answer, phase: "done" };
    case "turn.completed": {
      // A provider that does not stream gives all its text here.
      const parts = textOf(answer) === "" ? withText(answer.parts, event.text) : answer.parts;
      return { ...answer, phase: "done", parts, usage: event.usage };
    }
    case "turn.failed":
      return failed(answer, { code: event.code, message: event.message, hint: event.hint });
  }
}

function withText(parts: readonly Part[], text: string): readonly Part[] {
  const last = parts.at(-1);
  if (text === "") return parts;
  if (last?.kind !== "text") return [...parts, { kind: "text", text }];
  return [...parts.slice(0, -1), { kind: "text", text: last.text + text }];
}

export function withResult(
  parts: readonly Part[],
  callId: string,
  result: NonNullable<ToolPart["result"]>,
): readonly Part[] {
  return parts.map((part) => (part.kind === "tool" && part.callId === callId ? { ...part, result } : part));
}
