import { useApp } from "../state/app";
import { type Answer, isOver, textOf } from "../state/answer";
import type { Conversation, Exchange } from "../state/conversation";
import { Markdown } from "../markdown/Markdown";
import { text } from "../text";
import { CopyButton } from "./CopyButton";
import { ProblemBox } from "./ProblemBox";
import { ToolCard } from "./ToolCard";

export function AnswerView({ conversation, exchange }: { conversation: Conversation; exchange: Exchange }) {
  const { chat } = useApp();
  const answer = exchange.answer.value;
  const growing = !isOver(answer);
  const retry = () => chat.retry(conversation, exchange);
  return (
    <article class="answer" data-phase={answer.phase}>
      <h2 class="sr-only">{text.chat.ocg}</h2>
      {answer.parts.map((part, index) =>
        part.kind === "tool" ? (
          <ToolCard key={index} part={part} running={growing} />
        ) : (
          <Markdown key={index} source={part.text} growing={growing && index === answer.parts.length - 1} />
        ),
      )}
      {growing && <Working answer={answer} />}
      {answer.phase === "failed" && answer.problem && (
        <ProblemBox problem={answer.problem} action={{ label: text.chat.retry, run: retry }} />
      )}
      {(answer.phase === "unanswered" || answer.phase === "stopped") && (
        <p class="aside muted">
          {text.chat[answer.phase]}
          <button type="button" class="quiet small" onClick={retry}>
            {text.chat.retry}
          </button>
        </p>
      )}
      {answer.phase === "done" && <Footer answer={answer} />}
    </article>
  );
}

/** Shown until the next words come; the text itself shows that more follows. */
function Working({ answer }: { answer: Answer }) {
  if (answer.parts.at(-1)?.kind === "text") return null;
  return (
    <p class="working muted">
      <span class="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      {text.chat.thinking}
    </p>
  );
}

function Footer({ answer }: { answer: Answer }) {
  const tokens = answer.usage?.completion_tokens ?? 0;
  return (
    <div class="answer-foot muted">
      <CopyButton label={text.chat.copyAnswer} source={() => textOf(answer)} />
      {tokens > 0 && <span>{text.chat.tokens(tokens)}</span>}
    </div>
  );
}
