import type { Conversation } from "../state/conversation";
import { useApp } from "../state/app";
import { text } from "../text";
import { Logo } from "./Icon";

export function EmptyState({ conversation }: { conversation: Conversation }) {
  const { chat } = useApp();
  return (
    <div class="empty">
      <Logo />
      <h1>{text.empty.title}</h1>
      <p class="muted">{text.empty.hint}</p>
      <ul>
        {text.empty.prompts.map(({ title, prompt }) => (
          <li key={title}>
            <button type="button" class="card" onClick={() => chat.ask(conversation, prompt)}>
              <strong>{title}</strong>
              <span>{prompt}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
