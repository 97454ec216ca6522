/** Markdown to clean DOM, block by block, so that a growing answer redraws only its last block. */

import DOMPurify, { type Config } from "dompurify";
import { Marked, type Token, type Tokens } from "marked";

/** HTML that models write on purpose inside Markdown; all else of it is shown as the text it is. */
const HARMLESS = /^<\/?(?:br|sub|sup|kbd|mark|u)\s*\/?>$/i;

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => (HARMLESS.test(text.trim()) ? text : escape(text)),
    // A picture from elsewhere would tell that site who reads this, so it is a link to follow or not.
    image: ({ href, text }: Tokens.Image) =>
      /^data:image\//i.test(href)
        ? `<img src="${escape(href)}" alt="${escape(text)}">`
        : `<a href="${escape(href)}">${escape(text || href)}</a>`,
  },
});

const CLEAN = {
  RETURN_DOM_FRAGMENT: true as const,
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  ALLOWED_TAGS: [
    ..."a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i img input kbd li mark ol p pre s span strong".split(" "),
    ..."sub sup table tbody td th thead tr u ul".split(" "),
  ],
  ALLOWED_ATTR: ["align", "alt", "checked", "class", "disabled", "href", "src", "start", "title", "type"],
  // The rule for addresses would be applied to these too.
  ADD_URI_SAFE_ATTR: ["align", "checked", "disabled", "start", "type"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
} satisfies Config;

/** A block and the Markdown it comes from, by which it is known again. */
export interface Block {
  readonly raw: string;
  readonly token: Token;
}

export function blocksOf(source: string): readonly Block[] {
  return marked
    .lexer(source)
    .filter((token) => token.type !== "space" && token.type !== "def")
    .map((token) => ({ raw: token.raw, token }));
}

export function fragmentOf(block: Block): DocumentFragment {
  const fragment = clean(marked.parser([block.token]));
  for (const link of fragment.querySelectorAll("a[href]")) {
    link.setAttribute("target", "_blank");
    link.setAttribute("rel", "noopener noreferrer nofollow");
  }
  return fragment;
}

export function clean(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, CLEAN);
}

function escape(value: string): string {
  return value.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
}
