/** Conversations and the turns that run in them, over the one socket. */

import { batch, type Signal, signal } from "@preact/signals";
import type { Api } from "../net/api";
import { type Problem, problemOf } from "../net/problem";
import type { Socket } from "../net/socket";
import type { Refusal, ServerMessage, TurnEvent } from "../protocol/events";
import { text } from "../text";
import { Conversation, type Exchange, exchangesOf } from "./conversation";
import { newId } from "./id";
import { loadPending, storePending } from "./pending";
import type { Route } from "./route";
import type { Sessions } from "./sessions";
import { type Asked, Turn } from "./turn";

/** The gateway closes a socket that sends more than 1 MiB at once; this leaves room for the rest. */
const MAX_MESSAGE_BYTES = 1_000_000;
const FIRST_REPEAT_MS = 250;
const MAX_REPEAT_MS = 4_000;

interface Running {
  readonly turn: Turn;
  readonly conversation: Conversation;
}

export class Chat {
  readonly current: Signal<Conversation> = signal(new Conversation(null));
  readonly notice = signal<Problem | null>(null);
  #running = new Map<string, Running>();
  #waiting: ServerMessage[] = [];
  #pending = loadPending();

  constructor(
    private readonly api: Api,
    private readonly socket: Socket,
    private readonly sessions: Sessions,
    private readonly route: Route,
  ) {
    socket.onOpen = () => this.#repeatAll();
    socket.onMessage = (message) => this.#queue(message);
  }

  /** Show a conversation, or an empty one for null. */
  show(id: string | null): void {
    if (this.current.value.id.value === id && (id !== null || this.current.value.exchanges.value.length === 0)) return;
    const running = [...this.#running.values()].find(({ conversation }) => conversation.id.value === id);
    if (id !== null && running !== undefined) {
      this.current.value = running.conversation;
      return;
    }
    const conversation = new Conversation(id);
    this.current.value = conversation;
    if (id !== null) void this.load(conversation);
  }

  async load(conversation: Conversation): Promise<void> {
    const id = conversation.id.value;
    if (id === null) return;
    conversation.stage.value = "loading";
    try {
      const transcript = await this.api.transcript(id);
      batch(() => {
        conversation.exchanges.value = exchangesOf(transcript);
        conversation.stage.value = "ready";
        this.#resume(conversation);
      });
    } catch (error) {
      const problem = problemOf(error);
      conversation.problem.value = problem;
      conversation.stage.value = problem.code === "not_found" ? "missing" : "failed";
    }
  }

  /** Ask something; false when it is too long or an answer is still being given. */
  ask(conversation: Conversation, message: string): boolean {
    if (conversation.live.value !== null) return false;
    if (new TextEncoder().encode(JSON.stringify(message)).length > MAX_MESSAGE_BYTES) {
      this.notice.value = { code: "too_large", message: text.composer.tooLong, hint: "" };
      return false;
    }
    const turn = new Turn({ message, messageId: newId(), sessionId: conversation.id.value });
    conversation.add(turn);
    this.#run(turn, conversation);
    return true;
  }

  /** Ask again: with the same id what may be running is joined; a turn that is over keeps its id for good. */
  retry(conversation: Conversation, exchange: Exchange): void {
    if (conversation.live.value !== null || exchange.question === null) return;
    const unsettled = exchange.turn !== null && !exchange.turn.isSettled;
    const messageId = unsettled ? exchange.id : newId();
    const turn = new Turn({ message: exchange.question, messageId, sessionId: conversation.id.value });
    conversation.replace(exchange, turn);
    this.#run(turn, conversation);
  }

  stop(conversation: Conversation): void {
    const turn = conversation.live.value;
    if (turn === null) return;
    turn.cancelWanted = true;
    this.#cancel(turn);
  }

  async remove(id: string): Promise<void> {
    try {
      await this.sessions.remove(id);
      for (const [messageId, { conversation }] of this.#running) {
        if (conversation.id.value === id) this.#forget(messageId);
      }
      if (this.current.value.id.value === id) this.route.go(null, "replace");
    } catch (error) {
      this.notice.value = problemOf(error);
    }
  }

  /** Take up what waited for an answer when this tab was loaded anew. */
  resumeNew(): void {
    if (this.current.value.id.value === null) this.#resume(this.current.value);
  }

  clear(): void {
    this.#running.clear();
    this.#waiting = [];
    this.#pending = [];
    storePending([]);
    this.current.value = new Conversation(null);
  }

  #resume(conversation: Conversation): void {
    const asked = this.#pending.find((one) => one.sessionId === conversation.id.value);
    if (asked === undefined) return;
    this.#pending = this.#pending.filter((one) => one !== asked);
    const last = conversation.exchanges.value.at(-1);
    const same = last?.id === asked.messageId || last?.question === asked.message;
    if (same && last?.answer.value.phase === "done") {
      this.#store();
      return; // it was finished meanwhile
    }
    const turn = new Turn(asked);
    if (same && last !== undefined) conversation.replace(last, turn);
    else conversation.add(turn);
    this.#run(turn, conversation);
  }

