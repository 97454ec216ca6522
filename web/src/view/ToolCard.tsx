import type { ToolPart } from "../state/answer";
import { text } from "../text";
import { Icon } from "./Icon";

export function ToolCard({ part, running }: { part: ToolPart; running: boolean }) {
  const { result } = part;
  const state = result === null ? (running ? "running" : "cut") : result.isError ? "failed" : "done";
  return (
    <details class={`tool ${state}`}>
      <summary>
        <Icon name="tool" />
        <span class="tool-name">{part.name}</span>
        <span class="tool-brief">{brief(part.arguments)}</span>
        <span class="tool-state">{text.tool[state]}</span>
        <Icon name="chevron" />
      </summary>
      <div class="tool-body">
        <h3>{text.tool.arguments}</h3>
        <pre tabIndex={0}>{pretty(part.arguments)}</pre>
        {result && (
          <>
            <h3>{result.isError ? text.tool.error : text.tool.result}</h3>
            <pre tabIndex={0}>{pretty(result.content)}</pre>
          </>
        )}
      </div>
    </details>
  );
}

/** JSON with indents; anything else as it is. */
function pretty(source: string): string {
  try {
    return JSON.stringify(JSON.parse(source), null, 2);
  } catch {
    return source;
  }
}

/** The arguments' values in one line. */
function brief(source: string): string {
  try {
    const value: unknown = JSON.parse(source);
    if (typeof value !== "object" || value === null) return String(value);
    return Object.values(value)
      .map((one) => (typeof one === "string" ? one : JSON.stringify(one)))
      .join(" · ");
  } catch {
    return source;
  }
}
