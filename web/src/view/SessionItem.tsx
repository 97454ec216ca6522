import type { Session } from "../protocol/messages";
import { useApp } from "../state/app";
import { text } from "../text";
import { Icon } from "./Icon";

export function SessionItem({ session, onRemove }: { session: Session; onRemove: () => void }) {
  const app = useApp();
  const current = app.chat.current.value.id.value === session.id;
  const title = session.title || text.sessions.untitled;
  return (
    <li class={current ? "current" : undefined}>
      <a
        href={`#/s/${encodeURIComponent(session.id)}`}
        aria-current={current ? "page" : undefined}
        title={title}
        onClick={() => (app.drawerOpen.value = false)}
      >
        {title}
      </a>
      <button type="button" class="quiet icon-only" aria-label={text.sessions.remove(title)} onClick={onRemove}>
        <Icon name="trash" />
      </button>
    </li>
  );
}
