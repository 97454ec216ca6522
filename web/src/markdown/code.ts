/** What a code block gets beside its text: its language, a copy button, colours. */

import { text } from "../text";
import { copyText } from "../view/clipboard";
import { clean } from "./blocks";

const COPIED_MS = 1_500;

/** Dress the code blocks below `root`; colours only once the text is whole, since they cost a pass over it. */
export function dressCode(root: DocumentFragment | Element, settled: boolean): void {
  for (const pre of root.querySelectorAll("pre")) {
    const code = pre.querySelector("code");
    if (code === null) continue;
    const language = /language-([\w+#-]+)/.exec(code.className)?.[1] ?? "";
    const box = document.createElement("div");
    box.className = "code";
    const head = document.createElement("div");
    head.className = "code-head";
    const label = document.createElement("span");
    label.textContent = language;
    head.append(label, copyButton(() => code.textContent));
    pre.tabIndex = 0; // it scrolls sideways, so the keyboard must reach it
    pre.replaceWith(box);
    box.append(head, pre);
    if (settled && language !== "") void colour(code, language);
  }
}

function copyButton(source: () => string): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet small";
  button.textContent = text.chat.copy;
  button.setAttribute("aria-label", text.chat.copyCode);
  button.addEventListener("click", () => {
    void copyText(source()).then((copied) => {
      if (copied) button.textContent = text.chat.copied;
      setTimeout(() => {
        button.textContent = text.chat.copy;
      }, COPIED_MS);
    });
  });
  return button;
}

async function colour(code: HTMLElement, language: string): Promise<void> {
  const { highlight } = await import("./highlight");
  const html = highlight(code.textContent, language);
  if (html !== null) code.replaceChildren(clean(html));
}
