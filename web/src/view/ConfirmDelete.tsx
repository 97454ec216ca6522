import { useEffect, useRef } from "preact/hooks";
import type { Session } from "../protocol/messages";
import { useApp } from "../state/app";
import { text } from "../text";

/** Asks before a conversation goes for good; the browser keeps the focus inside and Esc closes it. */
export function ConfirmDelete({ session, onClose }: { session: Session; onClose: () => void }) {
  const { chat } = useApp();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);

  async function remove(): Promise<void> {
    dialog.current?.close();
    await chat.remove(session.id);
    document.querySelector<HTMLElement>("#message")?.focus();
  }

  return (
    <dialog ref={dialog} class="confirm" aria-labelledby="confirm-title" onClose={onClose}>
      <h2 id="confirm-title">{text.confirm.title}</h2>
      <p class="muted">{text.confirm.body(session.title || text.sessions.untitled)}</p>
      <div class="buttons">
        <button type="button" class="plain" onClick={() => dialog.current?.close()}>
          {text.confirm.no}
        </button>
        <button type="button" class="danger" onClick={() => void remove()}>
          {text.confirm.yes}
        </button>
      </div>
    </dialog>
  );
}
