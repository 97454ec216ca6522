import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { problemOf } from "../net/problem";
import { useApp } from "../state/app";
import { text } from "../text";
import { Logo } from "./Icon";

export function Login() {
  const app = useApp();
  const field = useRef<HTMLInputElement>(null);
  const error = useSignal("");
  const busy = useSignal(false);
  useEffect(() => field.current?.focus(), []);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    const token = field.current?.value.trim() ?? "";
    error.value = token === "" ? text.login.empty : "";
    if (token === "" || busy.value) return;
    busy.value = true;
    try {
      await app.login(token);
    } catch (caught) {
      const problem = problemOf(caught);
      const parts = [problem.message, problem.hint].filter(Boolean);
      error.value = problem.code === "unauthorized" ? text.login.wrongToken : parts.join(" ");
      field.current?.select();
    } finally {
      busy.value = false;
    }
  }

  return (
    <main class="login">
      <form onSubmit={(event) => void submit(event)} noValidate>
        <Logo />
        <h1>{text.login.title}</h1>
        <p class="muted">{app.loginNote.value || text.login.intro}</p>
        <input type="text" autocomplete="username" value={text.app.name} readOnly hidden />
        <label for="token">{text.login.token}</label>
        <input
          id="token"
          ref={field}
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          aria-describedby="token-help"
          aria-invalid={error.value !== ""}
        />
        <p id="token-help" class={error.value ? "error-text" : "muted"} role={error.value ? "alert" : undefined}>
          {error.value || text.login.where}
        </p>
        <button type="submit" class="primary" aria-disabled={busy.value}>
          {busy.value ? text.login.busy : text.login.submit}
        </button>
      </form>
    </main>
  );
}
