import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Session } from "../protocol/messages";
import { useApp } from "../state/app";
import { byAge } from "../state/sessions";
import { text } from "../text";
import { ConfirmDelete } from "./ConfirmDelete";
import { Icon, Logo } from "./Icon";
import { SessionItem } from "./SessionItem";
import { ThemeButton } from "./ThemeButton";

export function Sidebar() {
  const app = useApp();
  const doomed = useSignal<Session | null>(null);
  const first = useRef<HTMLButtonElement>(null);
  const open = app.drawerOpen.value;
  useEffect(() => {
    if (open) first.current?.focus();
  }, [open]);
  return (
    <>
      <div class={`scrim ${open ? "open" : ""}`} onClick={() => (app.drawerOpen.value = false)} />
      <nav id="sidebar" class={`sidebar ${open ? "open" : ""}`} aria-label={text.sessions.title}>
        <div class="brand">
          <Logo />
          <span>{text.app.name}</span>
          <button
            type="button"
            class="quiet icon-only drawer-only"
            aria-label={text.sessions.close}
            onClick={() => (app.drawerOpen.value = false)}
          >
            <Icon name="close" />
          </button>
        </div>
        <button ref={first} type="button" class="plain new-chat" onClick={() => app.newChat()}>
          <Icon name="plus" />
          <span>{text.sessions.newChat}</span>
          <kbd aria-hidden="true">{text.sessions.newChatKeys}</kbd>
        </button>
        <SessionList onRemove={(session) => (doomed.value = session)} />
        <div class="sidebar-foot">
          <ThemeButton />
          <button type="button" class="quiet" onClick={() => void app.logout()}>
            <Icon name="exit" />
            {text.account.logout}
          </button>
        </div>
      </nav>
      {doomed.value && <ConfirmDelete session={doomed.value} onClose={() => (doomed.value = null)} />}
    </>
  );
}

function SessionList({ onRemove }: { onRemove: (session: Session) => void }) {
  const { sessions } = useApp();
  if (sessions.list.value.length === 0) {
    const note = sessions.problem.value ? text.sessions.failed : sessions.loaded.value ? text.sessions.none : "";
    return <div class="session-list muted note">{note}</div>;
  }
  return (
    <div class="session-list">
      {[...byAge(sessions.list.value, new Date())].map(([age, list]) => (
        <section key={age} aria-labelledby={`age-${age}`}>
          <h2 id={`age-${age}`}>{text.sessions[age]}</h2>
          <ul>
            {list.map((session) => (
              <SessionItem key={session.id} session={session} onRemove={() => onRemove(session)} />
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}