  #run(turn: Turn, conversation: Conversation): void {
    this.#running.set(turn.asked.messageId, { turn, conversation });
    this.#store();
    this.#send(turn);
  }

  #send(turn: Turn): void {
    if (this.socket.link.value !== "open") return; // #repeatAll sends it
    const request = turn.request();
    if (request !== null) this.socket.send(request);
    else this.#fail(turn, { code: "unavailable", message: text.link.gaveUp, hint: text.link.gaveUpHint });
  }

  #cancel(turn: Turn): void {
    if (turn.turnId !== null) this.socket.send({ type: "cancel", turn_id: turn.turnId });
  }

  #repeatAll(): void {
    if (this.sessions.problem.value !== null) void this.sessions.refresh();
    for (const { turn } of [...this.#running.values()]) this.#send(turn);
  }

  /** Events are applied once a frame: a fast model sends hundreds a second. */
  #queue(message: ServerMessage): void {
    this.#waiting.push(message);
    if (this.#waiting.length > 1) return;
    if (document.hidden) setTimeout(() => this.#takeAll());
    else requestAnimationFrame(() => this.#takeAll());
  }

  #takeAll(): void {
    const messages = this.#waiting;
    this.#waiting = [];
    batch(() => {
      for (const message of messages) {
        if (message.type === "error") this.#refused(message);
        else this.#take(message);
      }
    });
  }

  #take(event: TurnEvent): void {
    const running = this.#find(event);
    if (running === undefined) return; // deleted meanwhile
    const { turn, conversation } = running;
    turn.take(event);
    if (event.type === "turn.started") this.#started(turn, conversation);
    if (turn.isOver) {
      this.#forget(turn.asked.messageId);
      void this.sessions.refresh();
    }
  }

  #find(event: TurnEvent): Running | undefined {
    if (event.type === "turn.started") return this.#running.get(event.message_id);
    return [...this.#running.values()].find(({ turn }) => turn.turnId === event.turn_id);
  }

  #started(turn: Turn, conversation: Conversation): void {
    if (conversation.id.value === null) {
      conversation.id.value = turn.sessionId;
      if (this.current.value === conversation) this.route.go(turn.sessionId, "replace");
      void this.sessions.refresh();
    }
    this.#store();
    if (turn.cancelWanted) this.#cancel(turn);
  }

  #refused(refusal: Refusal): void {
    const running = this.#running.get(refusal.message_id ?? "");
    const { code, message, hint } = refusal;
    if (running === undefined) {
      // A turn that ended by itself just before it was stopped is no news.
      if (code !== "not_found") this.notice.value = { code, message, hint };
      return;
    }
    const { turn } = running;
    if (code !== "unavailable" || turn.turnId === null) {
      this.#fail(turn, { code, message, hint });
      return;
    }
    // The agent went away in the middle; it takes the turn up again when it is back.
    const delay = Math.min(FIRST_REPEAT_MS * 2 ** turn.repeats, MAX_REPEAT_MS);
    setTimeout(() => {
      if (this.#running.get(turn.asked.messageId)?.turn === turn) this.#send(turn);
    }, delay);
  }

  #fail(turn: Turn, problem: Problem): void {
    turn.fail(problem);
    this.#forget(turn.asked.messageId);
  }

  #forget(messageId: string): void {
    this.#running.delete(messageId);
    this.#store();
  }

  #store(): void {
    const running = [...this.#running.values()].map(({ turn }): Asked => ({ ...turn.asked, sessionId: turn.sessionId }));
    storePending([...this.#pending, ...running]);
  }
}
