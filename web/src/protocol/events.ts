/** What comes over the WebSocket; mirrors ocg/protocol/events.py, field by field. */

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  /** Those of the prompt that came from the provider's cache. */
  readonly cached_tokens: number;
  /** US dollars; 0 where nobody says. */
  readonly cost: number;
}

interface Base {
  readonly turn_id: string;
  readonly session_id: string;
  /** Where the turn's log stands after the event: 1 at first, and a character of text counts one. */
  readonly seq: number;
}

export interface TurnStarted extends Base {
  readonly type: "turn.started";
  readonly message_id: string;
}

export interface TextDelta extends Base {
  readonly type: "text.delta";
  readonly text: string;
}

/** What the model thinks before it answers; no part of the answer. */
export interface ReasoningDelta extends Base {
  readonly type: "reasoning.delta";
  readonly text: string;
}

/** Another message of the user's joined the turn. */
export interface MessageAdded extends Base {
  readonly type: "message.added";
  readonly text: string;
}

/** The turn was cut off and goes on: what came after `kept` is void. */
export interface TurnResumed extends Base {
  readonly type: "turn.resumed";
  readonly kept: number;
}

/** The message joined another turn, which answers it. */
export interface TurnJoined extends Base {
  readonly type: "turn.joined";
  readonly into: string;
}

export interface ToolCall extends Base {
  readonly type: "tool.call";
  readonly call_id: string;
  readonly name: string;
  /** JSON text, as the model wrote it. */
  readonly arguments: string;
}

export interface ToolResult extends Base {
  readonly type: "tool.result";
  readonly call_id: string;
  readonly name: string;
  readonly content: string;
  readonly is_error: boolean;
}

export interface TurnCompleted extends Base {
  readonly type: "turn.completed";
  readonly text: string;
  readonly usage: Usage;
}

export interface TurnFailed extends Base {
  readonly type: "turn.failed";
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export type TurnEvent =
  | TurnStarted
  | TextDelta
  | ReasoningDelta
  | ToolCall
  | ToolResult
  | MessageAdded
  | TurnResumed
  | TurnJoined
  | TurnCompleted
  | TurnFailed;

/** The gateway could not pass something on; `message_id` says which turn it was about. */
export interface Refusal {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly message_id?: string | null;
}

export type ServerMessage = TurnEvent | Refusal;

export type ClientMessage =
  | {
      readonly type: "turn";
      readonly message: string;
      readonly message_id: string;
      readonly session_id?: string;
      /** The `seq` of the last event there was. */
      readonly after?: number;
    }
  | { readonly type: "cancel"; readonly turn_id: string };

const TYPES: ReadonlySet<string> = new Set<ServerMessage["type"]>([
  "turn.started",
  "text.delta",
  "reasoning.delta",
  "tool.call",
  "tool.result",
  "message.added",
  "turn.resumed",
  "turn.joined",
  "turn.completed",
  "turn.failed",
  "error",
]);

/** Read one message; null for what this page does not know, which a newer gateway may send. */
export function parseMessage(data: unknown): ServerMessage | null {
  if (typeof data !== "string") return null;
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || !("type" in value)) return null;
  const { type } = value;
  if (typeof type !== "string" || !TYPES.has(type)) return null;
  if (type !== "error" && !("turn_id" in value && "session_id" in value && "seq" in value)) return null;
  return value as ServerMessage; // fields with defaults are always sent
}
