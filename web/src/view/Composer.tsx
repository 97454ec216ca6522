import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useApp } from "../state/app";
import type { Conversation } from "../state/conversation";
import { text } from "../text";
import { Icon } from "./Icon";

const MAX_HEIGHT_PX = 240;

export function Composer({ conversation }: { conversation: Conversation }) {
  const { chat } = useApp();
  const field = useRef<HTMLTextAreaElement>(null);
  const draft = conversation.draft.value;
  const busy = conversation.live.value !== null;
  const ready = conversation.stage.value === "ready";

  useLayoutEffect(() => fit(field.current!), [draft, conversation]);
  useEffect(() => {
    // On a touch screen the keyboard would cover what was just opened.
    if (matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, [conversation]);

  function submit(): void {
    const message = draft.trim();
    if (message === "" || busy || !ready) return;
    if (chat.ask(conversation, message)) conversation.draft.value = "";
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent): void {
    // Enter also ends the composition of a Chinese or Japanese word; that one sends nothing.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  }

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <div class="composer-box">
        <label for="message" class="sr-only">
          {text.composer.label}
        </label>
        <textarea
          id="message"
          ref={field}
          rows={1}
          value={draft}
          placeholder={text.composer.placeholder}
          aria-describedby="composer-keys"
          onInput={(event) => (conversation.draft.value = event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {busy ? (
          <button type="button" class="round stop" aria-label={text.composer.stop} onClick={() => chat.stop(conversation)}>
            <Icon name="stop" />
          </button>
        ) : (
          <button
            type="submit"
            class="round send"
            aria-label={text.composer.send}
            aria-disabled={draft.trim() === "" || !ready}
          >
            <Icon name="send" />
          </button>
        )}
      </div>
      <p id="composer-keys" class="keys muted">
        {text.composer.keys}
      </p>
    </form>
  );
}

/** As high as its text, up to a limit. Set through CSSOM, which the content security policy allows. */
function fit(field: HTMLTextAreaElement): void {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, MAX_HEIGHT_PX)}px`;
}
