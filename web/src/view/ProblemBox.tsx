import type { Problem } from "../net/problem";
import { Icon } from "./Icon";

/** What went wrong, what to do, and a button that does it. */
export function ProblemBox({ problem, action }: { problem: Problem; action?: { label: string; run: () => void } }) {
  return (
    <div class="problem" role="alert">
      <Icon name="alert" />
      <div class="problem-text">
        <p>{problem.message}</p>
        {problem.hint && <p class="muted">{problem.hint}</p>}
      </div>
      {action && (
        <button type="button" class="plain small" onClick={action.run}>
          {action.label}
        </button>
      )}
    </div>
  );
}
