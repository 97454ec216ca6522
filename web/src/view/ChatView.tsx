import { useEffect } from "preact/hooks";
import { type App, useApp } from "../state/app";
import { text } from "../text";
import { Composer } from "./Composer";
import { Icon } from "./Icon";
import { LinkBanner } from "./LinkBanner";
import { Log } from "./Log";
import { Notice } from "./Notice";
import { Sidebar } from "./Sidebar";

export function ChatView() {
  const app = useApp();
  const conversation = app.chat.current.value;
  const title = useTitle(app);
  useKeys(app);
  useWideLayout(app);
  return (
    <div class="shell">
      <a class="skip" href="#message" onClick={focusMessage}>
        {text.app.skip}
      </a>
      <Sidebar />
      <main class="chat" inert={app.drawerOpen.value}>
        <header>
          <button
            type="button"
            class="quiet icon-only drawer-only"
            aria-label={text.sessions.open}
            aria-expanded={app.drawerOpen.value}
            aria-controls="sidebar"
            onClick={() => (app.drawerOpen.value = true)}
          >
            <Icon name="menu" />
          </button>
          {title ? <h1 class="title">{title}</h1> : <span class="title" />}
          <button
            type="button"
            class="quiet icon-only drawer-only"
            aria-label={text.sessions.newChat}
            onClick={() => app.newChat()}
          >
            <Icon name="plus" />
          </button>
        </header>
        <LinkBanner />
        <Log conversation={conversation} />
        <Notice />
        <Composer conversation={conversation} />
      </main>
    </div>
  );
}

function focusMessage(event: Event): void {
  event.preventDefault(); // the part after # is the conversation
  document.querySelector<HTMLElement>("#message")?.focus();
}

function useTitle(app: App): string {
  const id = app.chat.current.value.id.value;
  const session = app.sessions.list.value.find((one) => one.id === id);
  const title = session?.title || (id === null ? "" : text.sessions.untitled);
  useEffect(() => {
    document.title = title ? `${title} · ${text.app.name}` : text.app.name;
  }, [title]);
  return title;
}

function useKeys(app: App): void {
  useEffect(() => {
    function onKeyDown(event: KeyboardEvent): void {
      if (document.querySelector("dialog[open]") !== null || event.isComposing) return;
      const ctrl = event.ctrlKey || event.metaKey;
      if (ctrl && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        app.newChat();
        document.querySelector<HTMLElement>("#message")?.focus();
      } else if (event.key === "Escape") {
        if (app.drawerOpen.value) app.drawerOpen.value = false;
        else app.chat.stop(app.chat.current.value);
      }
    }
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [app]);
}

/** A window that grows wide has no drawer, so none may stay open and hold the rest inert. */
function useWideLayout(app: App): void {
  useEffect(() => {
    const wide = matchMedia("(min-width: 50rem)");
    const onChange = () => {
      if (wide.matches) app.drawerOpen.value = false;
    };
    wide.addEventListener("change", onChange);
    return () => wide.removeEventListener("change", onChange);
  }, [app]);
}
