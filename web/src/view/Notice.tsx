import { useApp } from "../state/app";
import { text } from "../text";
import { ProblemBox } from "./ProblemBox";

/** A problem that belongs to no message. */
export function Notice() {
  const { chat } = useApp();
  const problem = chat.notice.value;
  if (problem === null) return null;
  return (
    <div class="notice">
      <ProblemBox problem={problem} action={{ label: text.dismiss, run: () => (chat.notice.value = null) }} />
    </div>
  );
}
