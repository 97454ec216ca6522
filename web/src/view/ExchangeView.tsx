import type { Conversation, Exchange } from "../state/conversation";
import { text } from "../text";
import { AnswerView } from "./AnswerView";

export function ExchangeView({ conversation, exchange }: { conversation: Conversation; exchange: Exchange }) {
  return (
    <>
      {exchange.question !== null && (
        <article class="question">
          <h2 class="sr-only">{text.chat.you}</h2>
          <div class="bubble">{exchange.question}</div>
        </article>
      )}
      <AnswerView conversation={conversation} exchange={exchange} />
    </>
  );
}
