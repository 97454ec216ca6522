import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { isOver } from "../state/answer";
import { useApp } from "../state/app";
import type { Conversation } from "../state/conversation";
import { text } from "../text";
import { EmptyState } from "./EmptyState";
import { ExchangeView } from "./ExchangeView";
import { Icon } from "./Icon";
import { ProblemBox } from "./ProblemBox";

/** Nearer to the end than this, the log follows what is written. */
const FOLLOW_PX = 60;

/** The conversation, kept at its end while the reader is there. */
export function Log({ conversation }: { conversation: Conversation }) {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const following = useSignal(true);
  const count = conversation.exchanges.value.length;

  function toEnd(): void {
    scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
  }

  function onScroll(): void {
    const { scrollTop, scrollHeight, clientHeight } = scroller.current!;
    following.value = scrollHeight - scrollTop - clientHeight < FOLLOW_PX;
  }

  useEffect(() => {
    const observer = new ResizeObserver(() => {
      if (following.peek()) toEnd();
    });
    observer.observe(content.current!);
    observer.observe(scroller.current!);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    following.value = true;
    toEnd();
  }, [conversation, count]);

  return (
    <div class="log-frame">
      <div class="log" ref={scroller} onScroll={onScroll} tabIndex={-1}>
        <div class="column" ref={content}>
          <Stage conversation={conversation} />
          <Exchanges conversation={conversation} />
        </div>
      </div>
      {!following.value && (
        <button type="button" class="latest" aria-label={text.chat.latest} onClick={toEnd}>
          <Icon name="down" />
        </button>
      )}
      <Announcer conversation={conversation} />
    </div>
  );
}

/** A log that assistive technology reads when an answer is whole, since it is busy until then. */
function Exchanges({ conversation }: { conversation: Conversation }) {
  const busy = conversation.live.value !== null;
  return (
    <div role="log" aria-live="polite" aria-label={text.chat.log} aria-busy={busy}>
      {conversation.exchanges.value.map((exchange) => (
        <ExchangeView key={exchange.id} conversation={conversation} exchange={exchange} />
      ))}
    </div>
  );
}

function Stage({ conversation }: { conversation: Conversation }) {
  const { chat } = useApp();
  const problem = conversation.problem.value;
  switch (conversation.stage.value) {
    case "loading":
      return <p class="note muted">{text.chat.loading}</p>;
    case "missing":
      return <p class="note muted">{text.chat.missing}</p>;
    case "failed": {
      const again = { label: text.chat.retry, run: () => void chat.load(conversation) };
      return problem && <ProblemBox problem={problem} action={again} />;
    }
    case "ready":
      return conversation.exchanges.value.length === 0 ? <EmptyState conversation={conversation} /> : null;
  }
}

function Announcer({ conversation }: { conversation: Conversation }) {
  return (
    <p class="sr-only" role="status">
      {announcement(conversation)}
    </p>
  );
}

function announcement(conversation: Conversation): string {
  const last = conversation.exchanges.value.at(-1);
  if (!last?.turn) return "";
  const { phase } = last.answer.value;
  if (phase === "done") return text.chat.finished;
  if (phase === "stopped") return text.chat.stopped;
  return isOver(last.answer.value) ? "" : text.chat.answering; // a failure is an alert of its own
}
