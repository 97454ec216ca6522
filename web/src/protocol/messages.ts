/** Bodies of HTTP answers; mirrors ocg/protocol/messages.py. Times are Unix seconds. */

export interface ToolUse {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

export interface Message {
  readonly id: string;
  readonly role: "user" | "assistant" | "tool";
  readonly content: string;
  readonly created_at: number;
  readonly tool_calls: readonly ToolUse[];
  readonly tool_call_id: string | null;
}

export interface Session {
  readonly id: string;
  readonly title: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly messages: number;
}

export interface Transcript {
  readonly session: Session;
  readonly messages: readonly Message[];
}
